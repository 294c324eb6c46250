"""A dump file that is read once from its beginning: unpacked, its place known, its faults named.

Knows bzip2, gzip, lines and how much was read; knows nothing of what is in a dump.
"""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from onegen_el.errors import InputError

BLOCK = 1 << 20  # bytes read at once, packed and unpacked
LONGEST_LINE = 64 << 20  # the longest lines of real dumps (items of Wikidata) have some megabytes
REMEDY = "fetch the file again and compare it with the checksums beside it on the server"

PACKED: dict[bytes, Callable[[BinaryIO], io.BufferedIOBase]] = {
    b"BZh": bz2.BZ2File,
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
}
Watch = Callable[[int, int], None]


class _Watched(io.RawIOBase):
    """A file that tells how many of its bytes were read, and of how many."""

    def __init__(self, path: Path, watch: Watch | None) -> None:
        self._file = path.open("rb", buffering=0)
        self._size, self._done, self._watch = path.stat().st_size, 0, watch

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._file.readinto(buffer) or 0
        self._done += count
        if self._watch:
            self._watch(self._done, self._size)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class Source:
    """The bytes of a .bz2 (of any number of streams), .gz or plain file; the content decides, not the name.

    `watch` is called with the bytes of the file read so far and its size. All faults are InputErrors that
    name the file, the place and the remedy.
    """

    def __init__(self, path: Path, watch: Watch | None = None) -> None:
        self.path = path
        self._watch = watch
        if not path.is_file():
            raise InputError(f"{path}: no such file; name a dump that was fetched whole")

    def blocks(self) -> Iterator[bytes]:
        """The unpacked bytes, at most BLOCK at once."""
        done = 0
        try:
            with self._opened() as file:
                while block := file.read(BLOCK):
                    done += len(block)
                    yield block
        except (OSError, EOFError, zlib.error) as error:
            raise self.fault(
                f"byte {done:,} of the unpacked data", f"cannot be unpacked ({error})"
            ) from error

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """The unpacked lines with their numbers from 1."""
        number = 0
        try:
            with self._opened() as file:
                while line := file.readline(LONGEST_LINE):
                    number += 1
                    if len(line) == LONGEST_LINE:
                        raise self.fault(
                            f"line {number:,}", f"has more than {LONGEST_LINE:,} bytes: no dump has"
                        )
                    yield number, line
        except (OSError, EOFError, zlib.error) as error:
            raise self.fault(f"line {number + 1:,}", f"cannot be unpacked ({error})") from error

    def fault(self, place: str, what: str, remedy: str = REMEDY) -> InputError:
        """The error to raise for something wrong at a place of this file."""
        return InputError(f"{self.path}, {place}: {what}; {remedy}")

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        with io.BufferedReader(_Watched(self.path, self._watch), BLOCK) as packed:
            head = packed.peek(3)
            unpack = next((unpack for magic, unpack in PACKED.items() if head.startswith(magic)), None)
            # The readers of packed files give lines from a small buffer; a large one before it is faster.
            yield io.BufferedReader(cast(io.RawIOBase, unpack(packed)), BLOCK) if unpack else packed
