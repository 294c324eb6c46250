"""A knowledge base searched exactly, on the CPU and as on a device, with several segments and removals."""

from pathlib import Path

import numpy as np
import pytest

from onegen_el.document import Entity
from onegen_el.knowledge import KnowledgeBase, build_kb
from onegen_el.knowledge import graph as graph_module
from onegen_el.knowledge.edit import add_entities, remove_entities

COUNT, ADDED = 3000, 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exact") / "kb"
    given = vectors()
    encode = lambda texts: given[[int(text) for text in texts]]  # noqa: E731
    model = {"fingerprint": "f" * 64, "model_name": "m"}
    entities = [Entity(f"Q{row}", str(row)) for row in range(COUNT + ADDED)]
    build_kb(entities[:COUNT], encode, folder, template="{title}", index="hnsw", **model)  # type: ignore[arg-type]
    add_entities(folder, entities[COUNT:], encode, **model)
    remove_entities(folder, [f"Q{row}" for row in range(0, COUNT, 3)])
    return folder


def vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((COUNT + ADDED, 12)).astype(np.float32)


# "cpu:0" is the CPU by the way of devices.
@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_exact_search_of_all_segments_finds_the_best_that_is_left(
    folder: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the graph was asked")

    kb = KnowledgeBase.open(folder)
    monkeypatch.setattr(graph_module.GraphSearch, "find", refuse)
    exact = kb.exact(device)
    assert len(exact) == len(kb) == COUNT + ADDED - COUNT // 3 and exact.manifest is kb.manifest
    assert ("exact on cpu:0" in repr(exact.segments[0])) == (device == "cpu:0")
    queries = vectors()[np.r_[1:COUNT:50, COUNT : COUNT + ADDED]] + 0.01
    stored = kb.vectors.astype(np.float64)
    cosines = queries @ stored.T / np.linalg.norm(stored, axis=1) / np.linalg.norm(queries, axis=1)[:, None]
    live = [entity.id for entity in kb]
    found = exact.search(queries, 1)
    assert [entity.id for entity in kb.entities(found.keys[:, 0].tolist())] == [
        live[row] for row in cosines.argmax(axis=1)
    ]
    np.testing.assert_allclose(found.scores[:, 0], cosines.max(axis=1), atol=1e-6)


def test_the_knowledge_base_itself_stays_as_it_was(folder: Path) -> None:
    kb = KnowledgeBase.open(folder)
    kb.exact()
    assert "hnsw" in repr(kb.segments[0])
