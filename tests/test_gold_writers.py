"""What is written is read back, and what is not is counted: each count is checked against the difference."""

from __future__ import annotations

import gzip
import json
import logging
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import TEXTS

from onegen_el.errors import InputError
from onegen_el.gold import NIL_IDS, GoldDocument, GoldMention, read_gold
from onegen_el.gold.convert import WRITERS, write
from onegen_el.gold.document import gold_document
from onegen_el.gold.writers.dropped import Dropped
from onegen_el.unicode import encodable

pytest.importorskip("pyoxigraph")

TOKEN_FORMATS = {"aida", "conllu", "hipe"}
SURROGATE = re.compile("[\ud800-\udfff]")
PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
PROSE = st.lists(
    st.sampled_from(
        [
            "Ann",
            "Lee",
            "Ulm.",
            " ",
            " ",
            " ",
            "\n",
            "  ",
            "\t",
            "\r\n",
            "\u00a0",
            "-",
            "👩",
            "é",
            "-DOCSTART-",
            "#",
        ]
    ),
    max_size=12,
).map("".join)
ENTITIES = (
    st.none()
    | st.sampled_from(["Q42", "enwiki:Café (bar)", "enwiki:What?", "house:7 ä", "http://kb.org/é", "NIL", ""])
    | st.sampled_from(["enwiki:a_b", "enwiki: c", "enwiki:", "enwiki:null", "enwiki:--NME--", "enwiki:NIL"])
    | st.sampled_from(["enwiki:a|b", "enwiki:\ud800", "enwiki:a\tb\x00", "http://dbpedia.org/resource/Ulm"])
    | TEXTS
)
KINDS = st.sampled_from(["", "", "NAM", "NOM", "a|b", "\n", "\ud800"])


@st.composite
def gold(draw: st.DrawFn) -> GoldDocument:
    """Any document: mentions nest, cross, repeat, begin inside of words, and are white space."""
    text = draw(PROSE | TEXTS)
    mentions = []
    for _ in range(draw(st.integers(0, 5)) if text else 0):
        start = draw(st.integers(0, len(text) - 1))
        mentions.append(
            GoldMention(
                start,
                draw(st.integers(start + 1, min(len(text), start + 12))),
                draw(ENTITIES),
                draw(st.sampled_from(["", "", "Ann Lee", " x", "NIL", "a\rb", "\x00"])),
                draw(KINDS),
                draw(st.booleans()),
                draw(st.sampled_from([(), ("Q1", "enwiki:A")])),
            )
        )
    start = draw(st.integers(0, len(text)))
    scope = draw(st.none() | st.just((start, draw(st.integers(start, len(text))))))
    identity = draw(st.sampled_from(["d", "D", "a/b", "..", " x  y ", "", "http://x.org/7", "(x)"]) | TEXTS)
    return gold_document(identity, text, mentions, scope, draw(KINDS))


def skeleton(text: str, format: str) -> tuple[list[int], list[str]]:
    """How many other characters stand before each offset, and the white space between them."""
    before, gaps = [0], [""]
    for character in text:
        if character.isspace() if format == "aida" else character in " \t\r\n":
            gaps[-1] += character
        else:
            gaps.append("")
        before.append(len(gaps) - 1)
    return before, gaps


def pairs(
    format: str, source: GoldDocument, read: GoldDocument, lost: Counter[str]
) -> Iterator[tuple[GoldMention, GoldMention]]:
    """Mentions and what became of them."""
    if format not in TOKEN_FORMATS:
        assert read.text == (source.text if format in ("linked", "elevant") else encodable(source.text))
        assert [(m.start, m.end) for m in read.mentions] == [(m.start, m.end) for m in source.mentions]
        yield from zip(source.mentions, read.mentions, strict=True)
        return
    before, gaps = skeleton(encodable(source.text), format)
    after, gaps_read = skeleton(read.text, format)
    lost["gaps"] += sum(a != b for a, b in zip(gaps, gaps_read, strict=True))
    places: dict[tuple[int, int], list[tuple[GoldMention, bool]]] = {}
    for mention in source.mentions:
        surface = source.text[mention.start : mention.end]
        if not surface.strip():
            lost["blank"] += 1
            continue
        lost["nested"] += 1
        start = mention.start + surface.index(surface.strip())
        place = before[start], before[start + len(surface.strip())]
        places.setdefault(place, []).append((mention, surface != surface.strip()))
    for mention in read.mentions:
        surface = read.text[mention.start : mention.end]
        assert surface == surface.strip()
        origin, trimmed = places[after[mention.start], after[mention.end]][0]
        lost["nested"] -= 1
        lost["trimmed"] += trimmed
        yield origin, mention


def difference(format: str, sources: list[GoldDocument], reads: list[GoldDocument]) -> Dropped:
    """What the documents that were read lack, by comparing them with those written."""
    lost: Counter[str] = Counter()
    for source, read in zip(sources, reads, strict=True):
        whole = 0, len(source.text)
        if format not in ("linked", "elevant"):
            lost["characters"] += len(SURROGATE.findall(source.text))
        lost["ids"] += source.id != read.id
        lost["genres"] += source.genre != read.genre
        lost["scopes"] += source.scope != whole and (format in TOKEN_FORMATS or source.scope != read.scope)
        for mention, found in pairs(format, source, read, lost):
            lost["entities"] += (None if mention.entity in NIL_IDS else mention.entity) != found.entity
            for field, before, after in [
                ("names", mention.name, found.name),
                ("kinds", mention.kind, found.kind),
                ("optional", mention.optional, found.optional),
                ("negatives", mention.negatives, found.negatives),
            ]:
                assert after == before or not after
                lost[field] += after != before
    return Dropped(**lost)


def trip(
    folder: Path, documents: list[GoldDocument], format: str, name: str = "a"
) -> tuple[Dropped, list[GoldDocument]]:
    dropped = write(documents, folder / name, format)
    return dropped, list(read_gold(folder / name, format))


@pytest.mark.parametrize("format", WRITERS)
@given(st.lists(gold(), max_size=3))
@settings(max_examples=150)
def test_what_is_not_read_back_is_counted(
    tmp_path_factory: pytest.TempPathFactory, format: str, documents: list[GoldDocument]
) -> None:
    if format in ("linked", "elevant"):
        # JSON has no way to say two surrogate halves that are not one character.
        rows = [[d.id, d.text, d.genre, [(m.entity, m.name, m.kind) for m in d.mentions]] for d in documents]
        assume(not PAIR.search(json.dumps(rows, ensure_ascii=False)))
    if format == "linked":
        assume(all(d.scope[0] < d.scope[1] or d.scope == (0, len(d.text)) for d in documents))
    dropped, read = trip(tmp_path_factory.mktemp(format), documents, format)
    assert dropped == difference(format, documents, read)


@pytest.mark.parametrize("format", WRITERS)
@given(gold())
@settings(max_examples=50)
def test_what_was_read_is_held(
    tmp_path_factory: pytest.TempPathFactory, format: str, document: GoldDocument
) -> None:
    assume(format not in ("linked", "elevant") or not SURROGATE.search(repr(document) + document.text))
    assume(format != "linked" or document.scope[0] < document.scope[1])
    _, read = trip(tmp_path_factory.mktemp(format), [document], format)
    assert trip(tmp_path_factory.mktemp(format), read, format) == (Dropped(), read)


TEXT = "Ann Lee of New  Ulm\nleft Leeds.\n\nBob?"
EVERYTHING = gold_document(
    "a/b",
    TEXT,
    [
        GoldMention(0, 7, "Q1", "Ann Lee", "NAM", True, ("Q2",)),
        GoldMention(4, 7, "enwiki:Lee (name)", "Lee"),  # nested
        GoldMention(11, 20, "enwiki:New Ulm", kind="NAM"),  # with the line feed after it
        GoldMention(25, 28, "house:7"),  # a part of a word
        GoldMention(33, 36, "NIL"),
    ],
    (0, 31),
    "news",
)


@pytest.mark.parametrize(
    ("format", "lost"),
    [
        ("linked", Dropped()),
        ("elevant", Dropped(negatives=1)),
        ("nif", Dropped(names=2, kinds=2, optional=1, negatives=1, scopes=1, genres=1)),
        (
            "aida",
            # Gaps: the two blanks, before "ds" and "?", and the empty line.
            Dropped(
                **{"nested": 1, "trimmed": 1, "entities": 1, "gaps": 4, "scopes": 1, "genres": 1},
                **{"names": 1, "kinds": 2, "optional": 1, "negatives": 1},
            ),
        ),
        (
            "conllu",
            Dropped(nested=1, trimmed=1, entities=1, scopes=1, names=1, optional=1, negatives=1),
        ),
        (
            "hipe",
            # Only Wikidata can be named; the gaps are the two blanks and the empty line.
            Dropped(
                **{"nested": 1, "trimmed": 1, "entities": 2, "gaps": 2, "scopes": 1},
                **{"names": 1, "kinds": 2, "optional": 1, "negatives": 1},
            ),
        ),
        (
            "fishing",
            Dropped(names=1, kinds=2, optional=1, negatives=1, entities=1, scopes=1, genres=1, ids=1),
        ),
    ],
)
def test_counts_by_hand(tmp_path: Path, format: str, lost: Dropped) -> None:
    dropped, (read,) = trip(tmp_path, [EVERYTHING], format)
    assert dropped == lost
    names = ["Ann Lee", "New  Ulm" if format != "aida" and format != "hipe" else "New Ulm", "Lee", "Bob"]
    surfaces = [read.text[m.start : m.end].strip() for m in read.mentions]
    assert surfaces == (names if format in TOKEN_FORMATS else [names[0], "Lee", *names[1:]])
    assert bool(dropped) is (format != "linked")
    assert "blank" not in dropped.counts()


AIDA = r"""-DOCSTART- (one)
Ann	B	Ann Malmö	Q1	http://www.wikidata.org/entity/Q1
Malmö	I	Ann Malmö	Q1	http://www.wikidata.org/entity/Q1
met

Bob	B	Bob	--NME--
Lee	B	Lee	Lee_\u0028\u00e9\u0029	http://en.wikipedia.org/wiki/Lee_(%C3%A9)

-DOCSTART- (two)

"""
CONLLU = """# newdoc id = one
# meta::genre = news
1	Ann	_	_	_	_	_	_	_	NEL=Q1|NER=B-ENT
2	Malmö	_	_	_	_	_	_	_	NEL=Q1|NER=I-ENT
3	met	_	_	_	_	_	_	_	SpacesAfter=\\n

1	Bob	_	_	_	_	_	_	_	NEL=NIL|NER=B-ENT
2	Lee	_	_	_	_	_	_	_	NEL=enwiki:Lee_(é)|NER=B-ENT|SpaceAfter=No

# newdoc id = two

"""
HIPE = """TOKEN	NE-COARSE-LIT	NE-COARSE-METO	NE-FINE-LIT	NE-FINE-METO	NE-FINE-COMP	NE-NESTED	NEL-LIT	NEL-METO	MISC
# hipe2022:document_id = one
# hipe2022:document_type = news
# hipe2022:applicable_columns = TOKEN NE-COARSE-LIT NEL-LIT MISC
Ann	B-ent	_	_	_	_	_	Q1	_	_
Malmö	I-ent	_	_	_	_	_	Q1	_	_
met	O	_	_	_	_	_	_	_	EndOfLine
Bob	B-ent	_	_	_	_	_	NIL	_	_
Lee	B-ent	_	_	_	_	_	NIL	_	NoSpaceAfter

# hipe2022:document_id = two
# hipe2022:applicable_columns = TOKEN NE-COARSE-LIT NEL-LIT MISC

"""  # noqa: E501
ELEVANT = """{"id": "one", "genre": "news", "text": "Ann Malmö met\\nBob Lee", "labels": \
[{"span": [0, 9], "entity_id": "Q1"}, {"span": [14, 17], "entity_id": "Unknown"}, \
{"span": [18, 21], "entity_id": "enwiki:Lee (é)"}]}
{"id": "two", "text": "", "labels": []}
"""
FISHING = """<?xml version="1.0" encoding="UTF-8"?>
<onegen-el.entityAnnotation>
	<document docName="one">
		<annotation>
			<mention>Ann Malmö</mention>
			<wikidataId>Q1</wikidataId>
			<offset>0</offset>
			<length>9</length>
		</annotation>
		<annotation>
			<mention>Bob</mention>
			<wikiName>NIL</wikiName>
			<offset>14</offset>
			<length>3</length>
		</annotation>
		<annotation>
			<mention>Lee</mention>
			<wikiName>Lee (é)</wikiName>
			<offset>18</offset>
			<length>3</length>
		</annotation>
	</document>
	<document docName="two">
	</document>
</onegen-el.entityAnnotation>
"""
PLAIN = [
    gold_document(
        "one",
        "Ann Malmö met\nBob Lee",
        [GoldMention(0, 9, "Q1"), GoldMention(14, 17, None), GoldMention(18, 21, "enwiki:Lee (é)")],
        genre="news",
    ),
    gold_document("two", "", []),
]


@pytest.mark.parametrize(
    ("format", "content"),
    [("aida", AIDA), ("conllu", CONLLU), ("hipe", HIPE), ("elevant", ELEVANT), ("fishing", FISHING)],
)
def test_the_files_are_of_the_format(tmp_path: Path, format: str, content: str) -> None:
    write(PLAIN, tmp_path / "a", format)
    assert (tmp_path / "a").read_text("utf-8") == content
    # Also told without its name, but for XML after texts of the same folder.
    assert [doc.id for doc in read_gold(tmp_path / "a")] == ["one", "two"]


def test_nif_is_what_others_read(tmp_path: Path) -> None:
    from pyoxigraph import RdfFormat, parse

    write([*PLAIN, PLAIN[0]], tmp_path / "a.ttl", "nif")
    triples = [
        (quad.subject.value, quad.predicate.value.rpartition("#")[2], quad.object.value)
        for quad in parse((tmp_path / "a.ttl").read_bytes(), RdfFormat.TURTLE)
    ]
    context = "urn:onegen-el:one#offset_0_21"
    assert (context, "isString", PLAIN[0].text) in triples
    lee = "urn:onegen-el:one#offset_18_21"
    for statement in [
        ("referenceContext", context),
        ("beginIndex", "18"),
        ("endIndex", "21"),
        ("anchorOf", "Lee"),
        ("taIdentRef", "http://en.wikipedia.org/wiki/Lee_(%C3%A9)"),
    ]:
        assert (lee, *statement) in triples
    names = [value for _, predicate, value in triples if predicate == "taIdentRef"]
    assert names[:2] == ["http://www.wikidata.org/entity/Q1", "http://aksw.org/notInWiki/Bob"]
    # Documents of one id stay two.
    assert [doc.text for doc in read_gold(tmp_path / "a.ttl")] == [PLAIN[0].text, "", PLAIN[0].text]


def test_tokens_are_cut_where_mentions_begin_and_end(tmp_path: Path) -> None:
    document = gold_document("d", "non-Ulmers' Ulm-Süd", [GoldMention(4, 7, "Q1"), GoldMention(12, 19, "Q2")])
    for format in ("conllu", "hipe"):
        assert trip(tmp_path, [document], format) == (Dropped(), [document])
    # No token can follow another without a space here, so the text becomes another one.
    dropped, (read,) = trip(tmp_path, [document], "aida")
    assert (dropped, read.text) == (Dropped(gaps=2), "non- Ulm ers' Ulm-Süd")
    assert read.mentions == (GoldMention(5, 8, "Q1"), GoldMention(14, 21, "Q2"))


@pytest.mark.parametrize("format", ["aida", "conllu", "hipe"])
def test_of_overlapping_mentions_the_outer_then_the_first_stays(tmp_path: Path, format: str) -> None:
    spans = [(0, 3), (0, 7), (4, 11), (8, 11), (8, 11)]
    document = gold_document(
        "d", "Ann Lee Ulm", [GoldMention(*span, f"Q{n}") for n, span in enumerate(spans, 1)]
    )
    dropped, (read,) = trip(tmp_path, [document], format)
    assert dropped == Dropped(nested=3)
    assert read.mentions == (GoldMention(0, 7, "Q2"), GoldMention(8, 11, "Q4"))


@pytest.mark.parametrize("format", WRITERS)
def test_gz_and_the_same_bytes(tmp_path: Path, format: str) -> None:
    (tmp_path / "other").mkdir()
    for name in ("a.gz", "other/a.gz", "a"):
        write(PLAIN, tmp_path / name, format)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "other" / "a.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == (tmp_path / "a").read_bytes()
    assert list(read_gold(tmp_path / "a.gz", format)) == list(read_gold(tmp_path / "a", format))


@pytest.mark.parametrize("format", WRITERS)
def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, format: str) -> None:
    def broken() -> Iterator[GoldDocument]:
        yield EVERYTHING
        raise InputError("corpus.tsv, line 7: is broken")

    (tmp_path / "old").write_text("stays")
    for name in ("old", "new", "new.gz"):
        with pytest.raises(InputError, match="line 7"):
            write(broken(), tmp_path / name, format)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old", "stays")]
    with pytest.raises(InputError, match=r"none.a: cannot be written"):
        write([], tmp_path / "none" / "a", format)


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"unknown format 'reference'; .*elevant, linked, aida, nif, conllu, hipe"
    ):
        write(PLAIN, tmp_path / "a", "reference")
    with pytest.raises(InputError, match="document 'd' has two surrogate halves side by side"):
        write([gold_document("d", "\ud83d\udc69", [])], tmp_path / "a", "elevant")
    assert not list(tmp_path.iterdir())


def test_texts_of_other_corpora_are_not_overwritten(tmp_path: Path) -> None:
    write(PLAIN, tmp_path / "a.xml", "fishing")
    write(PLAIN, tmp_path / "b.xml", "fishing")
    with pytest.raises(InputError, match=r"RawText.one: is there with another text; choose another folder"):
        write(
            [gold_document("new", "", []), gold_document("one", "other", [])], tmp_path / "c.xml", "fishing"
        )
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["RawText", "a.xml", "b.xml", "one", "two"]
    assert list(read_gold(tmp_path / "a.xml")) == [gold_document(d.id, d.text, d.mentions) for d in PLAIN]


def test_texts_get_names_that_files_may_have(tmp_path: Path) -> None:
    ids = ["http://x.org/7", "..", ".partial", "a", "A", "a-2", "", "é\n", "n" * 500, "n" * 500 + "m", "c.gz"]
    documents = [gold_document(identity, f"text {n}", []) for n, identity in enumerate(ids)]
    dropped, read = trip(tmp_path, documents, "fishing")
    assert [doc.text for doc in read] == [doc.text for doc in documents]
    assert dropped == Dropped(ids=sum(doc.id != identity for doc, identity in zip(read, ids, strict=True)))
    assert [doc.id for doc in read][:8] == [
        "http%3A%2F%2Fx.org%2F7", "%2E.", "%2Epartial", "a", "A-2", "a-2-2", "document", "é%0A"
    ]  # fmt: skip


def test_own_texts_raise_no_warnings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    text = "👩 \r\n\0 Ann\r"
    document = gold_document("d", text, [GoldMention(0, len(text), None), GoldMention(6, 10, None)])
    for format in ("nif", "fishing"):
        assert trip(tmp_path, [document], format) == (Dropped(), [document])
    assert not caplog.text


def test_white_space_of_udpipe_counts_before_spaces_and_paragraphs(tmp_path: Path) -> None:
    rows = [
        ("1", "Ann", "NER=B-PER|NEL=Q1|SpacesAfter=\\s\\p\\\\s|SpacesBefore=\\t"),
        ("2", "left", "SpacesAfter=\\r\\n|SpacesBefore=\\n"),
        ("3", "Ulm", "SpaceAfter=No"),
        ("4", "!", "SpacesAfter=\\n"),
    ]
    lines = ["\t".join([number, form, *"_" * 7, misc]) + "\n" for number, form, misc in rows]
    (tmp_path / "a.conllu").write_text(
        "# newdoc id = d\n" + "".join([*lines[:2], "\n# newpar\n", *lines[2:]])
    )
    assert list(read_gold(tmp_path / "a.conllu")) == [
        gold_document("d", "\tAnn |\\sleft\r\nUlm!\n", [GoldMention(1, 4, "Q1")])
    ]
