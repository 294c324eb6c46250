"""One segment of a knowledge base as it is opened: entities, their vectors, and which of them are removed.

Knows one part; how parts make a whole is not known here. Rows are numbers within the segment.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from onegen_el.document import Entity
from onegen_el.errors import KBError
from onegen_el.knowledge.entities import EntityTable
from onegen_el.knowledge.manifest import ENTITIES, OWNERS, RECOVER, SegmentRecord, VectorType
from onegen_el.knowledge.vectors import Hits, VectorIndex


class Segment:
    """A segment's files, mapped; `folder` is where they are, `record` what the manifest says of them.

    `removed` are the sorted rows int64 of entities that are there but must not be found, None if there are
    none; `owners` int32 `[vectors]` says whose each vector is, None where each entity has one.
    """

    def __init__(
        self,
        folder: Path,
        record: SegmentRecord,
        table: EntityTable,
        index: VectorIndex,
        owners: np.ndarray | None = None,
        removed: np.ndarray | None = None,
    ) -> None:
        self.folder = folder
        self.record = record
        self.table = table
        self.index = index
        self.owners = owners
        self.removed = removed

    @classmethod
    def open(cls, kb: Path, record: SegmentRecord, dims: int, dtype: VectorType) -> Segment:
        """Maps the segment's files in the folder `kb`; raises KBError where one is not what `record` says."""
        folder = kb / record.folder
        table = EntityTable.open(folder / ENTITIES)
        if len(table) != record.count:
            raise KBError(
                f"{table.path}: holds {len(table):,} entities, the manifest says {record.count:,}; {RECOVER}"
            )
        owners = removed = None
        if OWNERS in record.files:
            owners = _load(folder / OWNERS, np.int32, record.vectors)
        if record.removed:
            # Read, not mapped: it is small and needed by every search.
            removed = np.array(_load(folder / record.removed, np.int64, record.removed_count))
            if removed[0] < 0 or removed[-1] >= record.count or (np.diff(removed) < 1).any():
                raise KBError(
                    f"{folder / record.removed}: does not hold rows of this segment in order; {RECOVER}"
                )
        return cls(folder, record, table, VectorIndex.open(folder, record, dims, dtype), owners, removed)

    def __len__(self) -> int:
        """Entities, removed ones included."""
        return self.record.count

    def __repr__(self) -> str:
        gone = f", {self.record.removed_count:,} removed" if self.record.removed_count else ""
        return f"Segment({len(self):,} entities{gone}, {self.index!r}, {self.folder})"

    def is_removed(self, row: int) -> bool:
        if self.removed is None:
            return False
        at = int(np.searchsorted(self.removed, row))
        return at < len(self.removed) and int(self.removed[at]) == row

    def live_rows(self) -> np.ndarray:
        """Rows int64 of the entities that are not removed, in order."""
        rows = np.arange(len(self), dtype=np.int64)
        return rows if self.removed is None else np.delete(rows, self.removed)

    def rows(self, ids: list[str]) -> dict[str, int]:
        """Rows of those of `ids` that are here and not removed."""
        return {name: row for name, row in self.table.keys(ids).items() if not self.is_removed(row)}

    def titled(self, title: str) -> list[tuple[int, Entity]]:
        """Rows and entities with this title that are not removed, in the order of EntityTable.by_title."""
        return [(row, entity) for row, entity in self.table.titled(title) if not self.is_removed(row)]

    def live(self) -> Iterator[tuple[int, Entity]]:
        """Rows and entities that are not removed, in order."""
        gone = frozenset() if self.removed is None else frozenset(self.removed.tolist())
        for row, entity in enumerate(self.table):
            if row not in gone:
                yield row, entity

    def own_vectors(self) -> np.ndarray:
        """Stored vectors `[live entities, dims]`, one an entity; mapped where none is removed."""
        own = self.index.vectors[: len(self)]
        return own if self.removed is None else own[self.live_rows()]

    def search(self, queries: np.ndarray, k: int) -> Hits:
        """The k nearest entities of each of `queries` as rows of this segment; see VectorIndex.search.

        Of an entity with several vectors the nearest one counts.
        """
        if self.owners is None:
            return self.index.search(queries, k, self.removed)
        wanted = k
        while True:
            wanted = min(2 * wanted, max(k, len(self.index)))
            hits = _by_owner(self.index.search(queries, wanted, self._removed_vectors), self.owners, k)
            # Where the vectors of few entities took all places, as many again are asked for.
            if wanted >= len(self.index) or (hits.keys >= 0).all():
                return hits

    def exact(self, device: str) -> Segment:
        """The same segment without its graph; see VectorIndex.exact."""
        index = self.index.exact(device)
        return Segment(self.folder, self.record, self.table, index, self.owners, self.removed)

    @cached_property
    def _removed_vectors(self) -> np.ndarray | None:
        if self.removed is None or self.owners is None:
            return None
        return np.flatnonzero(np.isin(self.owners, self.removed))


def _by_owner(hits: Hits, owners: np.ndarray, k: int) -> Hits:
    """The k best entities of each query, given its best vectors."""
    queries, columns = np.nonzero(hits.keys >= 0)
    scores = hits.scores[queries, columns]
    rows = owners[hits.keys[queries, columns]].astype(np.int64)
    order = np.lexsort((-scores, rows, queries))
    queries, rows, scores = queries[order], rows[order], scores[order]
    first = np.ones(len(rows), bool)
    first[1:] = (queries[1:] != queries[:-1]) | (rows[1:] != rows[:-1])
    queries, rows, scores = queries[first], rows[first], scores[first]
    order = np.lexsort((rows, -scores, queries))
    queries, rows, scores = queries[order], rows[order], scores[order]
    ranks = np.arange(len(rows)) - np.searchsorted(queries, queries)
    best = ranks < k
    merged = Hits(
        np.full((len(hits), k), -1, dtype=np.int64),
        np.full((len(hits), k), -np.inf, dtype=np.float32),
    )
    merged.keys[queries[best], ranks[best]] = rows[best]
    merged.scores[queries[best], ranks[best]] = scores[best]
    return merged


def _load(path: Path, dtype: type[np.generic], length: int) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise KBError(f"{path}: cannot be read as numbers ({error}); {RECOVER}") from error
    if array.dtype != dtype or array.shape != (length,):
        raise KBError(
            f"{path}: holds {array.shape} numbers of type {array.dtype}, the manifest says ({length},) of "
            f"type {np.dtype(dtype)}; {RECOVER}"
        )
    return array
