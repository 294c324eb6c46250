"""Brings a corpus of the registry here: from its public place, or from a folder where you have it.

Knows the steps and their order; HTTP is `download`'s, archives `unpack`'s, the cache folder `store`'s.

A checksum in the registry is checked. Where none is known, the first copy is trusted: its SHA-256 is kept in
the receipt, and every later copy must have the same.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from onegen_el.corpora.convert import convert
from onegen_el.corpora.download import Progress, Wanted, WrongFileError, download, mismatch
from onegen_el.corpora.registry import Entry
from onegen_el.corpora.store import (
    RECEIPT,
    Receipt,
    cache_folder,
    checksum,
    located,
    location,
    read_receipt,
    write_receipt,
)
from onegen_el.corpora.unpack import unpack
from onegen_el.errors import InputError


@dataclass(frozen=True, slots=True)
class Fetched:
    """A corpus that is here. `path` is its file, or the folder of an archive; `sha256` that of what came.

    `was_here`: nothing had to be fetched. `first`: there was no checksum to compare with.
    """

    path: Path
    sha256: str
    size: int
    was_here: bool = False
    first: bool = False


def fetch(
    entry: Entry,
    folder: Path | None = None,
    source: Path | None = None,
    again: bool = False,
    progress: Progress | None = None,
    backoff: float = 1.0,
) -> Fetched:
    """Fetches a corpus into `folder` (None: the cache) unless it is here, or `again`; or copies it.

    `source` is a folder that holds the entry's file, itself or in a folder named as the corpus, or the file.
    `progress` and `backoff` (seconds) are those of `download`. Raises InputError if the corpus cannot be
    had (with what to do about it), differs from its checksum, or cannot be written.
    """
    home = (folder or cache_folder()) / entry.name
    receipt = read_receipt(home)
    if receipt and not again and source is None and (here := located(entry, folder)):
        return _checked(entry, here, home, receipt)
    if source is None and not entry.url:
        raise InputError(
            f"{entry.name}: cannot be fetched for you ({entry.licence}). {entry.how} "
            f"Then: onegen-el corpora fetch {entry.name} --from DIR"
        )
    wanted = Wanted(entry.size, entry.sha256 or (receipt.sha256 if receipt else ""))
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{home}: cannot be made ({error.strerror}); set ONEGEN_EL_CACHE to another folder"
        ) from error
    target = home / entry.file
    try:
        if source is None:
            origin = entry.url
            sha256, size = download(origin, target, wanted, progress, backoff)
        else:
            found = _found(entry, source)
            origin = str(found)
            sha256, size = _copied(found, target, wanted)
    except WrongFileError as error:
        if receipt and not entry.sha256:
            raise InputError(
                f"{error}; the copy fetched before differs: to accept this, delete {home}"
            ) from error
        raise
    try:
        (home / RECEIPT).unlink(missing_ok=True)
        _derive(entry, target, folder)
        write_receipt(home, Receipt(origin, sha256, size))
    except OSError as error:
        raise InputError(f"{home}: cannot be written ({error.strerror or error}); make room") from error
    return Fetched(location(entry, folder), sha256, size, first=not wanted.sha256)


def _checked(entry: Entry, here: Path, home: Path, receipt: Receipt) -> Fetched:
    try:
        fault = mismatch(Wanted(None, receipt.sha256), checksum(home / entry.file), receipt.size)
    except OSError as error:
        fault = f"it cannot be read ({error.strerror or error})"
    if fault:
        raise InputError(f"{home / entry.file}: was changed after it was fetched, {fault}; delete {home}")
    if entry.sha256 and entry.sha256 != receipt.sha256:
        raise InputError(f"{home}: holds another version than the registry wants; delete it and fetch again")
    return Fetched(here, receipt.sha256, receipt.size, was_here=True)


def _found(entry: Entry, source: Path) -> Path:
    places = [source] if source.is_file() else [source / entry.file, source / entry.name / entry.file]
    for place in places:
        if place.is_file():
            return place
    raise InputError(f"{source}: has no {entry.file}, which is what {entry.name} is made of")


def _copied(found: Path, target: Path, wanted: Wanted) -> tuple[str, int]:
    """Copies a local file as `download` fetches one: checked, then put in place."""
    partial = target.with_name(target.name + ".copy")
    try:
        in_place = target.exists() and target.samefile(found)
        copy = target if in_place else partial
        if not in_place:
            shutil.copyfile(found, partial)
        sha256, size = checksum(copy), copy.stat().st_size
        if fault := mismatch(wanted, sha256, size):
            raise WrongFileError(f"{found}: is not the file that is wanted, {fault}; nothing was taken")
        if not in_place:
            partial.replace(target)
    except OSError as error:
        raise InputError(f"{found}: cannot be copied to {target} ({error.strerror or error})") from error
    finally:
        partial.unlink(missing_ok=True)
    return sha256, size


def _derive(entry: Entry, file: Path, folder: Path | None) -> None:
    """What `location` names, where that is not the file itself."""
    if entry.part:
        convert(file, location(entry, folder), entry.format, entry.part)
    elif entry.archive:
        unpack(file, location(entry, folder))
