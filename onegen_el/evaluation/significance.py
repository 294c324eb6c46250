"""How sure a figure is, and whether two systems differ: resampling of whole documents.

Knows counts per document; knows neither mentions nor where counts come from. Documents are resampled, not
mentions, since mentions of one document go wrong together. Results depend on the seed and on the multiset of
documents, not on their order.

Intervals are percentiles of the bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
ch. 13; for pairs of systems Koehn, EMNLP 2004). p is from approximate randomisation (Noreen, Computer-
Intensive Methods for Testing Hypotheses, 1989; Yeh, COLING 2000): the answers of the two systems to a
document are swapped at random, and p is how often the difference gets as large as observed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from onegen_el.errors import InputError
from onegen_el.evaluation.matching import Counts
from onegen_el.evaluation.measures import macro, measure

Statistic = Literal[
    "micro precision", "micro recall", "micro f1", "macro precision", "macro recall", "macro f1"
]
LEVEL = 0.95
# Differences closer than this are equal: macro means are sums of fractions.
SAME = 1e-12
# Numbers drawn at once: bounds the memory.
BLOCK = 1 << 21

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float
    statistic: Statistic
    documents: int
    resamples: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "level": LEVEL,
            "statistic": self.statistic,
            "documents": self.documents,
            "resamples": self.resamples,
            "method": "percentile bootstrap over documents",
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """System a against system b on the same documents.

    `difference` is a's figure less b's, with its 95 % interval; `p` is two-sided, the probability of a
    difference at least as large if it were chance which of the two gave which answer.
    """

    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    statistic: Statistic
    documents: int
    resamples: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "a": self.a,
            "b": self.b,
            "difference": self.difference,
            "low": self.low,
            "high": self.high,
            "level": LEVEL,
            "p": self.p,
            "statistic": self.statistic,
            "documents": self.documents,
            "resamples": self.resamples,
            "interval_method": "paired percentile bootstrap over documents",
            "p_method": "approximate randomisation, two-sided",
        }


def interval(
    documents: Sequence[Counts], statistic: Statistic = "micro f1", *, resamples: int = 1000, seed: int = 0
) -> Interval:
    """The figure of all documents and the 2.5 and 97.5 percentiles of its resamples.

    The interval is widened to the figure itself in the rare case that resamples of few documents miss it.
    Raises InputError without documents or for an unknown statistic.
    """
    _check(documents, statistic, resamples)
    table = _sorted(_table(documents, statistic))
    random = np.random.default_rng(seed)
    figures = np.concatenate(
        [_figures(weights @ table, len(documents), statistic) for weights in _draws(random, table, resamples)]
    )
    value = _figure(documents, statistic)
    low, high = _percentiles(figures, value)
    return Interval(value, low, high, statistic, len(documents), resamples)


def compare(
    a: Sequence[Counts],
    b: Sequence[Counts],
    statistic: Statistic = "micro f1",
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """The difference of two systems' figures on the same documents in the same order.

    p counts the observed arrangement as one of those drawn, so it is never 0 and at least
    1 / (resamples + 1). Raises InputError without documents, for different numbers of them, or for an
    unknown statistic.
    """
    _check(a, statistic, resamples)
    if len(a) != len(b):
        raise InputError(f"{len(a)} and {len(b)} documents: only systems on the same corpus can be compared")
    count = len(a)
    table = _sorted(np.hstack([_table(a, statistic), _table(b, statistic)]))
    of_a, of_b = np.hsplit(table, 2)
    random = np.random.default_rng(seed)

    def difference(sums: Array) -> Array:
        first, second = np.hsplit(sums, 2)
        return _figures(first, count, statistic) - _figures(second, count, statistic)

    resampled = np.concatenate([difference(weights @ table) for weights in _draws(random, table, resamples)])
    # Swapping a document adds its difference to the one system and takes it from the other.
    change = np.hstack([of_b - of_a, of_a - of_b])
    swapped = np.concatenate(
        [difference(table.sum(axis=0) + swaps @ change) for swaps in _swaps(random, count, resamples)]
    )
    value_a, value_b = _figure(a, statistic), _figure(b, statistic)
    value = value_a - value_b
    low, high = _percentiles(resampled, value)
    extreme = int(np.count_nonzero(np.abs(swapped) >= abs(value) - SAME))
    return Comparison(
        value_a, value_b, value, low, high, (extreme + 1) / (resamples + 1), statistic, count, resamples
    )


def _check(documents: Sequence[Counts], statistic: str, resamples: int) -> None:
    if statistic not in get_args(Statistic):
        raise InputError(f"unknown statistic {statistic!r}; choose {', '.join(get_args(Statistic))}")
    if not documents:
        raise InputError("there are no documents to resample")
    if resamples < 1:
        raise InputError(f"{resamples} resamples: at least 1 is needed")


def _figure(documents: Sequence[Counts], statistic: Statistic) -> float:
    kind, name = statistic.split()
    measures = macro(documents) if kind == "macro" else measure(sum(documents, Counts()))
    return measures.to_dict()[name]


def _table(documents: Sequence[Counts], statistic: Statistic) -> Array:
    """What is summed over documents, `[documents, 3]` counts for micro, `[documents, 1]` scores for macro."""
    counts = np.array([(c.tp, c.fp, c.fn) for c in documents], dtype=np.float64)
    return _measure(counts, statistic)[:, None] if statistic.startswith("macro") else counts


def _sorted(table: Array) -> Array:
    return table[np.lexsort(table.T)]


def _figures(sums: Array, documents: int, statistic: Statistic) -> Array:
    """`[resamples]` from sums `[resamples, 3 or 1]`."""
    return sums[:, 0] / documents if statistic.startswith("macro") else _measure(sums, statistic)


def _measure(counts: Array, statistic: Statistic) -> Array:
    """Precision, recall or F1 of counts `[n, 3]`, with the edge cases of `measures.measure`."""
    tp, fp, fn = counts.T
    name = statistic.split()[1]
    right = 2 * tp if name == "f1" else tp
    rest = {"precision": fp, "recall": fn, "f1": fp + fn}[name]
    values: Array = np.zeros_like(tp)
    np.divide(right, right + rest, out=values, where=tp > 0)
    values[(tp + fp + fn) == 0] = 1.0
    return values


def _draws(random: np.random.Generator, table: Array, resamples: int) -> Iterator[Array]:
    """How often each document is drawn, in blocks of `[rows, documents]`."""
    count = len(table)
    for rows in _blocks(count, resamples):
        drawn = random.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)


def _swaps(random: np.random.Generator, count: int, resamples: int) -> Iterator[Array]:
    for rows in _blocks(count, resamples):
        yield random.integers(2, size=(rows, count), dtype=np.int8).astype(np.float64)


def _blocks(count: int, resamples: int) -> Iterator[int]:
    size = max(1, BLOCK // count)
    for first in range(0, resamples, size):
        yield min(size, resamples - first)


def _percentiles(figures: Array, value: float) -> tuple[float, float]:
    low, high = np.quantile(figures, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return min(float(low), value), max(float(high), value)
