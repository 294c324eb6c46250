"""Scores as ELEVANT prints them, in its mode "ignored" (= InKB): strong match, micro.

Knows the rules of ELEVANT's `case_generator.py`, `case.py`, `mention_type.py` and `evaluator.py`
(github.com/ad-freiburg/elevant; Bast, Hertel and Prange, EMNLP 2022 and 2023), without its error categories,
entity types and mode "required". The rules:

Spans
1. A label (gold mention) is detected if an answer has its span, or has it once one side or both are
   widened to whole words; letters, digits and `'"_` are of the word. Widening to the right stops before the
   last character of the text, and a `"` at the front that is not closed inside is left out.
2. Of answers on one span the last one stands. A widened answer takes the place of one that has its span, a
   later one in the text that of an earlier one.
   One answer may serve several labels.
3. An answer is a false positive unless its span, or its widened span, is that of a label or of a widened one.
   Only there does the evaluated part of the text matter: answers outside of it are never false positives.
Entities
4. Labels without entity (`Unknown`, `<NIL>`) and answers without are not looked for: such a label is never
   missed, such an answer never wrong. A link on such a label is a false positive; a NIL on a linked
   label is a miss only.
5. Both linked: the same entity is a true positive; another one is a false positive and a miss.
6. Optional labels (`optional`, `desc`, dates, quantities) give neither true positives nor misses; another
   entity on them is a false positive, the right one is not counted.
Recognition
7. The entity does not matter, but that there is one does: a link on a linked label is right; otherwise as
   linking. On an optional label only a link where it has no entity is a false positive.
Alternatives
8. Labels may be a tree of alternatives (`parent`, `children`): the whole, or its parts. Only roots give true
   positives and misses, one or the other for each tree. If the root has the right entity, or no part was
   found, the root counts as any label does (undetected, it is missed even if optional, where a part is not).
   Otherwise the parts that were found count, and the missing siblings of such: the root is missed if one of
   these is missed, right if they are all right. False positives count at whichever label counts.
Coreference
9. "all" has pronouns and nominals in it, "entity" has not, nor has recognition. A mention is coreference as
   its label says (`coref`), else if it is a pronoun, or `the`, `this`, `his` ... and no capital behind.
Measures
10. Without anything to divide by, precision, recall and F1 are 0, also where nothing was to be found.

Not as there: an answer to a date or quantity is right if it is the label's entity (ELEVANT asks its
Wikidata whether both are dates, or quantities); what is an entity at all is `pairing.Identity`'s choice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onegen_el.document import Mention
from onegen_el.evaluation.annotations import AnnotatedDocument, Annotation, Span
from onegen_el.evaluation.matching import Counts, Item
from onegen_el.evaluation.measures import PERFECT, ZERO, Measures, measure
from onegen_el.evaluation.pairing import Identity, paired
from onegen_el.gold import NIL_IDS, GoldDocument
from onegen_el.gold.document import checked_span
from onegen_el.gold.lines import json_rows
from onegen_el.iris import entity_iri

EXPECTED = '{"id", "text", "labels": [{"id", "span", "entity_id"}]}'
VALUES = frozenset({"DATETIME", "QUANTITY"})
QUOTES = "'\"_"
DETERMINERS = tuple(
    f"{word} "
    for word in ("the", "that", "this", "these", "those", "my", "your", "his", "her", "its", "our", "their")
)
PRONOUNS = frozenset(
    {"i", "my", "me", "myself", "mine", "you", "your", "yourself", "yours", "yourselves"}
    | {"he", "his", "him", "himself", "she", "her", "herself", "hers", "it", "its", "itself"}
    | {"we", "us", "our", "ourselves", "ours", "they", "their", "them", "themselves", "theirs"}
)


@dataclass(frozen=True, slots=True)
class Label:
    """A gold mention of ELEVANT. `value`: a date or quantity. `coref` None: not said."""

    id: int
    annotation: Annotation
    optional: bool = False
    value: bool = False
    coref: bool | None = None
    parent: int | None = None

    @property
    def span(self) -> Span:
        return self.annotation.span


@dataclass(frozen=True, slots=True)
class LabelledDocument:
    """A text and its labels; `scope` is the part that was annotated."""

    id: str
    text: str
    labels: tuple[Label, ...]
    scope: Span


@dataclass(frozen=True, slots=True)
class ElevantScores:
    """Counts of links with and without coreference, and of recognition."""

    all: Counts
    entity: Counts
    recognition: Counts

    @property
    def measures(self) -> dict[str, Measures]:
        """Measures of `all`, `entity` and `recognition`."""
        return {
            name: _measure(counts)
            for name, counts in (
                ("all", self.all),
                ("entity", self.entity),
                ("recognition", self.recognition),
            )
        }

    def to_dict(self) -> dict[str, dict[str, float]]:
        return {name: measures.to_dict() for name, measures in self.measures.items()}


def _measure(counts: Counts) -> Measures:
    measures = measure(counts)
    return ZERO if measures == PERFECT and counts.tp == 0 else measures


def read_labels(path: str | Path) -> Iterator[LabelledDocument]:
    """An ELEVANT benchmark, plain or `.gz`, with its alternatives and coreference, which gold has not.

    Raises InputError naming file and line where a row is not of the format.
    """
    yield from json_rows(Path(path), _labelled, "an ELEVANT row", EXPECTED)


def labels_of(document: GoldDocument) -> LabelledDocument:
    """Gold of any format: no alternatives, and coreference only by the words of the mention."""
    labels = tuple(
        Label(number, _annotation(m.start, m.end, document.text, m.entity), m.optional)
        for number, m in enumerate(document.mentions)
    )
    return LabelledDocument(document.id, document.text, labels, document.scope)


def elevant_scores(
    gold: Sequence[LabelledDocument],
    system: Sequence[AnnotatedDocument | None],
    identity: Identity | None = None,
) -> ElevantScores:
    """Scores of answers to labelled documents, which are paired by position.

    Raises InputError where gold and answers do not belong together.
    """
    identity = identity or Identity()
    linking, entity, recognition = Counts(), Counts(), Counts()
    for document, answer in paired(gold, system):
        for case in _Cases(document, answer, identity).all():
            linking += case.linking
            if not case.coref:
                entity += case.linking
                recognition += case.recognition
    return ElevantScores(linking, entity, recognition)


def widened(span: Span, text: str) -> Span:
    """The span grown to whole words, by rule 1."""
    start, end = span
    while 0 < start <= len(text) and _of_word(text[start - 1]):
        start -= 1
    while end < len(text) - 1 and _of_word(text[end]):
        end += 1
    if text[start : start + 1] == '"' and '"' not in text[start + 1 : end]:
        start += 1
    return start, end


def _of_word(character: str) -> bool:
    return character.isalnum() or character in QUOTES


def is_coreference(surface: str) -> bool:
    """Whether a mention is a pronoun or a nominal, by its words (rule 9)."""
    lower = surface.lower()
    # "US" and "IT" are names.
    if lower in PRONOUNS and (not surface.isupper() or lower == "i"):
        return True
    return any(
        lower.startswith(word) and len(surface) > len(word) and not surface[len(word)].isupper()
        for word in DETERMINERS
    )


HIT, MISS, FALSE, NOTHING = Counts(tp=1), Counts(fn=1), Counts(fp=1), Counts()


@dataclass(frozen=True, slots=True)
class _Case:
    linking: Counts
    recognition: Counts
    coref: bool


@dataclass(slots=True)
class _Cases:
    """The cases of one document."""

    document: LabelledDocument
    answer: AnnotatedDocument
    identity: Identity
    _labels: dict[int, Label] = field(init=False)
    _items: dict[int, Item] = field(init=False)
    _children: dict[int, list[int]] = field(init=False)
    _given: dict[Span, Item] = field(init=False)
    _answers: dict[Span, Item] = field(init=False)
    _counting: dict[int, bool] = field(init=False)

    def __post_init__(self) -> None:
        self._labels = {label.id: label for label in sorted(self.document.labels, key=lambda x: x.id)}
        self._items = {key: self.identity.gold(label.annotation) for key, label in self._labels.items()}
        self._children = defaultdict(list)
        for label in self._labels.values():
            if label.parent is not None:
                self._children[label.parent].append(label.id)
        given = {a.span: self.identity.answer(a) for a in self.answer.annotations}
        self._given = {span: given[span] for span in sorted(given)}
        self._answers = self._given | {self._wide(span): item for span, item in self._given.items()}
        self._counting = {}

    def all(self) -> Iterator[_Case]:
        roots = [label for label in self._labels.values() if label.parent is None]
        for root in roots:
            self._counts(root)
        for label in self._labels.values():
            yield self._case(label)
        taken = {label.span for label in self._labels.values()}
        taken |= {self._wide(span) for span in taken}
        first, last = self.document.scope
        for span, answer in self._given.items():
            free = span not in taken and self._wide(span) not in taken
            if free and answer.in_kb and first <= span[0] and span[1] <= last:
                yield _Case(FALSE, FALSE, is_coreference(self.document.text[slice(*span)]))

    def _wide(self, span: Span) -> Span:
        return widened(span, self.document.text)

    def _found(self, label: Label) -> Item | None:
        return self._answers.get(label.span) or self._answers.get(self._wide(label.span))

    def _case(self, label: Label) -> _Case:
        linking, recognition = self._judge(label)
        if label.parent is not None:
            # Rule 8: of the parts only false positives are counted by themselves.
            linking, recognition = Counts(fp=linking.fp), Counts(fp=recognition.fp)
        coref = label.coref
        if coref is None:
            coref = is_coreference(self.document.text[slice(*label.span)])
        return _Case(linking, recognition, coref)

    def _judge(self, label: Label) -> tuple[Counts, Counts]:
        """What a label gives for linking and for recognition, whether it is a root or a part."""
        if not self._counting.get(label.id, False):
            if label.parent is not None:
                return NOTHING, NOTHING
            below = [part for part in self._parts(label.id) if self._counting.get(part.id, False)]
            parts = [self._judge(part) for part in below]
            return _joined([linking for linking, _ in parts]), _joined([ner for _, ner in parts])
        wanted, found = self._items[label.id], self._found(label)
        known = wanted.in_kb and not label.value
        optional = label.optional or label.value
        if found is None:
            required = not optional or any(not (p.optional or p.value) for p in self._parts(label.id))
            missed = MISS if required and known and (not optional or label.parent is None) else NOTHING
            return missed, missed
        if not found.in_kb:
            missed = MISS if known and not optional else NOTHING
            return missed, missed
        same = not wanted.uris.isdisjoint(found.uris)
        if optional:
            right = same and wanted.in_kb
            return NOTHING if right else FALSE, NOTHING if known or label.value else FALSE
        if not known:
            return FALSE, FALSE
        return HIT if same else MISS + FALSE, HIT

    def _parts(self, key: int) -> Iterator[Label]:
        """All below a label."""
        for child in self._children[key]:
            yield self._labels[child]
            yield from self._parts(child)

    def _counts(self, label: Label, of_sibling: bool = False) -> bool:
        """Whether the label or one below it counts; notes for each label that is met whether it does itself.

        `of_sibling`: only asked on behalf of a sibling, noted when its own turn comes.
        """
        wanted, found = self._items[label.id], self._found(label)
        if found is not None and _agree(wanted, found):
            counts, below = True, False
        else:
            # All of them are asked, so that all are noted.
            parts = [self._counts(self._labels[child]) for child in self._children[label.id]]
            below = any(parts)
            counts = not below and self._counts_itself(label, found, of_sibling)
        if not of_sibling:
            self._counting[label.id] = counts
        return counts or below

    def _counts_itself(self, label: Label, found: Item | None, of_sibling: bool) -> bool:
        if label.parent is None:
            return True
        if found is not None:
            return self._wide(self._labels[label.parent].span) != self._wide(label.span)
        siblings = [self._labels[key] for key in self._children[label.parent] if key != label.id]
        return not of_sibling and any(self._counts(sibling, of_sibling=True) for sibling in siblings)


def _agree(wanted: Item, found: Item) -> bool:
    if wanted.in_kb and found.in_kb:
        return not wanted.uris.isdisjoint(found.uris)
    return wanted.in_kb == found.in_kb


def _joined(parts: Sequence[Counts]) -> Counts:
    """A root by its parts: missed if one is, right if nothing else but right ones came about."""
    if any(part.fn for part in parts):
        return MISS
    return HIT if any(part.tp for part in parts) and not any(part.fp for part in parts) else NOTHING


def _labelled(row: dict[str, Any], _number: int) -> LabelledDocument:
    text = row["text"]
    if not isinstance(text, str):
        raise TypeError(f"text is {text!r}")
    labels = tuple(_label(label, text) for label in row["labels"])
    known = {label.id: label for label in labels}
    if len(known) < len(labels):
        raise ValueError("two labels have the same id")
    for label in labels:
        _check_parents(label, known)
    scope = row.get("evaluation_span")
    return LabelledDocument(str(row["id"]), text, labels, _span(scope, text) if scope else (0, len(text)))


def _check_parents(label: Label, known: Mapping[int, Label]) -> None:
    above = {label.id}
    while label.parent is not None:
        if label.parent not in known or label.parent in above:
            raise ValueError(f"label {label.id} has no possible parent {label.parent!r}")
        above.add(label.parent)
        label = known[label.parent]


def _label(row: dict[str, Any], text: str) -> Label:
    start, end = _span(row["span"], text)
    entity = row["entity_id"]
    if not isinstance(entity, str | None) or type(row["id"]) is not int:
        raise TypeError(f"id is {row['id']!r}, entity_id is {entity!r}")
    # "Unknown7" and the like: older benchmarks number their NILs.
    nil = entity is None or entity in NIL_IDS or entity.startswith(("Unknown", "<"))
    return Label(
        row["id"],
        _annotation(start, end, text, None if nil else entity),
        optional=bool(row.get("optional") or row.get("desc")),
        value=not VALUES.isdisjoint(row.get("type", "").split("|")),
        coref=row.get("coref"),
        parent=row.get("parent"),
    )


def _span(value: Any, text: str) -> Span:
    start, end = value
    return checked_span(start, end, text)


def _annotation(start: int, end: int, text: str, entity: str | None) -> Annotation:
    return Annotation(start, end, frozenset({entity_iri(Mention(start, end, text[start:end], entity))}))
