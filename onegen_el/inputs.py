"""The user's files as documents: text files, directories of them, JSONL rows, standard input.

Knows files and bytes; does not know models. Texts are decoded and otherwise left exactly as they are
(byte-order mark and line ends included), so that offsets count code points of the file itself.
"""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from onegen_el.errors import InputError

STDIN = "-"
TEXT_SUFFIXES = (".txt", ".md")
ROWS_SUFFIX = ".jsonl"
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

Document = tuple[str, str]  # id, text


def expand(path: str) -> list[str]:
    """A path as the files to be read: a directory becomes all its texts, sorted, anything else is itself.

    A directory without texts, or one that may not be listed, stays itself: reading it tells why.
    """
    if not Path(path).is_dir():
        return [path]
    unreadable: list[str] = []
    found = [
        str(Path(folder, name))
        for folder, _, names in os.walk(path, onerror=lambda error: unreadable.append(error.filename))
        for name in names
        if name.lower().endswith(TEXT_SUFFIXES)
    ]
    return sorted(found + unreadable) or [path]


def read(name: str, stdin: BinaryIO) -> Iterator[Document | InputError]:
    """The documents of one file, or of `stdin` if the name is `-`.

    An error is yielded in place of the document it concerns; what follows it can still be read.
    """
    try:
        if name.endswith(ROWS_SUFFIX):
            with Path(name).open("rb") as lines:
                yield from _rows(name, lines)
        else:
            data = stdin.read() if name == STDIN else Path(name).read_bytes()
            yield name, decode(data, name)
    except InputError as error:
        yield error
    except FileNotFoundError:
        yield InputError(f"{name}: no such file; check the path (directories and `-` for stdin work too)")
    except IsADirectoryError:
        yield InputError(f"{name}: no *.txt or *.md file in this directory; name the files themselves")
    except (OSError, ValueError) as error:
        yield InputError(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})")


def decode(data: bytes, name: str, start: int = 0) -> str:
    """UTF-8 bytes as text; `start` is where in the file they stand.

    Raises InputError naming the file and the first byte that is no text.
    """
    zero = data.find(0)
    if start == 0 and data.startswith(UTF16_MARKS):
        raise InputError(f"{name}: is UTF-16, not UTF-8; {_iconv('utf-16', name)}")
    if zero >= 0:
        raise InputError(
            f"{name}: is a binary file (NUL at byte {start + zero}), not a UTF-8 text; leave it out"
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}: is not UTF-8 (byte 0x{data[error.start]:02x} at byte offset {start + error.start}); "
            + _iconv("latin1", name)
        ) from error


def _iconv(encoding: str, name: str) -> str:
    return f"convert it with `iconv -f {encoding} -t utf-8 {name} > {name}.utf8`"


def _rows(name: str, lines: BinaryIO) -> Iterator[Document | InputError]:
    offset = 0
    for number, line in enumerate(lines, start=1):
        start, offset = offset, offset + len(line)
        if line.strip():
            try:
                yield _row(decode(line, name, start), f"{name}:{number}")
            except InputError as error:
                yield error


def _row(line: str, place: str) -> Document:
    try:
        row = json.loads(line.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise InputError(f'{place}: not a JSON row ({error}); expected {{"id": ..., "text": ...}}') from error
    text = row.get("text") if isinstance(row, dict) else None
    if not isinstance(text, str):
        raise InputError(f'{place}: the row has no string "text"; expected {{"id": ..., "text": ...}}')
    identity = row.get("id")
    return place if identity is None else str(identity), text
