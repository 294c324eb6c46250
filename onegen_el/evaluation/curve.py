"""Precision, recall and F1 of links as the score threshold moves.

Knows scored answers and strong matching; chooses no threshold for anybody. A link counts if its score is at
least the threshold, as in the linker; below, the mention is a NIL. What the system itself held back is not
seen: link with the lowest threshold to see the whole curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from onegen_el.evaluation.annotations import AnnotatedDocument
from onegen_el.evaluation.matching import Counts, SpanMatch, assign, find_pairs
from onegen_el.evaluation.measures import Curve, document_records, measure
from onegen_el.evaluation.pairing import Identity, judged

POINTS = 200


@dataclass(frozen=True, slots=True)
class Point:
    """InKB figures (micro, strong) of the links that score at least `threshold`.

    `nil_rate` is the part of the system's mentions that are then without a link, 0 if it has no mentions.
    """

    threshold: float
    counts: Counts
    nil_rate: float

    @property
    def precision(self) -> float:
        return measure(self.counts).precision

    @property
    def recall(self) -> float:
        return measure(self.counts).recall

    @property
    def f1(self) -> float:
        return measure(self.counts).f1

    def to_dict(self) -> dict[str, Any]:
        return {
            "threshold": self.threshold,
            **measure(self.counts).to_dict(),
            "nil_rate": self.nil_rate,
            "tp": self.counts.tp,
            "fp": self.counts.fp,
            "fn": self.counts.fn,
        }


@dataclass(frozen=True, slots=True)
class ThresholdCurve:
    """Points by ascending threshold, hence falling recall; the first counts every link.

    `area` lies under precision over recall as average precision has it: each step of recall by the precision
    it is reached with, not interpolated (Davis and Goadrich, ICML 2006), nothing beyond the greatest recall.
    `best` has the greatest F1, with the lowest threshold among equals. Both are of all thresholds; `points`
    are at most 200 of them, `best` and both ends included.
    """

    points: tuple[Point, ...] = field(repr=False)
    best: Point
    area: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "area": self.area,
            "best": self.best.to_dict(),
            "points": [point.to_dict() for point in self.points],
        }


def threshold_curve(
    gold: Sequence[AnnotatedDocument],
    system: Sequence[AnnotatedDocument | None],
    identity: Identity | None = None,
) -> ThresholdCurve:
    """The curve of the answers' confidences; unscored links count at every threshold.

    If no link is scored there is one point, at threshold 0. Raises InputError where gold and answers do not
    belong together.
    """
    records, mentions = [], 0
    for document in judged(gold, system, identity or Identity()):
        mentions += len(document.answers)
        wanted = [item for _, item in document.gold if item.in_kb]
        links = [item for _, item in document.answers if item.in_kb]
        pairs = find_pairs(wanted, links, SpanMatch.STRONG, entities=True)
        scores = [link.confidence for link in links]
        records.append(document_records(scores, partial(assign, pairs), oddities=False))
    points = _points(Curve(records), mentions) if records else [Point(0.0, Counts(), 0.0)]
    best = max(points, key=lambda point: point.f1)
    return ThresholdCurve(_thinned(points, best), best, _area(points))


def _points(curve: Curve, mentions: int) -> list[Point]:
    """A point for each score of a link; `curve` counts what is above a threshold, a point what reaches it."""

    def point(threshold: float, counts: Counts) -> Point:
        links = counts.tp + counts.fp
        return Point(threshold, counts, (mentions - links) / mentions if mentions else 0.0)

    totals = [curve.total(index) for index in range(len(curve))]
    return [
        point(curve.thresholds[index + 1], totals[index])
        for index in range(len(totals) - 1)
        if totals[index] != totals[index + 1]
    ] or [point(0.0, totals[0])]


def _area(points: Sequence[Point]) -> float:
    area = reached = 0.0
    for point in reversed(points):
        area += (point.recall - reached) * point.precision
        reached = point.recall
    return area


def _thinned(points: Sequence[Point], best: Point) -> tuple[Point, ...]:
    if len(points) <= POINTS:
        return tuple(points)
    kept = set(np.linspace(0, len(points) - 1, POINTS - 1).round().astype(int).tolist())
    return tuple(points[index] for index in sorted(kept | {points.index(best)}))
