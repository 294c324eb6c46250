"""The cache folder of fetched corpora: where a corpus lies, and the receipt that says what was fetched.

Knows folders and checksums; downloads nothing.

    corpora/NAME/FILE            as published
    corpora/NAME/NAME.jsonl      instead of a FILE of which the corpus is a part
    corpora/NAME/unpacked/       what an archive holds
    corpora/NAME/receipt.json    written last: without one, nothing is here
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from onegen_el import resources
from onegen_el.corpora.registry import Entry
from onegen_el.errors import InputError

RECEIPT = "receipt.json"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was fetched: from where, its SHA-256 in hex, and its size in bytes."""

    source: str
    sha256: str
    size: int


def cache_folder() -> Path:
    """Folder of all corpora: `corpora` in $ONEGEN_EL_CACHE, else in `onegen-el` of the platform's cache."""
    return resources.cache_folder("corpora")


def location(entry: Entry, folder: Path | None = None) -> Path:
    """Where the corpus is once it is fetched: a file, or the folder of an archive."""
    home = (folder or cache_folder()) / entry.name
    if entry.part:
        return home / f"{entry.name}.jsonl"
    return home / ("unpacked" if entry.archive else entry.file)


def located(entry: Entry, folder: Path | None = None) -> Path | None:
    """The file (or folder of an archive) of a corpus that was fetched, None if it was not."""
    path = location(entry, folder)
    return path if path.exists() and (path.parent / RECEIPT).is_file() else None


def read_receipt(home: Path) -> Receipt | None:
    """The receipt in the folder of a corpus, None if there is none; raises InputError if it is damaged."""
    path = home / RECEIPT
    try:
        return Receipt(**json.loads(path.read_text("utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: is damaged ({error}); delete the folder and fetch again") from error


def write_receipt(home: Path, receipt: Receipt) -> None:
    """Puts the receipt into the folder at once; lets OSError through."""
    partial = home / (RECEIPT + ".partial")
    partial.write_text(json.dumps(asdict(receipt), indent=1) + "\n", "utf-8")
    partial.replace(home / RECEIPT)


def checksum(path: Path) -> str:
    """SHA-256 of a file in hex; lets OSError through."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
