"""Annotated documents as people publish them, read into plain values; the gold of training and evaluation.

Knows the ELEVANT / OneGen JSONL format; does not know models, token sequences or scores.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onegen_el.errors import InputError

NIL_IDS = frozenset({"Unknown", "<NIL>", "NIL", ""})


@dataclass(frozen=True, slots=True)
class GoldMention:
    """An annotated span; `entity` is a QID, `enwiki:Title`, or None for NIL / not linked.

    `optional` mentions may be found or not without being counted.
    """

    start: int
    end: int
    entity: str | None
    name: str = ""
    kind: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class GoldDocument:
    """A text with gold mentions; only `scope` (start, end) was annotated, outside of it nothing counts."""

    id: str
    text: str
    mentions: tuple[GoldMention, ...]
    scope: tuple[int, int]
    genre: str = ""


def read_elevant(path: str | Path) -> Iterator[GoldDocument]:
    """Documents of an ELEVANT / OneGen evaluation JSONL file, plain or `.gz`.

    Coreferring pronouns (`coref`) are left out: entity linking marks names.
    Raises InputError naming file and line where a row is not of the format.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such corpus file")
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield _document(json.loads(line))
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(
                    f"{path}, line {number}: not an ELEVANT row ({error!r}); "
                    'expected {"id", "text", "labels": [{"span": [start, end], "entity_id"}]}'
                ) from error


def _document(row: dict[str, Any]) -> GoldDocument:
    text = row["text"]
    mentions = []
    for label in row["labels"]:
        start, end = label["span"]
        if not 0 <= start < end <= len(text):
            raise ValueError(f"span {start}-{end} is outside the text")
        if label.get("coref"):
            continue
        entity = label["entity_id"]
        mentions.append(
            GoldMention(
                start=start,
                end=end,
                entity=None if entity in NIL_IDS else entity,
                name=label.get("name", ""),
                kind=label.get("kind", ""),
                optional=bool(label.get("optional", False)),
            )
        )
    start, end = row.get("evaluation_span") or (0, len(text))
    return GoldDocument(
        id=str(row["id"]),
        text=text,
        mentions=tuple(sorted(mentions, key=lambda m: (m.start, -m.end))),
        scope=(start, end),
        genre=row.get("genre", ""),
    )
