"""Which pages are no entities, and what the classes of items say."""

from __future__ import annotations

import pytest

from onegen_el.document import COARSE_TYPES
from onegen_el.knowledge.dumps import classes
from onegen_el.knowledge.dumps.classes import types_of
from onegen_el.knowledge.dumps.kinds import kind_by_classes, kind_of, redirect_of


@pytest.mark.parametrize(
    ("title", "text", "kind"),
    [
        ("Velmar", "is a city", "article"),
        ("Velmar", "is a city in [[x]]{{disambiguation needed|date=May}}", "article"),
        ("Velmar", "{{for|others|Velmar (disambiguation)}}", "article"),
        ("Velmar (disambiguation)", "", "disambiguation"),
        ("Karo", "{{Disambiguation}}", "disambiguation"),
        ("Karo", "{{ disambig |surname}}", "disambiguation"),
        ("Karo", "{{Human_name disambiguation}}", "disambiguation"),
        ("Karo", "{{Dab}}", "disambiguation"),
        ("Karo", "{{place name disambiguation\n}}", "disambiguation"),
        ("Karo", "__DISAMBIG__", "disambiguation"),
        ("List of ports", "", "list"),
        ("Lists of ports", "", "list"),
        ("Listed ports", "", "article"),
        ("HMS Karo", "{{shipindex}}", "list"),
        ("Main Page", "", "meta"),
        ("Karoing", "{{Wiktionary redirect|karoing}}", "meta"),
    ],
)
def test_a_page_says_what_it_is(title: str, text: str, kind: str) -> None:
    assert kind_of(title, text) == kind


def test_redirects_keep_their_sections() -> None:
    assert redirect_of("Velmar", "#REDIRECT [[velmar#Harbour]] {{R to section}}") == "velmar#Harbour"
    assert redirect_of("Velmar", "#WEITERLEITUNG [[Velmar]]") == "Velmar"
    assert redirect_of(None, " #redirect: [[Velmar|x]]") == "Velmar"
    assert redirect_of(None, "About #redirect [[Velmar]]") is None


def test_items_say_what_their_pages_are() -> None:
    assert kind_by_classes(["Q515", "Q4167410"]) == "disambiguation"
    assert kind_by_classes(["Q13406463"]) == "list"
    assert kind_by_classes(["Q4167836"]) == "meta"
    assert kind_by_classes(["Q515"]) == "article" == kind_by_classes([])


def test_types_are_coarse_then_fine() -> None:
    assert types_of(["Q999999999", "Q515", "Q5", "Q5119"]) == ("LOC", "city", "capital")
    assert types_of(["Q5"]) == ("PER", "human")
    assert types_of(["Q999999999"]) == () == types_of([])


def test_the_table_of_classes_is_sound() -> None:
    rows = [line.split(maxsplit=2) for line in classes.TABLE.strip().splitlines()]
    assert len({qid for _, qid, _ in rows}) == len(rows)
    assert {coarse for coarse, _, _ in rows} == set(COARSE_TYPES)
    assert all(qid[0] == "Q" and qid[1:].isdigit() and name for _, qid, name in rows)
