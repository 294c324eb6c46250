"""Every format holds what the document holds, whatever characters it is made of."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import TEXTS, documents

from onegen_el.document import Candidate, LinkedDocument, Mention
from onegen_el.errors import InputError
from onegen_el.formats import MODULES, Format, format_of, open_writer
from onegen_el.iris import document_iri, entity_iri
from onegen_el.unicode import encodable, visible

TEXT = "Home Depot hired Zed."
MENTIONS = (
    Mention(
        *(
            0,
            10,
            "Home Depot",
            "Q864407",
            "The Home Depot",
            "https://en.wikipedia.org/wiki/Home_Depot",
            "ORG",
        ),
        score=0.87654321,
        detection_score=0.5,
        candidates=(Candidate("Q864407", "The Home Depot", 0.87654321),),
    ),
    Mention(17, 20, "Zed", score=-0.25),
)
NEWS = LinkedDocument("news.txt", TEXT, MENTIONS)
NOTHING = LinkedDocument("empty", "")


def written(format: str, *docs: LinkedDocument, color: bool = False, width: int | None = None) -> bytes:
    stream = io.BytesIO()
    writer = open_writer(format, stream, color=color, width=width)
    for document in docs:
        writer.write(document)
    writer.close()
    return stream.getvalue()


@pytest.mark.parametrize("format", sorted(set(Format) - {Format.SPACY}))
@given(st.lists(documents(), max_size=2))
def test_text_formats_take_every_document_and_write_utf8(format: Format, docs: list[LinkedDocument]) -> None:
    written(format, *docs).decode("utf-8")


def test_every_format_has_a_module() -> None:
    assert set(MODULES) == set(Format)


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.txt", "text"),
        ("a.jsonl", "jsonl"),
        ("a.CSV", "csv"),
        ("a.spacy", "spacy"),
        ("a.ttl", "nif"),
        ("a.nif", "nif"),
        ("a.b.html", "html"),
        ("plain", "text"),
    ],
)
def test_suffix_tells_the_format(name: str, format: str) -> None:
    assert format_of(Path(name)) == format


def test_unknown_suffix_is_an_error_that_names_the_option() -> None:
    with pytest.raises(InputError, match=r"out\.json.*--format"):
        format_of(Path("out.json"))


def test_unknown_format_is_an_error() -> None:
    with pytest.raises(ValueError, match="xml"):
        open_writer("xml", io.BytesIO())


def test_only_the_spacy_format_needs_spacy() -> None:
    code = (
        "import io, sys; from onegen_el.formats import open_writer\n"
        "for name in ('text', 'jsonl', 'csv', 'nif', 'html'): open_writer(name, io.BytesIO())\n"
        "print(sorted({'spacy', 'torch', 'numpy', 'pandas'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


# --- characters ------------------------------------------------------------------------------------------


@given(TEXTS)
def test_replaced_characters_keep_every_offset(text: str) -> None:
    for replaced in (encodable(text), visible(text)):
        assert len(replaced) == len(text)
        replaced.encode("utf-8")
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", visible(text))


# --- jsonl -----------------------------------------------------------------------------------------------


def test_jsonl_is_the_documented_schema() -> None:
    (line,) = written("jsonl", NEWS).splitlines()
    assert json.loads(line) == {
        "id": "news.txt",
        "text": TEXT,
        "mentions": [
            {
                "start": 0,
                "end": 10,
                "surface": "Home Depot",
                "entity": "Q864407",
                "title": "The Home Depot",
                "url": "https://en.wikipedia.org/wiki/Home_Depot",
                "score": 0.876543,
                "detection_score": 0.5,
                "candidates": [{"entity": "Q864407", "title": "The Home Depot", "score": 0.876543}],
            },
            {
                "start": 17,
                "end": 20,
                "surface": "Zed",
                "entity": None,
                "title": None,
                "url": None,
                "score": -0.25,
                "detection_score": 1.0,
                "candidates": [],
            },
        ],
    }


@given(st.lists(documents(), max_size=3))
def test_jsonl_is_one_line_a_document_and_loses_no_character(docs: list[LinkedDocument]) -> None:
    data = written("jsonl", *docs)
    assert data.count(b"\n") == len(docs)
    assert b"\r" not in data
    for line, document in zip(data.split(b"\n"), docs, strict=False):
        row = json.loads(line)
        assert (row["id"], row["text"]) == (document.id, document.text)
        for read, mention in zip(row["mentions"], document.mentions, strict=True):
            assert row["text"][read["start"] : read["end"]] == read["surface"] == mention.surface
            assert (read["entity"], read["title"]) == (mention.entity, mention.title)
            assert abs(read["score"] - mention.score) <= 5e-7


def test_jsonl_writes_letters_as_they_are() -> None:
    assert "Café 👩" in written("jsonl", LinkedDocument("a", "Café 👩")).decode()


def test_jsonl_refuses_a_score_that_is_not_a_number() -> None:
    with pytest.raises(ValueError, match="JSON"):
        written("jsonl", LinkedDocument("a", "b", (Mention(0, 1, "b", score=float("nan")),)))


# --- csv -------------------------------------------------------------------------------------------------


def test_csv_is_a_row_a_mention() -> None:
    assert written("csv", NEWS, NOTHING).decode() == (
        "id,start,end,surface,entity,title,url,score,detection_score\r\n"
        "news.txt,0,10,Home Depot,Q864407,The Home Depot,https://en.wikipedia.org/wiki/Home_Depot,0.876543,0.5\r\n"
        "news.txt,17,20,Zed,,,,-0.25,1.0\r\n"
    )


@given(st.lists(documents(), max_size=3))
def test_csv_reads_back(docs: list[LinkedDocument]) -> None:
    rows = list(csv.DictReader(io.StringIO(written("csv", *docs).decode(), newline="")))
    expected = [(document, mention) for document in docs for mention in document.mentions]
    for row, (document, mention) in zip(rows, expected, strict=True):
        assert row["id"] == encodable(document.id)
        assert row["surface"] == encodable(mention.surface)
        assert row["entity"] == encodable(mention.entity or "")
        assert (int(row["start"]), int(row["end"])) == (mention.start, mention.end)


# --- nif -------------------------------------------------------------------------------------------------

NIF = "http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#"
ITSRDF = "http://www.w3.org/2005/11/its/rdf#"


def test_nif_of_a_document() -> None:
    turtle = written("nif", NEWS).decode()
    assert f'nif:isString "{TEXT}" .' in turtle
    assert "<urn:onegen-el:news.txt#offset_0_21> a nif:Context, nif:OffsetBasedString ;" in turtle
    assert "itsrdf:taIdentRef <http://www.wikidata.org/entity/Q864407> ;" in turtle
    assert "itsrdf:taIdentRef <http://aksw.org/notInWiki/Zed> ;" in turtle
    assert re.findall('taConfidence "(.*?)"', turtle) == ["0.876543", "0.000001"]


@pytest.mark.parametrize(
    ("entity", "iri"),
    [
        ("Q42", "http://www.wikidata.org/entity/Q42"),
        ("enwiki:Café au lait", "http://en.wikipedia.org/wiki/Caf%C3%A9_au_lait"),
        ('enwiki:What? "100%"', "http://en.wikipedia.org/wiki/What%3F_%22100%25%22"),
        ("http://dbpedia.org/resource/Café", "http://dbpedia.org/resource/Café"),
        ("Q0x <y>", "urn:onegen-el:entity/Q0x%20%3Cy%3E"),
        (None, "http://aksw.org/notInWiki/a_b"),
    ],
)
def test_nif_iri_of_an_entity(entity: str | None, iri: str) -> None:
    assert entity_iri(Mention(0, 3, "a b", entity)) == iri


def test_nif_iri_of_a_document() -> None:
    assert document_iri("https://example.org/a/b.txt") == "https://example.org/a/b.txt"
    assert document_iri("a b#c?.txt") == "urn:onegen-el:a%20b%23c%3F.txt"


def test_nif_whole_text_as_mention_is_not_the_context_itself() -> None:
    turtle = written("nif", LinkedDocument("a", "Zed", (Mention(0, 3, "Zed"),))).decode()
    assert "<urn:onegen-el:a#offset_0_3> a nif:Context" in turtle
    assert "<urn:onegen-el:a#phrase_0_3> a nif:Phrase" in turtle


@given(st.lists(documents(), max_size=3))
def test_nif_parses_to_the_same_documents(docs: list[LinkedDocument]) -> None:
    ox = pytest.importorskip("pyoxigraph")
    store = ox.Store()
    store.load(written("nif", *docs), format=ox.RdfFormat.TURTLE)

    def values(name: str, subject: object = None) -> list[object]:
        return [quad.object for quad in store.quads_for_pattern(subject, ox.NamedNode(name), None)]

    texts = [literal.value for literal in values(NIF + "isString")]
    assert sorted(texts) == sorted(encodable(document.text) for document in docs)
    mentions = [mention for document in docs for mention in document.mentions]
    assert len(values(ITSRDF + "taIdentRef")) == len(mentions)
    assert all(float(literal.value) > 0 for literal in values(ITSRDF + "taConfidence"))
    for quad in store.quads_for_pattern(None, ox.NamedNode(NIF + "referenceContext"), None):
        (text,) = values(NIF + "isString", quad.object)
        (start,) = values(NIF + "beginIndex", quad.subject)
        (end,) = values(NIF + "endIndex", quad.subject)
        (anchor,) = values(NIF + "anchorOf", quad.subject)
        assert text.value[int(start.value) : int(end.value)] == anchor.value


# --- html ------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a browser would see: the texts of the documents, the elements, the links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.elements: set[str] = set()
        self.links: list[str | None] = []
        self.depth = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.links += [value for name, value in attrs if name == "href"]
        if dict(attrs).get("class") == "text":
            self.texts.append("")
            self.depth = 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "div":
            self.depth = 0

    def handle_data(self, data: str) -> None:
        if self.depth:
            self.texts[-1] += data


ELEMENTS = {"html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "small", "article"}
ELEMENTS |= {"span", "div", "a", "details", "summary", "table", "tr", "th", "td"}


@given(st.lists(documents(), max_size=2))
def test_html_shows_the_text_and_nothing_of_it_becomes_markup(docs: list[LinkedDocument]) -> None:
    page = Page(written("html", *docs).decode())
    assert page.texts == [visible(document.text) for document in docs]
    assert page.elements <= ELEMENTS
    assert all(link and link.startswith("https://") for link in page.links)


def test_html_is_self_contained_and_links_mentions() -> None:
    html = written("html", NEWS).decode()
    assert html.startswith("<!doctype html>")
    assert html.endswith("</html>\n")
    assert (
        '<a class="m ORG" title="The Home Depot · Q864407 · score 0.877" '
        'href="https://en.wikipedia.org/wiki/Home_Depot">Home Depot</a> hired '
        '<span class="m NIL" title="not linked · score -0.250">Zed</span>.'
    ) in html
    assert not re.search(r"<(script|link|img|iframe)|@import|url\(", html)


# --- text ------------------------------------------------------------------------------------------------


def test_text_is_readable_without_colours() -> None:
    assert written("text", NEWS, NOTHING).decode() == (
        "== news.txt (1 of 2 linked)\n"
        "\n"
        "[Home Depot → Q864407] hired [Zed → NIL].\n"
        "\n"
        " mention      entity    title             score   url\n"
        f" {'─' * 89}\n"
        " Home Depot   Q864407   The Home Depot    0.877   https://en.wikipedia.org/wiki/Home_Depot\n"
        " Zed          NIL       (not linked)     -0.250\n"
        "\n"
        "== empty (0 of 0 linked)\n"
        "\n"
        "\n"
        "\n"
        "(no mentions)\n"
        "\n"
    )


def test_text_has_the_colour_of_the_type_when_asked() -> None:
    colored = written("text", NEWS, color=True, width=80).decode()
    assert "\x1b[4;36mHome Depot\x1b[0m" in colored
    assert "\x1b" not in written("text", NEWS, width=80).decode()


def test_text_obeys_no_markup_and_no_escape_of_the_text() -> None:
    text = "[red]x[/red] [/] :smile: \x1b[31m \x9b31m \x07 [link=http://a]b[/link]"
    for color in (False, True):
        shown = written("text", LinkedDocument(text, text), color=color).decode()
        assert "[red]x[/red] [/] :smile: ␛[31m \ufffd31m ␇ [link=http://a]b[/link]" in shown
        assert "\x1b[31m" not in shown
        assert not set(shown) & {"\x9b", "\x07"}


@given(documents())
def test_text_plain_mode_never_holds_a_control_character(document: LinkedDocument) -> None:
    shown = written("text", document).decode()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)


def test_text_shows_a_long_text_wholly_and_wrapped() -> None:
    words = [f"word{number}" for number in range(3000)]
    shown = written("text", LinkedDocument("long", " ".join(words)), width=60).decode()
    assert max(map(len, shown.splitlines())) <= 60
    assert shown.split("\n\n")[1].split() == words


def test_text_table_fits_the_terminal() -> None:
    lines = written("text", NEWS, color=False, width=60).decode().splitlines()
    assert max(map(len, lines)) <= 60


# --- spacy -----------------------------------------------------------------------------------------------


def test_spacy_docbin_reads_back() -> None:
    from spacy.lang.en import English
    from spacy.tokens import DocBin

    first, second = (
        DocBin(store_user_data=True).from_bytes(written("spacy", NEWS, NOTHING)).get_docs(English().vocab)
    )
    assert (first.text, second.text) == (TEXT, "")
    assert [(ent.text, ent.label_, ent.kb_id_) for ent in first.ents] == [
        ("Home Depot", "ORG", "Q864407"),
        ("Zed", "ENT", ""),
    ]
    assert first._.onegen["id"] == "news.txt"
    assert first.ents[0]._.onegen["candidates"][0]["title"] == "The Home Depot"
