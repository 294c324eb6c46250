"""Writing so that nothing half-written is ever taken for whole, and what the disk's refusals mean.

Knows files and folders; knows nothing of what they hold.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from onegen_el.errors import KBError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns what goes wrong while `folder` is written into a KBError that says how to go on."""
    try:
        yield
    except OSError as error:
        raise _refused(folder, error.errno, str(error)) from error
    except sqlite3.OperationalError as error:
        full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
        raise _refused(folder, errno.ENOSPC if full else None, str(error)) from error


def _refused(folder: Path, number: int | None, said: str) -> KBError:
    if number in FULL:
        return KBError(
            f"{folder}: the disk is full ({said}); nothing that was there has changed. Free some space and "
            "give the same command again, it goes on where it was"
        )
    if number in FORBIDDEN:
        return KBError(
            f"{folder}: may not be written ({said}); make the folder writable, or copy it to a place of your "
            "own and change the copy"
        )
    return KBError(
        f"{folder}: cannot be written ({said}); nothing that was there has changed, give the same command "
        "again"
    )


def write_whole(path: Path, text: str) -> None:
    """Replaces the file `path` at once: it holds all of `text`, or what it held before."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync(path.parent)


def write_array(path: Path, parts: Iterable[np.ndarray], shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Writes a `.npy` file of `shape`, whose rows come in `parts`.

    In plain writes: a full disk is then an OSError, where a mapped file would end the process.
    """
    head = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, head)
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype).data)


def sync(path: Path) -> None:
    """Waits until the file or the names in the folder are on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
