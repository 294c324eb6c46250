"""Exact search against plain numpy, on the CPU and through torch; which search goes with which files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from onegen_el.errors import KBError
from onegen_el.knowledge import device, exact
from onegen_el.knowledge import vectors as module
from onegen_el.knowledge.device import DeviceScan, fits
from onegen_el.knowledge.exact import ExactSearch
from onegen_el.knowledge.vectors import EXACT_BELOW, VectorIndex, build_graph, choose_index, quantise


def random_vectors(count: int, dims: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, dims)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def truth(vectors: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Keys and cosines by sorting all of them in float64, one query at a time; equal ones by key."""
    rows = vectors.astype(np.float64)
    keys, scores = [], []
    for query in queries.astype(np.float64):
        cosines = (rows * (query / np.linalg.norm(query))).sum(1) / np.linalg.norm(rows, axis=1)
        # Equal vectors must come out equal, so ranks are taken at the precision of the answer.
        cosines = cosines.astype(np.float32)
        best = np.lexsort((np.arange(len(rows)), -cosines))[:k]
        keys.append(best)
        scores.append(cosines[best])
    return np.array(keys), np.array(scores)


@given(
    count=st.integers(1, 60),
    dims=st.integers(1, 9),
    queries=st.integers(1, 5),
    k=st.integers(1, 12),
    block=st.integers(1, 200),
    tile=st.integers(1, 5),
    seed=st.integers(0, 999),
)
@settings(max_examples=80, deadline=None)
def test_exact_search_is_exact_with_ties_by_key(
    count: int, dims: int, queries: int, k: int, block: int, tile: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    # Codes of -1, 0, 1 make many vectors equal.
    vectors = rng.integers(-1, 2, (count, dims)).astype(np.int8)
    vectors[~vectors.any(axis=1), 0] = 1
    asked = rng.integers(-3, 4, (queries, dims)).astype(np.float32)
    asked[~asked.any(axis=1), 0] = 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "BLOCK_VALUES", block)
        patch.setattr(module, "QUERIES", tile)
        hits = VectorIndex(vectors).search(asked, k)
    _, scores = truth(vectors, asked, k)
    there = min(k, count)
    np.testing.assert_allclose(hits.scores[:, :there], scores, atol=1e-6)
    assert (np.diff(hits.scores[:, :there], axis=1) <= 0).all()
    for row in range(queries):
        twins = np.diff(hits.scores[row, :there]) == 0
        assert (np.diff(hits.keys[row, :there])[twins] > 0).all()
        for key in hits.keys[row, :there]:
            # An equal vector with a smaller key must stand before this one.
            equal = np.flatnonzero((vectors == vectors[key]).all(axis=1))
            assert set(equal[equal < key]) <= set(hits.keys[row, :there])
    assert (hits.keys[:, there:] == -1).all()
    assert (hits.scores[:, there:] == -np.inf).all()
    assert len(set(map(int, hits.keys[0, :there]))) == there


@pytest.mark.parametrize("dtype", [np.int8, np.float16])
def test_search_over_many_blocks_equals_sorting_everything(dtype: type) -> None:
    vectors = random_vectors(3000, 24)
    stored = quantise(vectors, 127 / np.abs(vectors).max()) if dtype is np.int8 else vectors.astype(dtype)
    queries = random_vectors(130, 24, seed=1) * 5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "BLOCK_VALUES", 24 * 500)
        hits = VectorIndex(stored).search(queries, 7)
    keys, scores = truth(stored, queries, 7)
    np.testing.assert_array_equal(hits.keys, keys)
    np.testing.assert_allclose(hits.scores, scores, atol=2e-7)


def test_a_score_does_not_depend_on_the_batch() -> None:
    index = VectorIndex(random_vectors(500, 32).astype(np.float16))
    queries = random_vectors(70, 32, seed=1)
    together = index.search(queries, 5)
    alone = [index.search(queries[row : row + 1], 5) for row in range(70)]
    np.testing.assert_array_equal(together.keys, np.concatenate([hits.keys for hits in alone]))
    np.testing.assert_array_equal(together.scores, np.concatenate([hits.scores for hits in alone]))


def test_int8_with_one_scale_loses_next_to_nothing() -> None:
    vectors = random_vectors(2000, 128)
    queries = vectors[:300] + 0.05 * random_vectors(300, 128, seed=1)
    stored = quantise(vectors, 127 / np.abs(vectors).max())
    hits, (keys, scores) = VectorIndex(stored).search(queries, 10), truth(vectors, queries, 10)
    assert np.abs(stored).max() == 127
    assert (hits.keys[:, 0] == keys[:, 0]).all()
    # Steps of max/127 shift a cosine of random 128-d vectors by about 0.001.
    assert np.abs(hits.scores - scores).max() < 0.005


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_queries_that_are_not_finite_are_refused(bad: float) -> None:
    queries = np.ones((2, 4), np.float32)
    queries[1, 2] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        VectorIndex(random_vectors(5, 4)).search(queries, 1)


@pytest.mark.parametrize(
    ("shape", "k", "says"), [((4,), 1, r"\[n, 4\]"), ((2, 3), 1, r"\[2, 3\]"), ((2, 4), 0, "at least 1")]
)
def test_impossible_searches_are_refused(shape: tuple[int, ...], k: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        VectorIndex(random_vectors(5, 4)).search(np.ones(shape), k)


def test_no_queries_no_hits_and_a_query_of_zeros_is_equally_far_from_all() -> None:
    index = VectorIndex(random_vectors(5, 4))
    assert index.search(np.empty((0, 4)), 3).keys.shape == (0, 3)
    hits = index.search(np.zeros((1, 4)), 3)
    assert hits.keys.tolist() == [[0, 1, 2]] and not hits.scores.any()


def test_the_rule_for_auto() -> None:
    assert choose_index("auto", EXACT_BELOW - 1) == "exact"
    assert choose_index("auto", EXACT_BELOW) == "hnsw"
    assert choose_index("hnsw", 1) == "hnsw"


@given(
    count=st.integers(1, 60),
    k=st.integers(1, 12),
    block=st.integers(1, 100),
    share=st.sampled_from([0, 0.1, 0.5, 0.9, 1]),
    scan=st.sampled_from(["host", "torch"]),
    seed=st.integers(0, 999),
)
@settings(max_examples=100, deadline=None)
def test_what_is_removed_is_never_found_and_the_rest_is_as_without_it(
    count: int, k: int, block: int, share: float, scan: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-9, 10, (count, 5)).astype(np.int8)
    vectors[:, 0] = 1
    removed = np.sort(rng.permutation(count)[: round(share * count)])
    live = np.setdiff1d(np.arange(count), removed)
    asked = rng.standard_normal((3, 5)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "BLOCK_VALUES", block)
        patch.setattr(device, "DEVICE_BLOCK_VALUES", block)
        index = VectorIndex(vectors)
        if scan == "torch":
            index.by = ExactSearch(vectors, DeviceScan(vectors, "cpu"))
        hits = index.search(asked, k, removed)
    expected = VectorIndex(vectors[live]).search(asked, k) if len(live) else None
    there = min(k, len(live))
    if expected is not None:
        np.testing.assert_array_equal(hits.keys[:, :there], live[expected.keys[:, :there]])
        np.testing.assert_array_equal(hits.scores, expected.scores)
    assert (hits.keys[:, there:] == -1).all()


@pytest.mark.parametrize("dtype", [np.int8, np.float16])
@pytest.mark.parametrize("precision", ["highest", "medium"])
def test_the_scan_of_a_device_gives_the_answers_of_the_cpu(dtype: type, precision: str) -> None:
    """Many equal and nearly equal vectors: what is best is decided in float64 on both."""
    vectors = random_vectors(2000, 24)
    vectors[1000:1500] = vectors[:500]
    stored = quantise(vectors, 127 / np.abs(vectors).max()) if dtype is np.int8 else vectors.astype(dtype)
    queries = np.concatenate([random_vectors(60, 24, seed=1), vectors[:30]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "DEVICE_BLOCK_VALUES", 24 * 700)
        torch.set_float32_matmul_precision(precision)
        try:
            index = VectorIndex(stored)
            index.by = ExactSearch(stored, DeviceScan(stored, "cpu"))
            hits = index.search(queries, 7)
            assert torch.get_float32_matmul_precision() == precision
        finally:
            torch.set_float32_matmul_precision("highest")
    expected = VectorIndex(stored).search(queries, 7)
    np.testing.assert_array_equal(hits.keys, expected.keys)
    np.testing.assert_array_equal(hits.scores, expected.scores)


def test_vectors_that_do_not_fit_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    index = VectorIndex(random_vectors(40, 4).astype(np.float16))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (device.SPARE + 40 * 4 * 2 + 40 * 4, 0))
    assert fits(index.vectors, "cuda")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (device.SPARE + 40 * 4 * 2 + 40 * 4 - 1, 0))
    assert not fits(index.vectors, "cuda")
    assert index.exact("cuda") is index


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_answers_of_the_cpu() -> None:
    index = VectorIndex(quantise(random_vectors(100_000, 128), 300))
    queries = random_vectors(100, 128, seed=1)
    there = index.exact("cuda")
    assert "exact on cuda" in repr(there)
    np.testing.assert_array_equal(there.search(queries, 10).keys, index.search(queries, 10).keys)
    np.testing.assert_array_equal(there.search(queries, 10).scores, index.search(queries, 10).scores)


def test_opening_reads_no_vectors_and_searching_reads_norms_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "BLOCK_VALUES", 8 * 10)
    vectors = random_vectors(35, 8).astype(np.float16)
    index = VectorIndex(vectors)
    scan = index.by._scan  # type: ignore[attr-defined]
    assert scan._inverse == {}
    index.search(vectors[:1], 1)
    assert sorted(scan._inverse) == [0, 10, 20, 30]


@dataclass
class Rows:
    """What a manifest says of a segment."""

    vectors: int
    index: str


def test_a_segment_opens_by_its_kind_of_index(tmp_path: Path) -> None:
    vectors = random_vectors(30, 8).astype(np.float16)
    np.save(tmp_path / "vectors.npy", vectors)
    build_graph(vectors, "float16", tmp_path / "index.usearch")
    for kind, files in (("exact", "vectors.npy"), ("hnsw", "index.usearch")):
        alone = tmp_path / kind
        alone.mkdir()
        (tmp_path / files).rename(alone / files)
        index = VectorIndex.open(alone, Rows(30, kind), 8, "float16")  # type: ignore[arg-type]
        np.testing.assert_array_equal(index.vectors, vectors)
        assert kind in repr(index) and index.search(vectors[7:8], 1).keys == 7


@pytest.mark.parametrize("wrong", [{"count": 29}, {"dims": 7}, {"dtype": "int8"}, {"cut": True}])
@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_files_that_are_not_what_the_manifest_says_are_refused(
    tmp_path: Path, kind: str, wrong: dict[str, object]
) -> None:
    vectors = random_vectors(30, 8).astype(np.float16)
    if kind == "exact":
        path = tmp_path / "vectors.npy"
        np.save(path, vectors)
    else:
        path = tmp_path / "index.usearch"
        build_graph(vectors, "float16", path)
    if wrong.get("cut"):
        path.write_bytes(path.read_bytes()[:300])
    segment, dims, dtype = Rows(30, kind), 8, "float16"
    segment.vectors = int(str(wrong.get("count", 30)))
    with pytest.raises(KBError, match=f"{path.name}: .*kb build"):
        VectorIndex.open(tmp_path, segment, int(str(wrong.get("dims", dims))), wrong.get("dtype", dtype))  # type: ignore[arg-type]
