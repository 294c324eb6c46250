"""Exact search: all vectors are looked at, block by block.

Knows the order of the work; the product of a block is a Scan's, on the CPU (here) or on a device (device.py).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from onegen_el.knowledge.ranking import BLOCK_VALUES, NOTHING, SLACK, Ranked, best, join, ranked

LOWEST = -2.0  # below every cosine, above the -inf of what is removed


class Scan(Protocol):
    """Approximate cosines of blocks of vectors; `block` is how many rows it likes at once."""

    block: int

    def near(
        self, queries: np.ndarray, start: int, gone: np.ndarray, k: int, bar: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Query numbers and places in the block at `start` whose score may be among the k best.

        That is at least `bar` `[n, 1]`, None while no k are known; `gone` are places that don't count.
        Rounding must stay below SLACK.
        """


class ExactSearch:
    """The search among all `vectors` `[count, dims]`, with a scan that finds what float64 then decides."""

    def __init__(self, vectors: np.ndarray, scan: Scan | None = None) -> None:
        self.vectors = vectors
        self._scan = scan or HostScan(vectors)

    def find(self, queries: np.ndarray, k: int, removed: np.ndarray) -> Ranked:
        """The k best keys of each of `queries` (unit length) that are not `removed` (sorted)."""
        found, bar = NOTHING, None
        block = self._scan.block
        bounds = np.searchsorted(removed, np.arange(0, len(self.vectors) + block, block))
        for number, start in enumerate(range(0, len(self.vectors), block)):
            gone = removed[bounds[number] : bounds[number + 1]] - start
            rows, places = self._scan.near(queries, start, gone, k, bar)
            if len(rows) == 0:
                continue
            found = best(join(found, ranked(self.vectors, queries, rows, places + start)), k)
            if len(found[0]) == len(queries) * k:
                bar = found[2].reshape(-1, k)[:, -1:] - SLACK
        return found


class HostScan:
    """float32 products with numpy; nothing is read before its block is asked for."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.block = max(1, BLOCK_VALUES // vectors.shape[1])
        self._vectors = vectors
        self._inverse: dict[int, np.ndarray] = {}  # start of a block -> 1 / lengths of its rows

    def near(
        self, queries: np.ndarray, start: int, gone: np.ndarray, k: int, bar: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        part = self._vectors[start : start + self.block].astype(np.float32)
        inverse = self._inverse.get(start)
        if inverse is None:
            inverse = self._inverse[start] = 1 / np.linalg.norm(part, axis=1)
        scores = (queries @ part.T) * inverse
        scores[:, gone] = -np.inf
        if bar is None and scores.shape[1] > k:
            bar = np.partition(scores, -k, axis=1)[:, -k, None] - SLACK
        rows, places = np.nonzero(scores >= (LOWEST if bar is None else np.maximum(bar, LOWEST)))
        return rows, places
