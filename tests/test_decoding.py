"""The fast loop against the naive one, and both against a single forward pass over the finished sequence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import BIAS, NAMES, random_window, tiny_backbone
from torch import Tensor

from onegen_el.backbone import Backbone
from onegen_el.decoding import Decoded, decode, decode_naive, query_states
from onegen_el.grammar import Prompted, Role, annotated_layout

POOL = 16
BIASES = (BIAS, 0.0, 1e6)


@cache
def pool(name: str) -> tuple[Prompted, ...]:
    return tuple(random_window(tiny_backbone(name), seed) for seed in range(POOL))


@cache
def truth(name: str, bias: float) -> Decoded:
    return decode_naive(tiny_backbone(name), pool(name), bias=bias)


def spans(decoded: Decoded) -> list[list[tuple[int, int]]]:
    return [[(mention.first, mention.last) for mention in window] for window in decoded.mentions]


def assert_near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-4)


def assert_same(found: Decoded, expected: Decoded, chosen: Sequence[int]) -> None:
    """Windows `chosen` of `expected` are what was found, in that order."""
    assert spans(found) == [spans(expected)[index] for index in chosen]
    for row, index in enumerate(chosen):
        assert_near(found.states[row], expected.states[index])
        probabilities = [mention.probability for mention in found.mentions[row]]
        assert probabilities == pytest.approx([m.probability for m in expected.mentions[index]], abs=1e-4)


class Step(NamedTuple):
    inside: bool
    wrote_tag: bool
    odds: float


def forward(
    backbone: Backbone, window: Prompted, mentions: Sequence[tuple[int, int]], bias: float
) -> tuple[Tensor, list[Step]]:
    """Query states of the finished sequence in one pass without a cache, and what was decided on the way."""
    layout, decisions, queries = annotated_layout(backbone.marks, window, mentions, backbone.aligned)
    size, prompt = len(layout), layout.roles.count(Role.CTX)
    mask = torch.ones(size, size, dtype=torch.bool).tril()
    if backbone.grammar.attention == "prefix":
        mask[:prompt, :prompt] = True
    ids, positions, types = torch.tensor([layout.ids, layout.positions, layout.types])[:, None]
    with torch.inference_mode():
        hidden = backbone.hidden(ids, positions, types, mask[None])[0]
        logits = backbone.vocabulary_logits(hidden)
    # Every mark that was decided turns outside into inside or back; the tag itself may not tell which.
    inside, steps = False, []
    for decision in decisions:
        odds = float(logits[decision.at, decision.tag] - logits[decision.at, decision.copy])
        steps.append(Step(inside, decision.wrote_tag, odds if inside else odds + bias))
        inside ^= decision.wrote_tag
    return hidden[queries], steps


@pytest.mark.parametrize("name", NAMES)
def test_the_pool_proves_something(name: str) -> None:
    backbone, windows, marked = tiny_backbone(name), pool(name), truth(name, BIAS)
    decisions = [
        decision.wrote_tag
        for window, mentions in zip(windows, spans(marked), strict=True)
        for decision in annotated_layout(backbone.marks, window, mentions, backbone.aligned)[1]
    ]
    assert 0.05 < sum(decisions) / len(decisions) < 0.5
    assert {0, 1} <= {window.last - window.first for window in windows}
    assert max(window.last - window.first for window in windows) > 20
    assert len({len(mentions) for mentions in marked.mentions}) > 3
    lengths = {last - first for mentions in spans(marked) for first, last in mentions}
    assert {1, 2} < lengths
    everywhere = zip(windows, spans(truth(name, 0.0)), strict=True)
    assert any(mentions and mentions[-1][1] == window.last for window, mentions in everywhere)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    chosen=st.lists(st.integers(0, POOL - 1), min_size=1, max_size=7),
    chunk=st.integers(1, 16),
    bias=st.sampled_from(BIASES),
)
def test_fast_is_naive(name: str, chosen: list[int], chunk: int, bias: float) -> None:
    windows = [pool(name)[index] for index in chosen]
    found = decode(tiny_backbone(name), windows, bias=bias, chunk=chunk)
    assert_same(found, truth(name, bias), chosen)


@pytest.mark.parametrize("chunk", [1, 2, 16])
@pytest.mark.parametrize("name", NAMES)
def test_batched_is_single(name: str, chunk: int) -> None:
    backbone = tiny_backbone(name)
    together = decode(backbone, pool(name), bias=BIAS, chunk=chunk)
    for index, window in enumerate(pool(name)):
        assert_same(decode(backbone, [window], bias=BIAS, chunk=chunk), together, [index])


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("name", NAMES)
def test_both_are_one_forward_over_the_finished_sequence(name: str, bias: float) -> None:
    backbone = tiny_backbone(name)
    decoded = decode(backbone, pool(name), bias=bias)
    for window, mentions, states in zip(pool(name), decoded.mentions, decoded.states, strict=True):
        ranges = [(mention.first, mention.last) for mention in mentions]
        if window.first == window.last:
            assert not ranges
            continue
        expected, steps = forward(backbone, window, ranges, bias)
        assert [step.odds > 0 for step in steps] == [step.wrote_tag for step in steps]
        assert_near(states, expected)
        probabilities: list[float] = []
        for step in steps:
            taken = 1 / (1 + math.exp(-abs(step.odds)))
            if step.inside:
                probabilities[-1] *= taken
            elif step.wrote_tag:
                probabilities.append(taken)
        assert [mention.probability for mention in mentions] == pytest.approx(probabilities, abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_query_states_are_those_of_decoding(name: str) -> None:
    decoded = truth(name, BIAS)
    given_spans = query_states(tiny_backbone(name), pool(name), spans(decoded))
    for states, expected in zip(given_spans, decoded.states, strict=True):
        assert_near(states, expected)


@pytest.mark.parametrize("name", NAMES)
def test_marks_stand_only_where_they_may(name: str) -> None:
    """However keen the model is: no mark inside a word, no mention empty, none over another."""
    for window, mentions in zip(pool(name), spans(truth(name, 1e6)), strict=True):
        starts = [index for index in range(window.first, window.last) if window.breakable[index]]
        assert bool(mentions) == bool(starts)
        bounds = [window.first, *(bound for span in mentions for bound in span), window.last]
        assert bounds == sorted(bounds)
        for first, last in mentions:
            assert first < last
            assert window.breakable[first]
            assert last == window.last or window.breakable[last]


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_cost_without_marks(name: str) -> None:
    """Nothing is fed twice, and nothing whose state is asked for by none."""
    backbone = tiny_backbone(name)
    window = random_window(backbone, 7)
    ids, shown = window.ids, window.shown
    # Nothing is capitalised, so no mark is drafted.
    window = Prompted(ids, [0] * len(ids), [True] * len(ids), shown, 1, len(shown))
    copied = window.last - window.first
    prompt = len(backbone.marks.prefix) + len(window.shown) + len(backbone.marks.suffix)
    fast = decode(backbone, [window], bias=-1e6, chunk=4)
    naive = decode_naive(backbone, [window], bias=-1e6)
    assert spans(fast) == spans(naive) == [[]]
    assert fast.fed == naive.fed == prompt + copied - 1
    assert fast.steps == 1 + math.ceil((copied - 5) / 4)
    assert naive.steps == copied


def test_marks_of_several_tokens() -> None:
    marks = tiny_backbone("reference").marks
    assert len(marks.open) > 1
    assert len(marks.close) > 1
    assert len(marks.follow_up) == 1
    assert sum(map(len, truth("reference", BIAS).mentions)) > 5


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_decode(name: str) -> None:
    backbone = tiny_backbone(name)
    empty = next(window for window in pool(name) if window.first == window.last)
    for decoded in (decode(backbone, [empty]), decode_naive(backbone, [empty])):
        assert decoded.mentions == [[]]
        assert [tuple(states.shape) for states in decoded.states] == [(0, 32)]
        assert decoded.fed == decoded.steps == 0
    assert decode(backbone, []).mentions == []
    assert query_states(backbone, [empty], [[]])[0].shape == (0, 32)


def test_chunk_must_be_positive() -> None:
    with pytest.raises(ValueError, match="chunk=0"):
        decode(tiny_backbone("llama"), [], chunk=0)


@pytest.mark.parametrize("mentions", [[(4, 4)], [(5, 4)], [(3, 5), (4, 6)], [(0, 2)], [(6, 9)]])
def test_query_states_refuse_impossible_mentions(mentions: list[tuple[int, int]]) -> None:
    window = Prompted([10] * 10, [0] * 10, [True] * 10, range(10), 2, 8)
    with pytest.raises(ValueError, match="do not lie in order within 2-8"):
        query_states(tiny_backbone("llama"), [window], [mentions])
