"""Lines and JSON rows of plain and gzipped files, each fault named by file and line.

Knows bytes, UTF-8 and JSON; knows no corpus format.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from onegen_el.errors import InputError

T = TypeVar("T")
BYTE_ORDER_MARK = "\ufeff"


def open_bytes(path: Path) -> BinaryIO:
    """The file, unpacked if it is named `.gz`; raises InputError where there is none."""
    if not path.is_file():
        raise InputError(f"{path}: no such corpus file")
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


def byte_lines(path: Path) -> Iterator[bytes]:
    """Lines as bytes: what is not UTF-8 is then noticed in the line where it stands."""
    number = 0
    try:
        with open_bytes(path) as lines:
            for line in lines:
                number += 1
                yield line
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}, after line {number}: cannot be read ({error})") from error


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Every line with its number from 1, without its line end; only LF and CR LF end lines.

    A byte order mark before the first line is cut off.
    """
    for number, line in enumerate(byte_lines(path), start=1):
        try:
            text = line.removesuffix(b"\n").removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{path}, line {number}: is not UTF-8 ({error})") from error
        yield number, text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text


def json_rows(path: Path, read: Callable[[Any, int], T], name: str, expected: str) -> Iterator[T]:
    """What `read(row, line number)` makes of each row; empty lines are passed over.

    What goes wrong in a row (KeyError, TypeError, ValueError) becomes an InputError: not `name`,
    `expected` instead.
    """
    for number, line in enumerate(byte_lines(path), start=1):
        if not line.strip():
            continue
        try:
            value = read(json.loads(line), number)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: not {name} ({error!r}); expected {expected}") from error
        yield value


def stem(path: Path) -> str:
    """The file's name without `.gz` and its extension: the id of what has no other."""
    return Path(path.name.removesuffix(".gz")).stem
