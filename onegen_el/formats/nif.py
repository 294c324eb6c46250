"""NIF 2.1 in Turtle: a `nif:Context` a document, a `nif:Phrase` a mention, offsets in code points.

Knows RDF syntax; entity ids become Wikidata, Wikipedia or notInWiki IRIs. Confidences are positive,
because evaluators (GERBIL) read 0 as "never counted".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from onegen_el.document import LinkedDocument
from onegen_el.iris import LEAST_CONFIDENCE, document_iri, entity_iri
from onegen_el.unicode import encodable

PREFIXES = """\
@prefix nif: <http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#> .
@prefix itsrdf: <http://www.w3.org/2005/11/its/rdf#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
"""
ESCAPES = {code: f"\\u{code:04X}" for code in (*range(0x20), *range(0x7F, 0xA0))}
ESCAPES |= {ord('"'): '\\"', ord("\\"): "\\\\", ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}


class NifWriter:
    """Writes the prefixes at once and each document as it comes; equal ids stay different contexts."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._seen: Counter[str] = Counter()
        self._stream.write(PREFIXES.encode())

    def write(self, document: LinkedDocument) -> None:
        base = document_iri(document.id)
        self._seen[base] += 1
        if self._seen[base] > 1:
            base += f"?copy={self._seen[base]}"
        self._stream.write(encodable("\n".join(_statements(document, base))).encode())

    def close(self) -> None:
        self._stream.flush()


def _statements(document: LinkedDocument, base: str) -> Iterator[str]:
    context = f"<{base}#offset_0_{len(document.text)}>"
    yield f"\n{context} a nif:Context, nif:OffsetBasedString ;"
    yield f"    nif:beginIndex {_index(0)} ;"
    yield f"    nif:endIndex {_index(len(document.text))} ;"
    yield f"    nif:isString {_literal(document.text)} .\n"
    for mention in document.mentions:
        # A mention of the whole text would else be the context itself.
        mark = "phrase" if (mention.start, mention.end) == (0, len(document.text)) else "offset"
        yield f"<{base}#{mark}_{mention.start}_{mention.end}> a nif:Phrase, nif:OffsetBasedString ;"
        yield f"    nif:referenceContext {context} ;"
        yield f"    nif:beginIndex {_index(mention.start)} ;"
        yield f"    nif:endIndex {_index(mention.end)} ;"
        yield f"    nif:anchorOf {_literal(mention.surface)} ;"
        yield f"    itsrdf:taIdentRef <{entity_iri(mention)}> ;"
        confidence = max(mention.score, LEAST_CONFIDENCE)
        yield f'    itsrdf:taConfidence "{confidence:.6f}"^^xsd:double .\n'


def _index(offset: int) -> str:
    return f'"{offset}"^^xsd:nonNegativeInteger'


def _literal(text: str) -> str:
    return f'"{text.translate(ESCAPES)}"'


open_writer = NifWriter
