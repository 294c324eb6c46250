"""Coherence: which names help which, and how far a query moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onegen_el.coherence import coherent


def unit(*rows: tuple[float, ...]) -> np.ndarray:
    vectors = np.array(rows, dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_short_name_moves_towards_the_long_one_and_the_long_one_stays() -> None:
    vectors = unit((1, 0, 0), (0.6, 0.8, 0), (0, 0, 1))
    mixed = coherent(vectors, ["Anna Weber", "Weber", "Oslo"], 0.5)
    # q + w * cos * f, scaled: (0.6, 0.8) + 0.5 * 0.6 * (1, 0)
    np.testing.assert_allclose(mixed[1], np.array([0.9, 0.8, 0]) / np.hypot(0.9, 0.8), atol=1e-6)
    np.testing.assert_allclose(mixed[[0, 2]], vectors[[0, 2]], atol=1e-6)


def test_equal_names_help_each_other_whatever_their_case() -> None:
    mixed = coherent(unit((1, 0.2), (1, -0.2)), ["OSLO", "Oslo"], 1.0)
    assert mixed[0] @ mixed[1] > unit((1, 0.2), (1, -0.2))[0] @ unit((1, 0.2), (1, -0.2))[1]


@pytest.mark.parametrize(
    "names",
    [
        ("Paris", "Parison"),  # a part of a word is not a word
        ("New Zealand", "Zealand New"),  # the order counts
        ("Ann Lee", "Ann B Lee"),  # in a row
        ("!", "!"),  # no word at all
    ],
)
def test_names_that_are_not_alike_leave_each_other_alone(names: tuple[str, str]) -> None:
    vectors = unit((1, 0.5), (1, -0.5))
    np.testing.assert_allclose(coherent(vectors, names, 1.0), vectors, atol=1e-6)


def test_queries_that_point_away_from_each_other_do_not_mix() -> None:
    vectors = unit((1, 0), (-1, 0.1))
    np.testing.assert_allclose(coherent(vectors, ["Oslo", "Oslo"], 1.0), vectors, atol=1e-6)


def test_weight_zero_changes_nothing_to_the_bit() -> None:
    vectors = unit((1, 0.3), (0.5, 1))
    assert coherent(vectors, ["Oslo", "Oslo"], 0.0) is vectors


@given(st.lists(st.sampled_from(["Weber", "Anna Weber", "Oslo", "Oslo City", ""]), max_size=60))
def test_queries_stay_unit_vectors(names: list[str]) -> None:
    rng = np.random.default_rng(len(names))
    vectors = rng.normal(size=(len(names), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    mixed = coherent(vectors, names, 0.7)
    np.testing.assert_allclose(np.linalg.norm(mixed, axis=1), 1, atol=1e-5)
