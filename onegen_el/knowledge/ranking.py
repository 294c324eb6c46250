"""The arithmetic of every search: exact cosines of what was found, and the best k of them in order.

Knows arrays only; who found the candidates, and how, is not known here.
"""

from __future__ import annotations

import numpy as np

INT8_MAX = 127
BLOCK_VALUES = 1 << 20  # values of one block of vectors: bounds memory, measured fastest on CPUs
SLACK = 1e-5  # more than the rounding of a float32 product of unit vectors
TINY = np.finfo(np.float32).tiny  # keeps a query of zeros from being divided by zero

Ranked = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows (numbers of queries), keys, scores: flat, as long
NOTHING: Ranked = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))


def ranked(vectors: np.ndarray, queries: np.ndarray, rows: np.ndarray, keys: np.ndarray) -> Ranked:
    """Exact cosines of queries[rows] (of unit length) and vectors[keys] (of any length)."""
    scores = np.empty(len(rows), np.float64)
    step = max(1, BLOCK_VALUES // vectors.shape[1])
    for start in range(0, len(rows), step):
        some = slice(start, start + step)
        left = queries[rows[some]].astype(np.float64)
        right = vectors[keys[some]].astype(np.float64)
        # A sum over the row, not a matrix product: the same numbers give the same sum anywhere.
        scores[some] = (left * right).sum(1) / np.sqrt((right * right).sum(1))
    return rows, keys, scores.astype(np.float32).astype(np.float64)


def best(found: Ranked, k: int) -> Ranked:
    """The k best keys of each row, in order: by row, then score descending, then key."""
    rows, keys, scores = found
    order = np.lexsort((keys, -scores, rows))
    order = order[ranks(rows[order]) < k]
    return rows[order], keys[order], scores[order]


def join(first: Ranked, second: Ranked) -> Ranked:
    rows, keys, scores = (np.concatenate(pair) for pair in zip(first, second, strict=True))
    return rows, keys, scores


def ranks(rows: np.ndarray) -> np.ndarray:
    """Position of each entry among those of its row; `rows` is sorted."""
    return np.arange(len(rows)) - np.searchsorted(rows, rows)


def quantise(vectors: np.ndarray, scale: np.ndarray | float) -> np.ndarray:
    """float `[n, dims]` times `scale` as int8, rounded; `scale` is one number or `[n, 1]`."""
    codes: np.ndarray = np.clip(np.rint(vectors * scale), -INT8_MAX, INT8_MAX).astype(np.int8)
    return codes


def among(keys: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Which of `keys` stand in `removed`, which is sorted; bool, of the shape of `keys`."""
    if len(removed) == 0:
        return np.zeros(keys.shape, bool)
    places = np.minimum(np.searchsorted(removed, keys), len(removed) - 1)
    found: np.ndarray = removed[places] == keys
    return found
