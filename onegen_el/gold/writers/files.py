"""Files that appear whole or not at all, and files of lines with some for each document.

Knows bytes and gzip; knows no format.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from onegen_el.errors import InputError
from onegen_el.gold.document import GoldDocument
from onegen_el.gold.writers.dropped import Dropped, Tally


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A stream of bytes; until the block ends without error, the file is `PATH.partial`, or none.

    A name ending in `.gz` is gzipped, the same bytes always the same. Raises InputError where the file cannot
    be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        raw = partial.open("wb")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another file") from error
    try:
        with raw:
            if path.suffix.lower() == ".gz":
                # No time and no name in the head, so that the same documents give the same bytes.
                with gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as packed:
                    yield cast(BinaryIO, packed)
            else:
                yield raw
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); make room") from error
    finally:
        partial.unlink(missing_ok=True)


def write_lines(
    documents: Iterable[GoldDocument],
    path: Path,
    lines: Callable[[GoldDocument, int, Tally], Iterable[str]],
    head: str = "",
) -> Dropped:
    """Writes the lines of each document, of which `lines` is told the number from 1, after a line `head`.

    Raises InputError where the file cannot be written.
    """
    tally = Tally()
    with whole_file(path) as stream:
        if head:
            stream.write(f"{head}\n".encode())
        for number, document in enumerate(documents, start=1):
            stream.write("".join(line + "\n" for line in lines(document, number, tally)).encode())
    return Dropped(**tally)
