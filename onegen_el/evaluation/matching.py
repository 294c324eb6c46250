"""Which answers match which gold items, and how GERBIL gives each at most one partner.

Knows spans, URI sets and whether an item is in a knowledge base; knows no documents, classes or measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from onegen_el.evaluation.annotations import Span


class SpanMatch(StrEnum):
    """How spans are compared: equal, overlapping, or not at all (C2KB)."""

    STRONG = "strong"
    WEAK = "weak"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Item:
    """An annotation ready to be matched: `uris` with all their other names, and whether one is of a KB."""

    span: Span
    uris: frozenset[str]
    in_kb: bool
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """True positives, false positives, false negatives."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)


# For each gold item the indices of the answers that match it, ascending.
Pairs = Sequence[Sequence[int]]


def same_entity(gold: Item, answer: Item) -> bool:
    """Both in a KB: they share a URI, whichever. Both not (EE, NIL): always. One of each: never.

    Two NILs match whatever their URIs, a KB entity and a NIL do not even if they share one
    (AbstractMeaningMatchingsSearcher).
    """
    if gold.in_kb and answer.in_kb:
        return not gold.uris.isdisjoint(answer.uris)
    return gold.in_kb == answer.in_kb


def find_pairs(
    gold: Sequence[Item],
    answers: Sequence[Item],
    spans: SpanMatch,
    *,
    entities: bool,
    oddities: bool = True,
) -> list[list[int]]:
    """What could be paired: the span test and, with `entities`, the entity test.

    Strong: equal spans. Weak: at least one common character; touching spans do not match. Empty spans are
    odd in GERBIL: an empty answer matches at `start <= answer < end`, an empty gold span only strictly inside
    an answer, equal empty spans not at all. Without `oddities` empty spans match where they are equal or
    strictly inside, whichever side they are on (WeakSpanMatchingsSearcher).
    """
    if spans is SpanMatch.ANY:
        hits = [list(range(len(answers))) for _ in gold]
    elif spans is SpanMatch.STRONG:
        at: dict[Span, list[int]] = {}
        for index, answer in enumerate(answers):
            at.setdefault(answer.span, []).append(index)
        hits = [at.get(item.span, []) for item in gold]
    else:
        hits = _overlapping(gold, answers, oddities)
    if not entities:
        return hits
    return [
        [index for index in found if same_entity(item, answers[index])]
        for item, found in zip(gold, hits, strict=True)
    ]


def _overlapping(gold: Sequence[Item], answers: Sequence[Item], oddities: bool) -> list[list[int]]:
    starts = np.array([answer.span[0] for answer in answers], dtype=np.int64)
    ends = np.array([answer.span[1] for answer in answers], dtype=np.int64)
    found = []
    for item in gold:
        start, end = item.span
        if oddities:
            match = np.where(starts >= start, starts < end, start < ends)
        else:
            match = (starts < end) & (start < ends) | (starts == start) & (ends == end)
        found.append(np.flatnonzero(match).tolist())
    return found


def assign(pairs: Pairs, kept: Sequence[bool]) -> Counts:
    """Pairs off greedily: each gold item in order takes the first answer that is kept and still free.

    No exact span, confidence or better assignment is preferred, so that under weak matching the orders
    decide. A gold item without an answer is a false negative; every answer left over is a false positive,
    duplicates included (MatchingsCounterImpl).
    """
    free = list(kept)
    tp = 0
    for matching in pairs:
        for index in matching:
            if free[index]:
                free[index] = False
                tp += 1
                break
    return Counts(tp=tp, fp=sum(free), fn=len(pairs) - tp)


def on_gold_spans(gold: Sequence[Item], answers: Sequence[Item]) -> list[Item]:
    """Answers that lie exactly on the span of some gold item, which any number of them may share.

    Strong also where the experiment is weak (SearcherBasedNotMatchingMarkingFilter).
    """
    spans = {item.span for item in gold}
    return [answer for answer in answers if answer.span in spans]
