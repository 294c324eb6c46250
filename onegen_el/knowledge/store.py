"""Writes the files of a segment that hold vectors: codes, owners, the graph.

Knows how unit vectors are stored; whose they are is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from onegen_el.knowledge.disk import write_array
from onegen_el.knowledge.manifest import (
    FILES,
    INDEX,
    OWNERS,
    VECTORS,
    FileRecord,
    IndexKind,
    SegmentRecord,
    VectorType,
)
from onegen_el.knowledge.vectors import BLOCK_VALUES, INT8_MAX, build_graph, choose_index, quantise

IndexChoice = Literal["auto", "exact", "hnsw"]


def blocks(rows: np.ndarray, dims: int) -> Iterator[np.ndarray]:
    """Slices of `rows`, each of which stands for `dims` numbers, of a size that bounds memory."""
    step = max(1, BLOCK_VALUES // dims)
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def fitting_scale(parts: Iterable[np.ndarray], given: float = 0.0) -> float:
    """What unit vectors are multiplied with to become int8: `given` if they fit then, else as much as fits.

    One scale for all rows keeps codes comparable.
    """
    largest = max(float(np.abs(part).max()) for part in parts)
    return given if given and largest * given <= INT8_MAX + 0.5 else INT8_MAX / largest


def coded(parts: Iterable[np.ndarray], dtype: VectorType, scale: float) -> Iterator[np.ndarray]:
    """Unit vectors as they are stored."""
    for part in parts:
        yield quantise(part, scale) if dtype == "int8" else part.astype(np.float16)


def write_vectors(
    segment: Path,
    codes: Iterable[np.ndarray],
    shape: tuple[int, int],
    dtype: VectorType,
    index: IndexChoice,
    *,
    threads: int = 1,
    stage: Callable[[str], None] = lambda name: None,
    progress: Callable[[str, int, int], None] | None = None,
) -> IndexKind:
    """Writes stored vectors `[n, dims]`, which come in parts, and what searches them, into `segment`.

    A graph holds the vectors itself; they lie beside it while it is built. `stage` is told "store" and
    "graph" when these begin. With one thread the same vectors give the same bytes.
    """
    stage("store")
    path = segment / VECTORS
    write_array(path, codes, shape, np.dtype(dtype))
    kind = choose_index(index, shape[0])
    if kind == "hnsw":
        stage("graph")
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)

        def show(done: int, total: int) -> None:
            if progress:
                progress("graph", done, total)

        build_graph(vectors, dtype, segment / INDEX, threads=threads, progress=show)
        del vectors
        path.unlink()
    return kind


def write_owners(segment: Path, owners: np.ndarray) -> None:
    """Writes which row of entities each vector belongs to."""
    write_array(segment / OWNERS, [owners], owners.shape, np.dtype(np.int32))


def record_of(
    segment: Path, folder: str, count: int, vectors: int, scale: float, index: IndexKind
) -> SegmentRecord:
    """What the manifest says of the segment whose files are in `segment` now and will be in `folder`."""
    files = {name: FileRecord.of(segment / name) for name in FILES if (segment / name).is_file()}
    return SegmentRecord(folder, count, vectors, scale, index, files)
