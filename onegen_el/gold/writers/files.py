"""Files that appear whole or not at all.

Knows bytes and gzip; knows no format.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from onegen_el.errors import InputError


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
