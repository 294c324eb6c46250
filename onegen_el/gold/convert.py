"""One door to all writers of gold.

Knows the formats by name; what they hold is the writers'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from onegen_el.errors import InputError
from onegen_el.gold.document import GoldDocument
from onegen_el.gold.writers.aida import write_aida
from onegen_el.gold.writers.conllu import write_conllu
from onegen_el.gold.writers.dropped import Dropped
from onegen_el.gold.writers.elevant import write_elevant
from onegen_el.gold.writers.fishing import write_fishing
from onegen_el.gold.writers.hipe import write_hipe
from onegen_el.gold.writers.linked import write_linked
from onegen_el.gold.writers.nif import write_nif

WRITERS: Mapping[str, Callable[[Iterable[GoldDocument], Path], Dropped]] = {
    "elevant": write_elevant,
    "linked": write_linked,
    "aida": write_aida,
    "nif": write_nif,
    "conllu": write_conllu,
    "hipe": write_hipe,
    "fishing": write_fishing,
}


def write(documents: Iterable[GoldDocument], path: str | Path, format: str) -> Dropped:
    """Writes the documents in one of WRITERS, so that `read_gold` reads them back; tells what is lost.

    A name ending in `.gz` is gzipped. The file appears whole or not at all, in place of one that was there;
    the same documents give the same bytes. One document is held at a time. Raises InputError for an unknown
    format, where the file cannot be written, and whatever reading `documents` raises.
    """
    if format not in WRITERS:
        raise InputError(f"{path}: unknown format {format!r}; what can be written is {', '.join(WRITERS)}")
    return WRITERS[format](documents, Path(path))
