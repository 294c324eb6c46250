"""The list of corpora in `registry.toml`: what each is, where it is, and under which terms.

Knows the file's fields; downloads nothing and does not know what is on this machine.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from onegen_el.errors import InputError
from onegen_el.gold import FORMATS

REGISTRY = Path(__file__).with_name("registry.toml")
REDISTRIBUTION = ("free", "research", "licence")
ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar")


@dataclass(frozen=True, slots=True)
class Entry:
    """A corpus. `about` says in a line what it is, `home` is where it is described.

    With a `url` it can be fetched; without one, `how` says where to get `file`. `format` is one of
    `onegen_el.gold.FORMATS`, or another name, which the notes explain. `part` cuts documents [first, last)
    out of the file. `redistribution` of its texts: free, research (not for profit, or for research only), or
    by licence of their owner. `documents` and `mentions` count what our reader gives, None where that is not
    known; `counts` says who counted. `size` (bytes) and `sha256` are those of the file as published.
    """

    name: str
    title: str
    about: str
    home: str
    file: str
    format: str
    licence: str
    redistribution: str
    url: str = ""
    how: str = ""
    part: tuple[int, int] | None = None
    documents: int | None = None
    mentions: int | None = None
    counts: str = ""
    size: int | None = None
    sha256: str = ""
    notes: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot be meant."""
        if self.redistribution not in REDISTRIBUTION:
            raise ValueError(f"redistribution is {self.redistribution!r}; use {', '.join(REDISTRIBUTION)}")
        if bool(self.url) == bool(self.how):
            raise ValueError("give either url, or how to get the file")
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError(f"url is {self.url!r}; use http or https")
        if Path(self.file).name != self.file or self.file in ("", ".", ".."):
            raise ValueError(f"file is {self.file!r}; give a name without folders")
        if self.part and not (self.readable and 0 <= self.part[0] < self.part[1]):
            raise ValueError(f"part is {self.part!r} of format {self.format!r}")

    @property
    def readable(self) -> bool:
        """Whether `onegen_el.gold` reads its format."""
        return self.format in FORMATS

    @property
    def archive(self) -> bool:
        """Whether the file is unpacked into a folder."""
        return self.file.lower().endswith(ARCHIVES)

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, for JSON."""
        return asdict(self)


def read_registry(path: Path | None = None) -> dict[str, Entry]:
    """The entries of a registry by name, in its order; the one of the package if `path` is None.

    Raises InputError naming file and table for what cannot be read.
    """
    return dict(_bundled()) if path is None else _read(path)


def find(name: str, registry: Mapping[str, Entry] | None = None) -> Entry:
    """The entry of that name, in any case; raises InputError with the nearest names otherwise."""
    entries = _bundled() if registry is None else registry
    wanted = name.strip().lower()
    if wanted in entries:
        return entries[wanted]
    near = [known for known in entries if wanted and known.startswith(wanted)]
    near = near or get_close_matches(wanted, entries, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "`onegen-el corpora list` shows all"
    raise InputError(f"{name}: no such corpus; {hint}")


@cache
def _bundled() -> dict[str, Entry]:
    return _read(REGISTRY)


def _read(path: Path) -> dict[str, Entry]:
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a registry of corpora ({error})") from error
    return {name: _entry(name, table, path) for name, table in tables.items()}


def _entry(name: str, table: Any, path: Path) -> Entry:
    kinds: dict[str, type] = {"part": list, "documents": int, "mentions": int, "size": int}
    known = {field.name for field in fields(Entry)} - {"name"}
    try:
        if not isinstance(table, dict):
            raise TypeError("is no table")
        for field, value in table.items():
            if field not in known:
                raise ValueError(f"unknown field {field!r}; the fields are {', '.join(sorted(known))}")
            if type(value) is not kinds.get(field, str):
                raise TypeError(f"{field} is {value!r}")
        if part := table.get("part"):
            first, last = part
            table = {**table, "part": (first, last)}
        return Entry(name=name, **table)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}, [{name}]: {error}") from error
