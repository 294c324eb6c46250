"""Any corpus that `onegen_el.gold` reads, written as our own JSONL.

Knows two files and what is counted on the way; the formats are `onegen_el.gold`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from onegen_el.errors import InputError
from onegen_el.gold import GoldDocument, read_gold
from onegen_el.gold.write import write_gold


@dataclass(slots=True)
class Counts:
    """Documents and mentions that were written; `linked` mentions have an entity."""

    documents: int = 0
    mentions: int = 0
    linked: int = 0

    @property
    def nil(self) -> int:
        return self.mentions - self.linked


def convert(
    source: str | Path, target: str | Path, format: str = "auto", part: tuple[int, int] | None = None
) -> Counts:
    """Writes the documents of `source`, or those from `part[0]` up to `part[1]`, as `linked` JSONL.

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
    write_gold(_counted(documents, counts, source, part), target)
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
