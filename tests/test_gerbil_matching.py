"""Which answer matches which gold item, and who gets whom; counts worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onegen_el.evaluation.matching import (
    Counts,
    Item,
    SpanMatch,
    assign,
    find_pairs,
    on_gold_spans,
    same_entity,
)


def item(start: int, end: int, *uris: str) -> Item:
    """URIs that begin with k are of the knowledge base."""
    return Item((start, end), frozenset(uris), any(uri.startswith("k") for uri in uris))


def counts(
    gold: list[Item],
    answers: list[Item],
    match: str = "strong",
    *,
    entities: bool = True,
    oddities: bool = True,
) -> Counts:
    pairs = find_pairs(gold, answers, SpanMatch(match), entities=entities, oddities=oddities)
    return assign(pairs, [True] * len(answers))


def matches(gold: Item, answer: Item, match: str, oddities: bool = True) -> bool:
    return counts([gold], [answer], match, entities=False, oddities=oddities).tp == 1


# --- spans ---


def test_strong_is_equal_start_and_end() -> None:
    assert matches(item(2, 5), item(2, 5), "strong")
    assert not matches(item(2, 5), item(2, 6), "strong")
    assert not matches(item(2, 5), item(1, 5), "strong")
    assert matches(item(3, 3), item(3, 3), "strong")


@pytest.mark.parametrize("answer", [(2, 5), (0, 3), (4, 9), (3, 4), (0, 9)])
def test_weak_is_a_common_character(answer: tuple[int, int]) -> None:
    assert matches(item(2, 5), item(*answer), "weak")


@pytest.mark.parametrize("answer", [(0, 2), (5, 9), (7, 8)])
def test_touching_spans_do_not_match_weakly(answer: tuple[int, int]) -> None:
    assert not matches(item(2, 5), item(*answer), "weak")


@pytest.mark.parametrize(
    ("gold", "answer", "odd", "plain"),
    [
        ((2, 5), (2, 2), True, False),  # empty answer at the start of gold
        ((2, 5), (3, 3), True, True),
        ((2, 5), (5, 5), False, False),
        ((3, 3), (2, 5), True, True),  # empty gold strictly inside
        ((2, 2), (2, 5), False, False),  # the mirror image of the first
        ((3, 3), (3, 3), False, True),
    ],
)
def test_empty_spans_are_asymmetric_only_with_oddities(
    gold: tuple[int, int], answer: tuple[int, int], odd: bool, plain: bool
) -> None:
    assert matches(item(*gold), item(*answer), "weak") is odd
    assert matches(item(*gold), item(*answer), "weak", oddities=False) is plain


# --- entities ---


def test_kb_items_match_by_any_common_uri() -> None:
    assert same_entity(item(0, 1, "k1", "k2"), item(0, 1, "k2", "k3"))
    assert not same_entity(item(0, 1, "k1"), item(0, 1, "k2"))
    # The common one need not be of the knowledge base.
    assert same_entity(item(0, 1, "k1", "own"), item(0, 1, "k2", "own"))


def test_two_nils_match_whatever_they_are_called() -> None:
    assert same_entity(item(0, 1, "nil/Ann"), item(0, 1, "nil/Bob"))
    assert same_entity(item(0, 1), item(0, 1, "nil/Bob"))


def test_a_kb_item_and_a_nil_never_match_even_with_a_common_uri() -> None:
    assert not same_entity(item(0, 1, "k1", "own"), item(0, 1, "own"))
    assert not same_entity(item(0, 1, "own"), item(0, 1, "k1", "own"))


# --- who gets whom ---


def test_one_answer_serves_one_gold_item() -> None:
    ann = item(0, 3, "k1")
    # An exact duplicate of an answer is a false positive, a duplicate gold item needs two answers.
    assert counts([ann], [ann, ann]) == Counts(tp=1, fp=1)
    assert counts([ann, ann], [ann]) == Counts(tp=1, fn=1)
    assert counts([ann, ann], [ann, ann]) == Counts(tp=2)


def test_the_first_free_answer_is_taken_not_the_exact_one() -> None:
    # The first gold item takes the wide answer, which comes first in the list, though its own exact answer
    # is there; the second gold item, which only the wide one overlaps, goes without.
    gold = [item(0, 3, "k1"), item(4, 7, "k1")]
    wide, exact = item(0, 7, "k1"), item(0, 3, "k1")
    assert counts(gold, [wide, exact], "weak") == Counts(tp=1, fp=1, fn=1)
    assert counts(gold, [exact, wide], "weak") == Counts(tp=2)


def test_the_order_of_gold_decides_as_well() -> None:
    first, second = item(0, 3, "k1"), item(4, 7, "k1")
    answers = [item(0, 7, "k1"), item(4, 7, "k1")]
    assert counts([first, second], answers, "weak") == Counts(tp=2)
    # Now (4, 7) takes the wide answer and nothing is left for (0, 3).
    assert counts([second, first], answers, "weak") == Counts(tp=1, fp=1, fn=1)


def test_span_and_entity_are_tested_before_picking() -> None:
    # The first answer has the right span and the wrong entity; the second is taken.
    assert counts([item(0, 3, "k1")], [item(0, 3, "k2"), item(0, 3, "k1")]) == Counts(tp=1, fp=1)


def test_one_span_with_several_entities_counts_each() -> None:
    gold = [item(0, 3, "k1"), item(0, 3, "k2")]
    assert counts(gold, [item(0, 3, "k2"), item(0, 3, "k1")]) == Counts(tp=2)
    assert counts(gold, [item(0, 3, "k1", "k2")]) == Counts(tp=1, fn=1)


def test_nested_spans_are_neither_merged_nor_refused() -> None:
    inner, outer = item(11, 15, "k1"), item(0, 15, "k2")
    assert counts([outer, inner], [inner, outer]) == Counts(tp=2)
    assert counts([outer], [inner, outer]) == Counts(tp=1, fp=1)


def test_without_spans_only_entities_count_mention_by_mention() -> None:
    # C2KB: three times the same entity are three; an answer far away will do; NILs match across the text.
    gold = [item(0, 3, "k1"), item(5, 8, "k1"), item(9, 12, "k1"), item(20, 21, "nil/a")]
    answers = [item(50, 53, "k1"), item(60, 63, "k1"), item(70, 71, "nil/b"), item(0, 3, "k2")]
    assert counts(gold, answers, "any") == Counts(tp=3, fp=1, fn=1)


def test_answers_off_the_gold_spans_are_dropped_and_gold_is_not_consumed() -> None:
    gold = [item(0, 3, "k1")]
    on = [item(0, 3, "k1"), item(0, 3, "k2"), item(0, 3, "nil")]
    assert on_gold_spans(gold, [item(0, 2, "k1"), *on, item(5, 6, "k1")]) == on


# --- properties ---

URIS = st.frozensets(st.sampled_from(["k1", "k2", "n1", "n2"]), max_size=3)
ITEMS = st.lists(
    st.builds(
        lambda start, size, uris: item(start, start + size, *uris), st.integers(0, 9), st.integers(1, 4), URIS
    ),
    max_size=7,
)
NAMED = st.lists(
    st.builds(
        lambda start, size, uri: item(start, start + size, uri),
        st.integers(0, 4),
        st.integers(1, 2),
        st.sampled_from(["k1", "k2", "n1"]),
    ),
    max_size=7,
)
MATCHES = st.sampled_from(["strong", "weak", "any"])


@given(ITEMS, ITEMS, MATCHES, st.booleans(), st.booleans())
def test_every_item_is_counted_once(
    gold: list[Item], answers: list[Item], match: str, entities: bool, oddities: bool
) -> None:
    found = counts(gold, answers, match, entities=entities, oddities=oddities)
    assert found.tp + found.fn == len(gold)
    assert found.tp + found.fp == len(answers)


@given(ITEMS, MATCHES, st.booleans())
def test_gold_against_itself_is_perfect(gold: list[Item], match: str, entities: bool) -> None:
    assert counts(gold, gold, match, entities=entities) == Counts(tp=len(gold))


@given(NAMED, NAMED)
def test_strong_matches_of_single_names_are_symmetric(gold: list[Item], answers: list[Item]) -> None:
    there, back = counts(gold, answers), counts(answers, gold)
    assert (there.tp, there.fp, there.fn) == (back.tp, back.fn, back.fp)


@given(ITEMS, ITEMS)
def test_without_oddities_weak_span_tests_are_symmetric(gold: list[Item], answers: list[Item]) -> None:
    for one in (*gold, item(3, 3), item(0, 0)):
        for other in (*answers, item(3, 3)):
            assert matches(one, other, "weak", False) is matches(other, one, "weak", False)
