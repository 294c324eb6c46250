"""The spaCy component: `nlp.add_pipe("onegen_el")`.

Knows spaCy's pipelines and when to open the linker; what is written into a Doc is `placing`'s. Found by spaCy
through the entry point `spacy_factories`, so nobody has to import it. Models are opened on first use.
"""

# Without `from __future__ import annotations`: spaCy checks configs against the annotations of the factory.
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, Optional, get_args

from spacy.language import Language
from spacy.pipeline.pipe import Pipe
from spacy.scorer import Scorer, get_ner_prf
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import raise_error, registry

from onegen_el.doc import UNTYPED
from onegen_el.document import COARSE_TYPES, TITLE_PREFIX, WIKIDATA, Entity, LinkedDocument
from onegen_el.errors import InputError, ModelError
from onegen_el.integrations.placing import Ents, asked, place, place_on_entities
from onegen_el.integrations.reference import Reference, locate

if TYPE_CHECKING:
    from onegen_el.linker import EntityLinker

Mentions = Literal["generate", "doc.ents"]
READ_AHEAD = 4  # texts read ahead for each window of a batch, as the linker does
REFERENCE = "reference.json"


class _PageOf(str):
    """A `kb_url_template` that knows pages of Wikidata and Wikipedia; ids of one's own have none."""

    __slots__ = ()

    def format(self, *ids: object, **_: object) -> str:
        name = str(ids[0])
        if name.startswith(TITLE_PREFIX):
            return Entity(name, name, wikipedia_title=name.removeprefix(TITLE_PREFIX)).url or "#"
        return super().format(name) if QID.fullmatch(name) else "#"


QID = re.compile(r"Q[1-9][0-9]*")
# displacy.render(doc, style="ent", options=DISPLACY): entities as links, a colour for each type
DISPLACY: dict[str, Any] = {
    "kb_url_template": _PageOf(WIKIDATA + "{}"),
    "colors": {"PER": "#aa9cfc", "ORG": "#7aecec", "LOC": "#ff9561", "MISC": "#ffeb80", UNTYPED: "#dddddd"},
}

Scoring = Callable[..., dict[str, Any]]


def link_scores(examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
    """spaCy's scores of entities (`ents_f`) and of the links of those found (`nel_micro_f`).

    An entity without id is NIL and, as in spaCy, no link to be right or wrong about.
    """
    examples = list(examples)
    links: dict[str, Any] = Scorer.score_links(examples, negative_labels=["", "NIL"])
    return {**get_ner_prf(examples), **links}


@registry.scorers("onegen_el.link_scorer.v1")  # type: ignore[untyped-decorator]
def make_link_scorer() -> Scoring:
    """The scorer of the default config."""
    return link_scores


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of the component, which `docs/spacy.md` explains; InputError for impossible ones."""

    model: str | None = None
    kb: str | None = None
    device: str = "auto"
    batch_size: int = 16
    top_k: int = 5
    min_score: float | None = None
    ents: Ents = "set"
    spans_key: str = "onegen_el"
    mentions: Mentions = "generate"
    policy: str | None = None

    def __post_init__(self) -> None:
        for option, value, legal in (
            ("ents", self.ents, get_args(Ents)),
            ("mentions", self.mentions, get_args(Mentions)),
        ):
            if value not in legal:
                raise InputError(f"onegen_el: {option} is {value!r}; it must be one of {', '.join(legal)}")
        for option, number in (("batch_size", self.batch_size), ("top_k", self.top_k)):
            if number < 1:
                raise InputError(f"onegen_el: {option} is {number}; it must be at least 1")
        if self.ents == "spans" and not self.spans_key:
            raise InputError('onegen_el: ents = "spans" needs a spans_key')


@Language.factory(
    "onegen_el",
    assigns=[
        *("doc.ents", "doc.spans", "token.ent_iob", "token.ent_type", "token.ent_kb_id"),
        *("doc._.onegen", "span._.onegen"),
    ],
    requires=[],
    default_config={
        "model": None,
        "kb": None,
        "device": "auto",
        "batch_size": 16,
        "top_k": 5,
        "min_score": None,
        "ents": "set",
        "spans_key": "onegen_el",
        "mentions": "generate",
        "policy": None,
        "scorer": {"@scorers": "onegen_el.link_scorer.v1"},
    },
    default_score_weights={
        **{"ents_f": None, "ents_p": None, "ents_r": None, "ents_per_type": None},
        **{"nel_micro_f": 1.0, "nel_micro_r": None, "nel_micro_p": None},
    },
)
def make_component(
    nlp: Language,
    name: str,
    model: Optional[str],  # noqa: UP045
    kb: Optional[str],  # noqa: UP045
    device: str,
    batch_size: int,
    top_k: int,
    min_score: Optional[float],  # noqa: UP045
    ents: str,
    spans_key: str,
    mentions: str,
    policy: Optional[str],  # noqa: UP045
    scorer: Optional[Callable],  # type: ignore[type-arg]  # noqa: UP045
) -> "OnegenLinker":
    """Called by `nlp.add_pipe("onegen_el")`; opens no file."""
    options: dict[str, Any] = {"ents": ents, "spans_key": spans_key, "mentions": mentions, "policy": policy}
    settings = Settings(model, kb, device, batch_size, top_k, min_score, **options)
    return OnegenLinker(name, settings, scorer)


class OnegenLinker(Pipe):
    """Links the entities of Docs; may be called from several threads, which then wait for one another.

    Model and knowledge base are opened when the first Doc comes, in each process anew: the component is
    pickled without them.
    """

    def __init__(self, name: str, settings: Settings, scorer: Scoring | None = link_scores) -> None:
        self.name = name
        self.settings = settings
        self.scorer = scorer
        self.cfg: dict[str, Any] = {"spans_key": settings.spans_key}
        self._linker: EntityLinker | None = None
        self._lock, self._process = Lock(), os.getpid()

    def __reduce__(self) -> tuple[Any, ...]:
        handler = {"error_handler": self.error_handler} if hasattr(self, "error_handler") else None
        return type(self), (self.name, self.settings, self.scorer), handler

    @property
    def labels(self) -> tuple[str, ...]:
        """The coarse types of knowledge bases, and ENT where none is known."""
        return (*sorted(COARSE_TYPES), UNTYPED)

    def __call__(self, doc: Doc) -> Doc:
        """Links one Doc in place and returns it."""
        self._annotate([doc])
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Links a stream of Docs in order; at most `batch_size` are read ahead.

        Where a batch fails its Docs are linked one by one; those that fail again go to the error handler.
        """
        docs = iter(stream)
        ahead = min(batch_size, READ_AHEAD * self.settings.batch_size)
        while batch := list(islice(docs, ahead)):
            try:
                self._annotate(batch)
            except Exception as error:
                handler = self.get_error_handler()
                if handler is raise_error:
                    raise
                yield from self._one_by_one(batch, handler, error)
            else:
                yield from batch

    def initialize(self, get_examples: Any, *, nlp: Language | None = None) -> None:
        """Opens model and knowledge base, so that what is missing is said before the first text."""
        with self._exclusive():
            self._open()

    def to_bytes(self, *, exclude: Sequence[str] = ()) -> bytes:
        """Names, fingerprint and checksums of model and knowledge base; these are not copied."""
        return Reference.of(self.settings.model, self.settings.kb, self.name).to_bytes()

    def from_bytes(self, data: bytes, *, exclude: Sequence[str] = ()) -> "OnegenLinker":
        """Raises ModelError or KBError unless the configured ones are those the bytes were made with."""
        self._check(Reference.from_bytes(data, f"bytes of {self.name}"))
        return self

    def to_disk(self, path: str | Path, *, exclude: Sequence[str] = ()) -> None:
        """Writes `to_bytes` into a folder."""
        data = self.to_bytes()
        Path(path).mkdir(parents=True, exist_ok=True)
        (Path(path) / REFERENCE).write_bytes(data)

    def from_disk(self, path: str | Path, *, exclude: Sequence[str] = ()) -> "OnegenLinker":
        """Like `from_bytes`, with the folder that `to_disk` wrote."""
        file = Path(path) / REFERENCE
        try:
            data = file.read_bytes()
        except OSError as error:
            raise InputError(f"{file}: cannot be read ({error}); save the pipeline again") from error
        self._check(Reference.from_bytes(data, str(file)))
        return self

    def _check(self, reference: Reference) -> None:
        reference.check(self.settings.model, self.settings.kb, self.name)

    def _one_by_one(
        self, docs: Sequence[Doc], handler: Callable[..., None], error: Exception
    ) -> Iterator[Doc]:
        for doc in docs:
            try:
                if len(docs) == 1:
                    raise error
                self._annotate([doc])
            except Exception as cause:
                handler(self.name, self, [doc], cause)
            else:
                yield doc

    def _annotate(self, docs: Sequence[Doc]) -> None:
        """Links Docs together; none is changed unless all could be linked."""
        ents, key = self.settings.ents, self.settings.spans_key
        if self.settings.mentions == "generate":
            with self._exclusive():
                texts = ((str(number), doc.text) for number, doc in enumerate(docs))
                found = list(self._open().annotate(texts))
            for doc, linked in zip(docs, found, strict=True):
                place(doc, linked.mentions, ents, key)
            return
        with self._exclusive():
            linker = self._open()
            given = [[(ent.start_char, ent.end_char) for ent in asked(doc, ents)] for doc in docs]
            answers = [_link(linker, doc.text, spans) for doc, spans in zip(docs, given, strict=True)]
        for doc, (linked, skipped) in zip(docs, answers, strict=True):
            place_on_entities(doc, linked.mentions, ents, key, skipped)

    def _exclusive(self) -> Lock:
        """The lock of this process: one that came through a fork may be held by a thread that did not."""
        if self._process != os.getpid():
            self._after_fork()
        return self._lock

    def _after_fork(self) -> None:
        import torch

        if self._linker is not None and self._linker.backbone.device.type == "cuda":
            raise ModelError(
                f"{self.name}: a GPU cannot be used after a fork; call "
                'multiprocessing.set_start_method("spawn") before nlp.pipe(n_process=...), or use one process'
            )
        # The threads of OpenMP do not survive a fork, and the processes share the cores.
        torch.set_num_threads(1)
        self._linker, self._lock, self._process = None, Lock(), os.getpid()

    def _open(self) -> "EntityLinker":
        if self._linker is None:
            from onegen_el.linker import load

            says = self.settings
            model, kb = locate(says.model, "model", self.name), locate(says.kb, "kb", self.name)
            self._linker = load(
                model, kb, says.device, says.top_k, says.min_score, says.batch_size, says.policy
            )
        return self._linker


def _link(linker: "EntityLinker", text: str, spans: Sequence[tuple[int, int]]) -> tuple[LinkedDocument, int]:
    """The spans linked, but for those that the model cannot read, and how many these are."""
    try:
        return linker.link(text, spans), 0
    except InputError:
        readable = [span for span in spans if _readable(linker, text, span)]
        return linker.link(text, readable), len(spans) - len(readable)


def _readable(linker: "EntityLinker", text: str, span: tuple[int, int]) -> bool:
    try:
        linker.link(text, [span])
    except InputError:
        return False
    return True
