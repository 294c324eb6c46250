"""Writes entities as the tables that `read_entities` reads back, and their vectors as one array.

Knows the columns and file formats; knows nothing of how entities are stored in a knowledge base.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from onegen_el.document import Entity
from onegen_el.errors import InputError
from onegen_el.knowledge.disk import sync, write_array
from onegen_el.knowledge.embedding import unit_rows
from onegen_el.knowledge.kb import KnowledgeBase
from onegen_el.knowledge.sources import LIST_MARK
from onegen_el.knowledge.store import blocks

COLUMNS = tuple(field.name for field in fields(Entity))
LISTS = ("aliases", "types")
ROWS = 65_536  # rows of a group of a Parquet file


def export_entities(entities: Iterable[Entity], path: str | Path) -> int:
    """Writes entities to a .jsonl, .jsonl.gz, .csv or .parquet file, which appears when it is whole.

    Returns how many there are. `read_entities` gives the same entities of it. Raises InputError where the
    format is unknown, cannot hold an entity, or the file cannot be written.
    """
    path = Path(path)
    write = next((write for ending, write in WRITERS.items() if path.name.lower().endswith(ending)), None)
    if write is None:
        raise InputError(f"{path}: cannot tell the format; give a file named {', '.join(WRITERS)}")
    with _whole(path) as part:
        return write(entities, part)


def export_vectors(kb: KnowledgeBase, path: str | Path) -> None:
    """Writes the entities' own vectors, unit vectors float32 `[entities, dims]`, to a .npy file.

    Row i is that of the i-th entity of an iteration over `kb`, so of the i-th that `export_entities` writes.
    """
    stored = (
        np.asarray(segment.index.vectors[rows], np.float32)
        for segment in kb.segments
        for rows in blocks(segment.live_rows(), kb.manifest.dims)
    )
    with _whole(Path(path)) as part:
        write_array(part, map(unit_rows, stored), (len(kb), kb.manifest.dims), np.dtype(np.float32))


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, which becomes `path` at the end; on an error it is deleted."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        sync(part)
        part.replace(path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); choose another -o"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()


def _jsonl(entities: Iterable[Entity], path: Path) -> int:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        return _write_lines(entities, file.write)


def _jsonl_gz(entities: Iterable[Entity], path: Path) -> int:
    # Without a time in its head the same entities give the same bytes.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
        return _write_lines(entities, lambda line: file.write(line.encode("utf-8")))


def _write_lines(entities: Iterable[Entity], write: Callable[[str], Any]) -> int:
    written = 0
    for entity in entities:
        # What is not known is left out, which keeps files small and reads back the same.
        row = {name: value for name, value in _row(entity).items() if value or name in ("id", "title")}
        write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
        written += 1
    return written


def _csv(entities: Iterable[Entity], path: Path) -> int:
    written = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for entity in entities:
            row = _row(entity)
            for name in LISTS:
                if any(LIST_MARK in item for item in row[name]):
                    raise InputError(
                        f"entity {entity.id!r} has {LIST_MARK!r} in its {name}, which stands between them in "
                        "CSV; export to .jsonl or .parquet"
                    )
                row[name] = LIST_MARK.join(row[name])
            writer.writerow(row)
            written += 1
    return written


def _parquet(entities: Iterable[Entity], path: Path) -> int:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(f"{path}: writing Parquet needs pyarrow; `pip install pyarrow`") from error
    text, texts = pyarrow.string(), pyarrow.list_(pyarrow.string())
    types = {name: texts if name in LISTS else text for name in COLUMNS} | {"prior": pyarrow.float64()}
    schema = pyarrow.schema(list(types.items()))
    written, rows = 0, iter(entities)
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while group := [_row(entity) for entity in islice(rows, ROWS)]:
            writer.write_table(pyarrow.Table.from_pylist(group, schema))
            written += len(group)
    return written


def _row(entity: Entity) -> dict[str, Any]:
    return {name: getattr(entity, name) for name in COLUMNS}


WRITERS: Mapping[str, Callable[[Iterable[Entity], Path], int]] = {
    ".jsonl": _jsonl,
    ".jsonl.gz": _jsonl_gz,
    ".csv": _csv,
    ".parquet": _parquet,
}
