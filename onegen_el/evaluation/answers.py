"""What a system says about the documents of a corpus: a linker is asked, or a file of predictions is read.

Knows linkers, prediction files and time; does not know how answers are scored.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onegen_el.document import Candidate, LinkedDocument, Mention
from onegen_el.errors import InputError
from onegen_el.evaluation.gerbil import Experiment
from onegen_el.gold import NIL_IDS, GoldDocument, GoldMention, read_gold
from onegen_el.gold.document import checked_span
from onegen_el.gold.formats import told
from onegen_el.gold.lines import json_rows

if TYPE_CHECKING:
    from onegen_el.linker import EntityLinker

EXPECTED = '{"id", "text", "mentions": [{"start", "end", "entity", "score"}]}'
Progress = Callable[[int, float], None]  # documents done, documents/s


@dataclass(frozen=True, slots=True)
class Seconds:
    """Time that linking took: the `first` document alone, and the `rest` of them, `documents` in number."""

    first: float
    rest: float
    documents: int

    @property
    def rate(self) -> float:
        """Documents a second once the first is done; of the first if it is the only one."""
        return self.documents / self.rest if self.documents and self.rest else 1 / max(self.first, 1e-9)


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to the documents of a corpus, by position; None where the system gave none.

    `given` are those to the gold spans alone, of which `unasked` could not be put to the linker; None if it
    was not asked. `scored`: mentions have scores, above which a threshold could be set. `threshold` is the
    one that was in force, None where that is not known.
    """

    documents: tuple[LinkedDocument | None, ...]
    given: tuple[LinkedDocument, ...] | None = None
    unasked: int = 0
    scored: bool = False
    threshold: float | None = None
    seconds: Seconds | None = None


def wanted(document: GoldDocument) -> list[GoldMention]:
    """The gold mentions that count: not optional, and within what was annotated."""
    first, last = document.scope
    return [m for m in document.mentions if first <= m.start and m.end <= last and not m.optional]


def ask(
    linker: EntityLinker,
    gold: Sequence[GoldDocument],
    experiment: Experiment = Experiment.A2KB,
    progress: Progress | None = None,
) -> Answers:
    """Links the gold documents' texts, the first one alone; the gold spans too where they are of interest.

    In A2KB and D2KB the gold spans are linked as well; in D2KB these are the answers, and their time counts.
    `progress` is told of the texts, then, in A2KB, of the spans.
    """
    spans = _Spans(linker)

    def link(documents: Iterable[GoldDocument]) -> Iterable[LinkedDocument]:
        if experiment is Experiment.D2KB:
            return map(spans.link, documents)
        return linker.annotate((document.id, document.text) for document in documents)

    started = time.perf_counter()
    linked = list(link(gold[:1]))
    first = time.perf_counter()
    linked += _told(link(gold[1:]), 1, progress)
    seconds = Seconds(first - started, time.perf_counter() - first, len(gold) - 1)
    given = None
    if experiment is Experiment.D2KB:
        given = tuple(linked)
    elif experiment is Experiment.A2KB:
        given = tuple(_told(map(spans.link, gold), 0, progress))
    return Answers(tuple(linked), given, spans.unasked, True, linker.min_score, seconds)


def _told(
    documents: Iterable[LinkedDocument], before: int, progress: Progress | None
) -> Iterator[LinkedDocument]:
    """The documents as they come; tells how many there are by then, and how fast they came."""
    started = time.perf_counter()
    for number, document in enumerate(documents, start=1):
        if progress:
            progress(before + number, number / (time.perf_counter() - started))
        yield document


class _Spans:
    """Links the gold spans of documents, and counts those that no window of the model can hold."""

    def __init__(self, linker: EntityLinker) -> None:
        self._linker = linker
        self.unasked = 0

    def link(self, document: GoldDocument) -> LinkedDocument:
        spans = sorted({(m.start, m.end) for m in wanted(document)})
        try:
            return self._linker.link(document.text, spans, document.id)
        except InputError:
            mentions = [m for span in spans for m in self._one(document, span)]
            return LinkedDocument(document.id, document.text, tuple(mentions))

    def _one(self, document: GoldDocument, span: tuple[int, int]) -> tuple[Mention, ...]:
        try:
            return self._linker.link(document.text, [span]).mentions
        except InputError:
            self.unasked += 1
            return ()


@dataclass(slots=True)
class Predictions:
    """A file of anybody's predictions, and which of its documents were asked for.

    Answers are found by document id and exact text, since ids may repeat between corpora.
    """

    path: Path
    documents: dict[str, list[LinkedDocument]]
    scored: bool
    used: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> Predictions:
        """Any format of gold; JSONL as `onegen-el link` writes it may have scores and candidates.

        Raises InputError naming file and line, and for a document that is there twice.
        """
        rows = _linked(path) if path.is_file() and told(path) == "linked" else _unscored(path)
        documents: dict[str, list[LinkedDocument]] = {}
        scored: list[bool] = []
        for document, scores in rows:
            same = documents.setdefault(document.id, [])
            if any(other.text == document.text for other in same):
                raise InputError(f"{path}: document {document.id!r} is there twice; keep one of them")
            same.append(document)
            scored += scores
        if not documents:
            raise InputError(f"{path}: has no documents")
        return cls(path, documents, bool(scored) and all(scored))

    def answers(self, gold: Sequence[GoldDocument]) -> Answers:
        """The answers to these documents; raises InputError where a text is not that of gold."""
        return Answers(tuple(map(self._answer, gold)), scored=self.scored)

    def _answer(self, gold: GoldDocument) -> LinkedDocument | None:
        same = self.documents.get(gold.id, [])
        for document in same:
            if document.text == gold.text:
                self.used.add((gold.id, gold.text))
                return document
        if same:
            at = next(
                (i for i, (a, b) in enumerate(zip(same[0].text, gold.text, strict=False)) if a != b),
                min(len(same[0].text), len(gold.text)),
            )
            raise InputError(
                f"{self.path}: the text of document {gold.id!r} differs from gold's at character {at}, "
                "so offsets mean nothing; predict on the texts of the gold file"
            )
        return None

    @property
    def unused(self) -> int:
        """Documents that no corpus asked for."""
        return sum(map(len, self.documents.values())) - len(self.used)


Row = tuple[LinkedDocument, list[bool]]


def _unscored(path: Path) -> Iterable[Row]:
    for document in read_gold(path):
        mentions = tuple(
            Mention(m.start, m.end, document.text[m.start : m.end], m.entity, m.name or None)
            for m in document.mentions
        )
        yield LinkedDocument(document.id, document.text, mentions), [False]


def _linked(path: Path) -> Iterable[Row]:
    return json_rows(path, _row, "a row of linked documents", EXPECTED)


def _row(row: dict[str, Any], _number: int) -> Row:
    text = row["text"]
    if not isinstance(text, str) or type(row["id"]) not in (str, int):
        raise TypeError(f"id is {row['id']!r}, text is {text!r}")
    mentions = sorted((_mention(m, text) for m in row["mentions"]), key=lambda m: (m.start, -m.end))
    scored = ["score" in m for m in row["mentions"]]
    return LinkedDocument(str(row["id"]), text, tuple(mentions)), scored


def _mention(row: dict[str, Any], text: str) -> Mention:
    start, end = checked_span(row["start"], row["end"], text)
    surface, entity = row.get("surface", text[start:end]), row["entity"]
    if surface != text[start:end]:
        raise ValueError(f"surface is {surface!r}, but the text has {text[start:end]!r} at {start}-{end}")
    candidates = tuple(
        Candidate(_text(c["entity"]), _text(c.get("title", "")), _score(c["score"]))
        for c in row.get("candidates", ())
    )
    title = row.get("title")
    return Mention(
        start,
        end,
        surface,
        None if entity is None or entity in NIL_IDS else _text(entity),
        None if title is None else _text(title),
        score=_score(row.get("score", 0.0)),
        candidates=candidates,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _score(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError(f"score is {value!r}")
    return float(value)


def unthresholded(document: LinkedDocument) -> LinkedDocument:
    """Every mention linked to its best candidate, whatever its score."""

    def linked(mention: Mention) -> Mention:
        if mention.entity is not None or not mention.candidates:
            return mention
        best = mention.candidates[0]
        return replace(mention, entity=best.entity, title=best.title)

    return replace(document, mentions=tuple(map(linked, document.mentions)))
