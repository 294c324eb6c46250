"""What a document teaches, worked out by hand on a tokenizer of words, and in which order it is shown."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from world import write_jsonl

from onegen_el.gold import GoldDocument, GoldMention
from onegen_el.grammar import MarkIds
from onegen_el.tokens import SourceTokens
from onegen_el.training.catalog import Catalog
from onegen_el.training.examples import (
    Example,
    Reach,
    Schedule,
    collate,
    document_examples,
    read_examples,
)
from onegen_el.training.recipe import Corpus
from onegen_el.windows import WindowSettings

MARKS = MarkIds(open=(90,), close=(91,), query=92, follow_up=(), entity=92, prefix=(80,), suffix=(81,))
CATALOG = Catalog(["Ann: a", "Bob Roy: b"], ["Ann", "Bob Roy"], {"Q1": 0, "Q2": 1, "enwiki:Bob Roy": 1})
TEXT = "Ann met Bob Roy in Rome ."
MENTIONS = (
    GoldMention(0, 3, "Q1"),
    GoldMention(8, 15, "enwiki:Bob Roy"),
    GoldMention(19, 23, None),
)
WIDE = WindowSettings(own=100, before=0, after=0, head=0)


def words(text: str) -> SourceTokens:
    """Token i is the i-th word, its id is i + 1."""
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    count = len(spans)
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    return SourceTokens(text, list(range(1, count + 1)), starts, ends, [0] * count, [True] * count)


def examples_of(
    text: str = TEXT,
    mentions: Sequence[GoldMention] = MENTIONS,
    *,
    settings: WindowSettings = WIDE,
    aligned: bool = True,
    scope: tuple[int, int] | None = None,
    **corpus: Any,
) -> tuple[list[Example], Reach]:
    reach = Reach()
    document = GoldDocument("1", text, tuple(mentions), scope or (0, len(text)))
    found = document_examples(
        document,
        Corpus("x", **corpus),
        words,
        settings,
        CATALOG,
        reach,
        aligned,  # type: ignore[arg-type]
    )
    return found, reach


def test_collate_gives_the_decisions_and_queries_worked_out_by_hand() -> None:
    (example,), reach = examples_of()
    assert example.mentions == ((0, 1, 0), (2, 4, 1), (5, 6, -1))
    assert str(reach).startswith("3 mentions, 0 not on token boundaries, 0 nested, 0 across windows, 0 in")
    (short,), _ = examples_of("Well .", ())
    batch = collate([example, short], MARKS, aligned=True, prefix=True)
    assert batch.ids[0].tolist() == [
        *(80, 1, 2, 3, 4, 5, 6, 7, 81),  # the prompt
        *(90, 1, 91, 92, 2, 90, 3, 4, 91, 92, 5, 90, 6, 91, 92, 7),
    ]
    assert batch.ids[1].tolist() == [80, 1, 2, 81, 1, 2] + [0] * 19
    second = 25  # where the second row begins when rows are laid end to end
    decisions = list(
        zip(batch.decide_at.tolist(), batch.choices.tolist(), batch.wrote_tag.tolist(), strict=True)
    )
    assert decisions == [
        (8, [1, 90], 1.0),  # the prompt's last token opens the mention of Ann,
        (10, [2, 91], 1.0),  # which closes after one word
        (12, [2, 90], 0.0),  # the query decides what follows it
        (13, [3, 90], 1.0),
        (15, [4, 91], 0.0),  # Bob goes on with Roy
        (16, [5, 91], 1.0),
        (18, [5, 90], 0.0),
        (19, [6, 90], 1.0),
        (21, [7, 91], 1.0),
        (23, [7, 90], 0.0),  # nothing is decided after the last word
        (second + 3, [1, 90], 0.0),
        (second + 4, [2, 90], 0.0),
    ]
    # Rome has no entity, so its query learns nothing.
    assert (batch.query_at.tolist(), batch.targets.tolist()) == ([12, 18], [0, 1])
    assert batch.next_at.tolist() == [*range(8, 24), second + 3, second + 4]
    assert batch.next_ids.tolist() == [*batch.ids[0, 9:].tolist(), 1, 2]


def test_prompts_see_both_ways_only_under_a_prefix_mask_and_nothing_sees_padding() -> None:
    (example,), _ = examples_of()
    (short,), _ = examples_of("Well .", ())
    for prefix in (True, False):
        mask = collate([example, short], MARKS, aligned=True, prefix=prefix).mask
        for row, (prompt, length) in enumerate(((9, 25), (4, 6))):
            for token in range(25):
                seen = [key <= token or (prefix and token < prompt and key < prompt) for key in range(length)]
                assert mask[row, token].tolist() == seen + [False] * (25 - length)


@pytest.mark.parametrize("generation", ["legal", "full"])
def test_partial_marks_say_nothing_outside_of_mentions(generation: str) -> None:
    (example,), _ = examples_of(marks="partial")
    batch = collate([example], MARKS, aligned=True, prefix=False)
    if generation == "legal":
        assert batch.decide_at.tolist() == [8, 10, 13, 15, 16, 19, 21]
        assert batch.wrote_tag.tolist() == [1, 1, 1, 0, 1, 1, 1]
    else:  # 12, 18 and 23 are the queries, after which another mention might have begun
        assert batch.next_at.tolist() == [at for at in range(8, 24) if at not in (12, 18, 23)]
    assert batch.targets.tolist() == [0, 1]


def test_corpora_without_marks_give_only_queries() -> None:
    (example,), _ = examples_of(marks="none")
    batch = collate([example], MARKS, aligned=True, prefix=False)
    assert (len(batch.decide_at), batch.choices.shape, len(batch.next_at)) == (0, (0, 2), 0)
    assert (batch.query_at.tolist(), batch.targets.tolist()) == ([12, 18], [0, 1])


def test_marks_of_several_tokens_are_told_apart_from_the_text() -> None:
    """Word 4 has the id of the open mark's last token."""
    marks = replace(MARKS, open=(90, 4), close=(90, 91))
    (example,), _ = examples_of(marks="partial")
    batch = collate([example], marks, aligned=True, prefix=False)
    told = [
        (copy, wrote)
        for (copy, _), wrote in zip(batch.choices.tolist(), batch.wrote_tag.tolist(), strict=True)
    ]
    assert told == [(1, 1), (2, 1), (3, 1), (4, 0), (5, 1), (6, 1), (7, 1)]


def test_what_cannot_be_used_is_counted() -> None:
    mentions = [
        GoldMention(0, 15, "Q1"),  # Ann met Bob Roy
        GoldMention(8, 15, "Q2"),  # inside of it
        GoldMention(8, 18, "Q2"),  # across its end
        GoldMention(17, 23, "Q2"),  # begins in the middle of a word
        GoldMention(19, 23, "Q77"),  # not in the table
    ]
    (example,), reach = examples_of(mentions=mentions)
    assert example.mentions == ((0, 4, 0), (5, 6, -1))
    assert reach == Reach(mentions=5, unreachable=1, nested=2, unknown=1)


def test_only_mentions_of_the_kinds_asked_for() -> None:
    mentions = [replace(MENTIONS[0], kind="NAM"), replace(MENTIONS[1], kind="NOM")]
    (example,), reach = examples_of(mentions=mentions, kinds=("NAM",))
    assert (example.mentions, reach.mentions) == (((0, 1, 0),), 1)


def test_a_corpus_without_links_teaches_marks_only() -> None:
    (example,), reach = examples_of(links=False)
    assert example.mentions == ((0, 1, -1), (2, 4, -1), (5, 6, -1))
    assert reach.unknown == 2


EIGHT = "a b c d e f g h"  # two windows of four words
CROSSING = GoldMention(6, 9, "Q1")  # d e
CUT = WindowSettings(own=4, before=0, after=0, head=0)


def test_a_mention_across_windows_is_counted_once() -> None:
    found, reach = examples_of(EIGHT, [GoldMention(0, 1, "Q1"), CROSSING], settings=CUT)
    assert [example.mentions for example in found] == [((0, 1, 0),), ()]
    assert reach == Reach(mentions=2, crossing=1)


def test_without_aligned_positions_the_context_is_copied_with_its_mentions() -> None:
    settings = WindowSettings(own=4, before=2, after=2, head=0)
    found, reach = examples_of(EIGHT, [CROSSING], settings=settings, aligned=False)
    assert [(e.copied, e.mentions) for e in found] == [((0, 6), ((3, 5, 0),)), ((2, 8), ((3, 5, 0),))]
    assert reach.crossing == 0
    batch = collate(found[1:], MARKS, aligned=False, prefix=False)
    assert batch.ids[0].tolist() == [80, *range(3, 9), 81, 3, 90, 4, 5, 91, 92, 6, 7, 8]


@pytest.mark.parametrize("aligned", [True, False])
def test_the_size_is_that_of_the_sequence(aligned: bool) -> None:
    (example,), _ = examples_of(settings=replace(WIDE, before=3), aligned=aligned)
    sequence = collate([example], MARKS, aligned=aligned, prefix=False).ids.shape[1]
    assert 0 <= example.size - sequence <= 4


def test_the_head_of_the_document_moves_the_mentions() -> None:
    settings = WindowSettings(own=4, before=0, after=0, head=2)
    found, _ = examples_of(EIGHT, [GoldMention(10, 11, "Q2")], settings=settings)
    batch = collate(found[1:], MARKS, aligned=True, prefix=False)
    # Shown are a b, then e f g h; f is marked.
    assert batch.ids[0].tolist() == [80, 1, 2, 5, 6, 7, 8, 81, 5, 90, 6, 91, 92, 7, 8]


def test_windows_that_reach_out_of_the_annotated_scope_are_left_out() -> None:
    mentions = [GoldMention(0, 1, "Q1"), GoldMention(8, 9, "Q2")]
    found, reach = examples_of(EIGHT, mentions, settings=CUT, scope=(8, 15))
    assert [example.mentions for example in found] == [((4, 5, 1),)]
    assert reach == Reach(mentions=2, unused=1)
    shown = replace(CUT, before=1)  # copied as well where positions are not aligned
    assert len(examples_of(EIGHT, mentions, settings=shown, scope=(8, 15))[0]) == 1
    assert examples_of(EIGHT, mentions, settings=shown, scope=(8, 15), aligned=False)[0] == []
    shown = replace(CUT, after=1)
    assert len(examples_of(EIGHT, mentions, settings=shown, scope=(0, 7))[0]) == 1
    assert examples_of(EIGHT, mentions, settings=shown, scope=(0, 7), aligned=False)[0] == []


@pytest.mark.parametrize(
    ("corpus", "kept"),
    [
        ({}, [0, 1, 2]),
        ({"min_links": 1}, [0]),
        ({"marks": "partial"}, [0, 1]),
        ({"marks": "none"}, [0]),
    ],
)
def test_windows_that_teach_nothing_are_left_out(corpus: dict[str, Any], kept: list[int]) -> None:
    text = "a b c d e f g h i j k l"
    mentions = [GoldMention(0, 1, "Q1"), GoldMention(8, 9, None)]
    found, _ = examples_of(text, mentions, settings=CUT, **corpus)
    assert [example.window.start // 4 for example in found] == kept


def test_a_corpus_is_read_as_its_recipe_says(tmp_path: Path) -> None:
    rows = [{"id": n, "text": f"{n} Ann .", "genre": "news" if n < 6 else "", "labels": []} for n in range(8)]
    write_jsonl(tmp_path / "x.jsonl", rows)

    def read(**choice: Any) -> list[str]:
        corpora = [Corpus("x.jsonl", **choice)]
        found = read_examples(corpora, tmp_path, words, WIDE, CATALOG, aligned=True, seed=3)  # type: ignore[arg-type]
        return [example.tokens.text[0] for example in found]

    assert "".join(read()) == "01234567"
    assert "".join(read(half="even")) == "0246"
    assert "".join(read(half="odd", genres=("news",))) == "135"
    assert Counter(read(repeat=3)) == dict.fromkeys("01234567", 3)
    assert "".join(read(documents=2, half="odd")) == "13"
    assert "".join(read(skip=1, documents=2, half="odd")) == "35"
    limited = read(limit=3, repeat=2)
    assert sorted(Counter(limited).values()) == [2, 2, 2]
    assert limited == read(limit=3, repeat=2)


# --- the order of steps ---


def a_schedule(steps: int = 0, seed: int = 5, **choice: Any) -> list[list[int]]:
    """The numbers of the examples of each step; example n has size 10 + n."""
    examples = [SimpleNamespace(number=n, size=10 + n) for n in range(60)]

    def make(chosen: Sequence[Any], rng: random.Random) -> Any:
        return SimpleNamespace(as_dict=lambda: [example.number for example in chosen])

    schedule = Schedule(examples, make, 100, seed, batches=steps, **choice)  # type: ignore[arg-type]
    return [schedule[step] for step in range(len(schedule))]  # type: ignore[misc]


def test_schedule_is_a_function_of_the_seed_and_no_longer_run_changes_it() -> None:
    assert a_schedule(50) == a_schedule(120)[:50]
    assert a_schedule(50) != a_schedule(50, seed=6)


def test_schedule_shows_every_example_once_a_pass() -> None:
    steps, passes = iter(a_schedule(200)), []
    while True:
        shown: list[int] = []
        while len(shown) < 60 and (step := next(steps, None)) is not None:
            shown += step
        if len(shown) < 60:
            break  # the last pass was cut short
        assert sorted(shown) == list(range(60))
        passes.append(shown)
    assert len(passes) > 2
    assert passes[0] != passes[1]


def test_steps_keep_to_their_padded_size() -> None:
    for numbers in a_schedule(100):
        assert len(numbers) == 1 or len(numbers) * (10 + max(numbers)) <= 100


def test_epochs_are_passes_and_batches_come_in_whole_updates() -> None:
    one = a_schedule(epochs=1)
    assert sorted(number for step in one for number in step) == list(range(60))
    assert a_schedule(epochs=2)[: len(one)] == one
    assert abs(len(a_schedule(epochs=2)) - 2 * len(one)) <= 1
    assert len(a_schedule(epochs=0.1)) == -(-len(one) // 10)
    for multiple in (3, 4, 8):
        assert len(a_schedule(epochs=1, multiple=multiple)) == -(-len(one) // multiple) * multiple
        assert len(a_schedule(5, multiple=multiple)) % multiple == 0


def test_what_is_drawn_in_a_step_depends_on_its_number_alone() -> None:
    def drawn() -> list[float]:
        def make(chosen: Sequence[Any], rng: random.Random) -> Any:
            return SimpleNamespace(as_dict=lambda: rng.random())

        schedule = Schedule([SimpleNamespace(size=9)], make, 10, 3, batches=5)  # type: ignore[arg-type, list-item]
        return [schedule[number] for number in (4, 0, 2, 4)]  # type: ignore[misc]

    first = drawn()
    assert first == drawn()
    assert first[0] == first[3]
    assert len(set(first)) == 3


# --- what the retrieval loss is told ---


def test_a_corpus_may_name_what_is_not_meant() -> None:
    mentions = [
        replace(MENTIONS[0], negatives=("Q2", "Q1", "Q77")),  # the target itself and a stranger do not count
        MENTIONS[1],
        replace(MENTIONS[2], negatives=("Q1",)),  # without a target there is nothing to tell it from
    ]
    (example,), _ = examples_of(mentions=mentions)
    assert example.negatives == ((1,), (), ())
    batch = collate([example], MARKS, aligned=True, prefix=True)
    assert batch.given.tolist() == [[1], [-1]]
    (plain,), _ = examples_of()
    assert collate([plain], MARKS, aligned=True, prefix=True).given.shape == (2, 0)


def test_of_a_window_so_many_queries_learn() -> None:
    (example,), _ = examples_of()
    seen = set()
    for seed in range(20):
        batch = collate([example, example], MARKS, True, True, positives=1, rng=random.Random(seed))
        assert len(batch.query_at) == len(batch.given) == 2
        seen.add(tuple(batch.targets.tolist()))
    assert seen == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert collate([example], MARKS, True, True, positives=5, rng=random.Random(1)).targets.tolist() == [0, 1]
