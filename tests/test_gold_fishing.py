"""The corpus XML of entity-fishing: what an annotation means, which text it is of, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from onegen_el.errors import InputError
from onegen_el.gold import GoldDocument, GoldMention, read_fishing


def annotation(start: int, length: int, **fields: str) -> str:
    named = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    return f"<annotation>{named}<offset>{start}</offset><length>{length}</length></annotation>\n"


def corpus(tmp_path: Path, texts: dict[str, str | bytes], *documents: str) -> Path:
    (tmp_path / "RawText").mkdir(exist_ok=True)
    for name, text in texts.items():
        (tmp_path / "RawText" / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    path = tmp_path / "a.xml"
    path.write_text(
        '<?xml version="1.0"?>\n<x.entityAnnotation>\n' + "".join(documents) + "</x.entityAnnotation>\n"
    )
    return path


def document(name: str, *annotations: str) -> str:
    return f'<document docName="{name}">\n{"".join(annotations)}</document>\n'


def test_documents_with_their_texts(tmp_path: Path) -> None:
    path = corpus(
        tmp_path,
        {"Ulm_(town)": "Ann & Bo left\r\nUlm.\n", "b": "\ufeffno names"},
        document(
            "Ulm_(town)",
            annotation(15, 3, mention="Ulm", wikiName="Ulm"),
            annotation(0, 8, mention="Ann & Bo", wikiName="Ann_& Bo", other="x"),
            annotation(9, 9, mention="left\nUlm", wikidataId=" Q1 ", wikiName="Leaving", wikipediaId="7"),
        ),
        document("b"),
    )
    assert list(read_fishing(path)) == [
        GoldDocument(
            "Ulm_(town)",
            "Ann & Bo left\r\nUlm.\n",
            (
                GoldMention(0, 8, "enwiki:Ann & Bo"),
                GoldMention(9, 18, "Q1", "Leaving"),
                GoldMention(15, 18, "enwiki:Ulm"),
            ),
            (0, 20),
        ),
        GoldDocument("b", "\ufeffno names", (), (0, 9)),
    ]


@pytest.mark.parametrize(
    ("fields", "entity"),
    [
        ({"wikiName": "Ulm, Montana"}, "enwiki:Ulm, Montana"),
        ({"wikiName": "Ulm", "wikipediaId": "32"}, "enwiki:Ulm"),
        ({"wikiName": "Ulm", "wikidataId": "Q3012"}, "Q3012"),
        ({"wikidataId": "Q3012"}, "Q3012"),
        ({"wikiName": "Ulm", "wikidataId": "null", "wikipediaId": "-1"}, None),
        ({"wikiName": "Ulm", "wikidataId": ""}, None),
        ({"wikiName": "NIL"}, None),
        ({"wikiName": ""}, None),
        ({"wikipediaId": "32"}, None),
        ({}, None),
    ],
)
def test_names_of_entities(tmp_path: Path, fields: dict[str, str], entity: str | None) -> None:
    path = corpus(tmp_path, {"a": "Ulm"}, document("a", annotation(0, 3, **fields)))
    (read,) = read_fishing(path)
    assert [m.entity for m in read.mentions] == [entity]


def test_offsets_in_utf16_units_are_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "👩👩 Ann left Ulm"
    by_units = [annotation(5, 3, mention="Ann"), annotation(14, 3, mention="Ulm"), annotation(0, 4)]
    by_points = [annotation(3, 3, mention="Ann"), annotation(12, 3, mention="Ulm"), annotation(0, 2)]
    for rows in (by_units, by_points):
        (read,) = read_fishing(corpus(tmp_path, {"a": text}, document("a", *rows)))
        assert [text[m.start : m.end] for m in read.mentions] == ["👩👩", "Ann", "Ulm"]
    assert not caplog.text
    # Half of a character is no place.
    with pytest.raises(InputError, match="span 0--1 is outside the text"):
        list(read_fishing(corpus(tmp_path, {"a": text}, document("a", *by_units, annotation(0, 3)))))


def test_offsets_count_where_the_mention_is_another(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = corpus(
        tmp_path, {"a": "Ann left"}, document("a", annotation(0, 3, mention="Anna", wikiName="Ann"))
    )
    (read,) = read_fishing(path)
    assert read.mentions == (GoldMention(0, 3, "enwiki:Ann"),)
    assert "1 mentions are not what stands at their offsets" in caplog.text


def test_documents_come_before_the_file_is_read(tmp_path: Path) -> None:
    filler = "<!-- " + "x" * 100_000 + " -->"
    path = corpus(tmp_path, {"a": "Ann"}, document("a"), filler, document("missing"))
    documents = read_fishing(path)
    assert next(documents).id == "a"
    with pytest.raises(
        InputError, match=r"RawText.missing: cannot be read .*the texts of a\.xml stand in RawText"
    ):
        next(documents)


LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<x><document docName="a"><annotation><mention>&b;</mention></annotation></document></x>"""
EXTERNAL = (
    '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>\n<x><document docName="a">&e;</document></x>'
)
SUBSET = '<!DOCTYPE x SYSTEM "http://example.org/x.dtd">\n<x/>'


@pytest.mark.parametrize(("text", "line"), [(LAUGHS, 2), (EXTERNAL, 1), (SUBSET, 1)])
def test_document_types_are_refused(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(InputError, match=rf"a\.xml, line {line}: a document type .* is refused"):
        list(read_fishing(tmp_path / "a.xml"))


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "..", ".", "", "a\\b", "sub/a"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("Ann")
    with pytest.raises(InputError, match=r"a\.xml: docName .* is not the name of a file"):
        list(read_fishing(corpus(tmp_path, {}, document(name))))


@pytest.mark.parametrize(
    ("body", "line", "message"),
    [
        (document("a").replace(' docName="a"', ""), 3, "expected documents, one after the other"),
        (document("a", document("b")), 4, "expected documents"),
        (annotation(0, 1), 3, "expected annotations, one after the other, inside of a document"),
        (document("a", annotation(0, 4)), 4, "annotation of 'a': span 0-4 is outside the text"),
        (document("a", annotation(1, 0)), 4, "span 1-1 is outside"),
        (document("a", annotation(-1, 2)), 4, "offset '-1' is no whole number"),
        (document("a", "<annotation/>"), 4, "offset '' is no whole number; expected <offset> and <length>"),
        (document("a", annotation(0, 1, offset="0")), 4, "two <offset>"),
        (document("a", annotation(0, 1, wikidataId="P31")), 4, "wikidataId 'P31'; expected a QID"),
        (document("a", "<annotation>"), 4, "is not XML .mismatched tag"),
        ("&undefined;", 3, "is not XML .undefined entity"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_line(tmp_path: Path, body: str, line: int, message: str) -> None:
    path = corpus(tmp_path, {"a": "Ann"}, body)
    with pytest.raises(InputError, match=rf"a\.xml, line {line}: .*{message}"):
        list(read_fishing(path))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = corpus(tmp_path, {"a": b"caf\xe9"}, document("a"))
    with pytest.raises(InputError, match=r"RawText.a: is not UTF-8"):
        list(read_fishing(path))
    packed = tmp_path / "a.xml.gz"
    packed.write_bytes(gzip.compress(path.read_bytes())[:-8])
    with pytest.raises(InputError, match=r"a\.xml\.gz: cannot be read"):
        list(read_fishing(packed))
    for encoding in ("latin-9000", "utf-7", "shift_jis"):
        path.write_text(f'<?xml version="1.0" encoding="{encoding}"?><x/>')
        with pytest.raises(InputError, match=r"a\.xml, line 1: "):
            list(read_fishing(path))


def test_other_encodings_are_read(tmp_path: Path) -> None:
    path = corpus(tmp_path, {"é": "Ann"})
    text = '<?xml version="1.0" encoding="ISO-8859-1"?><x><document docName="é"/></x>'
    path.write_bytes(text.encode("latin-1"))
    assert [doc.id for doc in read_fishing(path)] == ["é"]
