"""A matrix that shortens a model's vectors: learned of the entities' vectors, stored with the knowledge base.

Knows arrays; knows nothing of models. Not centred, so that products of a query and an entity are kept as
well as so few numbers can, though queries lie elsewhere than entities.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from onegen_el.errors import KBError
from onegen_el.knowledge.disk import write_array
from onegen_el.knowledge.manifest import RECOVER

SAMPLE = 100_000  # vectors a projection is learned from, evenly spread; more change nothing
BLOCK_ROWS = 8192


def learn_projection(vectors: np.ndarray, dims: int) -> np.ndarray:
    """Principal directions of `vectors` `[n, width]`, largest first: float32 `[width, dims]`.

    Its columns are orthonormal, so it keeps as much of the vectors' squared length as `dims` numbers can.
    Raises KBError unless 1 <= dims < width.
    """
    width = vectors.shape[1]
    if not 1 <= dims < width:
        raise KBError(f"the model's vectors have {width} dimensions, they cannot be shortened to {dims}")
    rows = np.linspace(0, len(vectors) - 1, min(len(vectors), SAMPLE)).astype(np.int64)
    moments = np.zeros((width, width))
    for start in range(0, len(rows), BLOCK_ROWS):
        block = vectors[rows[start : start + BLOCK_ROWS]].astype(np.float64)
        moments += block.T @ block
    columns = np.linalg.eigh(moments)[1][:, : -dims - 1 : -1]
    # An eigenvector has no sign of its own: its largest number is made positive, so that runs agree.
    largest = columns[np.abs(columns).argmax(0), np.arange(dims)]
    projection: np.ndarray = (columns * np.where(largest < 0, -1, 1)).astype(np.float32)
    return projection


def write_projection(projection: np.ndarray, path: Path) -> None:
    write_array(path, [projection], projection.shape, np.dtype(np.float32))


def read_projection(path: Path, dims: int) -> np.ndarray:
    """float32 `[width, dims]`; raises KBError for anything else."""
    try:
        projection: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise KBError(f"{path}: cannot be read as a projection ({error}); {RECOVER}") from error
    if projection.ndim != 2 or projection.shape[1] != dims or projection.dtype != np.float32:
        raise KBError(
            f"{path}: holds {projection.shape} numbers of type {projection.dtype}, the manifest says a "
            f"float32 matrix to {dims} dimensions; {RECOVER}"
        )
    return projection


def shorten(vectors: np.ndarray, projection: np.ndarray) -> np.ndarray:
    """`vectors` float `[n, width]` as float32 `[n, dims]`; raises ValueError for another width.

    Each row by itself, so that a vector does not depend on the others it came with.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.ndim != 2 or vectors.shape[1] != len(projection):
        raise ValueError(f"vectors must be [n, {len(projection)}], got {list(vectors.shape)}")
    short: np.ndarray = np.matmul(vectors[:, None, :], projection)[:, 0]
    return short
