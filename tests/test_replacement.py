"""Mentions shown as other entities of their type: what changes, what must not, and whom a name stands for."""

from __future__ import annotations

import random
import re

import pytest

from onegen_el.grammar import MarkIds
from onegen_el.tokens import SourceTokens
from onegen_el.training.catalog import Catalog
from onegen_el.training.examples import Example, collate
from onegen_el.training.replacement import LONGER, ROOM, Replacement
from onegen_el.windows import Window, WindowSettings, cut_windows

MARKS = MarkIds(open=(90,), close=(91,), query=92, follow_up=(), entity=92, prefix=(80,), suffix=(81,))
ROWS = [
    ("Ann Lee", "PER", ()),
    ("Bob", "PER", ("Bobby Roy",)),
    ("Rome", "LOC", ("Roma",)),
    ("Oslo", "LOC", ()),
    ("Bob (dog)", "PER", ()),  # its name stands for the better known
    ("Springfield of the very many long words", "LOC", ()),
    ("Thing", "MISC", ()),
]
CATALOG = Catalog(
    texts=[title for title, _, _ in ROWS],
    titles=[title for title, _, _ in ROWS],
    index={},
    kinds=[kind for _, kind, _ in ROWS],
    aliases=[aliases for _, _, aliases in ROWS],
)
WORDS: dict[str, int] = {}


def words(text: str) -> SourceTokens:
    """A token a word; equal words have equal ids."""
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    ids = [WORDS.setdefault(text[start:end], len(WORDS) + 100) for start, end in spans]
    casing = [2 if text[start:end].isupper() else 0 for start, end in spans]
    return SourceTokens(text, ids, [s for s, _ in spans], [e for _, e in spans], casing, [True] * len(spans))


def an_example(
    text: str, mentions: tuple[tuple[int, int, int], ...], window: Window | None = None
) -> Example:
    tokens = words(text)
    window = window or Window(0, len(tokens), (0, len(tokens)), 0)
    negatives = tuple((4,) for _ in mentions)
    return Example(tokens, window, (window.start, window.end), mentions, "all", negatives)


def shown(example: Example) -> list[str]:
    names = {number: word for word, number in WORDS.items()}
    return [names[number] for number in example.tokens.ids]


def test_a_share_of_nothing_changes_nothing() -> None:
    example = an_example("Ann Lee saw Rome", ((0, 2, 0), (3, 4, 2)))
    assert Replacement(CATALOG, len(ROWS), words, 0.0)(example, random.Random(1)) is example


def test_names_are_of_the_entity_that_is_learned_and_of_the_same_type() -> None:
    replaced = Replacement(CATALOG, len(ROWS), words, 1.0)
    names = {"Ann Lee": 0, "Bob": 1, "Bobby Roy": 1, "Rome": 2, "ROME": 2, "Roma": 2, "Oslo": 3}
    seen = set()
    for seed in range(200):
        example = an_example("well , Ann Lee saw ROME with Sue", ((2, 4, 0), (5, 6, 2), (7, 8, -1)))
        other = replaced(example, random.Random(seed))
        text = shown(other)
        found = [(" ".join(text[first:last]), entity) for first, last, entity in other.mentions]
        assert all(names[name] == entity for name, entity in found[:2])
        assert [CATALOG.kinds[entity] for _, entity in found[:2]] == ["PER", "LOC"]
        assert found[2] == ("Sue", -1)
        # What is no mention stays, in order, and a headline's name is in capitals.
        inside = {n for first, last, _ in other.mentions for n in range(first, last)}
        assert [word for n, word in enumerate(text) if n not in inside] == ["well", ",", "saw", "with"]
        first, last, _ = other.mentions[1]
        assert set(other.tokens.casing[first:last]) == {2}
        assert other.window.end == other.copied[1] == len(text)
        seen.update(name for name, _ in found[:2])
    assert seen == set(names)


def test_one_name_of_one_entity_stays_one_name() -> None:
    replaced = Replacement(CATALOG, len(ROWS), words, 0.6)
    for seed in range(60):
        example = an_example("Rome is Rome and Oslo", ((0, 1, 2), (2, 3, 2), (4, 5, 3)))
        first, second, _ = replaced(example, random.Random(seed)).mentions
        assert first[2] == second[2] and first[1] - first[0] == second[1] - second[0]


def test_other_types_and_long_names_are_left() -> None:
    replaced = Replacement(CATALOG, len(ROWS), words, 1.0)
    example = an_example("a Thing here", ((1, 2, 6),))
    assert replaced(example, random.Random(1)) is example
    # Seven words for one: more than a mention may grow by.
    assert LONGER < 6
    ids = {replaced(an_example("in Oslo", ((1, 2, 3),)), random.Random(s)).mentions[0][2] for s in range(99)}
    assert 5 not in ids


@pytest.mark.parametrize("aligned", [True, False])
def test_windows_with_context_and_head_keep_their_places(aligned: bool) -> None:
    text = "Ann Lee wrote . " + "Bob saw Rome and Oslo today . " * 6
    tokens = words(text)
    settings = WindowSettings(own=14, before=5, after=5, head=4)
    replaced = Replacement(CATALOG, len(ROWS), words, 1.0)
    entity = {"Bob": 1, "Rome": 2, "Oslo": 3}
    for window in cut_windows(tokens, settings):
        copied = (window.start, window.end) if aligned else window.context
        names = {number: word for word, number in WORDS.items()}
        mentions = tuple(
            (n, n + 1, entity[word]) for n in range(*copied) if (word := names[tokens.ids[n]]) in entity
        )
        example = Example(tokens, window, copied, mentions, "all")
        for seed in range(20):
            other = replaced(example, random.Random(seed))
            before = [names[tokens.ids[n]] for n in [*range(window.head), *range(*window.context)]]
            assert len(shown(other)) <= len(before) + ROOM or other is example
            batch = collate([other], MARKS, aligned=aligned, prefix=True)
            assert batch.targets.tolist() == [m[2] for m in other.mentions]
            plain = collate([example], MARKS, aligned=aligned, prefix=True)
            assert batch.wrote_tag.sum() == plain.wrote_tag.sum()
