"""Which format a corpus has, by its name and its first row; one door to all readers.

Knows what tells the formats apart; their contents are the readers'.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from onegen_el.errors import InputError
from onegen_el.gold.aida import START, read_aida
from onegen_el.gold.conllu import read_conllu
from onegen_el.gold.document import GoldDocument
from onegen_el.gold.elevant import read_elevant
from onegen_el.gold.fishing import read_fishing
from onegen_el.gold.hipe import HEAD, read_hipe
from onegen_el.gold.lines import BYTE_ORDER_MARK, byte_lines
from onegen_el.gold.linked import read_linked
from onegen_el.gold.nif import read_nif
from onegen_el.gold.reference import read_reference

READERS: Mapping[str, Callable[[Path], Iterator[GoldDocument]]] = {
    "elevant": read_elevant,
    "linked": read_linked,
    "aida": read_aida,
    "nif": read_nif,
    "conllu": read_conllu,
    "hipe": read_hipe,
    "fishing": read_fishing,
    "reference": read_reference,
}
FORMATS = tuple(READERS)
ENDINGS = {".ttl": "nif", ".nif": "nif", ".nt": "nif", ".conllu": "conllu", ".xml": "fishing"}
FIELDS = {"labels": "elevant", "mentions": "linked", "messages": "reference"}
TURTLE = re.compile(r"@prefix|@base|prefix\s|base\s|<[^<>\s]*>\s", re.IGNORECASE)
FISHING = re.compile(r"<\?xml\s|<[^<>\s]*\.entityAnnotation\b")
CONLLU = re.compile(r"#\s*(newdoc|newpar|sent_id|text|global\.|meta::)|[0-9]+([-.][0-9]+)?\t")


def read_gold(path: str | Path, format: str = "auto") -> Iterator[GoldDocument]:
    """The documents of a corpus, plain or `.gz`, one after the other, in one of FORMATS.

    "auto" looks at the name and the first row. Raises InputError at once for a file that is missing, a
    format that is unknown or cannot be told, and naming file and line while rows are read.
    """
    path = Path(path)
    name = told(path) if format == "auto" else format
    if name not in READERS:
        raise InputError(f"{path}: unknown format {format!r}; the formats are {', '.join(FORMATS)}, or auto")
    if not path.is_file():
        raise InputError(f"{path}: no such corpus file")
    return READERS[name](path)


def told(path: Path) -> str:
    """The format of a file, from its ending or else its first row that is not empty.

    Raises InputError where neither tells.
    """
    ending = Path(path.name.lower().removesuffix(".gz")).suffix
    if ending in ENDINGS:
        return ENDINGS[ending]
    head = next((line for line in byte_lines(path) if line.strip()), b"")
    text = head.decode(errors="replace").removeprefix(BYTE_ORDER_MARK).strip()
    name = _of_row(text) if text.startswith("{") else _of_line(text)
    if name:
        return name
    seen = repr(text[:60]) if text else "nothing"
    raise InputError(
        f"{path}: cannot tell the format, it begins with {seen}; "
        f"name one of {', '.join(FORMATS)} as the format"
    )


def _of_row(text: str) -> str | None:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return next((name for field, name in FIELDS.items() if field in row), None)


def _of_line(text: str) -> str | None:
    if text.startswith(START):
        return "aida"
    if CONLLU.match(text):
        return "conllu"
    if text.startswith(HEAD):
        return "hipe"
    if FISHING.match(text):
        return "fishing"
    return "nif" if TURTLE.match(text) else None
