"""Annotated documents as evaluation compares them: spans with sets of URIs.

Knows how gold and linked documents become such values, and that URIs are what `formats.nif` writes; knows
neither which URIs mean the same nor how anything is counted. Offsets are Python code points, end exclusive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from onegen_el.document import LinkedDocument, Mention
from onegen_el.gold import GoldDocument
from onegen_el.iris import LEAST_CONFIDENCE, entity_iri

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Annotation:
    """A span and the names of its entity.

    Empty `uris` are a bare span, which is not a NIL: a NIL has a URI outside every knowledge base.
    `confidence` None means unscored: GERBIL then never drops the annotation; on gold it is ignored.
    Raises ValueError for a span that no text has, or a confidence that is not finite.
    """

    start: int
    end: int
    uris: frozenset[str] = frozenset()
    confidence: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"no text has the span {self.start}-{self.end}")
        if self.confidence is not None and not math.isfinite(self.confidence):
            raise ValueError(f"confidence {self.confidence} is not finite; leave it out instead")

    @property
    def span(self) -> Span:
        return self.start, self.end


@dataclass(frozen=True, slots=True)
class AnnotatedDocument:
    """A text and its annotations in the order of the file, which decides between weak matches.

    Of gold only `scope` was annotated (None: all of the text), and what lies on a span of `optional` may be
    found or not; GERBIL knows neither, so both stay empty for its own data sets.
    """

    id: str
    text: str
    annotations: tuple[Annotation, ...] = ()
    scope: Span | None = None
    optional: frozenset[Span] = frozenset()


def from_gold(document: GoldDocument) -> AnnotatedDocument:
    """Gold with the one URI of each entity; a NIL gets a URI that no knowledge base has."""
    text = document.text
    return AnnotatedDocument(
        document.id,
        text,
        tuple(
            Annotation(m.start, m.end, frozenset({_uri(text, m.start, m.end, m.entity)}))
            for m in document.mentions
            if not m.optional
        ),
        None if document.scope == (0, len(text)) else document.scope,
        frozenset((m.start, m.end) for m in document.mentions if m.optional),
    )


def from_linked(document: LinkedDocument, *, confidences: bool = False) -> AnnotatedDocument:
    """A linker's answer with the URIs, and on demand the confidences, of its NIF output.

    With confidences the threshold is chosen on the evaluated data, as GERBIL does with what the NIF service
    sends; without, the linker's own threshold stands.
    """
    return AnnotatedDocument(
        document.id,
        document.text,
        tuple(
            Annotation(
                m.start,
                m.end,
                frozenset({entity_iri(m)}),
                # Six decimals, as they are written.
                float(f"{max(m.score, LEAST_CONFIDENCE):.6f}") if confidences else None,
            )
            for m in document.mentions
        ),
    )


def _uri(text: str, start: int, end: int, entity: str | None) -> str:
    return entity_iri(Mention(start, end, text[start:end], entity))
