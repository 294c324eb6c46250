"""Intervals and comparisons: small cases counted out, and what must hold for any."""

from __future__ import annotations

import time
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onegen_el.errors import InputError
from onegen_el.evaluation.matching import Counts
from onegen_el.evaluation.measures import macro, measure
from onegen_el.evaluation.significance import compare, interval

STATISTICS = ("micro precision", "micro recall", "micro f1", "macro precision", "macro recall", "macro f1")
COUNTS = st.builds(Counts, *[st.integers(0, 5)] * 3)
DOCUMENTS = st.lists(COUNTS, min_size=1, max_size=12)
RIGHT, WRONG = Counts(tp=1), Counts(fp=1, fn=1)


def test_percentiles_of_two_documents() -> None:
    # Resamples: both right 1/4 (F1 1), one of each 1/2 (F1 1/2), both wrong 1/4 (F1 0).
    found = interval([RIGHT, WRONG])
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)
    assert (found.documents, found.resamples, found.statistic) == (2, 1000, "micro f1")


def test_the_interval_is_that_of_a_binomial() -> None:
    # 100 documents, 50 right: the F1 of a resample is Binomial(100, 1/2) / 100, whose 2.5 and 97.5
    # percentiles are 40 and 60.
    found = interval([RIGHT, WRONG] * 50, resamples=20_000)
    assert found.low == pytest.approx(0.40, abs=0.011)
    assert found.high == pytest.approx(0.60, abs=0.011)


def test_documents_with_nothing_to_find_are_right() -> None:
    found = interval([Counts()] * 3, "macro f1")
    assert (found.value, found.low, found.high) == (1, 1, 1)
    # One of two: resamples have a mean of 0, 1/2 or 1.
    assert interval([Counts(), WRONG], "macro recall").high == 1


def test_documents_are_resampled_and_not_mentions() -> None:
    # 400 mentions in two documents are no better known than two.
    found = interval([Counts(tp=200), Counts(fp=200, fn=200)])
    assert (found.low, found.high) == (0.0, 1.0)


def test_p_counted_out() -> None:
    # a is right in all of 4 documents, b in none: of the 16 ways to swap, the difference 1 stays as large
    # for "none" and "all" only: p = 2/16.
    found = compare([RIGHT] * 4, [WRONG] * 4)
    assert (found.a, found.b, found.difference) == (1.0, 0.0, 1.0)
    assert found.p == pytest.approx(2 / 16, abs=0.01)
    assert (found.low, found.high) == (1.0, 1.0)
    # Of 40 documents no swap in 10,000 is as large (2 of 2^40 are); the one observed counts.
    assert compare([RIGHT] * 40, [WRONG] * 40).p == 1 / 10_001


def test_p_of_one_document_in_three() -> None:
    # a is right in three documents, b only in the first. Swaps of the first change nothing; of the others,
    # both or none keep the difference at 2/3, one of them makes it 0: p = 1/2.
    assert compare([RIGHT] * 3, [RIGHT, WRONG, WRONG]).p == pytest.approx(0.5, abs=0.02)


def test_the_difference_is_resampled_in_pairs() -> None:
    # In every document a finds one mention of 10 more than b: whatever is drawn, the difference is the same.
    a = [Counts(tp=n + 1, fn=9 - n) for n in range(9)]
    b = [Counts(tp=n, fn=10 - n) for n in range(9)]
    found = compare(a, b, "micro recall")
    assert found.low == pytest.approx(0.1) and found.high == pytest.approx(0.1)
    # Apart the two would vary a lot.
    assert interval(a, "micro recall").high - interval(a, "micro recall").low > 0.2


@pytest.mark.parametrize("statistic", STATISTICS)
@given(documents=DOCUMENTS, seed=st.integers(0, 9))
def test_the_interval_contains_the_figure(statistic: str, documents: list[Counts], seed: int) -> None:
    found = interval(documents, statistic, resamples=50, seed=seed)  # type: ignore[arg-type]
    kind, name = statistic.split()
    whole = macro(documents) if kind == "macro" else measure(sum(documents, Counts()))
    assert found.value == whole.to_dict()[name]
    assert 0 <= found.low <= found.value <= found.high <= 1 + 1e-12


@pytest.mark.parametrize("statistic", STATISTICS)
@given(documents=DOCUMENTS)
def test_a_system_does_not_differ_from_itself(statistic: str, documents: list[Counts]) -> None:
    found = compare(documents, documents, statistic, resamples=50)  # type: ignore[arg-type]
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


@given(st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_documents_does_not_matter(pairs: list[tuple[Counts, Counts]], random: Random) -> None:
    shuffled = random.sample(pairs, len(pairs))
    for statistic in ("micro f1", "macro precision"):
        one, other = (
            interval([a for a, _ in rows], statistic, resamples=30)  # type: ignore[arg-type]
            for rows in (pairs, shuffled)
        )
        assert (one.low, one.high) == pytest.approx((other.low, other.high))
        first, second = (
            compare([a for a, _ in rows], [b for _, b in rows], statistic, resamples=30)  # type: ignore[arg-type]
            for rows in (pairs, shuffled)
        )
        assert first.p == second.p and first.difference == pytest.approx(second.difference)


@given(st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=8))
def test_resampled_figures_are_those_of_the_resampled_documents(pairs: list[tuple[Counts, Counts]]) -> None:
    # An independent, slow bootstrap of the same number of draws gives about the same percentiles.
    documents = [a for a, _ in pairs]
    random = np.random.default_rng(1)
    slow = [
        measure(
            sum((documents[i] for i in random.integers(len(documents), size=len(documents))), Counts())
        ).f1
        for _ in range(300)
    ]
    found = interval(documents, resamples=300)
    # The probability mass beyond each end is right, give or take the noise of 300 draws.
    assert np.mean([figure < found.low - 1e-9 for figure in slow]) <= 0.08
    assert np.mean([figure > found.high + 1e-9 for figure in slow]) <= 0.08


def test_the_seed_decides() -> None:
    random = Random(1)
    documents = [Counts(random.randrange(9), random.randrange(9), random.randrange(9)) for _ in range(40)]
    assert interval(documents) == interval(documents)
    assert interval(documents, seed=1) != interval(documents, seed=2)


def test_thousands_of_resamples_are_quick() -> None:
    random = Random(1)
    documents = [Counts(random.randrange(9), random.randrange(9), random.randrange(9)) for _ in range(231)]
    started = time.perf_counter()
    compare(documents, documents[::-1], resamples=10_000)
    assert time.perf_counter() - started < 5  # about a tenth of a second; the bound is for busy machines


def test_what_cannot_be_resampled() -> None:
    with pytest.raises(InputError, match="no documents"):
        interval([])
    with pytest.raises(InputError, match="2 and 1 documents"):
        compare([RIGHT, WRONG], [RIGHT])
    with pytest.raises(InputError, match="unknown statistic 'f1'"):
        interval([RIGHT], "f1")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least 1"):
        interval([RIGHT], resamples=0)


def test_as_dictionaries() -> None:
    assert interval([RIGHT]).to_dict() == {
        "value": 1.0,
        "low": 1.0,
        "high": 1.0,
        "level": 0.95,
        "statistic": "micro f1",
        "documents": 1,
        "resamples": 1000,
        "method": "percentile bootstrap over documents",
    }
    assert compare([RIGHT], [RIGHT]).to_dict()["p_method"] == "approximate randomisation, two-sided"
