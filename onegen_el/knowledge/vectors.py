"""The vectors of one segment as its files hold them, and the search for the nearest.

Knows which search goes with which files; keys are row numbers, what they stand for is not known here.
Whatever finds the candidates, their cosines are computed again from the stored vectors in float64, so that a
score depends neither on the batch a query came in nor on the index nor on the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from onegen_el.errors import KBError
from onegen_el.knowledge.exact import ExactSearch
from onegen_el.knowledge.graph import GraphSearch, build_graph
from onegen_el.knowledge.graph_file import map_vectors
from onegen_el.knowledge.manifest import INDEX, RECOVER, VECTORS, IndexKind, VectorType
from onegen_el.knowledge.ranking import BLOCK_VALUES, INT8_MAX, TINY, Ranked, quantise, ranks

__all__ = [
    "BLOCK_VALUES",
    "EXACT_BELOW",
    "INT8_MAX",
    "Hits",
    "VectorIndex",
    "build_graph",
    "choose_index",
    "quantise",
]

EXACT_BELOW = 500_000  # "auto": fewer vectors than this are searched exactly, more through HNSW
QUERIES = 64  # queries of one tile; with the size of a block this bounds memory
NONE_REMOVED = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Hits:
    """Nearest vectors of n queries.

    `keys` int64 `[n, k]`, -1 where there are fewer than k; `scores` float32 `[n, k]`, cosines in
    descending order, equal ones by key, -inf where the key is -1.
    """

    keys: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"Hits({len(self)} queries, {self.keys.shape[1]} keys each)"


def choose_index(index: Literal["auto", "exact", "hnsw"], count: int) -> IndexKind:
    """`auto` is exact below EXACT_BELOW vectors, else hnsw."""
    if index == "auto":
        return "exact" if count < EXACT_BELOW else "hnsw"
    return index


class Stored(Protocol):
    """What a manifest says of the vectors of a segment: how many rows they are, how they are searched."""

    @property
    def vectors(self) -> int: ...

    @property
    def index(self) -> IndexKind: ...


class Search(Protocol):
    """A way to search; the keys of the k best of each query (of unit length) but for those removed."""

    def find(self, queries: np.ndarray, k: int, removed: np.ndarray) -> Ranked: ...


class VectorIndex:
    """Search among `vectors` int8 or float16 `[count, dims]` (rows of any length; cosines are compared)."""

    def __init__(self, vectors: np.ndarray, graph: Path | None = None) -> None:
        self.vectors = vectors
        self.kind = "exact" if graph is None else "hnsw"
        plain = np.asarray(vectors)  # the same memory; slicing a np.memmap is slow
        self.by: Search = ExactSearch(plain) if graph is None else GraphSearch(graph, plain)

    @classmethod
    def open(cls, folder: Path, segment: Stored, dims: int, dtype: VectorType) -> VectorIndex:
        """Maps the files of a segment; nothing but their headers is read.

        Raises KBError where they are not what the manifest says.
        """
        if segment.index == "hnsw":
            graph = folder / INDEX
            return cls(map_vectors(graph, segment.vectors, dims, dtype), graph)
        path = folder / VECTORS
        try:
            vectors = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise KBError(f"{path}: cannot be read as vectors ({error}); {RECOVER}") from error
        if vectors.shape != (segment.vectors, dims) or vectors.dtype.name != dtype:
            raise KBError(
                f"{path}: holds {vectors.shape} vectors of type {vectors.dtype.name}, the manifest says "
                f"({segment.vectors}, {dims}) of type {dtype}; {RECOVER}"
            )
        return cls(vectors)

    def exact(self, device: str = "cpu") -> VectorIndex:
        """The same vectors, all of which are looked at in each search; "cuda" or "mps" does so in its memory.

        Where they do not fit there beside what is there already, it is this index as it is.
        """
        plain = np.asarray(self.vectors)
        if device == "cpu":
            return VectorIndex(self.vectors)
        # Imported here because torch takes a second, which searches on the CPU need not wait for.
        from onegen_el.knowledge.device import DeviceScan, fits

        if not fits(plain, device):
            return self
        index = VectorIndex(self.vectors)
        index.kind = f"exact on {device}"
        index.by = ExactSearch(plain, DeviceScan(plain, device))
        return index

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dims(self) -> int:
        return int(self.vectors.shape[1])

    def __repr__(self) -> str:
        return f"VectorIndex({len(self):,} x {self.dims} {self.vectors.dtype}, {self.kind})"

    def search(self, queries: np.ndarray, k: int, removed: np.ndarray | None = None) -> Hits:
        """The k nearest vectors of each of `queries` float `[n, dims]`.

        Rows in `removed` (int64, sorted) are never found. Raises ValueError for another shape, for NaN or
        infinite values and for k < 1.
        """
        queries = np.asarray(queries, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.dims:
            raise ValueError(f"queries must be [n, {self.dims}], got {list(queries.shape)}")
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        if not np.isfinite(queries).all():
            raise ValueError("queries hold NaN or infinite values")
        queries = queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), TINY)
        hits = Hits(
            np.full((len(queries), k), -1, dtype=np.int64),
            np.full((len(queries), k), -np.inf, dtype=np.float32),
        )
        for start in range(0, len(queries), QUERIES):
            tile = queries[start : start + QUERIES]
            rows, keys, scores = self.by.find(tile, k, NONE_REMOVED if removed is None else removed)
            places = ranks(rows)
            hits.keys[rows + start, places] = keys
            hits.scores[rows + start, places] = scores
        return hits
