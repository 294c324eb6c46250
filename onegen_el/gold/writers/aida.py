"""Gold as an AIDA-YAGO2 dataset TSV.

Knows the rows of docs/data-formats.md, `aida`, five columns of them: page numbers and mids are not known.
A token is a run of characters that are no white space, cut where a mention begins or ends; tokens come back
with a blank between them, or a line feed where the text has one. Wikidata items stand as addresses in the
column of the Wikipedia URL and as QID in that of the YAGO2 entity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice, takewhile
from pathlib import Path

from onegen_el.document import TITLE_PREFIX
from onegen_el.gold.aida import CONTINUED, NIL, START
from onegen_el.gold.document import GoldDocument, GoldMention
from onegen_el.gold.names import address, from_address
from onegen_el.gold.writers.dropped import Dropped, Tally, entity_of, one_line
from onegen_el.gold.writers.files import write_lines
from onegen_el.gold.writers.tokens import cut
from onegen_el.unicode import encodable

# A token that began like the first row of a document would be one.
RUNS = re.compile(r"-(?=DOCSTART-)|(?:(?!-DOCSTART-)[^ \t\r\n])+")
PLAIN = re.compile(r"[^A-Za-z0-9_-]")


def write_aida(documents: Iterable[GoldDocument], path: Path) -> Dropped:
    """Writes the documents, plain or `.gz`; raises InputError where the file cannot be written."""
    return write_lines(documents, path, _lines)


def _lines(document: GoldDocument, number: int, tally: Tally) -> Iterator[str]:
    identity = one_line(document.id) or str(number)
    tally["ids"] += identity != document.id
    tally["genres"] += bool(document.genre)
    yield f"{START} ({identity})"
    cut_up = cut(document, tally, pattern=RUNS, blanks=False)
    tokens = cut_up.tokens
    tally["gaps"] += bool(cut_up.before)
    columns: tuple[str, ...] = ()
    for index, token in enumerate(tokens):
        if token.mention and token.first:
            rest = takewhile(lambda other: other.mention and not other.first, islice(tokens, index + 1, None))
            surface = " ".join([token.text, *(other.text for other in rest)])
            columns = _columns(token.mention, surface, tally)
        yield "\t".join([token.text, "B" if token.first else "I", *columns]) if token.mention else token.text
        last = index + 1 == len(tokens)
        written = "" if last else "\n" if "\n" in token.gap or "\r" in token.gap else " "
        tally["gaps"] += written != token.gap
        if written == "\n":
            yield ""
    yield ""


def _columns(mention: GoldMention, surface: str, tally: Tally) -> tuple[str, ...]:
    """Mention, YAGO2 entity and URL."""
    entity = entity_of(mention)
    url = address(entity) if entity else None
    known = from_address(url) if url else None
    tally["entities"] += known != entity
    if not url or known is None:
        return surface, NIL
    yago = PLAIN.sub(_escaped, encodable(known.removeprefix(TITLE_PREFIX)).replace(" ", "_"))
    if yago in (NIL, CONTINUED):
        yago = _escaped(yago[0]) + yago[1:]
    return surface, yago, url


def _escaped(found: re.Match[str] | str) -> str:
    units = found[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[here : here + 4]}" for here in range(0, len(units), 4))
