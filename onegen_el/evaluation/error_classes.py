"""What became of each gold mention, and what each mention of the system was: exactly one class a mention.

Knows gold and answers as values; knows no model and no figure that GERBIL reports. Yet the classes agree with
them: `RIGHT` counts the true positives of InKB under strong match, `RIGHT_NIL` those of EE.

1. An answer exactly on the span of a gold mention belongs to it, one to one; if several share the span,
   those with the same entity pair off first, then the rest in the order of the files.
2. Gold mentions and answers left over that overlap, by at least one character, have the wrong span. Several
   may overlap the same; each is shown beside its best: same entity, then longest overlap, then first.
3. What is left is missed, or spurious.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

import numpy as np

from onegen_el.document import TITLE_PREFIX
from onegen_el.evaluation.annotations import AnnotatedDocument, Span
from onegen_el.evaluation.matching import Item, same_entity
from onegen_el.evaluation.pairing import Identity, Judged, Paired, judged
from onegen_el.gold.names import QID, from_address
from onegen_el.iris import OWN

OWN_ENTITY = f"{OWN}entity/"


class ErrorClass(StrEnum):
    """The classes; `GROUPS` joins those that a short table shows as one."""

    RIGHT = "right link"
    RIGHT_NIL = "right NIL"
    WRONG_ENTITY = "wrong entity"
    LINK_AS_NIL = "link answered NIL"
    NIL_AS_LINK = "NIL linked"
    SPAN_ONLY = "wrong span, right entity"
    SPAN_AND_ENTITY = "wrong span and entity"
    MISSED = "missed"
    SPURIOUS = "spurious"


GROUPS: Mapping[str, tuple[ErrorClass, ...]] = {
    "right": (ErrorClass.RIGHT, ErrorClass.RIGHT_NIL),
    "wrong entity": (ErrorClass.WRONG_ENTITY,),
    "NIL confused": (ErrorClass.LINK_AS_NIL, ErrorClass.NIL_AS_LINK),
    "wrong span": (ErrorClass.SPAN_ONLY, ErrorClass.SPAN_AND_ENTITY),
    "missed": (ErrorClass.MISSED,),
    "spurious": (ErrorClass.SPURIOUS,),
}


class Side(StrEnum):
    """Whose mention a case classifies: a gold mention, an answer, or the two of a pair at once."""

    BOTH = "both"
    GOLD = "gold"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Shown:
    """A mention as a report shows it; `entity` and `title` are None for a NIL, `title` also if unknown."""

    start: int
    end: int
    surface: str
    entity: str | None
    title: str | None = None
    confidence: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "start": self.start,
            "end": self.end,
            "surface": self.surface,
            "entity": self.entity,
            "title": self.title,
            "confidence": self.confidence,
        }


@dataclass(frozen=True, slots=True)
class Case:
    """A mention and its class, with what stood opposite.

    `not_in_kb`: it went wrong and gold is linked to an entity that the system's knowledge base lacks.
    """

    document: str
    error_class: ErrorClass
    side: Side
    gold: Shown | None
    found: Shown | None
    not_in_kb: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {
            "document": self.document,
            "class": self.error_class.value,
            "side": self.side.value,
            "gold": self.gold.to_dict() if self.gold else None,
            "found": self.found.to_dict() if self.found else None,
            "not_in_kb": self.not_in_kb,
        }


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """All cases of a corpus, in text order within each document, and their counts.

    `gold` counts gold mentions by class and adds up to all of them, `system` answers likewise; classes that
    do not occur are 0. `not_in_kb` counts the gold mentions of each class that no choice of the system could
    have got right. `left_out` answers took no part (outside the scope, or on optional gold).
    """

    cases: tuple[Case, ...] = field(repr=False)
    left_out: int = 0

    @property
    def gold(self) -> dict[ErrorClass, int]:
        return _count(c for c in self.cases if c.side is not Side.SYSTEM)

    @property
    def system(self) -> dict[ErrorClass, int]:
        return _count(c for c in self.cases if c.side is not Side.GOLD)

    @property
    def not_in_kb(self) -> dict[ErrorClass, int]:
        return _count(c for c in self.cases if c.not_in_kb and c.side is not Side.SYSTEM)

    def examples(self, error_class: ErrorClass, limit: int | None = None) -> tuple[Case, ...]:
        """The first cases of a class."""
        return tuple(c for c in self.cases if c.error_class is error_class)[:limit]

    def to_dict(self, examples: int | None = None) -> dict[str, Any]:
        """Counts and, of each class, the first `examples` cases; None: all."""
        return {
            "gold": {name.value: count for name, count in self.gold.items()},
            "system": {name.value: count for name, count in self.system.items()},
            "not_in_kb": {name.value: count for name, count in self.not_in_kb.items()},
            "left_out": self.left_out,
            "examples": {
                name.value: [case.to_dict() for case in self.examples(name, examples)] for name in ErrorClass
            },
        }


def _count(cases: Iterable[Case]) -> dict[ErrorClass, int]:
    counts = Counter(case.error_class for case in cases)
    return {name: counts[name] for name in ErrorClass}


def classify(
    gold: Sequence[AnnotatedDocument],
    system: Sequence[AnnotatedDocument | None],
    identity: Identity | None = None,
    *,
    holds: Callable[[str], bool] | None = None,
    title: Callable[[str], str | None] | None = None,
) -> ErrorReport:
    """Classes of all mentions; documents are paired by position.

    `holds` says whether the system's knowledge base has an entity, by its id (QID, `enwiki:` title, own id);
    without it nothing is counted as not in the KB. `title` names an entity for the report. Raises InputError
    where gold and answers do not belong together.
    """
    identity = identity or Identity()
    cases: list[Case] = []
    left_out = 0
    for document in judged(gold, system, identity):
        left_out += document.left_out
        found = _Classifier(document, holds, title).cases()
        cases += sorted(found, key=lambda c: _place(c.gold if c.side is not Side.SYSTEM else c.found))
    return ErrorReport(tuple(cases), left_out)


def _place(shown: Shown | None) -> tuple[int, int]:
    return (shown.start, shown.end) if shown else (0, 0)


class _Classifier:
    """The cases of one document."""

    def __init__(
        self,
        document: Judged,
        holds: Callable[[str], bool] | None,
        title: Callable[[str], str | None] | None,
    ) -> None:
        self._document = document
        self._holds = holds
        self._title = title

    def cases(self) -> list[Case]:
        gold, answers = list(self._document.gold), list(self._document.answers)
        cases = [self._case(_on_span(g, a), Side.BOTH, g, a) for g, a in _pairs(gold, answers)]
        of_gold, of_answers = _bests(gold, answers), _bests(answers, gold)
        for index, best in enumerate(of_gold):
            if best is None:
                cases.append(self._case(ErrorClass.MISSED, Side.GOLD, gold[index], None))
                continue
            side = Side.BOTH if of_answers[best] == index else Side.GOLD
            cases.append(self._off_span(side, gold[index], answers[best]))
        for index, best in enumerate(of_answers):
            if best is None:
                cases.append(self._case(ErrorClass.SPURIOUS, Side.SYSTEM, None, answers[index]))
            elif of_gold[best] != index:
                cases.append(self._off_span(Side.SYSTEM, gold[best], answers[index]))
        return cases

    def _off_span(self, side: Side, gold: Paired, answer: Paired) -> Case:
        same = same_entity(gold[1], answer[1])
        return self._case(ErrorClass.SPAN_ONLY if same else ErrorClass.SPAN_AND_ENTITY, side, gold, answer)

    def _case(self, name: ErrorClass, side: Side, gold: Paired | None, found: Paired | None) -> Case:
        lacking = (
            self._holds is not None
            and gold is not None
            and gold[1].in_kb
            and name is not ErrorClass.RIGHT
            and not any(map(self._holds, _ids(gold[1])))
        )
        return Case(self._document.document.id, name, side, self._shown(gold), self._shown(found), lacking)

    def _shown(self, mention: Paired | None) -> Shown | None:
        if mention is None:
            return None
        annotation, item = mention
        entity = _ids(item)[0] if item.in_kb else None
        title = self._title(entity) if self._title and entity else None
        if title is None and entity and entity.startswith(TITLE_PREFIX):
            title = entity.removeprefix(TITLE_PREFIX)
        surface = self._document.document.text[annotation.start : annotation.end]
        return Shown(annotation.start, annotation.end, surface, entity, title, annotation.confidence)


def _pairs(gold: list[Paired], answers: list[Paired]) -> list[tuple[Paired, Paired]]:
    """Pairs on equal spans, taken out of both lists."""
    at: defaultdict[Span, list[int]] = defaultdict(list)
    for index, (_, item) in enumerate(answers):
        at[item.span].append(index)
    partner: dict[int, int] = {}
    for entities in (True, False):
        for number, (_, item) in enumerate(gold):
            free = at[item.span]
            fit = [i for i in free if not entities or same_entity(item, answers[i][1])]
            if number not in partner and fit:
                partner[number] = fit[0]
                free.remove(fit[0])
    pairs = [(gold[number], answers[index]) for number, index in partner.items()]
    taken = set(partner.values())
    gold[:] = [one for number, one in enumerate(gold) if number not in partner]
    answers[:] = [one for index, one in enumerate(answers) if index not in taken]
    return pairs


def _on_span(gold: Paired, answer: Paired) -> ErrorClass:
    if same_entity(gold[1], answer[1]):
        return ErrorClass.RIGHT if gold[1].in_kb else ErrorClass.RIGHT_NIL
    if gold[1].in_kb and answer[1].in_kb:
        return ErrorClass.WRONG_ENTITY
    return ErrorClass.LINK_AS_NIL if gold[1].in_kb else ErrorClass.NIL_AS_LINK


def _bests(mentions: Sequence[Paired], others: Sequence[Paired]) -> list[int | None]:
    """For each mention the index of the overlapping one that is shown beside it."""
    starts = np.array([item.span[0] for _, item in others], dtype=np.int64)
    ends = np.array([item.span[1] for _, item in others], dtype=np.int64)
    bests: list[int | None] = []
    for _, item in mentions:
        shared = np.minimum(ends, item.span[1]) - np.maximum(starts, item.span[0])
        ranks = [
            (not same_entity(item, others[index][1]), -int(shared[index]), others[index][1].span, index)
            for index in np.flatnonzero(shared > 0).tolist()
        ]
        bests.append(min(ranks)[-1] if ranks else None)
    return bests


def _ids(item: Item) -> list[str]:
    """The ids that the URIs stand for, Wikidata items first, then by name."""
    ids = {_id(uri) for uri in item.uris}
    return sorted(ids, key=lambda i: (QID.fullmatch(i) is None, not i.startswith(TITLE_PREFIX), i))


def _id(uri: str) -> str:
    if uri.startswith(OWN_ENTITY):
        return unquote(uri.removeprefix(OWN_ENTITY))
    return from_address(uri) or uri
