"""Search among the names of a knowledge base, by what is typed: whole names, beginnings, words, misspellings.

Knows which finds come before which, and where the index of names lies: in the cache, one file a segment, so
that an addition costs what it adds. Vectors are not known here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
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

    `name` is the name that matched and `match` how: it is what was asked for, begins so, or contains these
    words; then, unless a name is equal, come those that have a word which begins so and those spelt alike, by
    the number of edits. Of the same kind the best known comes first. `score` is the part of the name that was
    asked for, or that was typed right.
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


Find = Callable[[NameTable, str, int, Sequence[str] | None], list[Found]]
Finds = Sequence[tuple[Match, Find]]

EQUAL: Finds = [("equal", NameTable.equal)]
BEGINNING: Finds = [("beginning", NameTable.beginning)]
WORDS: Finds = [("containing", NameTable.containing)]
ALIKE: Finds = [("containing", NameTable.continuing), ("similar", NameTable.similar)]


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
        for finds in _steps(beginnings=text.rstrip().endswith(ANY_END)):
            if len(hits) == k or (finds is ALIKE and hits and hits[0].match == "equal"):
                break  # all are found, or it was no mistake
            # Those that were found before come again, so as many more are asked for.
            for key, found, match in self._found(finds, wanted, k + len(seen), types):
                if len(hits) < k and key not in seen:
                    seen.add(key)
                    hits.append(self._hit(key, found, match, wanted))
        return hits

    def _found(
        self, finds: Finds, wanted: str, most: int, types: Sequence[str] | None
    ) -> list[tuple[int, Found, Match]]:
        """Keys and finds of all segments, those with the fewest edits and the best known first."""
        found = [
            (one.edits, -one.prior, one.row + offset, one, match)
            for match, find in finds
            for table, offset in zip(self._tables, self._kb.offsets, strict=False)
            for one in find(table, wanted, most, types)
        ]
        return [(key, one, match) for _, _, key, one, match in sorted(found, key=lambda item: item[:3])]

    def _hit(self, key: int, found: Found, match: Match, wanted: str) -> NameHit:
        (entity,) = self._kb.entities([key])
        spellings = (entity.title, *entity.aliases)
        name = next((spelling for spelling in spellings if fold(spelling) == found.name), entity.title)
        longer = max(len(wanted), len(found.name))
        score = 1 - found.edits / longer if match == "similar" else len(wanted) / longer
        return NameHit(key, entity, name, match, score)


def _steps(beginnings: bool) -> Sequence[Finds]:
    """What is looked for, one after the other."""
    return [BEGINNING] if beginnings else [EQUAL, BEGINNING, WORDS, ALIKE]


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
