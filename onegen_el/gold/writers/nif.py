"""Gold as NIF 2.1 in Turtle.

Knows the statements of docs/data-formats.md, `nif`, and the IRIs that `onegen-el link` writes: the id of a
document that is a plain web address is its IRI, any other one of our own (`urn:onegen-el:`); entities are
Wikidata, Wikipedia or our own IRIs, NIL one that is in no wiki, as GERBIL needs it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from onegen_el.gold.document import GoldDocument, GoldMention
from onegen_el.gold.names import address, from_address
from onegen_el.gold.nif import NIF, OWN
from onegen_el.gold.writers.dropped import Dropped, Tally, count_fields, count_scope, entity_of, text_of
from onegen_el.gold.writers.files import whole_file
from onegen_el.unicode import encodable

PREFIXES = f"""\
@prefix nif: <{NIF}> .
@prefix itsrdf: <http://www.w3.org/2005/11/its/rdf#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
"""
NOT_IN_WIKI = "http://aksw.org/notInWiki/"
WEB = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?(/([\w/:@!$&'()*+,;=~.-]|%[0-9A-Fa-f]{2})*)?", re.ASCII)
ESCAPES = {code: f"\\u{code:04X}" for code in (*range(0x20), *range(0x7F, 0xA0), ord('"'), ord("\\"))}


def write_nif(documents: Iterable[GoldDocument], path: Path) -> Dropped:
    """Writes the documents, plain or `.gz`; raises InputError where the file cannot be written."""
    tally = Tally()
    seen: Counter[str] = Counter()
    with whole_file(path) as stream:
        stream.write(PREFIXES.encode())
        for document in documents:
            base = document.id if WEB.fullmatch(document.id) else OWN + _segment(document.id)
            seen[base] += 1
            # Equal ids stay different contexts.
            base += f"?copy={seen[base]}" if seen[base] > 1 else ""
            stream.write("\n".join(_statements(document, base, tally)).encode())
    return Dropped(**tally)


def _statements(document: GoldDocument, base: str, tally: Tally) -> Iterator[str]:
    text = text_of(document, tally)
    count_fields(document.mentions, tally)
    count_scope(document, tally)
    tally["ids"] += encodable(document.id) != document.id
    tally["genres"] += bool(document.genre)
    context = f"<{base}#offset_0_{len(text)}>"
    yield f"\n{context} a nif:Context, nif:OffsetBasedString ;"
    yield f"    nif:beginIndex {_index(0)} ;"
    yield f"    nif:endIndex {_index(len(text))} ;"
    yield f"    nif:isString {_literal(text)} .\n"
    times: Counter[tuple[int, int]] = Counter()
    for mention in document.mentions:
        span = mention.start, mention.end
        times[span] += 1
        # A mention of the whole text would else be the context, a second one of a span the first.
        mark = "offset" if span != (0, len(text)) and times[span] == 1 else f"phrase{times[span]}"
        surface = text[mention.start : mention.end]
        yield f"<{base}#{mark}_{mention.start}_{mention.end}> a nif:Phrase, nif:OffsetBasedString ;"
        yield f"    nif:referenceContext {context} ;"
        yield f"    nif:beginIndex {_index(mention.start)} ;"
        yield f"    nif:endIndex {_index(mention.end)} ;"
        yield f"    nif:anchorOf {_literal(surface)} ;"
        yield f"    itsrdf:taIdentRef <{_entity(mention, surface, tally)}> .\n"


def _entity(mention: GoldMention, surface: str, tally: Tally) -> str:
    entity = entity_of(mention)
    if entity is None:
        return NOT_IN_WIKI + _segment(surface.replace(" ", "_"))
    if iri := address(entity):
        known = from_address(iri)
    elif WEB.fullmatch(entity):
        # An address of another knowledge base stays one, though the reader takes it for NIL.
        iri, known = entity, from_address(entity)
    else:
        iri, known = f"{OWN}entity/{_segment(entity)}", encodable(entity)
    tally["entities"] += known != entity
    return iri


def _segment(name: str) -> str:
    return quote(encodable(name), safe="/:@!$&'()*+,;=-._~")


def _index(offset: int) -> str:
    return f'"{offset}"^^xsd:nonNegativeInteger'


def _literal(text: str) -> str:
    return f'"{text.translate(ESCAPES)}"'
