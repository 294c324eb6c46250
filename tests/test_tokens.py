"""Source tokens: exact offsets for every string, marks in user text stay text, casing, windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import TEXTS
from tiny import tiny_backbone

from onegen_el.errors import ModelError
from onegen_el.tokens import SourceTokens
from onegen_el.windows import PARAGRAPH, SENTENCE, WindowSettings, boundary_strength, cut_windows

KINDS = ("bert", "llama")  # WordPiece and byte-level BPE


def tokenized(kind: str, text: str) -> SourceTokens:
    return tiny_backbone(kind).tokenize(text)


@pytest.mark.parametrize("kind", KINDS)
@given(text=TEXTS)
def test_spans_are_exact_for_every_string(kind: str, text: str) -> None:
    tokens = tokenized(kind, text)
    assert tokens.starts == sorted(tokens.starts)
    assert tokens.ends == sorted(tokens.ends)
    for first in range(len(tokens)):
        for last in range(first + 1, min(first + 4, len(tokens) + 1)):
            start, end = tokens.span(first, last)
            assert 0 <= start <= end <= len(text)
            assert text[start:end] == text[start:end].strip()
            places = tokens.breakable[first] and (last == len(tokens) or tokens.breakable[last])
            if places and start < end and (found := tokens.tokens_of(start, end)):
                assert tokens.span(*found) == (start, end)


@pytest.mark.parametrize("kind", KINDS)
def test_every_word_can_be_reached(kind: str) -> None:
    text = "Anna Weber (Oslo) said: Lisbon's harbour was quiet."
    tokens = tokenized(kind, text)
    for surface in ("Anna Weber", "Oslo", "Lisbon"):
        start = text.index(surface)
        found = tokens.tokens_of(start, start + len(surface))
        assert found is not None
        assert text[slice(*tokens.span(*found))] == surface


def test_word_pieces_cannot_be_split() -> None:
    text = "unbreakable"
    tokens = tokenized("bert", text)
    assert len(tokens) > 1
    assert tokens.breakable == [True] + [False] * (len(tokens) - 1)
    assert tokens.tokens_of(0, 2) is None


@pytest.mark.parametrize("kind", [*KINDS, "reference"])
def test_marks_in_user_text_are_plain_text(kind: str) -> None:
    backbone = tiny_backbone(kind)
    marks = backbone.grammar.new_tokens
    text = "Oslo " + " ".join(marks) + " [CLS] [SEP] </s> Leeds"
    special = set(backbone.tokenizer.added_tokens_decoder) - {backbone.tokenizer.unk_token_id}
    assert special, "the tokenizer has special tokens, else this proves nothing"
    assert not special & set(backbone.tokenize(text).ids)
    assert backbone.entity_ids([text])[0][:-1].count(backbone.marks.entity) == 0


def test_combining_marks_and_joiners_belong_to_what_they_follow() -> None:
    text = "Beyonce\u0301 sang"
    tokens = tokenized("bert", text)
    found = tokens.tokens_of(0, 8)
    assert found is not None
    assert tokens.span(*found) == (0, 8)


def test_lone_surrogates_keep_offsets() -> None:
    text = "Oslo \ud800 Leeds"
    tokens = tokenized("llama", text)
    found = tokens.tokens_of(7, 12)
    assert found is not None
    assert text[slice(*tokens.span(*found))] == "Leeds"


def test_casing_is_that_of_the_whole_word() -> None:
    tokens = tokenized("bert", "OSLO Oslo oslo 1887 NAIROBIAN")
    by_word = {tokens.text[s:e]: c for s, e, c in zip(tokens.starts, tokens.ends, tokens.casing, strict=True)}
    assert (by_word["OSLO"], by_word["Oslo"], by_word["oslo"], by_word["1887"]) == (2, 1, 0, 0)
    assert set(tokens.casing[4:]) == {2}


@given(text=TEXTS.map(lambda text: text * 5), own=st.integers(1, 12), head=st.integers(0, 5))
def test_windows_cover_every_token_once(text: str, own: int, head: int) -> None:
    tokens = tokenized("bert", text)
    settings = WindowSettings(own=own, before=3, after=2, head=head)
    windows = cut_windows(tokens, settings)
    decided = [index for window in windows for index in range(window.start, window.end)]
    assert decided == list(range(len(tokens)))
    for window in windows:
        for aligned in (True, False):
            prompted = window.prompted(tokens, aligned)
            assert len(prompted.shown) <= settings.longest
            assert len(set(prompted.shown)) == len(prompted.shown)
            own_part = list(range(window.start, window.end))
            copied = list(prompted.shown[prompted.first : prompted.last])
            assert copied == own_part if aligned else set(own_part) <= set(copied)


def test_windows_end_at_sentences_and_paragraphs() -> None:
    text = "Anna sang. Maria said so.\nThe end"
    tokens = tokenized("bert", text)
    strength = {text[tokens.starts[i] :][:5]: boundary_strength(tokens, i) for i in range(1, len(tokens))}
    assert strength["Maria"] == SENTENCE
    assert strength["The e"] == PARAGRAPH
    size = tokens.starts.index(text.index("The")) + 1  # a token of the last sentence would fit as well
    first = cut_windows(tokens, WindowSettings(own=size, before=0, after=0, head=0))[0]
    assert tokens.ends[first.end - 1] == text.index("\n")


def test_impossible_window_sizes_are_refused() -> None:
    with pytest.raises(ModelError, match="own=0"):
        WindowSettings(own=0)
