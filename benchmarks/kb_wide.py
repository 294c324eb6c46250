"""Vectors as a model of 7 billion parameters gives them: 4,096 wide, generated, anisotropic.

Knows how they are drawn: all share an offset, most of the rest lies in few directions of falling weight, and
a little is noise. Queries are vectors moved a little along those directions. The same seed gives the same.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from kb_rates import Case, Fresh
from kb_rates import measure as measure_case

RANK = 256  # directions
OFFSET, NOISE = 1.0, 0.3  # lengths beside that of the part in the directions, which is 1
MOVED = 0.5  # a query is a vector whose part in the directions is moved by so much
QUERIES = 500
FULL = 1_250_000  # entities that are extrapolated to
BLOCK = 8192


def measure(fresh: Fresh, cache: Path, count: int, dims: int, without: Sequence[str]) -> dict[str, Any]:
    """Ways to search `count` vectors and a quarter of them, and what that lets one expect of FULL."""
    cases = {size: fresh(case_of, cache, size, dims) for size in (count // 4, count)}
    few, many = (measure_case(fresh, case, without) for case in cases.values())
    expected = {name: _expected(many[name]["ms"], few[name]["ms"], count, name) for name in many}
    return {"count": count, "dims": dims, "full": FULL, "ways": many, "quarter": few, "expected_ms": expected}


def _expected(ms: float, quarter: float, count: int, name: str) -> float:
    """Of a query among FULL vectors: a graph's time grows with every doubling as it did from a quarter, the
    others' with the number."""
    if name in ("graph", "faiss hnsw"):
        return ms + max(0.0, ms - quarter) / 2 * float(np.log2(FULL / count))
    return ms * FULL / count


def case_of(cache: Path, count: int, dims: int) -> Case:
    """Vectors, queries and our graph in a folder, made once."""
    from onegen_el.knowledge.vectors import build_graph

    folder = cache / f"wide-{count}-{dims}"
    folder.mkdir(parents=True, exist_ok=True)
    case = Case(folder, folder / "vectors.npy", folder / "queries.npy", graph=folder / "index.usearch")
    told = folder / "index.json"
    if told.is_file():
        return case
    stored = np.lib.format.open_memmap(case.vectors, mode="w+", dtype=np.int8, shape=(count, dims))
    for start, part in _drawn(count, dims):
        stored[start : start + len(part)] = part
    stored.flush()
    np.save(case.queries, _queries(count, dims))
    assert case.graph is not None
    began = time.perf_counter()
    build_graph(stored, "int8", case.graph)
    told.write_text(json.dumps({"seconds": time.perf_counter() - began}))
    return case


class _World:
    """The offset and the directions, which vectors and queries share."""

    def __init__(self, dims: int) -> None:
        rng = np.random.default_rng(7)
        rank = min(RANK, dims)
        weights = 1 / np.sqrt(np.arange(1, rank + 1))
        self.weights = (weights / np.linalg.norm(weights)).astype(np.float32)
        self.directions = np.linalg.qr(rng.standard_normal((dims, rank)))[0].T.astype(np.float32)
        offset = rng.standard_normal(dims)
        self.offset = (OFFSET * offset / np.linalg.norm(offset)).astype(np.float32)

    def place(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Coefficients of the directions float32 `[count, rank]`."""
        return rng.standard_normal((count, len(self.weights)), dtype=np.float32) * self.weights

    def vectors(self, rng: np.random.Generator, places: np.ndarray) -> np.ndarray:
        """Unit vectors float32 `[count, dims]`."""
        dims = len(self.offset)
        noise = rng.standard_normal((len(places), dims), dtype=np.float32) * (NOISE / dims**0.5)
        vectors: np.ndarray = places @ self.directions + noise + self.offset
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


def _drawn(count: int, dims: int) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of codes int8 with one scale, which the largest values of a few in a million may exceed."""
    from onegen_el.knowledge.vectors import quantise

    world = _World(dims)
    scale = 0.0
    for start in range(0, count, BLOCK):
        rng = np.random.default_rng((1, start))
        places = world.place(rng, min(BLOCK, count - start))
        part = world.vectors(rng, places)
        scale = scale or 127 / float(np.abs(part).max())
        yield start, quantise(part, scale)


def _queries(count: int, dims: int) -> np.ndarray:
    world = _World(dims)
    rng = np.random.default_rng(2)
    places = world.place(np.random.default_rng((1, 0)), min(BLOCK, count))[:QUERIES]
    return world.vectors(rng, places + MOVED * world.place(rng, len(places)))
