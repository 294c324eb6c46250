"""The formats linked documents are written in, by name and by file suffix.

Knows which module writes which format; the modules know how. Nothing heavy is imported before a writer
is opened.
"""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from onegen_el.document import LinkedDocument
from onegen_el.errors import InputError


class Format(StrEnum):
    """Name of an output format."""

    TEXT = "text"
    JSONL = "jsonl"
    CSV = "csv"
    SPACY = "spacy"
    NIF = "nif"
    HTML = "html"


MODULES = {
    Format.TEXT: "terminal",
    Format.JSONL: "jsonl",
    Format.CSV: "table",
    Format.SPACY: "docbin",
    Format.NIF: "nif",
    Format.HTML: "page",
}
SUFFIXES = {
    ".txt": Format.TEXT,
    ".jsonl": Format.JSONL,
    ".csv": Format.CSV,
    ".spacy": Format.SPACY,
    ".ttl": Format.NIF,
    ".nif": Format.NIF,
    ".html": Format.HTML,
}


class Writer(Protocol):
    """Writes documents one after another; the result is well formed once it is closed."""

    def write(self, document: LinkedDocument) -> None: ...

    def close(self) -> None: ...


def format_of(path: Path) -> Format:
    """The format a file's suffix stands for, text if it has none; raises InputError for an unknown one."""
    suffix = path.suffix.lower()
    if suffix and suffix not in SUFFIXES:
        known = " ".join(SUFFIXES)
        raise InputError(f"{path}: no format has the suffix {suffix} (known: {known}); add --format")
    return SUFFIXES.get(suffix, Format.TEXT)


def open_writer(
    format: Format | str, stream: BinaryIO, *, color: bool = False, width: int | None = None
) -> Writer:
    """A writer of the format into a binary stream, which stays open.

    `color` and `width` (columns of a terminal, None for a file) concern `text` only.
    Raises ValueError for an unknown format.
    """
    format = Format(format)
    module = import_module(f"{__name__}.{MODULES[format]}")
    options = {"color": color, "width": width} if format is Format.TEXT else {}
    return cast(Writer, module.open_writer(stream, **options))
