"""ELEVANT / OneGen evaluation JSONL: the format of the public entity-linking benchmarks.

Knows its rows: {"id", "text", "labels": [{"span": [start, end], "entity_id"}]}. Beside items there stand
`Unknown`, `Unknown1`, ... and `<NO_MAPPING>` for entities without one (NIL), and `DATETIME` and `QUANTITY`
for what need not be found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from onegen_el.gold.document import NIL_IDS, GoldDocument, GoldMention, checked_span, gold_document
from onegen_el.gold.lines import json_rows

UNKNOWN = re.compile(r"Unknown[0-9]*|<NO_MAPPING>")
LITERALS = frozenset({"DATETIME", "QUANTITY"})
EXPECTED = '{"id", "text", "labels": [{"span": [start, end], "entity_id"}]}'


def read_elevant(path: str | Path) -> Iterator[GoldDocument]:
    """Documents of an ELEVANT / OneGen evaluation JSONL file, plain or `.gz`.

    Coreferring pronouns (`coref`) are left out: entity linking marks names.
    Raises InputError naming file and line where a row is not of the format.
    """
    yield from json_rows(Path(path), _document, "an ELEVANT row", EXPECTED)


def _document(row: dict[str, Any], _number: int) -> GoldDocument:
    text = row["text"]
    if not isinstance(text, str):
        raise TypeError(f"text is {text!r}")
    mentions = []
    for label in row["labels"]:
        start, end = _span(label["span"], text)
        if label.get("coref"):
            continue
        entity = label["entity_id"]
        if not isinstance(entity, str | None):
            raise TypeError(f"entity_id is {entity!r}")
        literal = entity in LITERALS
        mentions.append(
            GoldMention(
                start=start,
                end=end,
                entity=None if literal or entity in NIL_IDS or UNKNOWN.fullmatch(entity or "") else entity,
                name=label.get("name", ""),
                kind=label.get("kind", ""),
                optional=literal or bool(label.get("optional", False)),
            )
        )
    scope = row.get("evaluation_span")
    return gold_document(
        str(row["id"]), text, mentions, _span(scope, text) if scope else None, row.get("genre", "")
    )


def _span(value: Any, text: str) -> tuple[int, int]:
    start, end = value
    return checked_span(start, end, text)
