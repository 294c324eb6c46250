"""Gold as HIPE-2022 TSV.

Knows the columns and flags of docs/data-formats.md, `hipe`: mentions stand in the coarse literal column with
the type `ent`, since gold has none, and only Wikidata items can be linked. Tokens are words and punctuation
marks, cut where a mention begins or ends; between them a blank, a line feed (`EndOfLine`) or nothing
(`NoSpaceAfter`) can be held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from onegen_el.gold.document import GoldDocument, GoldMention
from onegen_el.gold.hipe import COLUMNS, LINE_END, NO_SPACE, READ
from onegen_el.gold.names import QID
from onegen_el.gold.writers.dropped import Dropped, Tally, entity_of, one_line
from onegen_el.gold.writers.files import write_lines
from onegen_el.gold.writers.tokens import cut


def write_hipe(documents: Iterable[GoldDocument], path: Path) -> Dropped:
    """Writes the documents, plain or `.gz`; raises InputError where the file cannot be written."""
    return write_lines(documents, path, _lines, "\t".join(COLUMNS))


def _lines(document: GoldDocument, number: int, tally: Tally) -> Iterator[str]:
    identity, genre = one_line(document.id) or str(number), one_line(document.genre)
    tally["ids"] += identity != document.id
    tally["genres"] += genre != document.genre
    yield f"# hipe2022:document_id = {identity}"
    if genre:
        yield f"# hipe2022:document_type = {genre}"
    yield f"# hipe2022:applicable_columns = {' '.join(READ)}"
    cut_up = cut(document, tally)
    tally["gaps"] += bool(cut_up.before)
    link = "_"
    for index, token in enumerate(cut_up.tokens, start=1):
        row = dict.fromkeys(COLUMNS, "_") | {"TOKEN": token.text, "NE-COARSE-LIT": "O"}
        if token.mention:
            link = _link(token.mention, tally) if token.first else link
            row |= {"NE-COARSE-LIT": "B-ent" if token.first else "I-ent", "NEL-LIT": link}
        line_ends = "\n" in token.gap or "\r" in token.gap
        flag, written = (NO_SPACE, "") if not token.gap else (LINE_END, "\n") if line_ends else ("_", " ")
        tally["gaps"] += token.gap != ("" if index == len(cut_up.tokens) else written)
        row["MISC"] = flag
        yield "\t".join(row.values())
    yield ""


def _link(mention: GoldMention, tally: Tally) -> str:
    entity = entity_of(mention)
    if entity and QID.fullmatch(entity):
        return entity
    tally["entities"] += entity is not None
    return "NIL"
