"""Writes gathered entities as JSONL, to be looked at, cut and built from.

Knows the file. `read_entities` reads it back and passes over the counts, which are columns of their own.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, cast

from onegen_el.errors import InputError
from onegen_el.knowledge.disk import sync, writing
from onegen_el.knowledge.dumps.gather import Gathered

ENDINGS = (".jsonl", ".jsonl.gz")
EVERY = 1000  # rows between two calls of `progress`


def check_ending(path: Path) -> None:
    """Raises InputError for a name that `write_table` has no format for."""
    if not path.name.lower().endswith(ENDINGS):
        raise InputError(f"{path}: entities are written as JSONL; name the file {' or '.join(ENDINGS)}")


def write_table(found: Gathered, path: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Writes an object for each entity, with `inlinks` and `alias_counts`, in the order of `found`.

    The file appears whole or not at all; the same entities give the same bytes. `progress` gets the rows
    written and their number. Raises InputError for another ending than ENDINGS, KBError if it cannot be
    written.
    """
    check_ending(path)
    part = path.with_name(path.name + ".part")
    with writing(path), part.open("wb") as file:
        packed = path.name.lower().endswith(".gz")
        # Name and time are left out of the packed file, so that its bytes repeat.
        out = cast(BinaryIO, gzip.GzipFile("", "wb", fileobj=file, mtime=0)) if packed else file
        for number, row in enumerate(found.rows(), start=1):
            fields = {**asdict(row.entity), "inlinks": row.inlinks, "alias_counts": row.alias_counts}
            out.write(json.dumps(fields, ensure_ascii=False).encode() + b"\n")
            if progress and (number % EVERY == 0 or number == len(found)):
                progress(number, len(found))
        if packed:
            out.close()
        file.flush()
        os.fsync(file.fileno())
    with writing(path):
        part.replace(path)
        sync(path.absolute().parent)
