"""Gold as ELEVANT JSONL.

Knows the rows of docs/data-formats.md, `elevant`. It has no place for negatives.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from onegen_el.gold.document import GoldDocument
from onegen_el.gold.writers.dropped import Dropped, Tally, count_fields, entity_of
from onegen_el.gold.writers.files import whole_file
from onegen_el.gold.writers.linked import json_line

HELD = frozenset({"names", "kinds", "optional"})
NIL = "Unknown"


def write_elevant(documents: Iterable[GoldDocument], path: Path) -> Dropped:
    """Writes the documents, plain or `.gz`.

    Raises InputError where the file cannot be written, and for a text with two surrogate halves side by side,
    which JSON cannot hold.
    """
    tally = Tally()
    with whole_file(path) as stream:
        for document in documents:
            stream.write(json_line(_row(document, tally), document.id, path))
    return Dropped(**tally)


def _row(document: GoldDocument, tally: Tally) -> dict[str, Any]:
    count_fields(document.mentions, tally, HELD)
    row: dict[str, Any] = {"id": document.id}
    if document.genre:
        row["genre"] = document.genre
    start, end = document.scope
    if (start, end) != (0, len(document.text)):
        if start < end:
            row["evaluation_span"] = [start, end]
        tally["scopes"] += start >= end
    row["text"] = document.text
    row["labels"] = []
    for mention in document.mentions:
        label: dict[str, Any] = {
            "span": [mention.start, mention.end],
            "entity_id": entity_of(mention) or NIL,
        }
        said = {"name": mention.name, "kind": mention.kind, "optional": mention.optional}
        row["labels"].append(label | {field: value for field, value in said.items() if value})
    return row
