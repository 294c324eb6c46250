"""Finding entities by what is typed: names, beginnings, words, misspellings; and the index in the cache."""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onegen_el.document import Entity
from onegen_el.errors import KBError
from onegen_el.knowledge import KnowledgeBase, add_entities, build_kb, compact_kb, remove_entities
from onegen_el.knowledge.names import NameIndex
from onegen_el.knowledge.spelling import distance, distance_within, edits_allowed, fold, pieces
from onegen_el.resources import cache_folder

ENTITIES = [
    Entity("Q90", "Paris", "capital of France", ("Lutèce", "City of Light"), ("LOC", "city"), 9.0),
    Entity("Q830149", "Paris", "city in Texas", (), ("LOC",), 4.0),
    Entity("Q47899", "Paris Hilton", "media personality", ("Paris",), ("PER", "human"), 5.0),
    Entity("Q79917", "Paris Saint-Germain", "football club", ("PSG",), ("ORG",), 6.0),
    Entity("Q567", "Angela Merkel", "chancellor", ("Mutti", "Angela Dorothea Merkel"), ("PER",), 8.0),
    Entity("Q580", "Łódź", "city in Poland", (), ("LOC",), 5.5),
    Entity("Q1065", "United Nations", "organization", ("UN", "U.N."), ("ORG",), 8.5),
    Entity("Q76", "Barack Obama", "president", ("Obama",), ("PER",), 8.6),
    Entity("x:quote", 'The "Best" Years', "a film", (), ("MISC",), 1.0),
    Entity("x:star", "100* Hotels", "", (), (), 0.5),
]
FACTS = {"fingerprint": "f" * 64, "model_name": "tiny"}


def encode(texts: Sequence[str]) -> np.ndarray:
    return np.array([[len(text), 1.0, text.count("a"), text.count("e")] for text in texts])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONEGEN_EL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build_kb(ENTITIES, encode, tmp_path / "kb", **FACTS)
    return tmp_path / "kb"


def found(folder: Path, text: str, k: int = 10, **options: Any) -> list[tuple[str, str]]:
    hits = NameIndex.open(KnowledgeBase.open(folder)).search(text, k, **options)
    return [(hit.entity.id, hit.match) for hit in hits]


def indexes(cache: Path) -> set[Path]:
    return set(cache.glob("names/*/*.sqlite"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Paris", [("Q90", "equal"), ("Q47899", "equal"), ("Q830149", "equal"), ("Q79917", "beginning")]),
        ("paris hil", [("Q47899", "beginning")]),
        ("Merkel", [("Q567", "containing")]),
        ("dorothea merk", [("Q567", "containing")]),
        ("lutece", [("Q90", "equal")]),
        ("  LODZ ", [("Q580", "equal")]),
        ("un", [("Q1065", "equal")]),
        ("u", [("Q1065", "beginning")]),
        ("Obma", [("Q76", "similar")]),
        ("Barak Obama", [("Q76", "similar")]),
        ("Angela Merkell", [("Q567", "similar")]),
        ("Merkell", [("Q567", "similar")]),
        ("Untied Nations", [("Q1065", "similar")]),
        (
            "Pari*",
            [
                ("Q90", "beginning"),
                ("Q79917", "beginning"),
                ("Q47899", "beginning"),
                ("Q830149", "beginning"),
            ],
        ),
        ("Merk*", []),
        (
            "Paris*",
            [
                ("Q90", "beginning"),
                ("Q79917", "beginning"),
                ("Q47899", "beginning"),
                ("Q830149", "beginning"),
            ],
        ),
        ("saint", [("Q79917", "containing")]),
        ("sain", [("Q79917", "containing")]),
        ("Hil", [("Q47899", "containing")]),
        ("nothing like it", []),
        ("", []),
        ("*", []),
    ],
)
def test_what_is_found_and_in_which_order(folder: Path, text: str, expected: list[tuple[str, str]]) -> None:
    assert found(folder, text) == expected


def test_a_word_that_begins_so_counts_as_an_edit(folder: Path) -> None:
    """The best known of "Paris, mistyped" and "Parisse, not yet typed"."""
    add_entities(folder, [Entity("Q5", "Sergio Parisse", prior=5.0)], encode, **FACTS)
    assert found(folder, "Pariss")[:3] == [("Q90", "similar"), ("Q47899", "similar"), ("Q5", "containing")]


def test_misspelt_names_come_by_edits_and_then_by_prior(folder: Path) -> None:
    hits = found(folder, "Pariss")
    assert [entity for entity, _ in hits] == ["Q90", "Q47899", "Q830149", "Q79917"]
    assert {match for _, match in hits} == {"similar"}


def test_a_hit_says_what_matched(folder: Path) -> None:
    index = NameIndex.open(KnowledgeBase.open(folder))
    (hit,) = index.search("mutti")
    assert (hit.name, hit.match, hit.score, hit.entity) == ("Mutti", "equal", 1.0, ENTITIES[4])
    assert hit.to_dict()["name"] == "Mutti"
    (hit,) = index.search("Obma")
    assert (hit.name, hit.score) == ("Obama", 1 - 1 / 5)
    assert index.search("Pa*", 1)[0].score == pytest.approx(2 / 5)


def test_types_are_asked_for(folder: Path) -> None:
    assert found(folder, "paris", types=["PER"]) == [("Q47899", "equal")]
    assert found(folder, "paris", types=["per", "ORG"]) == [("Q47899", "equal"), ("Q79917", "beginning")]
    assert found(folder, "pariss", types=["city"]) == [("Q90", "similar")]
    assert found(folder, "paris", types=["comet"]) == []


def test_the_best_known_come_first_whatever_k(folder: Path) -> None:
    whole = found(folder, "paris")
    for k in range(len(whole) + 1):
        assert found(folder, "paris", k) == whole[:k]


@pytest.mark.parametrize(
    "text", ['"', '"Best"', 'the "best', "100*", "' OR 1=1 --", "NEAR(a b)", "a\0b", "%", "\ud800"]
)
def test_marks_of_query_languages_are_letters(folder: Path, text: str) -> None:
    found(folder, text)


def test_marks_in_names_are_found(folder: Path) -> None:
    assert found(folder, "the “best") == [("x:quote", "beginning")]
    assert found(folder, '"best"') == [("x:quote", "containing")]


def test_what_was_added_changed_and_removed_is_known_at_once(folder: Path, cache: Path) -> None:
    assert found(folder, "Zephyr") == []
    (first,) = indexes(cache)
    made = first.stat().st_mtime_ns
    add_entities(
        folder, [Entity("Q1", "Zephyr", prior=1.0), Entity("Q2", "Paris", prior=7.0)], encode, **FACTS
    )
    assert found(folder, "Zephyr") == [("Q1", "equal")]
    assert [entity for entity, _ in found(folder, "paris", 3)] == ["Q90", "Q2", "Q47899"]
    assert len(indexes(cache)) == 2
    assert first.stat().st_mtime_ns == made, "the large segment's names must not be written again"

    remove_entities(folder, ["Q90", "Q1"])
    assert [entity for entity, _ in found(folder, "paris", 2)] == ["Q2", "Q47899"]
    assert found(folder, "Zephyr") == []
    add_entities(
        folder, [replace(ENTITIES[4], title="Angela Kasner", aliases=())], encode, update=True, **FACTS
    )
    assert found(folder, "Merkel") == []
    assert found(folder, "Kasner") == [("Q567", "containing")]

    before = found(folder, "paris")
    compact_kb(folder)
    assert found(folder, "paris") == before
    (left,) = indexes(cache)
    assert left != first


def test_two_folders_keep_their_indexes(folder: Path, tmp_path: Path, cache: Path) -> None:
    build_kb(ENTITIES[:3], encode, tmp_path / "other", **FACTS)
    found(folder, "paris")
    found(tmp_path / "other", "paris")
    assert len(indexes(cache)) == 2
    found(folder, "paris")
    assert len(indexes(cache)) == 2


def test_progress_is_told_only_when_something_is_made(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    NameIndex.open(KnowledgeBase.open(folder), lambda done, total: told.append((done, total)))
    assert told[0][0] == 0 and told[-1][0] == told[-1][1] > 0
    told.clear()
    NameIndex.open(KnowledgeBase.open(folder), lambda done, total: told.append((done, total)))
    assert told == []


def test_a_damaged_index_is_made_again(folder: Path, cache: Path) -> None:
    expected = found(folder, "paris")
    (path,) = indexes(cache)
    for damage in (b"", b"nothing of the kind" * 100, path.read_bytes()[:5000]):
        path.write_bytes(damage)
        assert found(folder, "paris") == expected


def test_what_a_killed_process_left_is_cleared(folder: Path, cache: Path) -> None:
    found(folder, "paris")
    (path,) = indexes(cache)
    fresh, stale = path.with_name("a.1.part"), path.with_name("b.2.part")
    fresh.touch()
    stale.touch()
    os.utime(stale, (0, time.time() - 1e5))
    found(folder, "paris")
    assert fresh.exists() and not stale.exists()


def test_a_cache_that_cannot_be_written_is_told(folder: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(KBError, match=r"cannot be written .*ONEGEN_EL_CACHE"):
        NameIndex.open(KnowledgeBase.open(folder))


def test_the_cache_lies_where_the_system_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder("names") == tmp_path / "cache" / "names"
    monkeypatch.delenv("ONEGEN_EL_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("names") == tmp_path / "onegen-el" / "names"


# --- spelling ---


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("  Angela   MERKEL\n", "angela merkel"),
        ("Lutèce", "lutece"),
        ("Łódź", "lodz"),
        ("Straße", "strasse"),
        ("O’Neill – “Tip”", 'o\'neill - "tip"'),
        ("ﬁn", "fin"),
        ("Ångström", "angstrom"),
    ],
)
def test_folding(name: str, folded: str) -> None:
    assert fold(name) == folded
    assert fold(folded) == folded


@pytest.mark.parametrize(
    ("left", "right", "edits"),
    [("paris", "paris", 0), ("pariss", "paris", 1), ("prais", "paris", 1), ("obma", "obama", 1),
     ("ab", "ba", 1), ("ca", "abc", 3), ("", "ab", 2), ("kitten", "sitting", 3), ("abcdef", "zzzzzz", 6)],
)  # fmt: skip
def test_edits(left: str, right: str, edits: int) -> None:
    assert distance(left, right, 9) == distance(right, left, 9) == edits
    assert distance(left, right, edits) == edits
    if edits:
        assert distance(left, right, edits - 1) == edits


def plain_distance(left: str, right: str) -> int:
    """Optimal string alignment by its definition."""
    if not left or not right:
        return len(left) + len(right)
    best = min(
        plain_distance(left[:-1], right) + 1,
        plain_distance(left, right[:-1]) + 1,
        plain_distance(left[:-1], right[:-1]) + (left[-1] != right[-1]),
    )
    if (
        len(left) > 1
        and len(right) > 1
        and left[-2:] == right[:-3:-1][:2]
        and left[-2:] == right[-1] + right[-2]
    ):
        best = min(best, plain_distance(left[:-2], right[:-2]) + 1)
    return best


@given(st.text("ab c", max_size=6), st.text("ab c", max_size=6), st.integers(0, 6))
def test_edits_are_those_of_the_definition(left: str, right: str, most: int) -> None:
    assert distance(left, right, most) == min(plain_distance(left, right), most + 1)


def test_edits_within_a_name() -> None:
    assert distance_within("merkell", "angela merkel of", 2) == 1
    assert distance_within("angela merkell", "dr angela merkel", 2) == 1
    assert distance_within("a b c", "a b", 2) == 3


@given(st.text("abcde ", min_size=3, max_size=14).map(fold).filter(lambda name: len(name) >= 3), st.data())
def test_one_edit_spoils_no_more_pieces_than_is_said(name: str, data: Any) -> None:
    """The promise on which the search for misspelt names rests."""
    from onegen_el.knowledge.name_table import SPOILT
    from onegen_el.knowledge.spelling import padded

    at = data.draw(st.integers(0, len(name) - 1))
    edits = [name[:at] + name[at + 1 :], name[:at] + "x" + name[at:], name[:at] + "x" + name[at + 1 :]]
    if at:
        edits.append(name[: at - 1] + name[at] + name[at - 1] + name[at + 1 :])
    for edited in edits:
        lost = set(pieces(padded(name))) - set(pieces(padded(edited)))
        assert len(lost) <= SPOILT


def test_short_names_have_no_misspellings() -> None:
    assert [edits_allowed("x" * length) for length in (2, 3, 5, 6, 10, 11)] == [0, 1, 1, 2, 2, 3]
