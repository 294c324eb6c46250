"""The HNSW graph of usearch over the vectors of one segment: built and searched.

Knows usearch; what the graph finds is ranked by the vectors themselves. Its file is graph_file's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from onegen_el.errors import KBError
from onegen_el.knowledge.exact import ExactSearch
from onegen_el.knowledge.graph_file import GRAPH_DTYPE, map_vectors, renumber
from onegen_el.knowledge.manifest import RECOVER, VectorType
from onegen_el.knowledge.ranking import (
    BLOCK_VALUES,
    INT8_MAX,
    NOTHING,
    TINY,
    Ranked,
    among,
    best,
    join,
    quantise,
    ranked,
)

# docs/kb-index.md says what these were chosen by.
CONNECTIVITY, EXPANSION_ADD = 11, 128  # neighbours of a node, twice as many on the ground floor
WIDTH = 256  # candidates the graph is asked for, at least; else 4 for each key that is wanted
EXACT_SHARE = 8  # a search that would look at more than count / EXACT_SHARE candidates looks at all
CHECKPOINT = 1 << 17  # rows between two saves of a graph that is built

Progress = Callable[[int, int], None]


class GraphSearch:
    """Search through the graph in `path`; `vectors` are the same as in it."""

    def __init__(self, path: Path, vectors: np.ndarray, width: int = WIDTH) -> None:
        self.path, self.vectors, self.width = path, vectors, width
        # Mapped now, viewed by usearch when it is needed: by then a writer may have deleted the file.
        self._file = np.memmap(path, np.uint8, "r")

    def find(self, queries: np.ndarray, k: int, removed: np.ndarray) -> Ranked:
        """The k best keys of each of `queries` (unit length) that are not `removed` (sorted).

        The search is widened until it has found k that are not; where that means to look at a good part
        of all vectors, or the graph does not lead to k, all of them are looked at.
        """
        live = len(self.vectors) - len(removed)
        wanted = min(k, live)
        if wanted == 0:
            return NOTHING
        # As many of those found are live as of all, more or less.
        width = max(4 * k, self.width) * len(self.vectors) // live
        open_ = np.arange(len(queries))
        found = NOTHING
        while len(open_) and width * EXACT_SHARE <= len(self.vectors):
            rows, keys = self._near(queries[open_], width)
            if len(removed):
                kept = ~among(keys, removed)
                rows, keys = rows[kept], keys[kept]
            enough = np.bincount(rows, minlength=len(open_)) >= wanted
            done = enough[rows]
            found = join(found, ranked(self.vectors, queries, open_[rows[done]], keys[done]))
            open_ = open_[~enough]
            width *= 4
        if len(open_):
            rows, keys, scores = self._all.find(queries[open_], k, removed)
            found = join(found, (open_[rows], keys, scores))
        return best(found, k)

    def _near(self, queries: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Query numbers and keys of what the graph finds."""
        if self.vectors.dtype == np.int8:
            largest = np.maximum(np.abs(queries).max(axis=1, keepdims=True), TINY)
            queries = quantise(queries, INT8_MAX / largest)
        found = self.graph.search(queries, width)
        # usearch answers a single query with one axis less.
        counts = np.reshape(len(found) if len(queries) == 1 else found.counts, (-1, 1))
        keys = found.keys.reshape(len(queries), -1).astype(np.int64)
        rows, columns = np.nonzero(np.arange(keys.shape[1]) < counts)
        return rows, keys[rows, columns]

    @cached_property
    def graph(self) -> Any:
        """The usearch index, mapped when it is first asked for; raises KBError where it cannot be."""
        from usearch.index import Index

        dtype = GRAPH_DTYPE[self.vectors.dtype.name]
        # Without look-ups by key, which we never make, opening does not read every node.
        graph = Index(ndim=self.vectors.shape[1], metric="cos", dtype=dtype, enable_key_lookups=False)
        try:
            graph.view(self._file.data)
        except RuntimeError as error:
            raise KBError(f"{self.path}: cannot be read as a usearch index ({error}); {RECOVER}") from error
        return graph

    @cached_property
    def _all(self) -> ExactSearch:
        return ExactSearch(self.vectors)


def build_graph(
    vectors: np.ndarray,
    dtype: VectorType,
    path: Path,
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> None:
    """Writes the HNSW graph over `vectors` `[count, dims]`, which hold a copy of them.

    With one thread the same vectors give the same bytes. The work is saved every CHECKPOINT rows in a file
    beside `path`, from which a build that was killed goes on; `progress` gets rows done and in all.
    """
    part = path.with_name(f"{path.name}.part")
    done = _resumed(part, vectors, dtype)
    step = max(1, BLOCK_VALUES // vectors.shape[1])
    while done < len(vectors):
        # Every stretch begins from the file, so it goes the same whether or not a kill came between.
        graph = _graph_from(part, vectors.shape[1], dtype, done)
        end = min(len(vectors), done + CHECKPOINT)
        for start in range(done, end, step):
            rows = np.ascontiguousarray(vectors[start : min(end, start + step)])
            graph.add(np.arange(start, start + len(rows)), rows, threads=threads)
            if progress:
                progress(start + len(rows), len(vectors))
        _save(graph, part, threads)
        done = end
    part.replace(path)


def _resumed(part: Path, vectors: np.ndarray, dtype: VectorType) -> int:
    """How many of the vectors an interrupted build has left in `part`; 0 if they are others."""
    from usearch.index import Index

    try:
        stored = Index.metadata(str(part))
        count = stored["count_present"] if stored else 0
        if not 0 < count <= len(vectors):
            return 0
        left = map_vectors(part, count, vectors.shape[1], dtype)
    except (OSError, ValueError, KBError):
        return 0  # nothing was left, or something else
    step = max(1, BLOCK_VALUES // vectors.shape[1])
    same = all(
        np.array_equal(left[at : at + step], vectors[at : min(count, at + step)])
        for at in range(0, count, step)
    )
    return int(count) if same else 0


def _graph_from(part: Path, dims: int, dtype: VectorType, done: int) -> Any:
    from usearch.index import Index

    graph = Index(
        ndim=dims,
        metric="cos",
        dtype=GRAPH_DTYPE[dtype],
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION_ADD,
        enable_key_lookups=False,
    )
    if done:
        graph.load(str(part))
    return graph


def _save(graph: Any, part: Path, threads: int) -> None:
    fresh = part.with_name(f"{part.name}.new")
    graph.save(str(fresh))
    if threads != 1:
        renumber(fresh)
    with fresh.open("rb+") as file:
        os.fsync(file.fileno())
    fresh.replace(part)
