"""What GERBIL sends and what it reads: requests and answers of a NIF web service, in Turtle.

Knows the statements of both; knows neither the web nor the linker. A request has contexts (`nif:isString`);
what refers to a context (`nif:referenceContext`) is a span that is to be linked (D2KB). Without any, mentions
are to be found (A2KB). Sentences, paragraphs, titles and words are structure, not spans. Offsets are code
points, end exclusive. The source is GERBIL 1.2.9: NIFBasedAnnotatorWebservice and the library nif.transfer.

Its library moves a span whose first character, or the one behind it, takes two UTF-16 units: it lands between
the two. `nif:anchorOf` then holds half a character, written `?`, by which `received` undoes the move. The
answer has to name the span before it was moved, since GERBIL moves answers and gold alike when it reads them.
"""

from __future__ import annotations

import codecs
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from pyoxigraph import BlankNode, Literal, NamedNode, RdfFormat, Triple, parse

from onegen_el.document import TITLE_PREFIX, LinkedDocument, Mention
from onegen_el.errors import InputError
from onegen_el.formats.nif import ESCAPES, PREFIXES
from onegen_el.gold.names import from_address
from onegen_el.iris import LEAST_CONFIDENCE, OWN, WIKIPEDIA_PAGE, entity_iri
from onegen_el.unicode import encodable

Span = tuple[int, int]

NIF = "http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#"
TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
DBPEDIA_RESOURCE = "http://dbpedia.org/resource/"
CONTEXT, PHRASE = NIF + "Context", NIF + "Phrase"
STRUCTURE = frozenset(NIF + name for name in ("Sentence", "Paragraph", "Title", "Word"))
FIELDS = {
    NIF + "isString": "texts",
    NIF + "beginIndex": "begins",
    NIF + "endIndex": "ends",
    NIF + "anchorOf": "anchors",
    NIF + "referenceContext": "contexts",
    TYPE: "types",
}
TURTLE = ("text/turtle", "application/x-turtle", "application/turtle", "application/n-triples")
BASE = OWN + "request/"  # what relative IRIs of a request are relative to
BAD_REQUEST, WRONG_TYPE = 400, 415
# Half of a surrogate pair, as Java's encoder and others write it.
HALVES = "?\ufffd"
NOT_ASCII = re.compile(r"[^\x00-\x7f]")


class NifError(InputError):
    """A request that cannot be meant; `status` is the HTTP status that says so."""

    def __init__(self, reason: str, status: int = BAD_REQUEST) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class RequestDocument:
    """A text, the IRI of its context, and the spans to be linked, in text order; none: find them."""

    iri: str
    text: str
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """The documents of one request, at least one, in the order in which they appear; GERBIL sends one."""

    documents: tuple[RequestDocument, ...]


@dataclass(slots=True)
class _Resource:
    """What a request says of one resource."""

    texts: set[str] = field(default_factory=set)
    begins: set[str] = field(default_factory=set)
    ends: set[str] = field(default_factory=set)
    anchors: set[str] = field(default_factory=set)
    contexts: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)


def parse_request(body: bytes, content_type: str | None = None) -> Request:
    """The documents of a request in Turtle (UTF-8); no content type is taken for Turtle.

    Characters that no IRI may have are read as if they were escaped. Indices of contexts are not looked at,
    entities of spans neither. Raises NifError for another type of content, for what is not Turtle, without a
    context, for a context without exactly one text, and for a span without a known context or outside of it.
    """
    _check_type(content_type)
    resources = _resources(body)
    spans: dict[str, set[Span]] = {iri: set() for iri, found in resources.items() if found.texts}
    for iri, found in resources.items():
        if CONTEXT in found.types and not found.texts:
            raise NifError(f"the context <{iri}> has no text; add nif:isString")
    if not spans:
        raise NifError("there is no context; send a nif:Context with nif:isString")
    texts = {iri: _one(resources[iri].texts, iri, "nif:isString") for iri in spans}
    for iri, found in resources.items():
        if _is_span(iri, found):
            context = _one(found.contexts, iri, "nif:referenceContext")
            if context not in texts:
                raise NifError(f"<{iri}> refers to <{context}>, which has no nif:isString")
            spans[context].update(_spans(iri, found, texts[context]))
    return Request(tuple(RequestDocument(iri, texts[iri], tuple(sorted(spans[iri]))) for iri in spans))


def received(text: str, begin: int, end: int, anchor: str | None = None) -> Span:
    """The span that GERBIL means by these offsets and this anchor; may lie outside the text, as sent.

    Without an anchor, or where it stands at the offsets, they are what they say.
    """
    if anchor is None or anchor == text[begin:end]:
        return begin, end
    for before, behind in ((1, 0), (0, 1), (1, 1)):
        start, stop = begin - before, end - before - behind
        if (
            0 <= start < stop <= len(text)
            and (_is_astral(text, start), _is_astral(text, stop)) == (before, behind)
            and len(anchor) == end - begin
            and anchor[before : len(anchor) - behind] == text[start + before : stop]
            and all(half in HALVES for half in anchor[:before] + anchor[len(anchor) - behind :])
        ):
            return start, stop
    return begin, end


def answer(request: Request, linked: Sequence[LinkedDocument]) -> bytes:
    """The linked documents, one for each of the request, as Turtle in ASCII.

    Each context again under its IRI with its text, each mention as a phrase with all names of its entity. A
    NIL is named too, outside of every knowledge base, since GERBIL does not see a phrase without a name.
    Confidences are scores, and always positive: GERBIL never counts an answer of confidence 0.
    """
    pairs = list(zip(request.documents, linked, strict=True))
    taken = {document.iri for document, _ in pairs}
    parts = [PREFIXES]
    for asked, found in pairs:
        parts.extend(_statements(asked, found, taken))
    # Some versions of GERBIL read answers in whatever encoding their Java prefers.
    return NOT_ASCII.sub(_escape, encodable("\n".join(parts))).encode("ascii")


def entity_iris(mention: Mention) -> tuple[str, ...]:
    """The IRIs of the mention's entity, best known first; one outside every knowledge base for NIL.

    GERBIL counts a Wikidata item and a DBpedia resource as entities of a knowledge base, and finds pages of
    Wikipedia by way of DBpedia. It compares strings, with or without escapes behind the last slash; so the
    resource is named as DBpedia does, with few escapes, and the page with all of them.
    """
    first = entity_iri(mention)
    page = from_address(mention.url) if mention.entity and mention.url else None
    if (mention.entity or "").startswith(TITLE_PREFIX):
        page = mention.entity
    if page is None or not page.startswith(TITLE_PREFIX):
        return (first,)
    name = encodable(page.removeprefix(TITLE_PREFIX)).replace(" ", "_")
    resource = DBPEDIA_RESOURCE + "".join(map(_as_dbpedia, name))
    # A plus is a space where GERBIL decodes, so it is escaped here.
    names = (resource, WIKIPEDIA_PAGE + quote(name, safe="/:@!$&'()*,;=-._~"))
    return names if mention.entity == page else (first, *names)


def _check_type(content_type: str | None) -> None:
    kind, *parameters = [part.strip().lower() for part in (content_type or "").split(";")]
    if kind and kind not in TURTLE:
        raise NifError(f"content type {kind!r} is not read; send Content-Type: {TURTLE[0]}", WRONG_TYPE)
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "charset" and value.strip('"') not in ("utf-8", "utf8", "us-ascii"):
            raise NifError(f"charset {value!r} is not read; send UTF-8, as Turtle must be", WRONG_TYPE)


def _resources(body: bytes) -> dict[str, _Resource]:
    resources: dict[str, _Resource] = {}
    names: dict[str, str] = {}
    try:
        # Lenient: clients write spaces in IRIs, and surrogate pairs as two escapes.
        for quad in parse(body.removeprefix(codecs.BOM_UTF8), RdfFormat.TURTLE, base_iri=BASE, lenient=True):
            subject, value = quad.subject, quad.object
            name = FIELDS.get(quad.predicate.value)
            if name is None or isinstance(subject, Triple) or isinstance(value, Triple):
                continue
            if name == "texts" and not isinstance(value, Literal):
                raise NifError(f"nif:isString of <{subject.value}> is not a literal; write the text itself")
            said = value.value if isinstance(value, Literal) else _name(value, names)
            getattr(resources.setdefault(_name(subject, names), _Resource()), name).add(said)
    except SyntaxError as error:
        raise NifError(f"line {error.lineno}: is not Turtle ({error.msg})") from error
    except ValueError as error:
        raise NifError(f"is not Turtle ({error})") from error
    return resources


def _name(node: NamedNode | BlankNode, names: dict[str, str]) -> str:
    """The IRI of a node as an answer may write it; a blank node gets one of ours."""
    key = node.value if isinstance(node, NamedNode) else str(node)
    if key not in names:
        names[key] = _iri(key) if isinstance(node, NamedNode) else f"{OWN}node/{len(names)}"
    return names[key]


def _iri(value: str) -> str:
    escaped = re.sub(r'[\x00-\x20<>"{}|^`\\]', lambda match: quote(match[0]), value)
    try:
        return NamedNode(escaped).value
    except ValueError:
        return OWN + quote(value, safe="")


def _one(values: set[str], iri: str, predicate: str) -> str:
    if len(values) != 1:
        raise NifError(f"<{iri}> has {len(values) or 'no'} values of {predicate}; expected one")
    return next(iter(values))


def _is_span(iri: str, found: _Resource) -> bool:
    if found.texts:
        # A phrase of the whole text has the IRI of the context; some contexts refer to themselves.
        return iri in found.contexts and (PHRASE in found.types or bool(found.anchors))
    if PHRASE in found.types:
        return True
    return bool(found.contexts or found.begins or found.ends) and not found.types & STRUCTURE


def _spans(iri: str, found: _Resource, text: str) -> Iterator[Span]:
    begin = _index(_one(found.begins, iri, "nif:beginIndex"), iri)
    end = _index(_one(found.ends, iri, "nif:endIndex"), iri)
    # Spans that were moved onto others share their IRI, and only the anchors tell.
    for anchor in found.anchors or (None,):
        start, stop = received(text, begin, end, anchor)
        if not start < stop <= len(text):
            raise NifError(
                f"<{iri}> is the span {begin}-{end}, which is empty or outside the text of {len(text)} code "
                "points; NIF counts code points from 0, the end excluded"
            )
        yield start, stop


def _index(value: str, iri: str) -> int:
    if not re.fullmatch(r"\+?[0-9]{1,18}", value):
        raise NifError(f"<{iri}>: offset {value!r} is no whole number")
    return int(value)


def _is_astral(text: str, at: int) -> bool:
    return text[at : at + 1] > "\uffff"


def _as_dbpedia(character: str) -> str:
    plain = character.isascii() or character < "\ufff0" or "\uffff" < character < "\U000e0000"
    # Marks, letters, numbers, punctuation and symbols stand for themselves.
    shown = unicodedata.category(character)[0] in "MLNPS" and character not in '"#%<>?[\\]^`{|}'
    return character if plain and shown else quote(character)


def _statements(asked: RequestDocument, found: LinkedDocument, taken: set[str]) -> Iterator[str]:
    yield f"\n<{asked.iri}> a nif:Context, nif:String, nif:RFC5147String ;"
    yield f"    nif:beginIndex {_number(0)} ;"
    yield f"    nif:endIndex {_number(len(asked.text))} ;"
    yield f"    nif:isString {_literal(asked.text)} .\n"
    base = asked.iri.partition("#")[0]
    for mention in found.mentions:
        iri = f"{base}#char={mention.start},{mention.end}"
        # A phrase of the whole text would be the context; one resource is one annotation to GERBIL.
        subject = f"<{iri}>" if iri not in taken else "[]"
        taken.add(iri)
        yield f"{subject} a nif:Phrase, nif:String, nif:RFC5147String ;"
        yield f"    nif:referenceContext <{asked.iri}> ;"
        yield f"    nif:beginIndex {_number(mention.start)} ;"
        yield f"    nif:endIndex {_number(mention.end)} ;"
        yield f"    nif:anchorOf {_literal(mention.surface)} ;"
        yield f"    itsrdf:taIdentRef {', '.join(f'<{name}>' for name in entity_iris(mention))} ;"
        yield f'    itsrdf:taConfidence "{_confidence(mention.score):.6f}"^^xsd:double .\n'


def _escape(match: re.Match[str]) -> str:
    # Turtle knows these in strings and in IRIs, and nothing else here is not ASCII.
    code = ord(match[0])
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


def _confidence(score: float) -> float:
    return score if LEAST_CONFIDENCE < score < math.inf else LEAST_CONFIDENCE


def _number(offset: int) -> str:
    return f'"{offset}"^^xsd:nonNegativeInteger'


def _literal(text: str) -> str:
    return f'"{text.translate(ESCAPES)}"'
