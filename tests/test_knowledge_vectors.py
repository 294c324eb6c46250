"""Search against plain numpy: exact search is exact, the graph finds what exact search finds."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onegen_el.knowledge import vectors as module
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
        patch.setattr(module, "BLOCK_VALUES", block)
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
        patch.setattr(module, "BLOCK_VALUES", 24 * 500)
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


@pytest.mark.parametrize("dtype", ["int8", "float16"])
@pytest.mark.parametrize("queries", [1, 90])
def test_the_graph_finds_what_exact_search_finds(tmp_path: Path, dtype: str, queries: int) -> None:
    vectors = random_vectors(1500, 16)
    stored = quantise(vectors, 127 / np.abs(vectors).max()) if dtype == "int8" else vectors.astype(np.float16)
    build_graph(stored, dtype, tmp_path / "graph")  # type: ignore[arg-type]
    asked = random_vectors(queries, 16, seed=1)
    exact = VectorIndex(stored).search(asked, 5)
    graph = VectorIndex(stored, tmp_path / "graph").search(asked, 5)
    found = exact.keys == graph.keys
    assert found.mean() > 0.99
    np.testing.assert_array_equal(exact.scores[found], graph.scores[found])


def test_the_graph_of_few_vectors_answers_with_what_there_is(tmp_path: Path) -> None:
    vectors = random_vectors(3, 8).astype(np.float16)
    build_graph(vectors, "float16", tmp_path / "graph")
    for queries in (1, 2):
        hits = VectorIndex(vectors, tmp_path / "graph").search(np.ones((queries, 8)), 5)
        assert (np.sort(hits.keys, axis=1) == [-1, -1, 0, 1, 2]).all()
        assert (hits.keys[:, 3:] == -1).all()


def test_graphs_repeat_byte_for_byte(tmp_path: Path) -> None:
    vectors = random_vectors(400, 16).astype(np.float16)
    for name in ("a", "b"):
        build_graph(vectors, "float16", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


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
