"""What a knowledge base costs by itself: its build by stage, disk, opening, memory, what its index misses.

Knows the package's own search only; others stand beside it in kb_rates.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

K = 10  # answers of a query
ASKED = 1000  # queries after which memory is read
EQUAL = 1e-6  # cosines this near are those of equally good answers


def stages(printed: Path) -> dict[str, Any]:
    """Entities and the seconds of each stage, from what `onegen-el kb build --json` printed."""
    told: dict[str, Any] = json.loads(printed.read_text("utf-8").strip().splitlines()[-1])
    return told


def sizes(kb: Path) -> dict[str, Any]:
    from onegen_el.knowledge import KnowledgeBase

    opened = KnowledgeBase.open(kb)
    vectors = sum(segment.index.vectors.nbytes for segment in opened.segments)
    files: dict[str, int] = {}
    for name, record in opened.manifest.files.items():
        base = name.rpartition("/")[2]
        files[base] = files.get(base, 0) + record.size
    return {
        "entities": len(opened),
        "dims": opened.manifest.dims,
        "dtype": opened.manifest.dtype,
        "index": opened.manifest.index,
        "files": files,
        "vectors": vectors,
        "vectors_and_index": sum(files.get(name, 0) for name in ("vectors.npy", "index.usearch")),
    }


def opening(kb: Path, queries: Path) -> dict[str, float]:
    """Seconds of the import, of opening, and of the first search; the files are in the system's cache."""
    asked = np.load(queries)[:1]
    times = [time.perf_counter()]
    from onegen_el.knowledge import KnowledgeBase

    times.append(time.perf_counter())
    opened = KnowledgeBase.open(kb)
    times.append(time.perf_counter())
    opened.search(asked, K)
    times.append(time.perf_counter())
    imported, open_, first = np.diff(times).tolist()
    return {"import": imported, "open": open_, "first_search": first}


def memory(kb: Path, queries: Path) -> dict[str, float]:
    """Resident bytes before and after opening, ASKED searches and look-ups of what they found."""
    from onegen_el.knowledge import KnowledgeBase

    asked = np.resize(np.load(queries), (ASKED, np.load(queries, mmap_mode="r").shape[1]))
    before = _resident()
    opened = KnowledgeBase.open(kb)
    for query in asked:
        keys = opened.search(query[None], K).keys[0]
        opened.entities(keys[keys >= 0].tolist())
    after = _resident()
    return {f"{name}_before": value for name, value in before.items()} | after


def recall(kb: Path, queries: Path) -> dict[str, float]:
    """Recall@1 and @10 of the index against looking at all vectors."""
    from onegen_el.knowledge import KnowledgeBase

    opened, asked = KnowledgeBase.open(kb), np.load(queries)
    truth = opened.exact().search(asked, K).scores
    found = opened.search(asked, K).scores
    return {"queries": len(asked), **recalls(found, truth)}


def recalls(found: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Both are exact cosines `[n, K]` in descending order. An answer that is as near counts as the same."""
    hits = found >= truth[:, -1:] - EQUAL
    return {
        "recall@1": float((found[:, 0] >= truth[:, 0] - EQUAL).mean()),
        "recall@10": float(hits.mean()),
    }


def _resident() -> dict[str, float]:
    """Bytes of this process in memory; on Linux also those of its own and those of mapped files."""
    status = Path("/proc/self/status")
    if not status.is_file():
        unit = 1 if sys.platform == "darwin" else 1024
        return {"resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    names = {"resident": "VmRSS", "own": "RssAnon", "mapped": "RssFile"}
    return {name: int(fields[field].split()[0]) * 1024 for name, field in names.items()}
