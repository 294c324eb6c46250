"""The file that usearch keeps a graph in: where its vectors lie, and its nodes put in order.

Knows the bytes. The vectors lie in it as one matrix in the order of the nodes, so they are mapped out of it
and stored once. Checked at every opening, since another version of usearch might put them elsewhere.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from onegen_el.errors import KBError
from onegen_el.knowledge.manifest import RECOVER, VectorType

GRAPH_DTYPE = {"int8": "i8", "float16": "f16"}
MATRIX = struct.Struct("<II")  # before all: rows of the matrix, bytes of a row
HEAD = 64  # after the matrix: what usearch says of the vectors, not read here
GRAPH = struct.Struct("<5Q")  # after that: nodes, connectivity, that of the ground floor, top floor, entry
LEVEL = np.dtype("<i2")  # then a floor for every node, then the nodes
NODE_HEAD, SLOT = (
    10,
    4,
)  # a node: key (8 bytes), floor (2); for each floor a number of slots, the slots
CHUNK = 1 << 16  # nodes that are moved at once


def map_vectors(path: Path, count: int, dims: int, dtype: VectorType) -> np.ndarray:
    """The vectors `[count, dims]` in a graph's file, mapped read-only.

    Raises KBError where the file is cut off, of another layout or not of these vectors.
    """
    from usearch.index import Index

    try:
        with path.open("rb") as file:
            head = file.read(MATRIX.size)
        # usearch opens an index of any other shape in silence and then answers nonsense.
        stored: dict[str, Any] | None = Index.metadata(str(path))
    except (OSError, ValueError) as error:
        raise KBError(f"{path}: cannot be read as a usearch index ({error}); {RECOVER}") from error
    if stored is None or len(head) < MATRIX.size:
        raise KBError(f"{path}: cannot be read as a usearch index; {RECOVER}")
    rows, row_bytes = MATRIX.unpack(head)
    type_ = np.dtype(dtype)
    says = (stored["count_present"], stored["dimensions"], stored["kind_scalar"].name.lower())
    if says != (count, dims, GRAPH_DTYPE[dtype]):
        raise KBError(
            f"{path}: holds ({says[0]}, {says[1]}) vectors of type {says[2]}, the manifest says "
            f"({count}, {dims}) of type {GRAPH_DTYPE[dtype]}; {RECOVER}"
        )
    if not stored["matrix_included"] or (rows, row_bytes) != (count, dims * type_.itemsize):
        raise KBError(
            f"{path}: its vectors are not where usearch {stored['version']} is known to put them; "
            f"it was written with options or by a version that onegen-el does not read; {RECOVER}"
        )
    return np.memmap(path, dtype=type_, mode="r", offset=MATRIX.size, shape=(count, dims))


def renumber(path: Path) -> None:
    """Puts the nodes of a graph whose keys are 0 ... n-1 in the order of their keys.

    Threads that add to a graph together leave its nodes out of order; the graph is the same afterwards, with
    other numbers. Raises KBError for a file of another layout.
    """
    old = np.memmap(path, dtype=np.uint8, mode="r")
    rows, row_bytes = MATRIX.unpack(old[: MATRIX.size].tobytes())
    matrix = old[MATRIX.size : MATRIX.size + rows * row_bytes].reshape(rows, row_bytes)
    at = MATRIX.size + rows * row_bytes + HEAD
    count, connectivity, ground, top, entry = GRAPH.unpack(old[at : at + GRAPH.size].tobytes())
    levels_at = at + GRAPH.size
    nodes_at = levels_at + count * LEVEL.itemsize
    levels = old[levels_at:nodes_at].view(LEVEL).astype(np.int64)
    floors = [SLOT * (1 + ground)] + [SLOT * (1 + connectivity)] * int(top)
    sizes = NODE_HEAD + np.cumsum(floors)[levels]
    starts = nodes_at + np.cumsum(sizes) - sizes
    if count != rows or nodes_at + sizes.sum() != len(old):
        raise KBError(f"{path}: its nodes are not where usearch is known to put them; build with --threads 1")
    keys = old[starts[:, None] + np.arange(8)].view("<u8").ravel().astype(np.int64)
    order = np.argsort(keys)  # node of each key
    new_starts = np.empty(count, np.int64)
    new_starts[order] = nodes_at + np.cumsum(sizes[order]) - sizes[order]

    new = old.copy()
    moved = new[MATRIX.size : MATRIX.size + rows * row_bytes].reshape(rows, row_bytes)
    for start in range(0, rows, CHUNK):
        moved[start : start + CHUNK] = matrix[order[start : start + CHUNK]]
    header = GRAPH.pack(count, connectivity, ground, top, int(keys[entry]))
    new[at : at + GRAPH.size] = np.frombuffer(header, np.uint8)
    new[levels_at:nodes_at] = levels[order].astype(LEVEL).view(np.uint8)
    for level in range(int(top) + 1):
        alike = np.flatnonzero(levels == level)
        for start in range(0, len(alike), CHUNK):
            nodes = alike[start : start + CHUNK]
            span = np.arange(sizes[nodes[0]])
            bytes_ = old[starts[nodes, None] + span]
            _rename(bytes_, floors[: level + 1], keys)
            new[new_starts[nodes, None] + span] = bytes_
    del old, matrix
    new.tofile(path)


def _rename(nodes: np.ndarray, floors: list[int], keys: np.ndarray) -> None:
    """Gives the neighbours in `nodes` uint8 `[n, bytes]`, all of the same floor, their new numbers."""
    start = NODE_HEAD
    for size in floors:
        slots = np.ascontiguousarray(nodes[:, start : start + size]).view("<u4").astype(np.int64)
        used = np.arange(slots.shape[1] - 1) < slots[:, :1]
        slots[:, 1:][used] = keys[slots[:, 1:][used]]
        nodes[:, start : start + size] = slots.astype("<u4").view(np.uint8)
        start += size
