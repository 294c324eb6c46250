"""Entity vectors on disk and the search for the nearest: exact, or through an HNSW graph.

Knows arrays and usearch; keys are row numbers, what they stand for is not known here. Whatever finds the
candidates, their cosines are computed again from the stored vectors in float64, so that a score depends
neither on the batch a query came in nor on the index.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from onegen_el.errors import KBError
from onegen_el.knowledge.manifest import INDEX, REBUILD, VECTORS, IndexKind, KBManifest, VectorType

EXACT_BELOW = 500_000  # "auto": fewer vectors than this are searched exactly, more through HNSW
INT8_MAX = 127
QUERIES = 64  # queries of one tile of the exact search
BLOCK_VALUES = 1 << 20  # values of one block of vectors; with QUERIES this bounds memory, measured fastest
SLACK = 1e-5  # more than the rounding of a float32 product of unit vectors
TINY = np.finfo(np.float32).tiny  # keeps a query of zeros from being divided by zero
GRAPH_DTYPE = {"int8": "i8", "float16": "f16"}
CONNECTIVITY, EXPANSION_ADD, EXPANSION_SEARCH = 32, 128, 128  # of the HNSW graph
MIN_WIDTH = 64  # candidates fetched from the graph for re-ranking, at least; else 4 for each one asked

Ranked = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows (numbers of queries), keys, scores: flat, as long


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


class VectorIndex:
    """Search among `vectors` int8 or float16 `[count, dims]` (rows of any length; cosines are compared)."""

    def __init__(self, vectors: np.ndarray, graph: Path | None = None) -> None:
        self.vectors = vectors
        self._plain = np.asarray(vectors)  # the same memory; slicing a np.memmap is slow
        self._graph_path = graph

    @classmethod
    def open(cls, folder: Path, manifest: KBManifest) -> VectorIndex:
        """Maps the files of a knowledge base; raises KBError where they are not what the manifest says."""
        path = folder / VECTORS
        try:
            vectors = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise KBError(f"{path}: cannot be read as vectors ({error}); {REBUILD}") from error
        _check(path, vectors.shape, vectors.dtype.name, manifest, manifest.dtype)
        graph = folder / INDEX if manifest.index == "hnsw" else None
        if graph is not None:
            # usearch opens an index of any other shape in silence and then answers nonsense.
            stored = _graph_metadata(graph)
            shape = (stored["count_present"], stored["dimensions"])
            _check(graph, shape, stored["kind_scalar"].name.lower(), manifest, GRAPH_DTYPE[manifest.dtype])
        return cls(vectors, graph)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dims(self) -> int:
        return int(self.vectors.shape[1])

    def __repr__(self) -> str:
        kind = "hnsw" if self._graph_path else "exact"
        return f"VectorIndex({len(self):,} x {self.dims} {self.vectors.dtype}, {kind})"

    def search(self, queries: np.ndarray, k: int) -> Hits:
        """The k nearest vectors of each of `queries` float `[n, dims]`.

        Raises ValueError for another shape, for NaN or infinite values and for k < 1.
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
        find = self._find_exact if self._graph_path is None else self._find_graph
        for start in range(0, len(queries), QUERIES):
            rows, keys, scores = find(queries[start : start + QUERIES], k)
            ranks = _ranks(rows)
            hits.keys[rows + start, ranks] = keys
            hits.scores[rows + start, ranks] = scores
        return hits

    def _find_exact(self, queries: np.ndarray, k: int) -> Ranked:
        """A float32 product, block by block, finds what may be among the best; float64 decides."""
        best: Ranked = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))
        bar: np.ndarray | None = None  # [n, 1]: what a key must reach to come among the best
        block = max(1, BLOCK_VALUES // self.dims)
        for start in range(0, len(self), block):
            part = self._plain[start : start + block].astype(np.float32)
            scores = (queries @ part.T) * self._inverse_norms[start : start + block]
            if bar is None and scores.shape[1] > k:
                bar = np.partition(scores, -k, axis=1)[:, -k, None] - SLACK
            rows, keys = np.nonzero(scores >= (-np.inf if bar is None else bar))
            if len(rows) == 0:
                continue
            best = _best(_join(best, self._ranked(queries, rows, keys + start)), k)
            if len(best[0]) == len(queries) * k:
                bar = best[2].reshape(-1, k)[:, -1:] - SLACK
        return best

    def _find_graph(self, queries: np.ndarray, k: int) -> Ranked:
        """The graph is searched wide; what it finds is ranked by the stored vectors."""
        width = min(len(self), max(4 * k, MIN_WIDTH))
        if self.vectors.dtype == np.int8:
            found = self._graph.search(quantise(queries, INT8_MAX / _largest(queries)), width)
        else:
            found = self._graph.search(queries, width)
        # usearch answers a single query with one axis less.
        counts = np.reshape(len(found) if len(queries) == 1 else found.counts, (-1, 1))
        keys = found.keys.reshape(len(queries), -1).astype(np.int64)
        rows, columns = np.nonzero(np.arange(keys.shape[1]) < counts)
        return _best(self._ranked(queries, rows, keys[rows, columns]), k)

    def _ranked(self, queries: np.ndarray, rows: np.ndarray, keys: np.ndarray) -> Ranked:
        """Exact cosines of queries[rows] and vectors[keys]."""
        scores = np.empty(len(rows), np.float64)
        step = max(1, BLOCK_VALUES // self.dims)
        for start in range(0, len(rows), step):
            some = slice(start, start + step)
            left = queries[rows[some]].astype(np.float64)
            right = self._plain[keys[some]].astype(np.float64)
            # A sum over the row, not a matrix product: the same numbers give the same sum anywhere.
            scores[some] = (left * right).sum(1) / np.sqrt((right * right).sum(1))
        return rows, keys, scores.astype(np.float32).astype(np.float64)

    @cached_property
    def _inverse_norms(self) -> np.ndarray:
        """float32 `[count]`."""
        inverse = np.empty(len(self), np.float32)
        step = max(1, BLOCK_VALUES // self.dims)
        for start in range(0, len(self), step):
            part = self._plain[start : start + step].astype(np.float32)
            inverse[start : start + step] = 1 / np.linalg.norm(part, axis=1)
        return inverse

    @cached_property
    def _graph(self) -> Any:
        from usearch.index import Index

        dtype = GRAPH_DTYPE[self.vectors.dtype.name]
        graph = Index(ndim=self.dims, metric="cos", dtype=dtype, expansion_search=EXPANSION_SEARCH)
        graph.view(str(self._graph_path))
        return graph


def quantise(vectors: np.ndarray, scale: np.ndarray | float) -> np.ndarray:
    """float `[n, dims]` times `scale` as int8, rounded; `scale` is one number or `[n, 1]`."""
    codes: np.ndarray = np.clip(np.rint(vectors * scale), -INT8_MAX, INT8_MAX).astype(np.int8)
    return codes


def _largest(vectors: np.ndarray) -> np.ndarray:
    largest: np.ndarray = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), TINY)
    return largest


def build_graph(vectors: np.ndarray, dtype: VectorType, path: Path) -> None:
    """Writes the HNSW graph over `vectors` `[count, dims]`; one thread, so that the bytes repeat."""
    from usearch.index import Index

    graph = Index(
        ndim=vectors.shape[1],
        metric="cos",
        dtype=GRAPH_DTYPE[dtype],
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION_ADD,
    )
    step = max(1, BLOCK_VALUES // vectors.shape[1])
    for start in range(0, len(vectors), step):
        part = np.ascontiguousarray(vectors[start : start + step])
        graph.add(np.arange(start, start + len(part)), part, threads=1)
    graph.save(str(path))


def _graph_metadata(path: Path) -> dict[str, Any]:
    from usearch.index import Index

    try:
        stored: dict[str, Any] | None = Index.metadata(str(path))
    except ValueError:
        stored = None
    if stored is None:
        raise KBError(f"{path}: cannot be read as a usearch index; {REBUILD}")
    return stored


def _check(path: Path, shape: tuple[int, ...], dtype: str, manifest: KBManifest, expected: str) -> None:
    if shape != (manifest.count, manifest.dims) or dtype != expected:
        raise KBError(
            f"{path}: holds {shape} vectors of type {dtype}, the manifest says "
            f"({manifest.count}, {manifest.dims}) of type {expected}; {REBUILD}"
        )


def _join(first: Ranked, second: Ranked) -> Ranked:
    rows, keys, scores = (np.concatenate(pair) for pair in zip(first, second, strict=True))
    return rows, keys, scores


def _best(found: Ranked, k: int) -> Ranked:
    """The k best keys of each row, in order: by row, then score descending, then key."""
    rows, keys, scores = found
    order = np.lexsort((keys, -scores, rows))
    order = order[_ranks(rows[order]) < k]
    return rows[order], keys[order], scores[order]


def _ranks(rows: np.ndarray) -> np.ndarray:
    """Position of each entry among those of its row; `rows` is sorted."""
    return np.arange(len(rows)) - np.searchsorted(rows, rows)
