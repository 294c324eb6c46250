"""Speed and recall of ways to search the same vectors, side by side: ours, the reference's, faiss.

Knows nothing of entities. Every way has a process of its own, so that none pays for another's memory.
"""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from kb_parts import K, recalls

SECONDS = 10.0  # a measurement takes about as long, if it is not one query that does
BATCH = 64
FAISS_LINKS, FAISS_ADD = 16, 128  # neighbours (twice as many on the ground floor), search when added
FAISS_SEARCH = (64, 128, 256, 512, 1024)  # the first that reaches RECALL is taken, else the last
RECALL = 0.995
ORDER = ("graph", "exact", "reference", "faiss hnsw", "faiss flat")

Find = Callable[[np.ndarray], np.ndarray]  # queries [n, dims] to the rows of K vectors [n, K]
Fresh = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Case:
    """Vectors int8 or float16 and queries float32 of one width in .npy files; `kb` or `graph` is ours.

    `folder` keeps what is made of them.
    """

    folder: Path
    vectors: Path
    queries: Path
    kb: Path | None = None
    graph: Path | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """How to search; `seconds` its index took to build, `bytes` it keeps in memory or on disk."""

    find: Find
    bytes: int
    seconds: float = 0.0
    note: str = ""


def measure_kb(fresh: Fresh, kb: Path, queries: Path, cache: Path, without: Sequence[str]) -> dict[str, Any]:
    return measure(fresh, fresh(case_of, kb, queries, cache), without)


def case_of(kb: Path, queries: Path, cache: Path) -> Case:
    """The vectors of the knowledge base as they are compared: one an entity, of all segments."""
    from onegen_el.knowledge import KnowledgeBase

    opened = KnowledgeBase.open(kb)
    if opened.manifest.alias_vectors or any(segment.removed is not None for segment in opened.segments):
        raise SystemExit(
            "the part rates needs a KB without alias vectors and removals: `onegen-el kb compact`"
        )
    folder = cache / f"{opened.fingerprint[:8]}-{len(opened)}-{opened.manifest.dims}"
    folder.mkdir(parents=True, exist_ok=True)
    case = Case(folder, folder / "vectors.npy", folder / f"{queries.stem}-short.npy", kb)
    np.save(case.vectors, opened.vectors)
    np.save(case.queries, opened.shortened(np.load(queries)))
    # Ours is asked with the queries as the model gives them, and shortens them itself.
    np.save(case.queries.with_name(f"{case.queries.stem}-model.npy"), np.load(queries))
    return case


def measure(fresh: Fresh, case: Case, without: Sequence[str]) -> dict[str, Any]:
    fresh(truth_of, case)
    names = [name for name in ORDER if name not in without and (name != "graph" or case.kb or case.graph)]
    if not importlib.util.find_spec("faiss"):
        names = [name for name in names if not name.startswith("faiss")]
    return {name: fresh(one, name, case) for name in names}


def truth_of(case: Case) -> Path:
    """Exact cosines of the K best, made once."""
    from onegen_el.knowledge import VectorIndex

    path = case.folder / f"truth-{case.queries.stem}.npy"
    if not path.is_file():
        index = VectorIndex(np.load(case.vectors, mmap_mode="r"))
        np.save(path, index.search(np.load(case.queries), K).scores)
    return path


def one(name: str, case: Case) -> dict[str, Any]:
    """Milliseconds of a query alone, queries/s in batches, recall, of one way."""
    truth = np.load(truth_of(case))
    way = WAYS[name](case, truth)
    queries = _asked(name, case)
    way.find(queries[:1])  # the first pays for what is opened late
    alone, single = _timed(way.find, queries, 1)
    together, batched = _timed(way.find, queries, BATCH)
    rows = max((alone, together), key=len)
    return {
        "ms": single / len(alone) * 1e3,
        "batched": len(together) / batched,
        "build_seconds": way.seconds,
        "bytes": way.bytes,
        "note": way.note,
        "queries": len(rows),
        **recalls(_cosines(case, rows), truth[: len(rows)]),
    }


def _asked(name: str, case: Case) -> np.ndarray:
    model = case.queries.with_name(f"{case.queries.stem}-model.npy")
    queries: np.ndarray = np.load(model if name == "graph" and case.kb else case.queries)
    return queries


def _timed(find: Find, queries: np.ndarray, size: int) -> tuple[np.ndarray, float]:
    """What was found for as many of the queries as SECONDS allowed, and the seconds."""
    found = []
    began = time.perf_counter()
    for start in range(0, len(queries) - size + 1, size):
        found.append(find(queries[start : start + size]))
        if time.perf_counter() - began > SECONDS:
            break
    return np.concatenate(found), time.perf_counter() - began


def _cosines(case: Case, rows: np.ndarray) -> np.ndarray:
    """Exact cosines of queries and the vectors `rows` that were found for them, in descending order."""
    vectors = np.asarray(np.load(case.vectors, mmap_mode="r"))
    queries = np.load(case.queries)
    scores = np.empty(rows.shape, np.float64)
    for number, found in enumerate(rows):
        query = queries[number].astype(np.float64)
        right = vectors[np.maximum(found, 0)].astype(np.float64)
        cosines = right @ query / np.linalg.norm(query) / np.linalg.norm(right, axis=1)
        scores[number] = -np.sort(-np.where(found < 0, -2, cosines))
    return scores


def _unit(vectors: np.ndarray) -> np.ndarray:
    unit = np.asarray(vectors).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    return unit


def _graph(case: Case, _: np.ndarray) -> Way:
    from onegen_el.knowledge import KnowledgeBase, VectorIndex

    if case.kb:
        kb = KnowledgeBase.open(case.kb)
        files = kb.manifest.files
        size = sum(files[name].size for name in files if name.endswith((".usearch", "vectors.npy")))
        return Way(lambda queries: kb.search(queries, K).keys, size, note=kb.manifest.index)
    assert case.graph is not None
    vectors = np.load(case.vectors, mmap_mode="r")
    index = VectorIndex(vectors, case.graph)
    seconds = json.loads(case.graph.with_suffix(".json").read_text())["seconds"]
    return Way(lambda queries: index.search(queries, K).keys, case.graph.stat().st_size, seconds)


def _exact(case: Case, _: np.ndarray) -> Way:
    from onegen_el.knowledge import VectorIndex

    vectors = np.load(case.vectors, mmap_mode="r")
    index = VectorIndex(vectors)
    return Way(lambda queries: index.search(queries, K).keys, vectors.nbytes)


def _reference(case: Case, _: np.ndarray) -> Way:
    """A cosine by a matrix product for which all vectors are normalised at each call, in float32."""
    import torch

    torch.set_num_threads(1)
    matrix = torch.from_numpy(np.load(case.vectors, mmap_mode="r").astype(np.float32))

    def find(queries: np.ndarray) -> np.ndarray:
        left = torch.nn.functional.normalize(torch.from_numpy(queries), dim=1)
        right = torch.nn.functional.normalize(matrix, dim=1)
        rows: np.ndarray = torch.topk(left @ right.T, K, dim=1).indices.numpy()
        return rows

    return Way(find, matrix.numel() * 4)


def _faiss_flat(case: Case, _: np.ndarray) -> Way:
    import faiss

    faiss.omp_set_num_threads(1)
    unit = _unit(np.load(case.vectors, mmap_mode="r"))
    index = faiss.IndexFlatIP(unit.shape[1])
    index.add(unit)
    return Way(lambda queries: index.search(_unit(queries), K)[1], unit.nbytes)


def _faiss_hnsw(case: Case, truth: np.ndarray) -> Way:
    """Searched as wide as it takes to reach RECALL."""
    import faiss

    faiss.omp_set_num_threads(1)
    path = case.folder / f"faiss-{FAISS_LINKS}-{FAISS_ADD}.index"
    told = path.with_suffix(".json")
    if not told.is_file():
        unit = _unit(np.load(case.vectors, mmap_mode="r"))
        index = faiss.IndexHNSWFlat(unit.shape[1], FAISS_LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = FAISS_ADD
        began = time.perf_counter()
        index.add(unit)
        seconds = time.perf_counter() - began
        faiss.write_index(index, str(path))
        told.write_text(json.dumps({"seconds": seconds}))
    else:
        index = faiss.read_index(str(path))
    queries = _unit(np.load(case.queries))
    for width in FAISS_SEARCH:
        index.hnsw.efSearch = width
        if recalls(_cosines(case, index.search(queries, K)[1]), truth)["recall@1"] >= RECALL:
            break
    return Way(
        lambda asked: index.search(_unit(asked), K)[1],
        path.stat().st_size,
        json.loads(told.read_text())["seconds"],
        f"M {FAISS_LINKS}, efConstruction {FAISS_ADD}, efSearch {width}",
    )


WAYS: dict[str, Callable[[Case, np.ndarray], Way]] = {
    "graph": _graph,
    "exact": _exact,
    "reference": _reference,
    "faiss hnsw": _faiss_hnsw,
    "faiss flat": _faiss_flat,
}
