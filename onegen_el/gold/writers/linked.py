"""Gold as our own JSONL, the format `read_linked` reads back unchanged.

Knows the rows of docs/data-formats.md, `linked`. Fields that say nothing are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from onegen_el.errors import InputError
from onegen_el.gold.document import GoldDocument, GoldMention
from onegen_el.gold.writers.dropped import Dropped, entity_of
from onegen_el.gold.writers.files import whole_file

# JSON cannot tell these two code points from the one character they would make.
PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def write_linked(documents: Iterable[GoldDocument], path: Path) -> Dropped:
    """Writes the documents, plain or `.gz`; nothing is lost.

    Raises InputError where the file cannot be written, and for a text with two surrogate halves side by side,
    which JSON cannot hold.
    """
    with whole_file(path) as stream:
        for document in documents:
            stream.write(json_line(_row(document), document.id, path))
    return Dropped()


def json_line(row: dict[str, Any], identity: str, path: Path) -> bytes:
    """A row of the document `identity` as a line; raises InputError for what JSON cannot hold."""
    text = json.dumps(row, ensure_ascii=False)
    if PAIR.search(text):
        raise InputError(
            f"{path}: document {identity!r} has two surrogate halves side by side, which JSON reads as "
            "one character; mend the text"
        )
    # In a JSON string `backslashreplace` is the right escape: \ud800 reads back as U+D800.
    return (text + "\n").encode("utf-8", "backslashreplace")


def _row(document: GoldDocument) -> dict[str, Any]:
    row: dict[str, Any] = {"id": document.id}
    if document.genre:
        row["genre"] = document.genre
    if document.scope != (0, len(document.text)):
        row["scope"] = list(document.scope)
    row["text"] = document.text
    row["mentions"] = [_mention(mention, document.text) for mention in document.mentions]
    return row


def _mention(mention: GoldMention, text: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "start": mention.start,
        "end": mention.end,
        "surface": text[mention.start : mention.end],
        "entity": entity_of(mention),
    }
    if mention.name:
        row["title"] = mention.name
    if mention.kind:
        row["kind"] = mention.kind
    if mention.optional:
        row["optional"] = True
    if mention.negatives:
        row["negatives"] = list(mention.negatives)
    return row
