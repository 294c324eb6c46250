"""The grammar's layouts: round trip of the source, decisions, roles, positions."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onegen_el.errors import ModelError
from onegen_el.grammar import Grammar, MarkIds, Prompted, Role, annotated_layout, prompt_layout

MARKS = MarkIds(
    open=(900, 901), close=(902,), query=903, follow_up=(904,), entity=903, prefix=(1,), suffix=(2, 3)
)
SPECIAL = {900, 901, 902, 903, 904}


@st.composite
def marked_windows(draw: st.DrawFn) -> tuple[Prompted, list[tuple[int, int]]]:
    """A window and disjoint mentions bounded by breakable tokens."""
    before, copied, after = draw(st.integers(0, 3)), draw(st.integers(0, 20)), draw(st.integers(0, 3))
    total = before + copied + after
    window = Prompted(
        ids=draw(st.lists(st.integers(10, 99), min_size=total, max_size=total)),
        casing=draw(st.lists(st.integers(0, 2), min_size=total, max_size=total)),
        breakable=draw(st.lists(st.booleans(), min_size=total, max_size=total)),
        shown=range(total),
        first=before,
        last=before + copied,
        tag=draw(st.sampled_from([(), (700,), (700, 701)])),
    )
    places = [i for i in range(before, before + copied) if window.breakable[i]]
    starts = draw(st.lists(st.sampled_from(places), unique=True).map(sorted)) if places else []
    bounds = [*starts, before + copied]
    mentions = []
    for start, following in pairwise(bounds):
        ends = [i for i in range(start + 1, following) if window.breakable[i]] + [following]
        mentions.append((start, draw(st.sampled_from(ends))))
    return window, mentions


@given(marked_windows(), st.booleans())
def test_output_without_marks_is_the_source(
    case: tuple[Prompted, list[tuple[int, int]]], aligned: bool
) -> None:
    window, mentions = case
    layout, _, queries = annotated_layout(MARKS, window, mentions, aligned)
    prompt = len(prompt_layout(MARKS, window, aligned))
    copied = [token for token in layout.ids[prompt:] if token not in SPECIAL]
    assert copied == [window.ids[index] for index in window.shown[window.first : window.last]]
    assert [layout.ids[at] for at in queries] == [MARKS.query] * len(mentions)
    assert [at for at, role in enumerate(layout.roles) if role is Role.RET] == queries
    assert layout.roles[:prompt] == [Role.CTX] * prompt


@given(marked_windows())
def test_decisions_say_what_was_written(case: tuple[Prompted, list[tuple[int, int]]]) -> None:
    window, mentions = case
    layout, decisions, _ = annotated_layout(MARKS, window, mentions, aligned=True)
    for decision in decisions:
        assert layout.ids[decision.at + 1] == (decision.tag if decision.wrote_tag else decision.copy)
    opened = sum(d.wrote_tag for d in decisions if d.tag == MARKS.open[0])
    assert opened == len(mentions)


def test_hand_worked_layout() -> None:
    # Source a b c, all may break, mention "b": every token, position and decision worked out by hand.
    window = Prompted([10, 11, 12], [1, 0, 2], [True] * 3, range(3), 0, 3)
    layout, decisions, queries = annotated_layout(MARKS, window, [(1, 2)], aligned=True)
    assert layout.ids == [1, 10, 11, 12, 2, 3, 10, 900, 901, 11, 902, 903, 904, 12]
    # Aligned: the position of an output token is that of the source token copied next (prefix is 1 long).
    assert layout.positions == [0, 1, 2, 3, 4, 1, 2, 2, 2, 3, 3, 3, 3, 4]
    # Source casing 1, 0, 2; output types are 3 higher; marks count as lower case.
    assert layout.types == [0, 1, 0, 2, 0, 0, 4, 3, 3, 3, 3, 3, 3, 5]
    assert [(d.at, d.copy, d.tag, d.wrote_tag) for d in decisions] == [
        (5, 10, 900, False),  # before a: open or not
        (6, 11, 900, True),  # before b: opened
        (9, 12, 902, True),  # after b: closed
        (12, 12, 900, False),  # before c
    ]
    assert queries == [11]


def test_sequential_positions_count_on() -> None:
    window = Prompted([10, 11], [0, 0], [True] * 2, range(2), 0, 2)
    layout, _, _ = annotated_layout(MARKS, window, [(0, 2)], aligned=False)
    assert layout.positions == list(range(len(layout)))


def test_no_decision_inside_a_word() -> None:
    window = Prompted([10, 11], [0, 0], [True, False], range(2), 0, 2)
    _, decisions, _ = annotated_layout(MARKS, window, [], aligned=True)
    assert [d.copy for d in decisions] == [10]


def test_grammar_round_trips_and_names_what_is_wrong() -> None:
    grammar = Grammar(prompt_suffix="[SEP]", positions="aligned")
    assert Grammar.from_dict(grammar.to_dict()) == grammar
    with pytest.raises(ModelError, match="positions='diagonal'"):
        Grammar(positions="diagonal")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="query is empty"):
        Grammar(query="")
    with pytest.raises(ModelError, match="colour"):
        Grammar.from_dict({"colour": "red"})
