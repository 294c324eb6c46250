"""NIF 2.0 and 2.1 in Turtle (persistence.uni-leipzig.org/nlp2rdf), what GERBIL exchanges.

Knows these statements, wherever in the file they stand:

* a context is what has `nif:isString`; a string is what has `nif:referenceContext`, with `nif:beginIndex`
  and `nif:endIndex` in code points. `nif:anchorOf` is not needed; where it is not what stands there the
  offsets count, as for GERBIL (OKE-2015 has such strings), and how many there are is logged;
* `itsrdf:taIdentRef` names the entity; `owl:sameAs` says that a name of the corpus's own (OKE challenges)
  is an item of Wikidata or a page;
* `nif:annotationUnit` (2.1) says that names of another node are those of the string;
* of several names a Wikidata item is taken first, then a page of English Wikipedia or DBpedia, then an
  id that our own writer wrote; any other name, or none, is NIL.

A string typed as sentence, paragraph, title or word without `itsrdf:taIdentRef` is structure, not a
mention. Classes and confidences are dropped. Statements of a document may stand anywhere in a Turtle
file, so all of its contexts and strings are held until its end.
"""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from onegen_el.errors import InputError
from onegen_el.gold.document import GoldDocument, GoldMention, checked_span, gold_document
from onegen_el.gold.lines import open_bytes
from onegen_el.gold.names import QID, from_address

log = logging.getLogger(__name__)

NIF = "http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#"
IDENTITY = "http://www.w3.org/2005/11/its/rdf#taIdentRef"
SAME = "http://www.w3.org/2002/07/owl#sameAs"
TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
FIELDS = {
    NIF + "isString": "text",
    NIF + "anchorOf": "anchor",
    NIF + "beginIndex": "begin",
    NIF + "endIndex": "end",
    NIF + "referenceContext": "context",
}
UNIT = NIF + "annotationUnit"
STRUCTURE = {NIF + name for name in ("Sentence", "Paragraph", "Title", "Word")}
OWN = "urn:onegen-el:"
FRAGMENT = re.compile(r"(?:\?copy=[0-9]+)?#(?:offset_[0-9]+_[0-9]+|char=[0-9]+,[0-9]+)")


@dataclass(slots=True)
class _Node:
    """What the file says of one IRI."""

    text: str | None = None
    anchor: str | None = None
    begin: str | None = None
    end: str | None = None
    context: str | None = None
    names: list[str] = field(default_factory=list)
    structure: bool = False
    declared: bool = False


def read_nif(path: str | Path) -> Iterator[GoldDocument]:
    """Documents of a NIF file in Turtle (or N-Triples), plain or `.gz`, in the order of their contexts.

    A document's id is the context's IRI without the offsets at its end, or the id our own writer was given.
    Raises InputError naming file and line of a syntax error, or file and IRI of what cannot be meant.
    """
    path = Path(path)
    nodes: dict[str, _Node] = {}
    same: dict[str, list[str]] = {}
    units: dict[str, str] = {}
    for subject, predicate, value in _statements(path):
        if predicate == SAME:
            same.setdefault(subject, []).append(value)
        elif predicate == UNIT:
            units[value] = subject
        elif predicate == IDENTITY:
            nodes.setdefault(subject, _Node()).names.append(value)
        elif predicate == TYPE:
            if value == NIF + "Context":
                nodes.setdefault(subject, _Node()).declared = True
            elif value in STRUCTURE:
                nodes.setdefault(subject, _Node()).structure = True
        elif name := FIELDS.get(predicate):
            node = nodes.setdefault(subject, _Node())
            if getattr(node, name) not in (None, value):
                raise InputError(f"{path}: <{subject}> has two values of {predicate}; expected one")
            setattr(node, name, value)
    for unit, string in units.items():
        if unit in nodes:
            nodes.setdefault(string, _Node()).names += nodes.pop(unit).names
    differ = 0
    mentions: dict[str, list[GoldMention]] = {iri: [] for iri, node in nodes.items() if node.text is not None}
    for iri, node in nodes.items():
        if node.declared and node.text is None:
            raise InputError(f"{path}: context <{iri}> has no text; expected nif:isString")
        if node.text is not None or (node.structure and not node.names):
            continue
        if node.context not in mentions:
            raise InputError(
                f"{path}: <{iri}> refers to {f'<{node.context}>' if node.context else 'no context'}; "
                "expected nif:referenceContext to name a context with nif:isString"
            )
        text = nodes[node.context].text or ""
        try:
            mention = _mention(node, text, same)
        except ValueError as error:
            raise InputError(
                f"{path}: <{iri}>: {error}; expected nif:beginIndex and nif:endIndex in code points of the "
                "context; correct them in the file"
            ) from error
        mentions[node.context].append(mention)
        differ += node.anchor not in (None, text[mention.start : mention.end])
    if differ:
        log.warning("%s: %d strings with another nif:anchorOf than stands at their offsets", path, differ)
    for iri, found in mentions.items():
        yield gold_document(_identity(iri), nodes[iri].text or "", found)


def _statements(path: Path) -> Iterator[tuple[str, str, str]]:
    """Subject, predicate and object of every triple, as text."""
    try:
        from pyoxigraph import RdfFormat, Triple, parse
    except ImportError as error:
        raise InputError(f"{path}: reading NIF needs pyoxigraph; pip install 'onegen-el[nif]'") from error
    try:
        with open_bytes(path) as file:
            # Lenient: corpora hold DBpedia addresses with characters that no IRI may have.
            for quad in parse(file, RdfFormat.TURTLE, lenient=True):
                terms: tuple[Any, ...] = quad.subject, quad.predicate, quad.object
                if not any(isinstance(term, Triple) for term in terms):
                    yield terms[0].value, terms[1].value, terms[2].value
    except SyntaxError as error:
        raise InputError(f"{path}, line {error.lineno}: is not Turtle ({error.msg})") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def _mention(node: _Node, text: str, same: dict[str, list[str]]) -> GoldMention:
    start, end = checked_span(_index(node.begin), _index(node.end), text)
    names = [*node.names, *(other for name in node.names for other in same.get(name, ()))]
    return GoldMention(start, end, _entity(names))


def _index(value: str | None) -> int:
    if value is None or not re.fullmatch(r"\+?[0-9]{1,18}", value):
        raise ValueError(f"offset {value!r} is no whole number")
    return int(value)


def _entity(names: list[str]) -> str | None:
    known = [entity for entity in map(from_address, names) if entity]
    own = [unquote(name.removeprefix(OWN + "entity/")) for name in names if name.startswith(OWN + "entity/")]
    ranked = [*(entity for entity in known if QID.fullmatch(entity)), *known, *own]
    return ranked[0] if ranked else None


def _identity(iri: str) -> str:
    offsets = FRAGMENT.search(iri)
    base = iri[: offsets.start()] if offsets and offsets.end() == len(iri) else iri
    return unquote(base.removeprefix(OWN)) if base.startswith(OWN) else base
