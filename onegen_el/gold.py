"""Annotated documents as people publish them, read into plain values; the gold of training and evaluation.

Knows the ELEVANT / OneGen JSONL format; does not know models, token sequences or scores.
"""

from __future__ import annotations

import gzip
import json
import zlib
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
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            document = _document(json.loads(line))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}, line {number}: not an ELEVANT row ({error!r}); "
                'expected {"id", "text", "labels": [{"span": [start, end], "entity_id"}]}'
            ) from error
        yield document


def _lines(path: Path) -> Iterator[bytes]:
    """Lines as bytes: what is not UTF-8 is then noticed in the line where it stands."""
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(path, "rb") as lines:
            for line in lines:
                number += 1
                yield line
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}, after line {number}: cannot be read ({error})") from error


def _document(row: dict[str, Any]) -> GoldDocument:
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
    scope = row.get("evaluation_span")
    return GoldDocument(
        id=str(row["id"]),
        text=text,
        mentions=tuple(sorted(mentions, key=lambda m: (m.start, -m.end))),
        scope=_span(scope, text) if scope else (0, len(text)),
        genre=row.get("genre", ""),
    )


def _span(value: Any, text: str) -> tuple[int, int]:
    start, end = value
    if not (type(start) is type(end) is int and 0 <= start < end <= len(text)):
        raise ValueError(f"span {start!r}-{end!r} is outside the text")
    return start, end
