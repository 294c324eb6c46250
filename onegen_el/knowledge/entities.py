"""The entity table: one SQLite file, row key = row number of the entity's vector.

Knows how entities are stored compactly; knows nothing of vectors. Open tables are read-only and may be
used from any thread and after a fork; they go on after the file was deleted, as the process keeps it open.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from onegen_el.document import Entity
from onegen_el.errors import KBError
from onegen_el.knowledge.manifest import REBUILD

# A qid that is the id, or a Wikipedia title that is the title, is stored as the integer SAME: no bytes.
SAME = 1
# A half-written table is thrown away anyway, so no journal and no waiting for the disk.
UNSAFE = """
PRAGMA page_size=4096; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-262144;
"""
SCHEMA = """
CREATE TABLE kinds (kind INTEGER PRIMARY KEY, types TEXT NOT NULL);
CREATE TABLE entities (
    key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, title TEXT NOT NULL, description TEXT NOT NULL,
    aliases TEXT, kind INTEGER NOT NULL, prior REAL NOT NULL, qid, wikipedia_title
);
"""
INDEXES = """
CREATE INDEX by_title ON entities (title);
CREATE INDEX by_page ON entities (wikipedia_title) WHERE typeof(wikipedia_title) = 'text';
"""
SELECT = """
SELECT key, id, title, description, aliases, types, prior, qid, wikipedia_title
FROM entities JOIN kinds USING (kind)
"""
CLAIMS = f"""
SELECT key, id, iif(qid = {SAME}, id, qid), iif(wikipedia_title = {SAME}, title, wikipedia_title)
FROM entities
"""
PAGE = 4096  # rows that an iteration takes at a time, so that others get their turn
# The page of that name first, then the best known entities of that name, then in the order of the keys.
BY_TITLE = f"""
SELECT * FROM ({SELECT} WHERE title = :title
    UNION ALL {SELECT} WHERE typeof(wikipedia_title) = 'text' AND wikipedia_title = :title)
ORDER BY coalesce(wikipedia_title = :title OR wikipedia_title = {SAME}, 0) DESC, prior DESC, key
"""
MMAP_BYTES = 1 << 40  # more than any file: SQLite maps what there is


class EntityTable:
    """Entities by key (0 to len - 1), by id and by title; iterates in the order of the keys."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._opened: tuple[int, sqlite3.Connection, threading.Lock] | None = None
        self._count = self._fetch("SELECT coalesce(max(key) + 1, 0) FROM entities")[0][0]

    @classmethod
    def open(cls, path: str | Path) -> EntityTable:
        """Raises KBError where the file is missing or is not an entity table."""
        return cls(path)

    def __len__(self) -> int:
        return int(self._count)

    def __iter__(self) -> Iterator[Entity]:
        return self.since(0)

    def since(self, key: int) -> Iterator[Entity]:
        """Entities in the order of their keys, from `key` on."""
        while rows := self._fetch(f"{SELECT} WHERE key >= ? ORDER BY key LIMIT {PAGE}", (key,)):
            yield from map(_entity, rows)
            key = rows[-1][0] + 1

    def claims(self) -> Iterator[tuple[int, str, str | None, str | None]]:
        """Key, id, Wikidata item and Wikipedia title of all entities, in the order of the keys."""
        key = 0
        while rows := self._fetch(f"{CLAIMS} WHERE key >= ? ORDER BY key LIMIT {PAGE}", (key,)):
            yield from rows
            key = rows[-1][0] + 1

    def __repr__(self) -> str:
        return f"EntityTable({len(self):,} entities, {self.path})"

    def __reduce__(self) -> tuple[Any, ...]:
        return EntityTable.open, (self.path,)

    def close(self) -> None:
        """Closes the file, until it is asked for something again."""
        if self._opened is not None and self._opened[0] == os.getpid():
            self._opened[1].close()
        self._opened = None

    def get(self, entity_id: str) -> Entity | None:
        """The entity with this id, None if there is none."""
        rows = self._fetch(f"{SELECT} WHERE id = ?", (entity_id,))
        return _entity(rows[0]) if rows else None

    def keys(self, ids: Iterable[str]) -> dict[str, int]:
        """Keys of those of `ids` that are here."""
        wanted = "SELECT value FROM json_each(?)"
        return dict(
            self._fetch(f"SELECT id, key FROM entities WHERE id IN ({wanted})", (json.dumps(list(ids)),))
        )

    def by_title(self, title: str) -> Entity | None:
        """The entity whose Wikipedia title this is, else the one of highest prior with this title."""
        return next((entity for _, entity in self.titled(title)), None)

    def titled(self, title: str) -> list[tuple[int, Entity]]:
        """Keys and entities with this title or Wikipedia title, in the order of `by_title`."""
        return [(row[0], _entity(row)) for row in self._fetch(BY_TITLE, {"title": title})]

    def many(self, keys: Sequence[int]) -> list[Entity]:
        """Entities of `keys` in that order, repetitions allowed; raises IndexError for an unknown key."""
        wanted = [int(key) for key in keys]
        rows = self._fetch(
            f"{SELECT} WHERE key IN (SELECT value FROM json_each(?))", (json.dumps(sorted(set(wanted))),)
        )
        found = {row[0]: _entity(row) for row in rows}
        try:
            return [found[key] for key in wanted]
        except KeyError as error:
            raise IndexError(f"no entity has key {error}; keys are 0 to {len(self) - 1}") from error

    def _connection(self) -> tuple[sqlite3.Connection, threading.Lock]:
        # SQLite connections must not cross a fork, so it is remembered with its process; the lock too, which
        # another thread may have held when the process was forked.
        if self._opened is None or self._opened[0] != os.getpid():
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
            )
            connection.execute(f"PRAGMA mmap_size={MMAP_BYTES}")
            self._opened = (os.getpid(), connection, threading.Lock())
        return self._opened[1:]

    def _fetch(self, query: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[Any]:
        try:
            connection, lock = self._connection()
            with lock:
                return connection.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def _damaged(self, error: sqlite3.DatabaseError) -> KBError:
        return KBError(f"{self.path}: cannot be read as an entity table ({error}); {REBUILD}")


def write_entities(entities: Iterable[Entity], path: Path) -> int:
    """Writes a new entity table and returns the number of rows; the same entities give the same bytes.

    Raises KBError naming the id where two entities share one, or a text cannot be stored.
    """
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.executescript(UNSAFE + SCHEMA)
        connection.execute("BEGIN")
        kinds: dict[tuple[str, ...], int] = {}
        count = 0
        for entity in entities:
            _insert(connection, count, entity, kinds.setdefault(entity.types, len(kinds)))
            count += 1
        connection.executemany(
            "INSERT INTO kinds VALUES (?, ?)", ((kind, _json(types)) for types, kind in kinds.items())
        )
        connection.execute("COMMIT")
        connection.executescript(INDEXES + "VACUUM;")
    finally:
        connection.close()
    return count


def _insert(connection: sqlite3.Connection, key: int, entity: Entity, kind: int) -> None:
    if not entity.id:
        raise KBError(f"entity {key + 1} ({entity.title!r}) has no id; give every entity an id of its own")
    try:
        connection.execute(
            "INSERT INTO entities VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                key,
                entity.id,
                entity.title,
                entity.description,
                _json(entity.aliases) if entity.aliases else None,
                kind,
                entity.prior,
                SAME if entity.qid == entity.id else entity.qid,
                SAME if entity.wikipedia_title == entity.title else entity.wikipedia_title,
            ),
        )
    except sqlite3.IntegrityError as error:
        raise KBError(
            f"two entities have the id {entity.id!r} (the second is row {key + 1}, {entity.title!r}); "
            "remove or merge one of them"
        ) from error
    except UnicodeEncodeError as error:
        raise KBError(f"entity {entity.id!r} holds text that is not valid Unicode ({error})") from error


def _json(values: Sequence[str]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=4096)
def _types(values: str) -> tuple[str, ...]:
    """Few are distinct, and those that read all entities wait for them."""
    return tuple(json.loads(values))


def _entity(row: tuple[Any, ...]) -> Entity:
    _, entity_id, title, description, aliases, types, prior, qid, wikipedia_title = row
    return Entity(
        id=entity_id,
        title=title,
        description=description,
        aliases=tuple(json.loads(aliases)) if aliases else (),
        types=_types(types),
        prior=prior,
        qid=entity_id if qid == SAME else qid,
        wikipedia_title=title if wikipedia_title == SAME else wikipedia_title,
    )
