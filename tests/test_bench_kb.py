"""`benchmarks/bench_kb.py` on a small knowledge base: parts run, and figures are right where known."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from onegen_el.document import Entity
from onegen_el.knowledge import build_kb

BENCH = Path(__file__).parents[1] / "benchmarks" / "bench_kb.py"
COUNT = 3000


def vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((COUNT, 12)).astype(np.float32)


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    folder = tmp_path_factory.mktemp("bench")
    given = vectors()
    build_kb(
        [Entity(f"Q{row}", f"Thing {row}") for row in range(COUNT)],
        lambda texts: given[[int(text.split()[-1]) for text in texts]],
        folder / "kb",
        fingerprint="f" * 64,
        model_name="m",
        template="{title}",
        index="hnsw",
    )
    np.save(folder / "queries.npy", given[:200] + 0.01)
    (folder / "built.json").write_text(
        json.dumps({"entities": COUNT, "seconds": {"embed": 3.0, "graph": 1.5}}) + "\n"
    )
    options = [
        str(folder / "kb"),
        "--queries",
        str(folder / "queries.npy"),
        "--without",
        "faiss hnsw",
        "faiss flat",
        "--sample",
        "100",
    ]
    options += ["--wide-count", "4000", "--wide-dims", "24", "--cache", str(folder / "cache")]
    options += ["--stages", str(folder / "built.json"), "--json", str(folder / "figures.json")]
    options += ["--markdown", str(folder / "table.md")]
    # Some parts as they are meant to be run, in fresh processes; the others here, where all is imported.
    command = [sys.executable, str(BENCH), *options, "--parts", "build,size,memory"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH.parent))
        import bench_kb

        patch.setattr(bench_kb, "fresh", lambda function, *arguments: function(*arguments))
        patch.setattr(bench_kb, "one_core", lambda: None)
        patch.setattr(torch, "set_num_threads", lambda count: None)  # other tests have the threads they had
        bench_kb.main([*options, "--parts", "recall,widths,rates,wide"])
    return json.loads((folder / "figures.json").read_text()), (folder / "table.md").read_text()


def test_sizes_and_recall_are_those_of_the_knowledge_base(
    figures: tuple[dict[str, Any], str],
) -> None:
    told, table = figures
    assert told["size"]["entities"] == COUNT and told["size"]["index"] == "hnsw"
    assert COUNT * 12 < told["size"]["vectors_and_index"] < COUNT * 12 + COUNT * 120
    assert told["recall"]["queries"] == 100
    assert told["recall"]["recall@1"] > 0.98
    assert told["widths"]["128"]["recall@1"] >= told["widths"]["64"]["recall@1"] > 0.95
    assert "| searched as wide as | recall@1 | recall@10 | ms |" in table
    assert "| build: embed | 3.0 s, 1,000 entities/s |" in table
    assert "| build: graph | 1.5 s, 2,000 entities/s |" in table


def test_every_way_finds_the_same_vectors(figures: tuple[dict[str, Any], str]) -> None:
    told, table = figures
    for ways in (told["rates"], told["wide"]["ways"]):
        assert list(ways) == ["graph", "exact", "reference"]
        for name in ("exact", "reference"):
            assert ways[name]["recall@1"] == 1 and ways[name]["recall@10"] > 0.999
        assert ways["graph"]["recall@1"] > 0.95
    exact = told["wide"]["ways"]["exact"]["ms"]
    assert told["wide"]["expected_ms"]["exact"] == pytest.approx(exact * 1_250_000 / 4000)
    assert "4,000 generated vectors of 24" in table and "1,250,000" in table


def test_memory_is_measured(figures: tuple[dict[str, Any], str]) -> None:
    told, _ = figures
    assert told["memory"]["resident"] > 1e6


def test_parts_that_do_not_exist_are_named() -> None:
    done = subprocess.run([sys.executable, str(BENCH), "--parts", "sise"], capture_output=True, text=True)
    assert done.returncode == 2 and "no part sise; parts are build, size" in done.stderr
