"""From counts to precision, recall and F1, and the confidence threshold that GERBIL chooses.

Knows counts of documents at thresholds; knows neither annotations nor how they match. Sums are taken in the
order of the documents, in plain double precision, so that figures agree with GERBIL's to the last digit.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from onegen_el.evaluation.matching import Counts


@dataclass(frozen=True, slots=True)
class Measures:
    """Precision, recall and F1, each from 0 to 1."""

    precision: float
    recall: float
    f1: float

    def to_dict(self) -> dict[str, float]:
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1}


PERFECT, ZERO = Measures(1.0, 1.0, 1.0), Measures(0.0, 0.0, 0.0)


def measure(counts: Counts) -> Measures:
    """Nothing to find and nothing found is 1/1/1; nothing right otherwise is 0/0/0.

    So a system that answers nothing has precision 0, not 1 (ConfidenceBasedFMeasureCalculator).
    """
    if counts.tp == 0:
        return ZERO if counts.fp or counts.fn else PERFECT
    precision = counts.tp / (counts.tp + counts.fp)
    recall = counts.tp / (counts.tp + counts.fn)
    return Measures(precision, recall, (2 * precision * recall) / (precision + recall))


def macro(documents: Sequence[Counts]) -> Measures:
    """The means over all documents of their P, R and F1; documents with nothing to find or found add 1.

    The mean F1 is not the F1 of mean P and mean R. Raises ZeroDivisionError without documents.
    """
    precision = recall = f1 = 0.0
    # Not sum(), which compensates rounding errors since Python 3.12; Java does not.
    for one in map(measure, documents):
        precision, recall, f1 = precision + one.precision, recall + one.recall, f1 + one.f1
    return Measures(precision / len(documents), recall / len(documents), f1 / len(documents))


@dataclass(frozen=True, slots=True)
class Record:
    """The counts of a document from this threshold on, until its next record."""

    threshold: float
    counts: Counts


def document_records(
    confidences: Sequence[float | None], count: Callable[[Sequence[bool]], Counts], *, oddities: bool = True
) -> list[Record]:
    """A document's counts for every threshold at which they change; the first is without any threshold.

    `count` gives the counts of the answers that are kept. A threshold keeps what is scored strictly above it
    and all that is unscored; matching is done anew for each (ScoredMatchingsCounterImpl). The first record
    stands at 0, so a confidence of 0 or less shadows it; without `oddities` it then stands below them all.
    """
    scores = sorted({score for score in confidences if score is not None})
    lowest = 0.0
    if not oddities and scores and scores[0] <= 0:
        lowest = math.nextafter(scores[0], -math.inf)
    records = [Record(lowest, count([True] * len(confidences)))]
    for threshold in scores:
        counts = count([score is None or score > threshold for score in confidences])
        if counts != records[-1].counts:
            records.append(Record(threshold, counts))
    return records


class Curve:
    """The counts of all documents at all their thresholds (ScoredEvaluationCountsArray).

    `thresholds` float `[n]`, ascending; `totals` int `[n, 3]`, the summed tp, fp and fn at each. A document
    keeps its first record until one of its others is reached.
    """

    def __init__(self, documents: Sequence[Sequence[Record]]) -> None:
        self._documents = documents
        self.thresholds: list[float] = sorted(
            {record.threshold for records in documents for record in records}
        )
        changes = np.zeros((len(self.thresholds), 3), dtype=np.int64)
        for records in documents:
            changes[0] += _row(records[0].counts)
            for before, after in pairwise(records):
                index = bisect_left(self.thresholds, after.threshold)
                changes[index] += _row(after.counts) - _row(before.counts)
        self.totals = np.cumsum(changes, axis=0)

    def __len__(self) -> int:
        return len(self.thresholds)

    def total(self, index: int) -> Counts:
        """Summed over the documents."""
        return Counts(*map(int, self.totals[index]))

    def documents(self, index: int) -> tuple[Counts, ...]:
        """Of each document."""
        threshold = self.thresholds[index]
        return tuple(
            records[bisect_right(records, threshold, lo=1, key=lambda r: r.threshold) - 1].counts
            for records in self._documents
        )

    def best(self, *, oddities: bool = True) -> int:
        """The index of the best micro F1, the lowest threshold among equals.

        It is chosen on the evaluated data. Where gold is empty GERBIL finds a threshold that drops all scored
        answers and gives F1 1; without `oddities` dropping every answer is no choice.
        """
        best = 0
        best_f1 = measure(self.total(0)).f1
        for index in range(1, len(self)):
            counts = self.total(index)
            f1 = measure(counts).f1
            if f1 > best_f1 and (oddities or counts.tp + counts.fp):
                best, best_f1 = index, f1
        return best

    def at(self, threshold: float, *, oddities: bool = True) -> int | None:
        """Where a class block is read at the threshold chosen for all classes.

        GERBIL takes the block's first own threshold that is not below it, hence one too high unless they are
        equal, and none (all measures 0) if there is no such. Without `oddities` the last not above it.
        """
        if oddities:
            index = bisect_left(self.thresholds, threshold)
            return index if index < len(self) else None
        return max(0, bisect_right(self.thresholds, threshold) - 1)


def _row(counts: Counts) -> np.ndarray:
    return np.array((counts.tp, counts.fp, counts.fn), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Scores:
    """Measures of one block, with the counts of each document that they are of.

    Without documents all measures are 0: GERBIL looked for a threshold that the block has not.
    """

    micro: Measures
    macro: Measures
    documents: tuple[Counts, ...]

    @classmethod
    def read(cls, curve: Curve, index: int | None) -> Scores:
        """The block at an index of its curve."""
        if index is None:
            return cls(ZERO, ZERO, ())
        documents = curve.documents(index)
        return cls(measure(curve.total(index)), macro(documents), documents)

    @property
    def counts(self) -> Counts:
        """Summed over the documents."""
        return sum(self.documents, Counts())

    def to_dict(self) -> dict[str, dict[str, float]]:
        return {"micro": self.micro.to_dict(), "macro": self.macro.to_dict()}
