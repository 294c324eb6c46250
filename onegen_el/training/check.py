"""What a corpus would teach, found out before a model is trained on it.

Knows gold documents, training windows and their roles; does not know weights, files or how it is shown.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from operator import itemgetter
from typing import Any

from transformers import PreTrainedTokenizerBase

from onegen_el.backbone import Backbone
from onegen_el.gold import GoldDocument
from onegen_el.grammar import Role, annotated_layout
from onegen_el.tokens import SourceTokenizer, SourceTokens
from onegen_el.training.catalog import Catalog
from onegen_el.training.examples import Example, Reach, collate, document_examples
from onegen_el.training.recipe import Corpus
from onegen_el.windows import WindowSettings

LISTED = 10  # of everything that is counted and also listed, so many are listed
RUN = 13  # words in a row that two documents hardly share by chance
WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class MissingEntity:
    """An entity that is annotated but not in the catalog, how often, and the text of its first mention."""

    id: str
    count: int
    surface: str


@dataclass(frozen=True, slots=True)
class UnreachableMention:
    """A mention whose borders are not borders of tokens; `start` is its code point in the document."""

    document: str
    surface: str
    start: int


@dataclass(frozen=True, slots=True)
class CorpusCheck:
    """What is in a corpus, and what of it can be learned. Counts are whole, lists hold the first LISTED.

    `characters` are code points, `tokens` the model's tokens of all texts, `windows` those that teach
    something. `linked` mentions have an entity, `nil` ones have none; `entities` are distinct, `missing` is
    how many of them are not in the catalog, `missing_first` the most frequent of these. `empty` documents
    have no token; `duplicates` have the text of an earlier document up to case and white space (`id`, `id` of
    the earlier one). `examples` are windows to show with the ids of their documents.
    """

    documents: int
    characters: int
    tokens: int
    windows: int
    linked: int
    nil: int
    entities: int
    reach: Reach
    missing: int
    missing_first: tuple[MissingEntity, ...]
    unreachable_first: tuple[UnreachableMention, ...]
    empty: int
    empty_first: tuple[str, ...]
    duplicates: int
    duplicates_first: tuple[tuple[str, str], ...]
    examples: tuple[tuple[str, Example], ...] = ()

    @property
    def mentions(self) -> int:
        return self.linked + self.nil

    def to_dict(self) -> dict[str, Any]:
        """All but the examples, in plain values."""
        names = [name for name in self.__slots__ if name not in ("examples", "reach")]
        lists = {name: getattr(self, name) for name in names if name.endswith("_first")}
        return {
            **{name: getattr(self, name) for name in names if name not in lists},
            **asdict(self.reach),
            "missing_first": [asdict(entity) for entity in self.missing_first],
            "unreachable_first": [asdict(mention) for mention in self.unreachable_first],
            "empty_first": list(self.empty_first),
            "duplicates_first": [list(pair) for pair in self.duplicates_first],
        }


def check_corpus(
    documents: Iterable[GoldDocument],
    corpus: Corpus,
    backbone: Backbone,
    settings: WindowSettings,
    catalog: Catalog,
    examples: int = 0,
) -> CorpusCheck:
    """Counts what a corpus holds and what of it a model of this tokenizer and these windows can learn.

    `documents` are those that `corpus` chooses; of its fields `marks`, `links`, `kinds` and `min_links` are
    obeyed here. Documents are read once and not kept. Keeps as many `examples`, drawn at random but the
    same each time; windows with an entity to learn go before those with mentions only, and these before
    the rest.
    """
    tokenize = _Remembering(backbone.tokenizer)
    reach, dice = Reach(), random.Random(0)
    sample: list[tuple[tuple[int, float], int, str, Example]] = []
    totals: Counter[str] = Counter()
    entities: set[str | int] = set()
    missing: Counter[str] = Counter()
    surfaces: dict[str, str] = {}
    unreachable: list[UnreachableMention] = []
    empty: list[str] = []
    seen: dict[int, str] = {}
    duplicates: list[tuple[str, str]] = []
    for document in documents:
        text, tokens = document.text, tokenize(document.text)
        totals.update(documents=1, characters=len(text), tokens=len(tokens))
        if not len(tokens):
            totals["empty"] += 1
            empty += [document.id][: LISTED - len(empty)]
        elif (earlier := seen.get(key := _text_hash(text))) is not None:
            totals["duplicates"] += 1
            duplicates += [(document.id, earlier)][: LISTED - len(duplicates)]
        else:
            seen[key] = document.id
        for mention in document.mentions:
            if corpus.kinds and mention.kind not in corpus.kinds:
                continue
            surface = text[mention.start : mention.end]
            if tokens.tokens_of(mention.start, mention.end) is None and len(unreachable) < LISTED:
                unreachable.append(UnreachableMention(document.id, surface, mention.start))
            if mention.entity is None:
                totals["nil"] += 1
                continue
            totals["linked"] += 1
            index = catalog.find(mention.entity)
            entities.add(mention.entity if index < 0 else index)
            if index < 0:
                missing[mention.entity] += 1
                surfaces.setdefault(mention.entity, surface)
        found = document_examples(document, corpus, tokenize, settings, catalog, reach, backbone.aligned)
        for number, example in enumerate(found, totals["windows"]):
            worth = bool(example.mentions) + any(entity >= 0 for *_, entity in example.mentions)
            sample.append(((worth, dice.random()), number, document.id, example))
        sample = sorted(sample, key=itemgetter(0), reverse=True)[:examples]
        totals["windows"] += len(found)
    frequent = sorted(missing.items(), key=lambda pair: (-pair[1], pair[0]))[:LISTED]
    return CorpusCheck(
        documents=totals["documents"],
        characters=totals["characters"],
        tokens=totals["tokens"],
        windows=totals["windows"],
        linked=totals["linked"],
        nil=totals["nil"],
        entities=len(entities),
        reach=reach,
        missing=len(missing),
        missing_first=tuple(MissingEntity(name, times, surfaces[name]) for name, times in frequent),
        unreachable_first=tuple(unreachable),
        empty=totals["empty"],
        empty_first=tuple(empty),
        duplicates=totals["duplicates"],
        duplicates_first=tuple(duplicates),
        examples=tuple((name, example) for _, _, name, example in sorted(sample, key=itemgetter(1))),
    )


class _Remembering(SourceTokenizer):
    """Tokenises a text once, however often it is asked for it in a row."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(tokenizer)
        self._last = super().__call__("")

    def __call__(self, text: str) -> SourceTokens:
        if text != self._last.text:
            self._last = super().__call__(text)
        return self._last


@dataclass(frozen=True, slots=True)
class SharedText:
    """A document and the evaluation document it shares text with.

    `words` is the first run of RUN words they share, "" where the whole text is the same.
    """

    document: str
    other: str
    words: str


@dataclass(frozen=True, slots=True)
class Overlap:
    """Documents of a corpus that are in an evaluation set, each counted once.

    `same` have the text of an evaluation document up to case and white space; `shared` are the others that
    have RUN words in a row with one in common. `first` lists LISTED of both.
    """

    documents: int
    same: int
    shared: int
    first: tuple[SharedText, ...]

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "first": [asdict(pair) for pair in self.first]}


def overlap(documents: Iterable[GoldDocument], others: Iterable[GoldDocument]) -> Overlap:
    """Documents that are, wholly or in part, among the documents of evaluation sets, `others`.

    Words are compared without case, white space and punctuation. Keeps 64-bit hashes of `others` alone:
    memory grows with the evaluation sets, not with the corpus. Texts without a word are left out.
    """
    texts: dict[int, str] = {}
    runs: dict[int, str] = {}
    for other in others:
        words = _words(other.text)
        if words:
            texts.setdefault(_text_hash(other.text), other.id)
        for key in _run_hashes(words):
            runs.setdefault(key, other.id)
    number = same = shared = 0
    first: list[SharedText] = []
    for document in documents:
        number += 1
        words = _words(document.text)
        if words and (name := texts.get(_text_hash(document.text))) is not None:
            same += 1
            pair = SharedText(document.id, name, "")
        else:
            at, key = next(((at, key) for at, key in enumerate(_run_hashes(words)) if key in runs), (-1, 0))
            if at < 0:
                continue
            shared += 1
            pair = SharedText(document.id, runs[key], " ".join(words[at : at + RUN]))
        first += [pair][: LISTED - len(first)]
    return Overlap(number, same, shared, tuple(first))


def _text_hash(text: str) -> int:
    return hash("".join(text.casefold().split()))


def _words(text: str) -> list[str]:
    return WORD.findall(text.casefold())


def _run_hashes(words: list[str]) -> Iterator[int]:
    """A hash of every RUN words in a row."""
    return map(hash, zip(*(words[start:] for start in range(RUN)), strict=False))


def rendered(example: Example, backbone: Backbone) -> list[tuple[str, Role, bool]]:
    """The training sequence of a window: texts, their roles, and whether a loss falls on them, in order.

    Neighbours that agree in role and loss are one piece. Source tokens are the text they stand for, or the
    tokenizer's unknown token; marks and prompt are the strings of the grammar; white space before a mention
    stands before its mark, whichever token has it. A query (RET) has a loss if there is an entity to learn,
    an output token (GEN) if the decision that led to it is learned: the rest of a word or a mark goes with
    the decision before it.
    """
    marks, aligned = backbone.marks, backbone.aligned
    window = example.window.prompted(example.tokens, aligned, example.tag)
    shift = example.window.head - example.window.context[0]
    ranges = [(first + shift, last + shift) for first, last, _ in example.mentions]
    layout, decisions, _ = annotated_layout(marks, window, ranges, aligned)
    batch = collate([example], marks, aligned, prefix=backbone.grammar.attention == "prefix")
    learned, queried = set(batch.decide_at.tolist()), set(batch.query_at.tolist())
    decided = {decision.at: decision.at in learned for decision in decisions}
    pieces: list[tuple[str, Role, bool]] = []
    told = example.marks == "all"
    strings = _strings(example, backbone, ranges)
    for at, (role, string) in enumerate(zip(layout.roles, strings, strict=True)):
        told = decided.get(at - 1, told)
        loss = at in queried if role == Role.RET else told and role == Role.GEN
        if pieces and pieces[-1][1:] == (role, loss):
            pieces[-1] = (pieces[-1][0] + string, role, loss)
        else:
            pieces.append((string, role, loss))
    return pieces


def _strings(example: Example, backbone: Backbone, ranges: list[tuple[int, int]]) -> list[str]:
    """A string for each token of the layout; a mark or prompt of several tokens stands at its first."""
    grammar, marks, tokens = backbone.grammar, backbone.marks, example.tokens
    window = example.window.prompted(tokens, backbone.aligned, example.tag)
    unknown = backbone.tokenizer.unk_token_id

    def source(at: int) -> tuple[str, str]:
        """White space before a token, and its text with all that belongs to no token up to the next space."""
        index, text = window.shown[at], tokens.text
        # Tokens that share a character overlap: the first of them shows it.
        begin = tokens.ends[index - 1] if index else 0
        start, end = max(tokens.starts[index], begin), tokens.ends[index]
        following = tokens.starts[index + 1] if index + 1 < len(tokens) else len(text)
        if index:
            begin += len(text[begin:start].rstrip())
        own = text[begin:end]
        space = own[: len(own) - len(own.lstrip())]
        known = unknown is None or tokens.ids[index] != unknown
        shown = own[len(space) :] if known else str(backbone.tokenizer.unk_token)
        return space, shown + text[end:following].rstrip()

    strings = _spread(grammar.prompt_prefix, marks.prefix)
    strings += _spread(str(backbone.tokenizer.decode(list(window.tag))), window.tag)
    strings += ["".join(source(at)) for at in range(len(window.shown))]
    strings += _spread(grammar.prompt_suffix, marks.suffix)
    opens, closes = {first for first, _ in ranges}, {last for _, last in ranges}
    for at in range(window.first, window.last):
        space, text = source(at)
        if at in opens:
            strings += _spread(space + grammar.open, marks.open)
            space = ""
        strings.append(space + text)
        if at + 1 in closes:
            strings += _spread(grammar.close, marks.close)
            strings.append(grammar.query)
            strings += _spread(grammar.follow_up, marks.follow_up)
    return strings


def _spread(string: str, ids: tuple[int, ...]) -> list[str]:
    return [string, *[""] * (len(ids) - 1)] if ids else []
