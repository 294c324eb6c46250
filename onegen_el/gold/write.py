"""Gold written as our own JSONL, the format `read_linked` reads back unchanged.

Knows the rows of docs/data-formats.md, `linked`; knows no other format. Fields that say nothing are left out.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, cast

from onegen_el.errors import InputError
from onegen_el.gold.document import NIL_IDS, GoldDocument, GoldMention

# JSON cannot tell these two code points from the one character they would make.
PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def write_gold(documents: Iterable[GoldDocument], path: str | Path) -> int:
    """Writes the documents and gives their number; a name ending in `.gz` is gzipped.

    The file appears whole or not at all: until the end it is `PATH.partial`. The same documents give the same
    bytes. Raises InputError where the file cannot be written, for a text with two surrogate halves side by
    side, which JSON cannot hold, and whatever reading `documents` raises.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    number = 0
    try:
        stream = _open(partial, path.suffix.lower() == ".gz")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another file") from error
    try:
        with stream:
            for document in documents:
                line = _line(document, path)
                try:
                    stream.write(line)
                except OSError as error:
                    raise InputError(f"{path}: cannot be written ({error.strerror}); make room") from error
                number += 1
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); make room") from error
    finally:
        partial.unlink(missing_ok=True)
    return number


def _open(path: Path, packed: bool) -> BinaryIO:
    # No time and no name in the head, so that the same documents give the same bytes.
    if packed:
        return cast(BinaryIO, gzip.GzipFile(os.fspath(path), "wb", compresslevel=6, mtime=0))
    return path.open("wb")


def _line(document: GoldDocument, path: Path) -> bytes:
    text = json.dumps(_row(document), ensure_ascii=False)
    if PAIR.search(text):
        raise InputError(
            f"{path}: document {document.id!r} has two surrogate halves side by side, which JSON reads as "
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
        "entity": None if mention.entity in NIL_IDS else mention.entity,
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
