"""Precision, recall and F1 of counts, and the choice of the confidence threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onegen_el.evaluation.matching import Counts
from onegen_el.evaluation.measures import Curve, Measures, Record, Scores, document_records, macro, measure


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (Counts(0, 0, 0), (1, 1, 1)),  # nothing to find, nothing found
        (Counts(0, 0, 3), (0, 0, 0)),  # nothing found: precision is 0 too
        (Counts(0, 2, 0), (0, 0, 0)),  # nothing to find: recall is 0 too
        (Counts(0, 2, 3), (0, 0, 0)),
        (Counts(2, 2, 1), (1 / 2, 2 / 3, 4 / 7)),  # 2·(1/2)·(2/3) / (7/6)
        (Counts(5, 0, 0), (1, 1, 1)),
    ],
)
def test_measures_of_counts(counts: Counts, expected: tuple[float, float, float]) -> None:
    found = measure(counts)
    assert (found.precision, found.recall, found.f1) == pytest.approx(expected)


def test_macro_is_the_mean_of_the_documents_own_measures() -> None:
    # P 1, R 1/2, F 2/3; then 0; then an empty document: 1.
    found = macro([Counts(1, 0, 1), Counts(0, 1, 0), Counts()])
    assert found.precision == pytest.approx((1 + 0 + 1) / 3)
    assert found.recall == pytest.approx((1 / 2 + 0 + 1) / 3)
    assert found.f1 == pytest.approx((2 / 3 + 0 + 1) / 3)
    # Which is not the F1 of the mean P (2/3) and the mean R (1/2).
    assert found.f1 != pytest.approx(2 * (2 / 3) * (1 / 2) / (7 / 6))


def test_macro_adds_as_java_does() -> None:
    # Ten times a tenth, one after the other, is 0.9999999999999999; a compensated sum would say 1.
    documents = [Counts(1, 9, 0)] * 10
    assert macro(documents).precision == 0.9999999999999999 / 10


# --- records: a document at its thresholds ---


def kept_right(right: Sequence[bool], gold: int) -> Callable[[Sequence[bool]], Counts]:
    """Counts where answer i is right or not, of so many gold items."""

    def count(kept: Sequence[bool]) -> Counts:
        tp = sum(k and r for k, r in zip(kept, right, strict=True))
        return Counts(tp, sum(kept) - tp, gold - tp)

    return count


def test_a_document_is_recorded_where_its_counts_change() -> None:
    records = document_records([0.9, 0.2, 0.5, 0.5], kept_right([True, False, True, False], 2))
    assert records == [
        Record(0, Counts(2, 2, 0)),  # no threshold
        Record(0.2, Counts(2, 1, 0)),  # strictly above 0.2
        Record(0.5, Counts(1, 0, 1)),  # both of 0.5 go at once
        Record(0.9, Counts(0, 0, 2)),
    ]


def test_unscored_answers_survive_every_threshold() -> None:
    records = document_records([None, 0.4], kept_right([True, False], 1))
    assert records == [Record(0, Counts(1, 1, 0)), Record(0.4, Counts(1, 0, 0))]
    assert document_records([None, None], kept_right([True, True], 2)) == [Record(0, Counts(2, 0, 0))]
    assert document_records([], kept_right([], 1)) == [Record(0, Counts(0, 0, 1))]


def test_a_confidence_of_zero_or_less_never_counts() -> None:
    count = kept_right([True, True], 2)
    # At 0 the second record replaces the unfiltered one; below 0 it is reached first.
    for low in (0.0, -0.5):
        curve = Curve([document_records([low, 0.8], count)])
        assert curve.total(curve.best()) == Counts(1, 0, 1)
        mended = Curve([document_records([low, 0.8], count, oddities=False)])
        assert mended.total(mended.best(oddities=False)) == Counts(2, 0, 0)
        assert mended.thresholds[0] < low


# --- the curve of all documents ---


def curve_of(*documents: Sequence[tuple[float, Counts]]) -> Curve:
    return Curve([[Record(*record) for record in records] for records in documents])


def test_documents_hold_their_last_record() -> None:
    curve = curve_of(
        [(0, Counts(2, 2, 0)), (0.3, Counts(2, 1, 0)), (0.7, Counts(1, 0, 1))],
        [(0, Counts(1, 1, 1)), (0.5, Counts(1, 0, 1))],
    )
    assert curve.thresholds == [0, 0.3, 0.5, 0.7]
    # Sums by hand: at 0.3 only the first document has moved, at 0.5 both have.
    assert [curve.total(i) for i in range(4)] == [
        Counts(3, 3, 1),
        Counts(3, 2, 1),
        Counts(3, 1, 1),
        Counts(2, 0, 2),
    ]
    assert curve.documents(2) == (Counts(2, 1, 0), Counts(1, 0, 1))
    # F1: 6/10, 6/9, 6/8, 4/6: the third.
    assert curve.best() == 2


def test_the_lowest_of_equally_good_thresholds_is_chosen() -> None:
    # Both have F1 2/3: (1, 0, 1) and (2, 2, 0).
    assert curve_of([(0, Counts(2, 2, 0)), (0.4, Counts(1, 0, 1))]).best() == 0


def test_empty_gold_is_won_by_dropping_every_answer() -> None:
    curve = curve_of([(0, Counts(0, 2, 0)), (0.6, Counts(0, 1, 0)), (0.9, Counts())])
    assert curve.best() == 2
    assert curve.best(oddities=False) == 0


def test_a_class_is_read_at_its_next_higher_threshold() -> None:
    curve = curve_of([(0, Counts(2, 0, 0)), (0.4, Counts(1, 0, 1)), (0.9, Counts(0, 0, 2))])
    assert curve.at(0.4) == 1
    assert curve.at(0.3) == 1  # too high: 0.3 drops nothing here
    assert curve.at(0.91) is None
    assert curve.at(0) == 0
    assert [curve.at(t, oddities=False) for t in (0.4, 0.3, 0.91, 0, -1)] == [1, 0, 2, 0, 0]


def test_past_the_last_threshold_all_is_zero() -> None:
    scores = Scores.read(curve_of([(0, Counts(2, 0, 0))]), None)
    assert scores.micro == scores.macro == Measures(0, 0, 0)
    assert scores.counts == Counts()


COUNTS = st.builds(Counts, st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
RECORDS = st.builds(
    lambda first, rest: [Record(0.0, first), *(Record(t, c) for t, c in sorted(rest.items()))],
    COUNTS,
    st.dictionaries(st.sampled_from([-0.5, 0.0, 0.1, 0.25, 0.5, 0.75, 1.0]), COUNTS, max_size=5),
)


@given(st.lists(RECORDS, min_size=1, max_size=5))
def test_the_curve_is_the_walk_over_all_thresholds(documents: list[list[Record]]) -> None:
    """As described of GERBIL: walking up, a document moves on by at most one record per threshold."""
    curve = Curve(documents)
    position = [0] * len(documents)
    for index, threshold in enumerate(sorted({r.threshold for records in documents for r in records})):
        for d, records in enumerate(documents):
            if position[d] + 1 < len(records) and threshold >= records[position[d] + 1].threshold:
                position[d] += 1
        expected = tuple(records[p].counts for p, records in zip(position, documents, strict=True))
        assert curve.thresholds[index] == threshold
        assert curve.documents(index) == expected
        assert curve.total(index) == sum(expected, Counts())


@given(st.lists(COUNTS, min_size=1, max_size=6))
def test_measures_lie_between_zero_and_one(documents: list[Counts]) -> None:
    pooled = measure(sum(documents, Counts()))
    for found in (macro(documents), pooled):
        assert all(0 <= value <= 1 + 1e-12 for value in found.to_dict().values())
    assert min(pooled.precision, pooled.recall) <= pooled.f1 + 1e-12
    assert pooled.f1 <= max(pooled.precision, pooled.recall) + 1e-12
