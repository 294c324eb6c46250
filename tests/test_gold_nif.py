"""NIF in Turtle: what our writer writes is read back, and what others write as the standard says."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import documents

from onegen_el.document import LinkedDocument, Mention
from onegen_el.errors import InputError
from onegen_el.formats.nif import NifWriter
from onegen_el.gold import GoldDocument, GoldMention, read_nif
from onegen_el.iris import WEB
from onegen_el.unicode import encodable

pytest.importorskip("pyoxigraph")

PREFIXES = """@prefix nif: <http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#> .
@prefix itsrdf: <http://www.w3.org/2005/11/its/rdf#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix dbr: <http://dbpedia.org/resource/> .
@prefix wd: <http://www.wikidata.org/entity/> .
@prefix kb: <http://example.org/kb/> .
@prefix d: <http://example.org/doc#> .
"""
CONTEXT = 'd:offset_0_17 a nif:Context ; nif:isString "👩 Ann left Malmö"@en .\n'


def written(path: Path, *docs: LinkedDocument) -> Path:
    stream = io.BytesIO()
    writer = NifWriter(stream)
    for doc in docs:
        writer.write(doc)
    writer.close()
    path.write_bytes(stream.getvalue())
    return path


def read(tmp_path: Path, body: str) -> list[GoldDocument]:
    path = tmp_path / "a.ttl"
    path.write_text(PREFIXES + body, "utf-8")
    return list(read_nif(path))


def phrase(names: str = "", start: int = 2, end: int = 5, more: str = "") -> str:
    return (
        f"d:offset_{start}_{end} nif:referenceContext d:offset_0_17 ; "
        f'nif:beginIndex "{start}" ; nif:endIndex "{end}" '
        f"{names and '; itsrdf:taIdentRef ' + names} {more} .\n"
    )


@given(st.lists(documents(), max_size=3))
def test_what_we_write_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, docs: list[LinkedDocument]
) -> None:
    path = written(tmp_path_factory.mktemp("nif") / "a.ttl", *docs)
    read = list(read_nif(path))
    assert [(doc.id, doc.text) for doc in read] == [(encodable(doc.id), encodable(doc.text)) for doc in docs]
    for gold, doc in zip(read, docs, strict=True):
        assert [(m.start, m.end) for m in gold.mentions] == [(m.start, m.end) for m in doc.mentions]
        for mention, source in zip(gold.mentions, doc.mentions, strict=True):
            expected = encodable(source.entity) if source.entity else None
            # An address outside of Wikidata, Wikipedia and DBpedia is no entity of ours.
            assert mention.entity == (None if expected and WEB.fullmatch(expected) else expected)


def test_ids_and_entities_of_our_own_come_back(tmp_path: Path) -> None:
    mentions = (Mention(0, 3, "Ann", "house:7 ä"), Mention(4, 7, "Ulm", "enwiki:Ulm (Donau)"))
    docs = [LinkedDocument(id, "Ann Ulm", mentions) for id in ("a b/ü#1", "http://x.org/7", "a b/ü#1", "")]
    read = list(read_nif(written(tmp_path / "a.ttl", *docs)))
    assert [doc.id for doc in read] == [doc.id for doc in docs]
    assert [m.entity for m in read[0].mentions] == ["house:7 ä", "enwiki:Ulm (Donau)"]


def test_statements_may_come_in_any_order(tmp_path: Path) -> None:
    body = (
        phrase("dbr:Malm%C3%B6_Municipality", 11, 16, '; nif:anchorOf "Malmö"@sv') + phrase("wd:Q1") + CONTEXT
    )
    assert read(tmp_path, body) == [
        GoldDocument(
            "http://example.org/doc",
            "👩 Ann left Malmö",
            (GoldMention(2, 5, "Q1"), GoldMention(11, 16, "enwiki:Malmö Municipality")),
            scope=(0, 16),
        )
    ]


def test_offsets_count_where_the_anchor_is_another(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (document,) = read(tmp_path, CONTEXT + phrase("wd:Q1", more='; nif:anchorOf "Anna"'))
    assert document.mentions == (GoldMention(2, 5, "Q1"),)
    assert "1 strings with another nif:anchorOf" in caplog.text


@pytest.mark.parametrize(
    ("names", "entity"),
    [
        ("wd:Q1", "Q1"),
        ("<https://www.wikidata.org/wiki/Q12>", "Q12"),
        ("<http://en.wikipedia.org/wiki/Ann_Bee#Life>", "enwiki:Ann Bee"),
        ("<https://en.wikipedia.org/wiki/AC%2FDC>", "enwiki:AC/DC"),
        ("<http://dbpedia.org/resource/What%3F>", "enwiki:What?"),
        ('<http://dbpedia.org/resource/"Ann">', 'enwiki:"Ann"'),
        ("kb:Ann , dbr:Ann_Bee , wd:Q1", "Q1"),
        ("kb:Ann , dbr:Ann_Bee", "enwiki:Ann Bee"),
        ("<http://de.wikipedia.org/wiki/Ann>", None),
        ("<http://aksw.org/notInWiki/Ann>", None),
        ("wd:P31", None),
        ("kb:Ann", None),
        ("kb:Other", "enwiki:Other"),
        ("kb:Both", "Q5"),
        ("", None),
    ],
)
def test_names_of_entities(tmp_path: Path, names: str, entity: str | None) -> None:
    same = "kb:Other owl:sameAs dbr:Other . kb:Both owl:sameAs dbr:Both , wd:Q5 .\n"
    (document,) = read(tmp_path, CONTEXT + phrase(names) + same)
    assert document.mentions == (GoldMention(2, 5, entity),)


def test_structure_is_no_mention_and_units_name_entities(tmp_path: Path) -> None:
    body = (
        CONTEXT
        + phrase(more="; a nif:Sentence", start=0, end=16)
        + phrase(more="; a nif:Word", start=6, end=10)
        + phrase("wd:Q34", start=11, end=16, more="; a nif:Word")
        + phrase(more="; a nif:Phrase ; nif:annotationUnit [ itsrdf:taIdentRef wd:Q1 ]")
    )
    (document,) = read(tmp_path, body)
    assert document.mentions == (GoldMention(2, 5, "Q1"), GoldMention(11, 16, "Q34"))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (CONTEXT + phrase(start=5, end=17), "offset_5_17>: span 5-17 is outside the text"),
        (CONTEXT + phrase(start=5, end=5), "span 5-5 is outside the text"),
        (CONTEXT + phrase().replace('"2"', '"2.5"'), "offset '2.5' is no whole number"),
        (CONTEXT + phrase().replace("nif:beginIndex", "nif:begin"), "offset None is no whole number"),
        (CONTEXT + phrase(more="; nif:endIndex 6"), "offset_2_5> has two values of .*endIndex"),
        (phrase(), "offset_2_5> refers to <http://example.org/doc#offset_0_17>; expected"),
        (CONTEXT + 'd:x nif:beginIndex "1" .', "doc#x> refers to no context"),
        ("d:offset_0_17 a nif:Context .", "context <.*> has no text"),
        (CONTEXT + "\n<x", "line 10: is not Turtle"),
        ("wdt:Q1 a nif:Context .", "line 8: is not Turtle"),
    ],
)
def test_what_cannot_be_meant_is_named(tmp_path: Path, body: str, says: str) -> None:
    with pytest.raises(InputError, match=rf"a\.ttl.*{says}"):
        read(tmp_path, body)


def test_without_pyoxigraph_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyoxigraph", None)
    with pytest.raises(InputError, match=r"pip install 'onegen-el\[nif\]'"):
        read(tmp_path, CONTEXT)
