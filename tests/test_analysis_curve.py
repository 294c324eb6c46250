"""The curve over the score threshold, its points worked out by hand."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onegen_el.evaluation.annotations import AnnotatedDocument, Annotation
from onegen_el.evaluation.curve import POINTS, ThresholdCurve, threshold_curve
from onegen_el.evaluation.gerbil import evaluate
from onegen_el.evaluation.matching import Counts
from onegen_el.evaluation.measures import measure

WIKIDATA, NIL = "http://www.wikidata.org/entity/", "http://aksw.org/notInWiki/"
ONE, TWO, THREE, FOUR, FIVE = (0, 3), (5, 8), (10, 13), (15, 18), (20, 23)


def a(span: tuple[int, int], entity: int | str, score: float | None = None) -> Annotation:
    uri = f"{WIKIDATA}Q{entity}" if isinstance(entity, int) else NIL + entity
    return Annotation(*span, frozenset({uri}), score)


def document(*annotations: Annotation, name: str = "1") -> AnnotatedDocument:
    return AnnotatedDocument(name, "x" * 30, annotations)


def curve(gold: list[Annotation], answers: list[Annotation]) -> ThresholdCurve:
    return threshold_curve([document(*gold)], [document(*answers)])


GOLD = [a(ONE, 1), a(TWO, 2), a(THREE, 3), a(FOUR, "x")]
ANSWERS = [a(ONE, 1, 0.9), a(TWO, 9, 0.7), a(THREE, 3, 0.6), a(FOUR, 4, 0.2), a(FIVE, "y", 0.1)]


def test_points() -> None:
    found = curve(GOLD, ANSWERS)
    # Three links are wanted; five mentions are answered, the last never with a link.
    rows = [(p.threshold, p.counts, p.nil_rate) for p in found.points]
    assert rows == [
        (0.2, Counts(2, 2, 1), 0.2),
        (0.6, Counts(2, 1, 1), 0.4),
        (0.7, Counts(1, 1, 2), 0.6),
        (0.9, Counts(1, 0, 2), 0.8),
    ]
    assert [(p.precision, p.recall) for p in found.points] == [
        (2 / 4, 2 / 3),
        (2 / 3, 2 / 3),
        (1 / 2, 1 / 3),
        (1 / 1, 1 / 3),
    ]


def test_best_and_area() -> None:
    found = curve(GOLD, ANSWERS)
    # F1 from the lowest threshold: 4/7, 4/6, 2/5, 2/4.
    assert (found.best.threshold, found.best.f1) == (0.6, pytest.approx(2 / 3))
    # Recall 1/3 is reached with precision 1, the next third with 2/3.
    assert found.area == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    assert found.to_dict()["points"][0] == {
        "threshold": 0.2,
        "precision": 0.5,
        "recall": pytest.approx(2 / 3),
        "f1": pytest.approx(4 / 7),
        "nil_rate": 0.2,
        "tp": 2,
        "fp": 2,
        "fn": 1,
    }


def test_among_equals_the_lowest_threshold_is_best() -> None:
    # 0.5: 1 of 2 answers right, 1 of 2 found, F1 1/2; nothing else reaches it.
    found = curve([a(ONE, 1), a(TWO, 2)], [a(ONE, 9, 0.8), a(TWO, 9, 0.9)])
    assert (found.best.threshold, found.best.f1, found.area) == (0.8, 0, 0)


def test_unscored_links_always_count() -> None:
    found = curve([a(ONE, 1), a(TWO, 2)], [a(ONE, 1), a(TWO, 2, 0.5)])
    assert [(p.threshold, p.counts.tp) for p in found.points] == [(0.5, 2)]
    alone = curve([a(ONE, 1)], [a(ONE, 1)])
    assert [(p.threshold, p.counts, p.nil_rate) for p in alone.points] == [(0.0, Counts(tp=1), 0.0)]
    assert alone.area == 1


def test_negative_scores_are_scores() -> None:
    first, second = document(a(ONE, 1, -0.5), a(TWO, 2, 0.0)), document(a(ONE, 1, 0.4), name="2")
    found = threshold_curve([first, second], [first, second])
    assert [(p.threshold, p.counts.tp) for p in found.points] == [(-0.5, 3), (0.0, 2), (0.4, 1)]


def test_nothing_to_find() -> None:
    nothing = curve([], [])
    assert (nothing.best.f1, nothing.area, nothing.best.nil_rate) == (1, 1, 0)
    assert curve([], [a(ONE, 1, 0.5)]).area == 0
    assert threshold_curve([], []).best.counts == Counts()


def test_long_curves_are_thinned_but_keep_best_and_ends() -> None:
    random = Random(3)
    spans = [(n, n + 1) for n in range(29)]
    gold = [document(*(a(s, 1) for s in spans), name=str(n)) for n in range(40)]
    system = [
        document(*(a(s, random.choice([1, 2]), random.random()) for s in spans), name=str(n))
        for n in range(40)
    ]
    found = threshold_curve(gold, system)
    scores = sorted(x.confidence for d in system for x in d.annotations if x.confidence is not None)
    assert len(scores) > POINTS >= len(found.points) > POINTS / 2
    assert (found.points[0].threshold, found.points[-1].threshold) == (scores[0], scores[-1])
    assert found.best in found.points


@pytest.mark.parametrize("wrong", [100, 101, 102, 103])
def test_the_best_point_is_never_thinned_out(wrong: int) -> None:
    # Of 600 answers, scored by their number, those below `wrong` are wrong: best is to drop just them.
    gold = [AnnotatedDocument("1", "x", tuple(a((n, n + 1), 1) for n in range(600)))]
    given_ = tuple(a((n, n + 1), 2 if n < wrong else 1, float(n)) for n in range(600))
    found = threshold_curve(gold, [AnnotatedDocument("1", "x", given_)])
    assert found.best.threshold == wrong
    assert found.best in found.points and len(found.points) <= POINTS


LISTS = st.lists(
    st.builds(
        a,
        st.sampled_from([ONE, TWO, THREE]),
        st.sampled_from([1, 2, "x"]),
        st.none() | st.sampled_from([-0.5, 0.0, 0.25, 0.5, 0.75]),
    ),
    max_size=6,
)


@given(st.lists(st.tuples(LISTS, LISTS), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_each_point_is_what_the_kept_links_score(
    corpus: list[tuple[list[Annotation], list[Annotation]]], random: Random
) -> None:
    gold = [document(*wanted, name=str(n)) for n, (wanted, _) in enumerate(corpus)]
    system = [document(*given, name=str(n)) for n, (_, given) in enumerate(corpus)]
    found = threshold_curve(gold, system)
    scores = {
        x.confidence
        for d in system
        for x in d.annotations
        if x.confidence is not None and WIKIDATA in min(x.uris)
    }
    assert [p.threshold for p in found.points] == (sorted(scores) or [0.0])
    for point in found.points:
        kept = [
            document(
                *(
                    Annotation(*x.span, x.uris)
                    for x in d.annotations
                    if x.confidence is None or x.confidence >= point.threshold
                ),
                name=d.id,
            )
            for d in system
        ]
        classes = evaluate(gold, kept).main.classes
        assert point.counts == (classes["InKB"].counts if "InKB" in classes else Counts())
    recalls = [p.recall for p in found.points if p.counts.tp + p.counts.fn]
    assert recalls == sorted(recalls, reverse=True)
    assert found.best.f1 == max(measure(p.counts).f1 for p in found.points)
    assert 0 <= found.area <= 1 + 1e-9
    order = random.sample(range(len(corpus)), len(corpus))
    again = threshold_curve([gold[n] for n in order], [system[n] for n in order])
    assert [p.counts for p in again.points] == [p.counts for p in found.points]


@given(st.lists(st.builds(a, st.sampled_from([ONE, TWO, THREE]), st.sampled_from([1, 2])), max_size=5))
def test_gold_against_itself_is_perfect(annotations: list[Annotation]) -> None:
    found = curve(annotations, annotations)
    assert (found.best.f1, found.area) == (1, 1)
