"""Reads entities from files of the usual table formats, row by row.

Knows the columns and how to name the place of a fault; knows nothing of knowledge bases.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onegen_el.document import TITLE_PREFIX, Entity
from onegen_el.errors import InputError
from onegen_el.gold.reference import entity_id

QID = re.compile(r"Q[1-9]\d*")
LIST_MARK = "|"  # between aliases or types that are not a list
DESCRIBED = re.compile(r"The description of ([^\n]+?) is as follows:\s*(.*)\[SE\]\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Row:
    """One row as it was read, and where (for messages)."""

    where: str
    values: Mapping[str, Any]


def read_entities(path: str | Path) -> Iterator[Entity]:
    """Entities of a .jsonl, .jsonl.gz, .csv or .parquet file, one after the other.

    Columns: id, title, description, aliases, types, prior, qid, wikipedia_title; others are passed over.
    A row needs a title (or wikipedia_title) and an id (or qid, or wikipedia_title); an id `Q42` or
    `enwiki:Title` says the qid or Wikipedia title too. Aliases and types are lists, in CSV and in plain
    strings separated by `|`. JSONL rows with `uid` and `messages` are those of the reference implementation
    (github.com/zjunlp/OneGen, db.jsonl): the uid is the id, without the number of the sentence (`Q42-0`), and
    the contents of the messages together say title and description. Raises InputError naming the file and
    the row.
    """
    path = Path(path)
    read = next((read for ending, read in READERS.items() if path.name.lower().endswith(ending)), None)
    if read is None:
        raise InputError(f"{path}: cannot tell the format; give a file named {', '.join(READERS)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return map(_entity, read(path))


def entity_of(values: Mapping[str, Any], where: str) -> Entity:
    """The entity of one row as `read_entities` reads it; raises InputError, which begins with `where`."""
    return _entity(_Row(where, values))


def _jsonl(path: Path) -> Iterator[_Row]:
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rb") as file:
        number = 0
        try:
            for number, line in enumerate(file, 1):
                if line.strip():
                    row = _Row(f"{path}, line {number}", _json(path, number, line))
                    yield _described(row) if _is_described(row) else row
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}, after line {number}: cannot be read ({error})") from error


def _json(path: Path, number: int, line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise InputError(f"{path}, line {number}: is not JSON in UTF-8 ({error})") from error


def _is_described(row: _Row) -> bool:
    return isinstance(row.values, Mapping) and "uid" in row.values and "messages" in row.values


def _described(row: _Row) -> _Row:
    """A row of the reference's db.jsonl as one with our columns."""
    try:
        text = "".join(message["content"] for message in row.values["messages"])
        identity = entity_id(row.values["uid"])
    except (KeyError, TypeError) as error:
        raise InputError(
            f'{row.where}: not an entity of the reference ({error!r}); expected {{"uid": "Q42", "messages": '
            '[{"role": "user", "content"}, {"role": "assistant", "content"}]}'
        ) from error
    found = DESCRIBED.search(text)
    if not found or found.end() != len(text) or "[SE]" in found[2]:
        raise InputError(
            f"{row.where}: the messages of {identity} do not describe an entity; expected "
            "'The description of TITLE is as follows:', a new line, the description, and one [SE] at its end"
        )
    return _Row(row.where, {"id": identity, "title": found[1], "description": found[2]})


def _csv(path: Path) -> Iterator[_Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            for values in reader:
                yield _Row(f"{path}, line {reader.line_num}", values)
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(
                f"{path}, after line {reader.line_num}: cannot be read ({error}); save it as UTF-8 CSV"
            ) from error


def _parquet(path: Path) -> Iterator[_Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(f"{path}: reading Parquet needs pyarrow; `pip install pyarrow`") from error
    try:
        file = pyarrow.parquet.ParquetFile(path)
        known = [name for name in file.schema_arrow.names if name in Entity.__dataclass_fields__]
        number = 0
        for batch in file.iter_batches(batch_size=4096, columns=known):
            for values in batch.to_pylist():
                number += 1
                yield _Row(f"{path}, row {number}", values)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({error})") from error


READERS: Mapping[str, Callable[[Path], Iterator[_Row]]] = {
    ".jsonl": _jsonl,
    ".jsonl.gz": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}


def _entity(row: _Row) -> Entity:
    if not isinstance(row.values, Mapping):
        raise InputError(f"{row.where}: is not an object with the fields of an entity")
    qid, page = _text(row, "qid") or None, _text(row, "wikipedia_title") or None
    entity_id = _text(row, "id") or qid or (TITLE_PREFIX + page if page else "")
    if qid is None and QID.fullmatch(entity_id):
        qid = entity_id
    if page is None and entity_id.startswith(TITLE_PREFIX):
        page = entity_id.removeprefix(TITLE_PREFIX)
    title = _text(row, "title") or page or ""
    if not entity_id or not title:
        raise InputError(f"{row.where}: has no {'title' if entity_id else 'id'}; every entity needs both")
    return Entity(
        id=entity_id,
        title=title,
        description=_text(row, "description"),
        aliases=_texts(row, "aliases"),
        types=_texts(row, "types"),
        prior=_number(row, "prior"),
        qid=qid,
        wikipedia_title=page,
    )


def _text(row: _Row, name: str) -> str:
    value = row.values.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"{row.where}: {name} must be text, got {value!r}")
    return value.strip()


def _texts(row: _Row, name: str) -> tuple[str, ...]:
    value = row.values.get(name)
    if value is None:
        return ()
    values = value.split(LIST_MARK) if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
        raise InputError(f"{row.where}: {name} must be a list of texts, got {value!r}")
    return tuple(item.strip() for item in values if item.strip())


def _number(row: _Row, name: str) -> float:
    value = row.values.get(name)
    try:
        number = float(value) if value not in (None, "") else 0.0
    except (TypeError, ValueError):
        number = float("nan")
    if not math.isfinite(number):
        raise InputError(f"{row.where}: {name} must be a number, got {value!r}")
    return number
