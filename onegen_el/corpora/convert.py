"""Any corpus that `onegen_el.gold` reads, written in any format that it writes.

Knows two files and what is counted on the way; the formats are `onegen_el.gold`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from onegen_el.errors import InputError
from onegen_el.gold import GoldDocument, read_gold
from onegen_el.gold.convert import write
from onegen_el.gold.writers.dropped import Dropped


@dataclass(slots=True)
class Counts:
    """Documents and mentions that were read; `linked` mentions have an entity, `dropped` tells what the
    written format could not hold."""

    documents: int = 0
    mentions: int = 0
    linked: int = 0
    dropped: Dropped = field(default_factory=Dropped)

    @property
    def nil(self) -> int:
        return self.mentions - self.linked


def convert(
    source: str | Path,
    target: str | Path,
    format: str = "auto",
    part: tuple[int, int] | None = None,
    to: str = "linked",
) -> Counts:
    """Writes the documents of `source`, or those from `part[0]` up to `part[1]`, in the format `to`.

    The target appears whole or not at all. Raises InputError where the source cannot be read, has fewer
    documents than the part needs or none, or the target is the source or cannot be written.
    """
    source, target = Path(source), Path(target)
    if target.exists() and source.exists() and target.samefile(source):
        raise InputError(f"{target}: is the file that is converted; choose another -o")
    counts = Counts()
    documents: Iterable[GoldDocument] = read_gold(source, format)
    if part:
        documents = islice(documents, *part)
    counts.dropped = write(_counted(documents, counts, source, part), target, to)
    return counts


def _counted(
    documents: Iterable[GoldDocument], counts: Counts, source: Path, part: tuple[int, int] | None
) -> Iterator[GoldDocument]:
    for document in documents:
        counts.documents += 1
        counts.mentions += len(document.mentions)
        counts.linked += sum(mention.entity is not None for mention in document.mentions)
        yield document
    if part and counts.documents != part[1] - part[0]:
        raise InputError(
            f"{source}: has {part[0] + counts.documents if counts.documents else 'too few'} documents, "
            f"{part[1]} are needed; is it the whole file?"
        )
    if not counts.documents:
        raise InputError(f"{source}: has no documents")
