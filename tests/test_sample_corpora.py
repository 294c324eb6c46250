"""The corpora we wrote: gold that can be read, keeps its rules and agrees with the bundled knowledge base."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from onegen_el.gold import GoldDocument, GoldMention, read_gold
from onegen_el.knowledge import KnowledgeBase

CORPORA = Path(__file__).parent.parent / "corpora"
SAMPLES = {path.stem: list(read_gold(path)) for path in sorted((CORPORA / "sample").glob("*.jsonl"))}
STYLES = ["encyclopedic", "news", "web"]
FIRST_ASTRAL = "\U00010000"

each_sample = pytest.mark.parametrize("name", SAMPLES)
each_style = pytest.mark.parametrize("name", STYLES)


@pytest.fixture(scope="module")
def kb() -> KnowledgeBase:
    return KnowledgeBase.open()


def mentions(name: str) -> list[tuple[GoldDocument, GoldMention]]:
    return [(document, mention) for document in SAMPLES[name] for mention in document.mentions]


def surface(document: GoldDocument, mention: GoldMention) -> str:
    return document.text[mention.start : mention.end]


def test_there_are_three_styles_and_enough_documents_of_each() -> None:
    assert set(SAMPLES) == {"first", *STYLES}
    counts = {name: len(SAMPLES[name]) for name in STYLES}
    assert counts["news"] >= 16 and counts["encyclopedic"] >= 14 and counts["web"] >= 10
    assert sum(counts.values()) >= 45


def test_documents_have_names_and_texts_of_their_own() -> None:
    documents = [document for sample in SAMPLES.values() for document in sample]
    assert len({document.id for document in documents}) == len(documents)
    assert len({document.text for document in documents}) == len(documents)
    assert all(document.genre for document in documents)


@each_sample
def test_spans_are_whole_words_that_do_not_overlap(name: str) -> None:
    for document in SAMPLES[name]:
        end = 0
        for mention in document.mentions:
            text = surface(document, mention)
            assert text == text.strip()
            assert mention.start >= end, (document.id, text)
            assert not re.search(r"\w\Z", document.text[: mention.start]), (document.id, text)
            assert not re.match(r"\w", document.text[mention.end :]), (document.id, text)
            end = mention.end


@each_sample
def test_a_linked_mention_has_an_item_and_every_mention_a_name(name: str) -> None:
    for document, mention in mentions(name):
        assert mention.entity is None or re.fullmatch(r"Q[1-9]\d*", mention.entity)
        assert mention.name, (document.id, surface(document, mention))


@each_sample
def test_one_item_has_one_name(name: str) -> None:
    names: dict[str, set[str | None]] = {}
    for _, mention in mentions(name):
        if mention.entity:
            names.setdefault(mention.entity, set()).add(mention.name)
    assert {entity: found for entity, found in names.items() if len(found) > 1} == {}


@each_sample
def test_names_are_those_of_the_knowledge_base(name: str, kb: KnowledgeBase) -> None:
    """A mistyped item has the wrong name."""
    checked = 0
    for document, mention in mentions(name):
        entity = kb.get(mention.entity) if mention.entity else None
        if entity:
            known = {entity.title, entity.wikipedia_title, *entity.aliases}
            assert mention.name in known, (document.id, surface(document, mention), mention.entity)
            checked += 1
    assert checked > 0.7 * len(mentions(name))


@each_sample
def test_what_is_nil_is_not_in_the_knowledge_base(name: str, kb: KnowledgeBase) -> None:
    for document, mention in mentions(name):
        if mention.entity is None:
            assert kb.by_title(mention.name or "") is None, (document.id, mention.name)


def test_an_eighth_of_the_mentions_is_nil() -> None:
    found = [mention for name in STYLES for _, mention in mentions(name)]
    assert sum(mention.entity is None for mention in found) >= 0.12 * len(found)


@each_style
def test_each_file_has_the_hard_cases(name: str) -> None:
    documents, found = SAMPLES[name], mentions(name)
    assert any(not document.mentions for document in documents), "no document without mentions"
    assert any(mention.entity is None for _, mention in found), "no NIL"
    assert any(max(document.text[: mention.start], default="") >= FIRST_ASTRAL for document, mention in found)
    assert any(mention.start == 0 for _, mention in found), "no mention at the start of a text"
    assert any(mention.end == len(document.text) for document, mention in found), "none at the end of a text"
    assert any(not surface(document, mention).isascii() for document, mention in found)


def test_one_surface_means_several_things() -> None:
    meanings: dict[str, set[str]] = {}
    for name in STYLES:
        for document, mention in mentions(name):
            if mention.entity:
                meanings.setdefault(surface(document, mention), set()).add(mention.entity)
    for ambiguous, least in {"Jordan": 4, "Washington": 4, "Paris": 3, "Victoria": 4, "Cambridge": 2}.items():
        assert len(meanings[ambiguous]) >= least, ambiguous


def test_the_readme_counts_right() -> None:
    rows = re.findall(
        r"^\| `sample/(\w+)\.jsonl` \|[^|]*\| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$",
        (CORPORA / "README.md").read_text("utf-8"),
        flags=re.MULTILINE,
    )
    said = {name: tuple(map(int, numbers)) for name, *numbers in rows}
    counted = {}
    for name, documents in SAMPLES.items():
        found = [mention for _, mention in mentions(name)]
        linked = sum(mention.entity is not None for mention in found)
        counted[name] = (len(documents), len(found), linked, len(found) - linked)
    assert said == counted
