"""The graph against exact search, what its file holds, and builds that are cut off."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from onegen_el.errors import KBError
from onegen_el.knowledge import graph as module
from onegen_el.knowledge.exact import ExactSearch
from onegen_el.knowledge.graph import GraphSearch, build_graph
from onegen_el.knowledge.graph_file import map_vectors, renumber
from onegen_el.knowledge.vectors import VectorIndex, quantise


def unit_vectors(count: int, dims: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, dims)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def as_stored(vectors: np.ndarray, dtype: str) -> np.ndarray:
    return quantise(vectors, 127 / np.abs(vectors).max()) if dtype == "int8" else vectors.astype(np.float16)


@pytest.fixture(scope="module")
def stored() -> np.ndarray:
    return as_stored(unit_vectors(4000, 16), "int8")


@pytest.fixture(scope="module")
def path(stored: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "index.usearch"
    build_graph(stored, "int8", path)
    return path


@pytest.fixture
def only_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at all vectors is an error."""

    def refuse(*_: object) -> None:
        raise AssertionError("exact search was asked")

    monkeypatch.setattr(ExactSearch, "find", refuse)


@pytest.mark.parametrize("dtype", ["int8", "float16"])
@pytest.mark.parametrize("queries", [1, 90])
def test_the_graph_finds_what_exact_search_finds(
    tmp_path: Path, dtype: str, queries: int, request: pytest.FixtureRequest
) -> None:
    stored = as_stored(unit_vectors(4000, 16), dtype)
    build_graph(stored, dtype, tmp_path / "graph")  # type: ignore[arg-type]
    asked = unit_vectors(queries, 16, seed=1)
    exact = VectorIndex(stored, tmp_path / "graph").exact().search(asked, 5)
    request.getfixturevalue("only_graph")
    graph = VectorIndex(stored, tmp_path / "graph").search(asked, 5)
    found = exact.keys == graph.keys
    assert found.mean() > 0.99
    np.testing.assert_array_equal(exact.scores[found], graph.scores[found])


def test_few_vectors_are_all_looked_at(tmp_path: Path) -> None:
    vectors = unit_vectors(3, 8).astype(np.float16)
    build_graph(vectors, "float16", tmp_path / "graph")
    for queries in (1, 2):
        hits = VectorIndex(vectors, tmp_path / "graph").search(np.ones((queries, 8)), 5)
        assert (np.sort(hits.keys, axis=1) == [-1, -1, 0, 1, 2]).all()
        assert (hits.keys[:, 3:] == -1).all()


@pytest.mark.parametrize("share", [0.02, 0.9, 0.999, 1])
@pytest.mark.parametrize("width", [8, 64])
def test_what_is_removed_is_passed_over_until_k_are_found(
    path: Path, stored: np.ndarray, share: float, width: int
) -> None:
    removed = np.sort(np.random.default_rng(3).permutation(4000)[: round(share * 4000)])
    asked = unit_vectors(200, 16, seed=1)
    none = np.empty(0, np.int64)
    rows, keys, _ = GraphSearch(path, stored, width).find(asked, 5, removed)
    live = np.setdiff1d(np.arange(4000), removed)
    assert not np.isin(keys, removed).any()
    assert (np.bincount(rows, minlength=200) == min(5, len(live))).all()
    if len(live):
        expected = VectorIndex(stored[live]).search(asked, 5)
        truth = live[expected.keys[:, : min(5, len(live))]]
        assert (truth == keys.reshape(200, -1)).mean() > (0.8 if width == 8 else 0.97)
    assert len(GraphSearch(path, stored, width).find(asked, 5, none)[0]) == 1000


def test_neighbours_that_are_all_removed_do_not_hide_what_is_behind(
    path: Path, stored: np.ndarray, only_graph: None
) -> None:
    """The nearest 40 of a query are removed, which is more than the graph is asked for at first."""
    asked = stored[:1] / np.linalg.norm(stored[:1].astype(np.float32))
    cosines = (stored @ asked[0]) / np.linalg.norm(stored.astype(np.float32), axis=1)
    order = np.argsort(-cosines)
    _, keys, _ = GraphSearch(path, stored, 8).find(asked, 2, np.sort(order[:40]))
    assert keys.tolist() == order[40:42].tolist()


def test_the_file_holds_the_vectors_where_they_are_mapped(path: Path, stored: np.ndarray) -> None:
    """If a usearch to come lays its file out otherwise, this and every opening says so."""
    mapped = map_vectors(path, 4000, 16, "int8")
    np.testing.assert_array_equal(mapped, stored)
    assert not mapped.flags.writeable
    raw = path.read_bytes()
    assert raw[:8] == (4000).to_bytes(4, "little") + (16).to_bytes(4, "little")
    assert raw[8 : 8 + stored.nbytes] == stored.tobytes()
    assert raw[8 + stored.nbytes :].startswith(b"usearch")


@pytest.mark.parametrize("options", [{"exclude_vectors": True}, {"use_64_bit_dimensions": True}])
def test_a_file_of_another_layout_is_refused(tmp_path: Path, options: dict[str, bool]) -> None:
    """Written by usearch itself as other settings of its serialisation would have it."""
    vectors = unit_vectors(30, 8).astype(np.float16)
    build_graph(vectors, "float16", tmp_path / "graph")
    raw = (tmp_path / "graph").read_bytes()
    if "exclude_vectors" in options:
        raw = raw[8 + vectors.nbytes :]
    else:
        raw = (30).to_bytes(8, "little") + (16).to_bytes(8, "little") + raw[8:]
    (tmp_path / "graph").write_bytes(raw)
    with pytest.raises(KBError, match=r"graph: .*kb build"):
        map_vectors(tmp_path / "graph", 30, 8, "float16")


def test_a_file_cut_off_among_its_nodes_says_so_when_it_is_searched(path: Path, tmp_path: Path) -> None:
    cut = tmp_path / "index.usearch"
    cut.write_bytes(path.read_bytes()[:-1000])
    index = VectorIndex(map_vectors(cut, 4000, 16, "int8"), cut)
    with pytest.raises(KBError, match=r"index.usearch: cannot be read .*copy the folder again"):
        index.search(np.ones((1, 16)), 1)


def test_a_missing_file_and_one_that_is_none_say_so(tmp_path: Path) -> None:
    with pytest.raises(KBError, match=r"index.usearch: cannot be read"):
        map_vectors(tmp_path / "index.usearch", 4, 4, "int8")
    for content in (b"", b"abc", b"\x00" * 200, b"{}" * 100):
        (tmp_path / "index.usearch").write_bytes(content)
        with pytest.raises(KBError, match=r"index.usearch: cannot be read"):
            map_vectors(tmp_path / "index.usearch", 4, 4, "int8")


def test_graphs_repeat_byte_for_byte(tmp_path: Path) -> None:
    vectors = unit_vectors(400, 16).astype(np.float16)
    for name in ("a", "b"):
        build_graph(vectors, "float16", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "b"]


class KilledError(Exception):
    pass


def killed_after(calls: int, function: Callable[..., object], after: bool) -> Callable[..., object]:
    counter = itertools.count(1)

    def wrapped(*arguments: object) -> object:
        last = next(counter) == calls
        if last and not after:
            raise KilledError
        result = function(*arguments)
        if last:
            raise KilledError
        return result

    return wrapped


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("stretches", [1, 2, 4])
def test_a_build_that_was_cut_off_goes_on_and_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stretches: int, after: bool
) -> None:
    monkeypatch.setattr(module, "CHECKPOINT", 100)
    vectors = unit_vectors(350, 16).astype(np.float16)
    build_graph(vectors, "float16", tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_save", killed_after(stretches, module._save, after))
        with pytest.raises(KilledError):
            build_graph(vectors, "float16", tmp_path / "cut")
    assert not (tmp_path / "cut").exists()
    seen: list[tuple[int, int]] = []
    build_graph(vectors, "float16", tmp_path / "cut", progress=lambda *done: seen.append(done))
    left = 350 - 100 * (stretches if after else stretches - 1)
    assert len(seen) == max(0, -(-left // 100))
    assert (tmp_path / "cut").read_bytes() == (tmp_path / "whole").read_bytes()


def test_what_a_build_of_other_vectors_left_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKPOINT", 100)
    first, second = (unit_vectors(250, 16, seed).astype(np.float16) for seed in (0, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_save", killed_after(2, module._save, True))
        with pytest.raises(KilledError):
            build_graph(first, "float16", tmp_path / "graph")
    build_graph(second, "float16", tmp_path / "graph")
    np.testing.assert_array_equal(map_vectors(tmp_path / "graph", 250, 16, "float16"), second)
    (tmp_path / "graph.part").write_bytes(b"torn")
    build_graph(second, "float16", tmp_path / "graph")
    np.testing.assert_array_equal(map_vectors(tmp_path / "graph", 250, 16, "float16"), second)


def test_several_threads_leave_the_vectors_in_order(
    stored: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKPOINT", 3000)
    exact = VectorIndex(stored).search(unit_vectors(100, 16, seed=1), 3)
    build_graph(stored, "int8", tmp_path / "graph", threads=4)
    np.testing.assert_array_equal(map_vectors(tmp_path / "graph", 4000, 16, "int8"), stored)
    found = VectorIndex(stored, tmp_path / "graph").search(unit_vectors(100, 16, seed=1), 3)
    assert (found.keys == exact.keys).mean() > 0.97


def test_renumbering_keeps_the_graph(tmp_path: Path) -> None:
    """Keys in random order, further from order than threads leave them: a node keeps its neighbours."""
    from usearch.index import Index

    vectors = as_stored(unit_vectors(2000, 16), "int8")
    order = np.random.default_rng(5).permutation(2000)
    graph = Index(ndim=16, metric="cos", dtype="i8", connectivity=5, expansion_add=32)
    graph.add(order, vectors[order], threads=1)
    graph.save(str(tmp_path / "graph"))
    asked = quantise(unit_vectors(50, 16, seed=1), 100)
    before = graph.search(asked, 20)
    renumber(tmp_path / "graph")
    np.testing.assert_array_equal(map_vectors(tmp_path / "graph", 2000, 16, "int8"), vectors)
    after = Index.restore(str(tmp_path / "graph")).search(asked, 20)
    np.testing.assert_array_equal(before.keys, after.keys)
    np.testing.assert_array_equal(before.distances, after.distances)


def test_a_file_whose_nodes_lie_elsewhere_is_not_renumbered(path: Path, tmp_path: Path) -> None:
    (tmp_path / "longer").write_bytes(path.read_bytes() + b"\x00" * 4)
    with pytest.raises(KBError, match="--threads 1"):
        renumber(tmp_path / "longer")
