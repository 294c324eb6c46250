"""What is lost by storing vectors shorter, by a graph over centred ones, and by searching it less wide.

Knows the alternatives that docs/kb-index.md speaks of, also those that are not shipped.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from kb_parts import K, recalls

ROWS = 20_000  # entities that are embedded anew, for float32 to compare with
GRAPH_ROWS = 100_000  # vectors of the two graphs
KEPT = (100, 1000)  # candidates by sign bits that are ranked again
WIDTHS = (64, 128, 192, 256, 384, 512)
ALONE = 500  # queries timed alone

Scores = np.ndarray  # [queries, rows], descending means nearer


def widths(kb: Path, queries: Path) -> dict[str, Any]:
    """Recall and time of the knowledge base's graph by how wide it is searched."""
    from onegen_el.knowledge import KnowledgeBase
    from onegen_el.knowledge.graph import GraphSearch

    opened, asked = KnowledgeBase.open(kb), np.load(queries)
    truth = opened.exact().search(asked, K).scores
    graphs = [search for each in opened.segments if isinstance(search := each.index.by, GraphSearch)]
    told = {}
    for width in WIDTHS:
        for graph in graphs:
            graph.width = width
        found = opened.search(asked, K).scores
        began = time.perf_counter()
        for query in asked[:ALONE]:
            opened.search(query[None], K)
        ms = (time.perf_counter() - began) / min(ALONE, len(asked)) * 1e3
        told[str(width)] = {"ms": ms, **recalls(found, truth)}
    return told


def forms(kb: Path, model: str | None, queries: Path) -> dict[str, Any]:
    """Recall of exact search in float32 by other forms of the vectors, and of two graphs."""
    from onegen_el.backbone import load_backbone
    from onegen_el.knowledge import KnowledgeBase, entity_text

    opened = KnowledgeBase.open(kb)
    texts = [entity_text(entity, opened.manifest.template) for entity in islice(opened, ROWS)]
    unit = _unit(opened.shortened(load_backbone(model, "cpu").embed_entities(texts)))
    asked = _unit(opened.shortened(np.load(queries)))
    truth = asked @ unit.T
    best = -np.sort(-truth, axis=1)[:, :K]
    told = {
        name: {"bytes": size, **recalls(_true(truth, rows), best)}
        for name, size, rows in _stored(unit, asked)
    }
    few = np.asarray(opened.segments[0].own_vectors()[:GRAPH_ROWS])
    return {"rows": len(unit), "forms": told, "graph_rows": len(few), "graphs": _graphs(few, asked)}


def _stored(unit: np.ndarray, asked: np.ndarray) -> Iterator[tuple[str, float, np.ndarray]]:
    """Name, bytes of a vector and the K rows found for each query."""
    from onegen_el.knowledge.vectors import quantise

    dims = unit.shape[1]
    mean = unit.mean(axis=0)
    centred = unit - mean
    codes = quantise(unit, 127 / np.abs(unit).max()).astype(np.float32)
    int8 = asked @ _unit(codes).T
    yield "float16", 2 * dims, _top(asked @ _unit(unit.astype(np.float16).astype(np.float32)).T, K)
    yield "int8", dims, _top(int8, K)
    # A product with the mean is the same for all rows, so it may be left out.
    yield "int8, centred", dims, _top(asked @ quantise(centred, 127 / np.abs(centred).max()).T, K)
    for name, left, right in (("", asked, unit), (", centred", asked - mean, centred)):
        bits = np.sign(left) @ np.sign(right).T
        yield f"sign bits{name}", dims / 8, _top(bits, K)
        for kept in KEPT:
            some = _top(bits, kept)
            again = np.take_along_axis(some, _top(np.take_along_axis(int8, some, axis=1), K), axis=1)
            yield f"sign bits{name}, the best {kept:,} ranked by int8", dims + dims / 8, again


def _graphs(stored: np.ndarray, asked: np.ndarray) -> dict[str, Any]:
    """Recall and compared vectors a query, of graphs over vectors as they are stored and centred."""
    from onegen_el.knowledge.graph import GraphSearch, build_graph
    from onegen_el.knowledge.vectors import VectorIndex, quantise

    unit = _unit(stored.astype(np.float32))
    mean = unit.mean(axis=0)
    centred = unit - mean
    truth = VectorIndex(stored).search(asked, K).scores
    told = {}
    for name, codes, left in (
        ("as stored", stored, asked),
        ("centred", quantise(centred, 127 / np.abs(centred).max()), asked - mean),
    ):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "graph"
            build_graph(codes, "int8", path)
            graph = GraphSearch(path, codes)
            for width in WIDTHS[:4]:
                found = graph.graph.search(
                    quantise(left, 127 / np.abs(left).max(axis=1, keepdims=True)), width
                )
                keys = found.keys.astype(np.int64)
                cosines = np.einsum("qd,qkd->qk", asked, unit[keys])
                told[f"{name}, {width}"] = {
                    "compared": found.computed_distances / len(asked),
                    **recalls(-np.sort(-cosines, axis=1)[:, :K], truth),
                }
    return told


def _top(scores: Scores, count: int) -> np.ndarray:
    count = min(count, scores.shape[1])
    rows: np.ndarray = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    return rows


def _true(truth: Scores, rows: np.ndarray) -> np.ndarray:
    found: np.ndarray = -np.sort(-np.take_along_axis(truth, rows, axis=1), axis=1)
    return found


def _unit(vectors: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
