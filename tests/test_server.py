"""The NIF web service: Turtle in and out, the application over real sockets, and GERBIL played to it."""

from __future__ import annotations

import http.client
import json
import logging
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer
import uvicorn
from hypothesis import example, given
from hypothesis import strategies as st
from pyoxigraph import RdfFormat, parse
from strategies import TEXTS, documents

from onegen_el.cli.serve import serve
from onegen_el.document import Entity, LinkedDocument, Mention
from onegen_el.errors import InputError, ModelError, OnegenError
from onegen_el.evaluation.annotations import AnnotatedDocument, Annotation, from_gold, from_linked
from onegen_el.evaluation.gerbil import Part, evaluate
from onegen_el.evaluation.scores import resolver, score
from onegen_el.evaluation.uris import SameAs, in_kb
from onegen_el.gold import GoldDocument, read_elevant, read_nif
from onegen_el.gold.names import from_address
from onegen_el.iris import WEB
from onegen_el.linker import EntityLinker, load
from onegen_el.server.app import Linker, create_app, describe, link_given
from onegen_el.server.nif import (
    NifError,
    Request,
    RequestDocument,
    answer,
    entity_iris,
    parse_request,
    received,
)
from onegen_el.unicode import encodable

ROOT = Path(__file__).parent.parent
NIF = "http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#"
ITS = "http://www.w3.org/2005/11/its/rdf#"
PREFIXES = f"""@prefix nif: <{NIF}> .
@prefix itsrdf: <{ITS}> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix d: <http://example.org/doc#> .
"""
CONTEXT = 'd:c a nif:Context ; nif:isString "👩 Ann left Malmö"@en .\n'
REQUEST = "http://www.aksw.org/gerbil/NifWebService/request_"
Span = tuple[int, int]


# GERBIL, played: Java counts UTF-16 units, NIF code points; both ways as nif.transfer goes them.


def units(text: str) -> list[str]:
    """The text as Java holds it, one string for each UTF-16 unit."""
    raw = text.encode("utf-16-le", "surrogatepass")
    return [raw[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(raw), 2)]


def java_span(text: str, span: Span) -> Span:
    """NIFPositionHelper: a boundary lands on the last unit of the code point that stands there."""
    begin, end = (len(units(text[: at + 1])) - 1 if at < len(text) else len(units(text)) for at in span)
    return begin, end


def points(java: Sequence[str]) -> list[str]:
    """The code points as Java counts them: a half without its other half is one too, and is sent as `?`."""
    joined = "".join(java).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return ["?" if "\ud800" <= point <= "\udfff" else point for point in joined]


def sent_span(text: str, gold: Span) -> tuple[int, int, str]:
    """AnnotationWriter: offsets and anchor that GERBIL sends for a gold span of its data set."""
    java, (begin, end) = units(text), java_span(text, gold)
    start, anchor = len(points(java[:begin])), points(java[begin:end])
    return start, start + len(anchor), "".join(anchor)


def literal(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r"}
    return '"' + "".join(escapes.get(c, c) for c in text) + '"'


def number(value: int) -> str:
    return f'"{value}"^^xsd:nonNegativeInteger'


def gerbil_request(text: str, spans: Iterable[Span] = (), count: int = 0) -> bytes:
    """DocumentWriter and AnnotationWriter; a phrase of the whole text has the IRI of the context."""
    base = f"{REQUEST}{count}#char="
    context = f"<{base}0,{len(text)}>"
    kinds = "nif:String, nif:RFC5147String"
    lines = [
        PREFIXES,
        f"{context} a nif:Context, {kinds} ; nif:beginIndex {number(0)} ; ",
        f"nif:endIndex {number(len(text))} ; nif:isString {literal(text)} .",
    ]
    for span in spans:
        begin, end, anchor = sent_span(text, span)
        lines.append(
            f"<{base}{begin},{end}> a nif:Phrase, {kinds} ; nif:anchorOf {literal(anchor)} ; "
            f"nif:beginIndex {number(begin)} ; nif:endIndex {number(end)} ; nif:referenceContext {context} ."
        )
    return "\n".join(lines).encode()


@dataclass(slots=True)
class Read:
    """An annotation as GERBIL reads it."""

    begin: int = -1
    end: int = -1
    uris: frozenset[str] = frozenset()
    confidence: float | None = None


def gerbil_reads(turtle: bytes) -> tuple[str, list[Read]]:
    """DocumentListParser and AnnotationParser: the text of the one context, and what refers to it."""
    said: dict[str, list[tuple[str, str]]] = {}
    for quad in parse(turtle, RdfFormat.TURTLE):
        said.setdefault(str(quad.subject), []).append((quad.predicate.value, quad.object.value))
    (context,) = (
        name
        for name, pairs in said.items()
        if any(p.endswith("#type") and v == NIF + "Context" for p, v in pairs)
        and any(p == NIF + "isString" for p, _ in pairs)
    )
    (text,) = (value for predicate, value in said[context] if predicate == NIF + "isString")
    found = []
    for pairs in said.values():
        if (NIF + "referenceContext", context.strip("<>")) not in pairs:
            continue
        fields = dict(pairs)
        confidence = fields.get(ITS + "taConfidence")
        found.append(
            Read(
                int(fields[NIF + "beginIndex"]),
                int(fields[NIF + "endIndex"]),
                frozenset(value for predicate, value in pairs if predicate == ITS + "taIdentRef"),
                float(confidence) if confidence else None,
            )
        )
    return text, found


# The service over a real socket.


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    kind: str
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


Ask = Callable[..., Reply]


@contextmanager
def serving(linker: Linker, max_bytes: int = 100_000) -> Iterator[Ask]:
    """The service in a thread; gives a function that asks it."""
    app = create_app(linker, {"name": "onegen-el", "model": "stub"}, max_bytes)
    config = uvicorn.Config(app, log_config=None, log_level="warning", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()

        def ask(
            body: bytes | None = None,
            path: str = "/nif",
            method: str = "POST",
            kind: str | None = "application/x-turtle;charset=UTF-8",
            **headers: str,
        ) -> Reply:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            given = {"Accept": "application/x-turtle", **headers} | ({"Content-Type": kind} if kind else {})
            connection.request(method, path, body, given)
            response = connection.getresponse()
            reply = Reply(response.status, response.headers.get("content-type", ""), response.read())
            connection.close()
            return reply

        try:
            yield ask
        finally:
            server.should_exit = True
            thread.join(30)


class FakeLinker:
    """Marks capitalised words and links the given spans, one text at a time; cannot read spans of symbols."""

    def __init__(self) -> None:
        self.busy = threading.Lock()

    def annotate(
        self, documents: Iterable[tuple[str, str]], batch_size: int | None = None
    ) -> Iterator[LinkedDocument]:
        for identity, text in documents:
            assert self.busy.acquire(blocking=False), "two texts at once"
            if "Boom" in text:
                self.busy.release()
                raise ModelError("the model broke; get another")
            if "Bug" in text:
                self.busy.release()
                raise ZeroDivisionError("never shown")
            found = [self._mention(text, *m.span()) for m in re.finditer(r"[A-Z]\w+", text)]
            self.busy.release()
            yield LinkedDocument(identity, text, tuple(found))

    def link(self, text: str, mentions: Sequence[Span], id: str = "") -> LinkedDocument:
        for start, end in mentions:
            if not re.search(r"\w", text[start:end]):
                raise InputError(f"span {start}-{end} has nothing in it that the model can read")
        return LinkedDocument(id, text, tuple(self._mention(text, *span) for span in sorted(set(mentions))))

    def _mention(self, text: str, start: int, end: int) -> Mention:
        name = text[start:end]
        return Mention(
            start, end, name, f"Q{len(name)}", name, f"https://en.wikipedia.org/wiki/{name}", "", 0.5
        )


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    with serving(FakeLinker()) as ask:
        yield ask


# 1. Requests and answers.


def asked(body: str, kind: str | None = "text/turtle") -> tuple[RequestDocument, ...]:
    return parse_request((PREFIXES + body).encode(), kind).documents


def phrase(start: object = 2, end: object = 5, more: str = "", kind: str = "nif:Phrase") -> str:
    return (
        f"<#p{start}-{end}> a {kind} ; nif:referenceContext d:c ; nif:beginIndex {json.dumps(str(start))} ; "
        f"nif:endIndex {json.dumps(str(end))} {more} .\n"
    )


def test_what_gerbil_sends_is_read() -> None:
    text = "👩 Ann left Malmö"
    (a2kb,) = parse_request(gerbil_request(text), "application/x-turtle;charset=UTF-8").documents
    assert a2kb == RequestDocument(f"{REQUEST}0#char=0,16", text)
    (d2kb,) = parse_request(gerbil_request(text, [(11, 16), (2, 5)], 7)).documents
    assert d2kb == RequestDocument(f"{REQUEST}7#char=0,16", text, ((2, 5), (11, 16)))


@pytest.mark.parametrize(
    ("body", "spans"),
    [
        (CONTEXT, ()),
        (phrase() + CONTEXT + phrase(11, 16), ((2, 5), (11, 16))),
        (CONTEXT + phrase(2, 5, '; nif:anchorOf "somebody else"'), ((2, 5),)),
        (CONTEXT + phrase(2, 5, "; itsrdf:taIdentRef <http://www.wikidata.org/entity/Q1>"), ((2, 5),)),
        (CONTEXT + phrase("+2", "005"), ((2, 5),)),
        (CONTEXT + phrase(0, 16, kind="nif:Sentence") + phrase(2, 5, kind="nif:Word"), ()),
        (CONTEXT + phrase(2, 5, kind="nif:Word, nif:Phrase"), ((2, 5),)),
        (CONTEXT + phrase(2, 5, kind="nif:String"), ((2, 5),)),
        # The whole text: the phrase is the context too. A context may name itself as context.
        (
            CONTEXT + 'd:c a nif:Phrase ; nif:referenceContext d:c ; nif:beginIndex 0 ; nif:endIndex "16" .',
            ((0, 16),),
        ),
        (CONTEXT + "d:c nif:referenceContext d:c ; nif:beginIndex 0 ; nif:endIndex 16 .", ()),
    ],
)
def test_spans_of_a_request(body: str, spans: tuple[Span, ...]) -> None:
    assert asked(body) == (RequestDocument("http://example.org/doc#c", "👩 Ann left Malmö", spans),)


def test_odd_but_clear_turtle_is_read() -> None:
    body = '<http://x.org/a b{c}> a nif:Context ; nif:isString "\\uD83D\\uDE00 Ann" .\n'
    assert asked(body)[0] == RequestDocument("http://x.org/a%20b%7Bc%7D", "😀 Ann")
    assert (
        parse_request(b"\xef\xbb\xbf" + (PREFIXES + CONTEXT).encode(), None).documents[0].text[2:5] == "Ann"
    )
    relative = '<> a nif:Context ; nif:isString "a" . [] a nif:Context ; nif:isString "b" .\n'
    assert [document.text for document in asked(relative)] == ["a", "b"]
    gerbil_reads(answer(Request(asked(relative)[1:]), [LinkedDocument("", "b")]))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("<x", "line 5: is not Turtle"),
        ("wd:Q1 a nif:Context .", "line 5: is not Turtle"),
        ("", "there is no context"),
        ("d:c a nif:Context .", "the context <http://example.org/doc#c> has no text"),
        ("d:c a nif:Context ; nif:isString <http://x.org> .", "is not a literal"),
        (CONTEXT + 'd:c nif:isString "another" .', "has 2 values of nif:isString"),
        (CONTEXT + phrase(5, 17), "span 5-17, which is empty or outside the text of 16 code points"),
        (CONTEXT + phrase(5, 5), "span 5-5, which is empty"),
        (CONTEXT + phrase(5, 2), "span 5-2, which is empty"),
        (CONTEXT + phrase(-1, 2), "offset '-1' is no whole number"),
        (CONTEXT + phrase(2.5, 5), "offset '2.5' is no whole number"),
        (CONTEXT + phrase(2, 9**30), "is no whole number"),
        (CONTEXT + phrase(2, 5, "; nif:endIndex 6"), "has 2 values of nif:endIndex"),
        (CONTEXT + "d:p a nif:Phrase ; nif:referenceContext d:c .", "has no values of nif:beginIndex"),
        (CONTEXT + "d:p a nif:Phrase ; nif:beginIndex 2 ; nif:endIndex 5 .", "no values of nif:referenceCon"),
        (CONTEXT + phrase().replace("d:c", "d:other"), "refers to <http://example.org/doc#other>"),
    ],
)
def test_what_cannot_be_meant_is_refused(ask: Ask, body: str, says: str) -> None:
    with pytest.raises(NifError, match=re.escape(says)):
        asked(body)
    reply = ask((PREFIXES + body).encode())
    assert reply.status == 400 and says in reply.text and reply.kind.startswith("text/plain")


@given(st.binary(max_size=60) | TEXTS.map(lambda text: (PREFIXES + CONTEXT + encodable(text)).encode()))
def test_no_body_does_more_than_be_refused(body: bytes) -> None:
    try:
        request = parse_request(body)
    except NifError as error:
        assert error.status == 400 and str(error)
    else:
        turtle = answer(request, [LinkedDocument("", document.text) for document in request.documents])
        assert list(parse(turtle, RdfFormat.TURTLE))


@st.composite
def marked(draw: st.DrawFn) -> tuple[str, list[Span]]:
    # "?" is how GERBIL writes half a character: with others of them it cannot be told from those.
    text = encodable(
        draw(st.text(st.sampled_from('😀👩a \n"') | st.characters(), max_size=12)).replace("?", "!")
    )
    pairs = draw(st.lists(st.tuples(*[st.integers(0, len(text))] * 2), max_size=6))
    return text, [(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]]


@given(marked())
@example(("😀😀", [(0, 1), (1, 2), (0, 2)]))
@example(("a😀b", [(1, 2), (2, 3), (0, 1), (0, 3)]))
def test_spans_come_back_where_gerbil_has_them(case: tuple[str, list[Span]]) -> None:
    text, spans = case
    request = parse_request(gerbil_request(text, spans))
    (document,) = request.documents
    assert (document.text, document.spans) == (text, tuple(sorted(set(spans))))
    linked = LinkedDocument("", text, tuple(Mention(s, e, text[s:e]) for s, e in document.spans))
    returned, found = gerbil_reads(answer(request, [linked]))
    assert returned == text
    # GERBIL moves what it reads, gold and answers alike.
    assert sorted(java_span(text, (a.begin, a.end)) for a in found) == sorted(
        java_span(text, span) for span in set(spans)
    )


@pytest.mark.parametrize(
    ("text", "gold", "sent"),
    [
        ("x 😀 y", (2, 3), (3, 4, "?")),  # begins at an astral character: begin and end one too late
        ("x 😀 y", (0, 2), (0, 3, "x ?")),  # one stands right behind it: end one too late
        ("a😀", (1, 2), (2, 3, "?")),  # sent beyond the end of the text
        ("😀😀", (0, 1), (1, 3, "??")),
        ("x 😀 y", (4, 5), (4, 5, "y")),
    ],
)
def test_moved_spans_are_moved_back(text: str, gold: Span, sent: tuple[int, int, str]) -> None:
    assert sent_span(text, gold) == sent
    assert received(text, *sent) == gold


@given(documents())
def test_answers_are_read_back(tmp_path_factory: pytest.TempPathFactory, linked: LinkedDocument) -> None:
    text = encodable(linked.text)
    turtle = answer(parse_request(gerbil_request(text)), [linked])
    _, found = gerbil_reads(turtle)
    assert all(a.uris and a.confidence and a.confidence > 0 for a in found)
    path = tmp_path_factory.mktemp("nif") / "a.ttl"
    path.write_bytes(turtle)
    (gold,) = read_nif(path)
    assert (gold.id, gold.text) == (f"{REQUEST}0", text)
    assert [(m.start, m.end) for m in gold.mentions] == [(m.start, m.end) for m in linked.mentions]
    for mention, source in zip(gold.mentions, linked.mentions, strict=True):
        expected = encodable(source.entity) if source.entity else None
        assert mention.entity == (None if expected and WEB.fullmatch(expected) else expected)


def test_confidences_are_positive_numbers() -> None:
    text = "a b c d e f"
    scores = (0.0, -0.5, float("nan"), float("inf"), 1e-9, 0.25)
    mentions = tuple(Mention(2 * n, 2 * n + 1, text[2 * n], score=score) for n, score in enumerate(scores))
    _, found = gerbil_reads(answer(parse_request(gerbil_request(text)), [LinkedDocument("", text, mentions)]))
    by_span = {a.begin: a.confidence for a in found}
    assert [by_span[2 * n] for n in range(6)] == [1e-6, 1e-6, 1e-6, 1e-6, 1e-6, 0.25]


def test_one_resource_is_one_annotation() -> None:
    request = parse_request(gerbil_request("Ann", [(0, 3), (0, 2)]))
    mentions = (Mention(0, 2, "An", "Q2"), Mention(0, 3, "Ann", "Q3"))
    _, found = gerbil_reads(answer(request, [LinkedDocument("", "Ann", mentions)]))
    assert {(a.begin, a.end, *a.uris) for a in found} == {
        (0, 2, "http://www.wikidata.org/entity/Q2"),
        (0, 3, "http://www.wikidata.org/entity/Q3"),
    }


def test_several_documents_stay_apart() -> None:
    body = 'd:c a nif:Context ; nif:isString "Ann" . d:e a nif:Context ; nif:isString "Bob" .\n'
    request = Request(asked(body))
    linked = [LinkedDocument("", name, (Mention(0, 2, name[:2], "Q1"),)) for name in ("Ann", "Bob")]
    subjects = [q.subject for q in parse(answer(request, linked), RdfFormat.TURTLE) if "refer" in str(q)]
    assert len(set(subjects)) == 2


@pytest.mark.parametrize(
    ("title", "gold"),
    [
        ("Malmö", "http://dbpedia.org/resource/Malmö"),
        ("Malmö", "http://en.wikipedia.org/wiki/Malm%C3%B6"),
        ("Malmö", "https://en.wikipedia.org/wiki/Malm%c3%b6"),
        ("AC/DC", "http://dbpedia.org/resource/AC/DC"),
        ("C++", "http://dbpedia.org/resource/C++"),
        ("C++", "http://dbpedia.org/resource/C%2B%2B"),
        ("Café C++", "http://dbpedia.org/resource/Café_C++"),
        ("Café C++", "http://en.wikipedia.org/wiki/Caf%C3%A9_C%2B%2B"),
        ("Who? (É)", "http://dbpedia.org/resource/Who%3F_(É)"),
        ("É/b", "http://dbpedia.org/resource/É/b"),
        ("É/b", "http://en.wikipedia.org/wiki/%C3%89/b"),
        ('O\'Neill "X"', "http://dbpedia.org/resource/O'Neill_%22X%22"),
        ("Any", "http://www.wikidata.org/entity/Q7"),
    ],
)
def test_gerbil_finds_the_entity_under_the_name_of_its_gold(title: str, gold: str) -> None:
    mention = Mention(0, 1, "x", "Q7", title, Entity("Q7", title, wikipedia_title=title).url)
    names = SameAs()
    assert in_kb(entity_iris(mention))
    assert names(frozenset(entity_iris(mention))) & names(frozenset({gold}))


def test_a_nil_has_a_name_outside_of_every_kb() -> None:
    assert entity_iris(Mention(0, 8, "Zeb <Q> ")) == ("http://aksw.org/notInWiki/Zeb_%3CQ%3E_",)
    assert not in_kb(SameAs()(frozenset(entity_iris(Mention(0, 3, "Zeb")))))


def test_answers_are_ascii() -> None:
    linked = LinkedDocument("", "Malmö 😀", (Mention(0, 5, "Malmö", "enwiki:Malmö"),))
    assert answer(parse_request(gerbil_request("Malmö 😀")), [linked]).isascii()


# 2. The application.


def test_a2kb_and_d2kb(ask: Ask) -> None:
    text = "👩 Ann left Malmö"
    reply = ask(gerbil_request(text))
    assert (reply.status, reply.kind) == (200, "application/x-turtle; charset=utf-8")
    returned, found = gerbil_reads(reply.body)
    assert returned == text
    assert sorted((a.begin, a.end) for a in found) == [(2, 5), (11, 16)]
    reply = ask(gerbil_request(text, [(6, 10), (0, 1)]), Accept="*/*", kind=None)
    assert (reply.status, reply.kind) == (200, "text/turtle; charset=utf-8")
    # The woman cannot be read, which is no reason to lose the other span: she is NIL.
    found = sorted(gerbil_reads(reply.body)[1], key=lambda a: a.begin)
    assert [(a.begin, a.end, in_kb(a.uris)) for a in found] == [(0, 1, False), (6, 10, True)]


def test_documents_with_and_without_spans_in_one_request(ask: Ask) -> None:
    body = PREFIXES + CONTEXT + phrase(6, 10) + 'd:e a nif:Context ; nif:isString "Bob and Eve" .\n'
    reply = ask(body.encode())
    found = re.findall(r'nif:anchorOf "(\w+)"', reply.text)
    assert (reply.status, found) == (200, ["left", "Bob", "Eve"])


@pytest.mark.parametrize("text", ["", "no names", "\x00 \u2028", '"""\\'])
def test_texts_without_names(ask: Ask, text: str) -> None:
    reply = ask(gerbil_request(text))
    assert reply.status == 200
    assert gerbil_reads(reply.body) == (text, [])


@pytest.mark.parametrize(
    ("kind", "headers", "status"),
    [
        ("text/turtle", {}, 200),
        ("Text/Turtle; charset=utf-8", {}, 200),
        ('application/turtle; charset="UTF-8"', {}, 200),
        ("application/rdf+xml", {}, 415),
        ("application/x-www-form-urlencoded", {}, 415),
        ("text/turtle; charset=latin-1", {}, 415),
        ("text/turtle", {"Content-Encoding": "gzip"}, 415),
    ],
)
def test_types_of_content(ask: Ask, kind: str, headers: dict[str, str], status: int) -> None:
    reply = ask(gerbil_request("Ann"), kind=kind, **headers)
    assert reply.status == status
    assert status == 200 or "is not read; send" in reply.text


def test_bytes_that_are_no_text(ask: Ask) -> None:
    reply = ask(PREFIXES.encode() + b'd:c nif:isString "\xff" .')
    assert reply.status == 400 and "line 5: is not Turtle" in reply.text


def test_requests_that_are_too_large(ask: Ask) -> None:
    fits = gerbil_request("a" * (100_000 - len(gerbil_request("")) - 8))
    assert len(fits) == 100_000
    assert ask(fits).status == 200
    reply = ask(fits + b" ")
    assert reply.status == 413 and "more than 100,000 bytes" in reply.text
    assert ask(gerbil_request("Ann")).status == 200


def test_what_else_there_is(ask: Ask) -> None:
    reply = ask(path="/", method="GET", kind=None)
    assert json.loads(reply.body) == {"name": "onegen-el", "model": "stub"}
    assert ask(path="/health", method="GET").text == "ok\n"
    assert ask(path="/nif", method="GET").status == 405
    reply = ask(b"", path="/nothing\x1b[31m".replace("\x1b", "%1b"))
    assert reply.status == 404 and "there is POST /nif" in reply.text and "\x1b" not in reply.text


def test_errors_of_the_linker_are_told(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    reply = ask(gerbil_request("Boom"))
    assert (reply.status, reply.text) == (500, "the model broke; get another\n")
    reply = ask(gerbil_request("Bug"))
    assert reply.status == 500 and "ZeroDivisionError" in reply.text and "never shown" not in reply.text
    assert "never shown" in caplog.text
    assert ask(gerbil_request("Ann")).status == 200


def test_every_request_is_a_line_of_the_log(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "onegen_el.server")
    ask(gerbil_request("👩 Ann left", [(0, 1), (2, 5)]))
    ask(b"<\x1b")
    lines = [record.getMessage() for record in caplog.records if record.name == "onegen_el.server.app"]
    assert re.fullmatch(r"documents: 1, mentions: 2 \(1 unreadable\), \d+ ms", lines[0])
    assert lines[1].startswith("400: ") and "\x1b" not in lines[1]
    assert len(lines) == 2


def test_many_at_once_get_their_own_answers(ask: Ask) -> None:
    texts = [f"Ann {'and Bob ' * n}left" for n in range(24)]
    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda text: ask(gerbil_request(text)), texts))
    for n, (text, reply) in enumerate(zip(texts, replies, strict=True)):
        returned, found = gerbil_reads(reply.body)
        assert (returned, len(found)) == (text, n + 1)


def test_only_what_cannot_be_read_becomes_nil() -> None:
    text = "a ? b ! c"
    spans = [(n, n + 1) for n in range(0, 9, 2)]
    linked, unreadable = link_given(FakeLinker(), text, spans)
    assert [(m.surface, m.entity) for m in linked.mentions] == [
        *(("a", "Q1"), ("?", None), ("b", "Q1"), ("!", None), ("c", "Q1"))
    ]
    assert unreadable == 2
    linked, unreadable = link_given(FakeLinker(), "??", [(0, 1), (0, 2)])
    assert ([m.entity for m in linked.mentions], unreadable) == ([None, None], 2)


# 3. The command.

STUB = """
import types, typer, onegen_el
from onegen_el.cli.serve import serve
from onegen_el.document import LinkedDocument, Mention

class Stub:
    backbone = types.SimpleNamespace(name="stub")
    kb = type("KB", (), {"__len__": lambda self: 3, "manifest": types.SimpleNamespace(source="me")})()
    min_score = 0.5

    def annotate(self, documents):
        return (LinkedDocument(id, text, (Mention(0, 3, text[:3], "Q1"),)) for id, text in documents)

vars(onegen_el)["load"] = lambda *arguments, **options: Stub()
typer.run(serve)
"""


def test_the_command_says_where_it_listens_and_ends_when_interrupted() -> None:
    command = [sys.executable, "-c", STUB, "--nif", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        try:
            said = process.stdout.readline() + process.stdout.readline()
            (url,) = set(re.findall(r"http://\S+/nif", said))
            address = urlsplit(url)
            connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
            connection.request("POST", address.path, gerbil_request("Ann left"))
            _, found = gerbil_reads(connection.getresponse().read())
            assert [(a.begin, a.end) for a in found] == [(0, 3)]
            connection.request("GET", "/")
            about = json.loads(connection.getresponse().read())
            assert about["kb"] == {"entities": 3, "source": "me"}
            connection.close()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            process.kill()
        assert re.fullmatch(r"[\d:]+ documents: 1, mentions: 1, \d+ ms\n", process.stderr.read())


def test_a_port_in_use_is_told_before_anything_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot listen on 127.0.0.1, port {port} .*choose another"):
            serve(nif=True, port=port, model="/nowhere")


def test_what_to_speak_has_to_be_said() -> None:
    with pytest.raises(typer.BadParameter, match="--nif"):
        serve(nif=False)


@pytest.mark.parametrize("package", ["uvicorn", "starlette", "pyoxigraph"])
def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.setitem(sys.modules, module, None)
    for module in ("onegen_el.server.app", "onegen_el.server.nif"):
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(OnegenError, match=r"pip install 'onegen-el\[server\]'"):
        serve(nif=True)


# 4. GERBIL against the bundled model: the figures are those of annotating offline.


@pytest.fixture(scope="module")
def linker() -> EntityLinker:
    return load()


@pytest.fixture(scope="module")
def gold() -> list[GoldDocument]:
    return list(read_elevant(ROOT / "corpora" / "sample" / "first.jsonl"))


def system(gold: list[GoldDocument], ask: Ask, given: bool) -> list[AnnotatedDocument]:
    """What GERBIL has of a system when all documents were sent, one after the other."""
    documents = []
    for count, document in enumerate(gold):
        spans = {(m.start, m.end) for m in document.mentions} if given else set()
        reply = ask(gerbil_request(document.text, spans, count))
        assert reply.status == 200
        text, found = gerbil_reads(reply.body)
        # Where no span is given mentions are found instead; GERBIL drops what is on no gold span (D2KB).
        annotations = tuple(
            Annotation(a.begin, a.end, a.uris, a.confidence)
            for a in found
            if not given or (a.begin, a.end) in spans
        )
        documents.append(AnnotatedDocument(document.id, text, annotations))
    return documents


def figures(part: Part) -> object:
    return part.overall, part.classes, pytest.approx(part.threshold, abs=1e-4)


def test_gerbil_gets_the_figures_of_annotating_offline(
    linker: EntityLinker, gold: list[GoldDocument]
) -> None:
    truth = [from_gold(document) for document in gold]
    resolve = resolver(linker.kb)
    with serving(linker) as ask:
        assert describe(linker)["model"] == linker.backbone.name
        for given, experiment in ((False, "a2kb"), (True, "d2kb")):
            if given:
                spans = [sorted({(m.start, m.end) for m in d.mentions}) for d in gold]
                offline = [linker.link(d.text, s, d.id) for d, s in zip(gold, spans, strict=True)]
            else:
                offline = list(linker.annotate((document.id, document.text) for document in gold))
            answers = system(gold, ask, given)
            assert [a.text for a in answers] == [d.text for d in gold]
            ours, theirs = (
                evaluate(truth, given_answers, experiment)
                for given_answers in ([from_linked(d, confidences=True) for d in offline], answers)
            )
            assert ours.main.overall.micro.f1 > 0.4
            for one, other in zip((ours.main, *ours.parts), (theirs.main, *theirs.parts), strict=True):
                assert figures(one) == figures(other)
            scores = [
                score(zip(gold, linked, strict=True), resolve)
                for linked in (offline, map(as_linked, answers))
            ]
            assert scores[0].marks == scores[1].marks
            assert scores[0].links == scores[1].links


def as_linked(document: AnnotatedDocument) -> LinkedDocument:
    """An answer with our ids again: the item of Wikidata, else the page, else NIL."""
    mentions = []
    for a in document.annotations:
        ids = sorted(filter(None, map(from_address, a.uris)))
        mentions.append(Mention(a.start, a.end, document.text[a.start : a.end], ids[0] if ids else None))
    return LinkedDocument(document.id, document.text, tuple(mentions))
