"""Search among the names of a knowledge base, by what is typed: whole names, beginnings, words, misspellings.

Knows which finds come before which, and where the index of names lies: in the cache, one file a segment, so
that an addition costs what it adds. Vectors are not known here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from typing import Any, Literal

from onegen_el.document import Entity
from onegen_el.errors import KBError
from onegen_el.knowledge.kb import KnowledgeBase
from onegen_el.knowledge.manifest import ENTITIES
from onegen_el.knowledge.name_table import VERSION, Found, NameTable, Progress, write_names
from onegen_el.knowledge.segment import Segment
from onegen_el.knowledge.spelling import fold
from onegen_el.resources import cache_folder

Match = Literal["equal", "beginning", "containing", "similar"]

CACHE = "names"
ANY_END = "*"
PART_SECONDS = 3600.0  # an unfinished index of this age was left by a process that was killed


@dataclass(frozen=True, slots=True)
class NameHit:
    """An entity that was found by one of its names.

    `name` is the name that matched and `match` how: it is what was asked for, begins so, has it at the
    beginning of a later word, or is spelt alike, which is looked for if no name is equal. Hits come in this
    order, those spelt alike by the number of edits, and then by prior; `score` is the part of the name that
    was asked for, or that was typed right.
    """

    key: int
    entity: Entity
    name: str
    match: Match
    score: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.entity.id,
            "title": self.entity.title,
            "name": self.name,
            "match": self.match,
            "score": round(self.score, 4),
            "prior": self.entity.prior,
            "types": list(self.entity.types),
            "description": self.entity.description,
        }


class NameIndex:
    """Names of all entities of a knowledge base, as it was when it was opened."""

    def __init__(self, kb: KnowledgeBase, tables: Sequence[NameTable]) -> None:
        self._kb = kb
        self._tables = tuple(tables)

    @classmethod
    def open(cls, kb: KnowledgeBase, progress: Progress | None = None) -> NameIndex:
        """Opens the index of names in the cache; what is missing there is made first.

        That takes seconds for a million entities; `progress` gets steps done and in all then. Indexes of
        what the folder of the knowledge base held before are deleted. Raises KBError where the cache cannot
        be written.
        """
        folder = cache_folder(CACHE) / _folder_name(kb.path)
        paths = [folder / _file_name(segment) for segment in kb.segments]
        tables = [_opened(segment, path, progress) for segment, path in zip(kb.segments, paths, strict=True)]
        _tidy(folder, keep={path.name for path in paths})
        return cls(kb, tables)

    def __repr__(self) -> str:
        return f"NameIndex({self._kb!r})"

    def search(self, text: str, k: int = 10, types: Sequence[str] | None = None) -> list[NameHit]:
        """The k best known entities of a name like `text`; see NameHit for their order.

        Capitals, accents and the kind of quotes and dashes do not count. `Pari*` finds names that begin so
        and no others. With `types` (PER, ORG, ... or finer) an entity must have one of them.
        """
        wanted = fold(text.rstrip().rstrip(ANY_END))
        if not wanted or k < 1:
            return []
        hits: list[NameHit] = []
        seen: set[int] = set()
        for match, find in self._finds(wanted, types, beginnings=text.rstrip().endswith(ANY_END)):
            if match == "similar" and hits and hits[0].match == "equal":
                break  # it was no mistake
            # Those that were found before come again, so as many more are asked for.
            for key, found in self._merged(find, k + len(seen)):
                if len(hits) == k:
                    return hits
                if key not in seen:
                    seen.add(key)
                    hits.append(self._hit(key, found, match, wanted))
        return hits

    def _finds(
        self, wanted: str, types: Sequence[str] | None, beginnings: bool
    ) -> Iterator[tuple[Match, Callable[[NameTable, int], list[Found]]]]:
        yield "equal", lambda table, most: table.equal(wanted, most, types)
        yield "beginning", lambda table, most: table.beginning(wanted, most, types)
        if not beginnings:
            yield "containing", lambda table, most: table.containing(wanted, most, types)
            yield "similar", lambda table, most: table.similar(wanted, types)

    def _merged(
        self, find: Callable[[NameTable, int], list[Found]], most: int
    ) -> Iterator[tuple[int, Found]]:
        """Keys and finds of all segments, the closest and best known first."""
        each = [
            [(found.edits, -found.prior, found.row + offset, found) for found in find(table, most)]
            for table, offset in zip(self._tables, self._kb.offsets, strict=False)
        ]
        for _, _, key, found in merge(*each, key=lambda item: item[:3]):
            yield key, found

    def _hit(self, key: int, found: Found, match: Match, wanted: str) -> NameHit:
        (entity,) = self._kb.entities([key])
        spellings = (entity.title, *entity.aliases)
        name = next((spelling for spelling in spellings if fold(spelling) == found.name), entity.title)
        longer = max(len(wanted), len(found.name))
        score = 1 - found.edits / longer if match == "similar" else len(wanted) / longer
        return NameHit(key, entity, name, match, score)


def _opened(segment: Segment, path: Path, progress: Progress | None) -> NameTable:
    removed = () if segment.removed is None else segment.removed.tolist()
    if path.is_file():
        with suppress(KBError):  # damaged: it is made again
            return NameTable(path, removed)
    write_names(segment.table, path, progress)
    return NameTable(path, removed)


def _folder_name(kb: Path) -> str:
    where = kb.resolve()
    return f"{where.name}-{hashlib.sha256(str(where).encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"


def _file_name(segment: Segment) -> str:
    return f"{segment.record.files[ENTITIES].sha256[:32]}-{VERSION}.sqlite"


def _tidy(folder: Path, keep: set[str]) -> None:
    """Deletes indexes of what was before, and unfinished ones whose maker is gone."""
    with suppress(OSError):  # another process does the same, or uses them still
        for path in folder.iterdir():
            old = path.suffix == ".part" and time.time() - path.stat().st_mtime > PART_SECONDS
            if old or (path.suffix == ".sqlite" and path.name not in keep):
                path.unlink()
