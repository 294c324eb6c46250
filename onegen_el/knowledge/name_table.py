"""The names of one segment's entities in one SQLite file: equal, beginning, containing and similar ones.

Knows titles and aliases and how they are looked up; rows are the segment's, removed ones are told with each
question. The file can be made again from the entity table at any time.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from onegen_el.errors import KBError
from onegen_el.knowledge.entities import EntityTable
from onegen_el.knowledge.spelling import distance, distance_within, edits_allowed, fold, padded, pieces
from onegen_el.resources import CACHE_VARIABLE

Progress = Callable[[int, int], None]

VERSION = 1  # of the file's layout, part of its name
STEP = 20_000  # entities between two reports of progress
LAST = "\U0010ffff"  # sorts behind every letter
SIMILAR = 500  # names whose edits are counted, those with the most pieces in common
SPOILT = 4  # pieces of three letters that one edit changes at most
WITHIN = 0.5  # a word of the name is less than the whole: it counts as so much of an edit more
UNSAFE = """
PRAGMA page_size=8192; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-262144;
"""
SCHEMA = """
CREATE TABLE kinds (kind INTEGER PRIMARY KEY, types TEXT NOT NULL);
CREATE TABLE names (
    name INTEGER PRIMARY KEY, folded TEXT NOT NULL, row INTEGER NOT NULL, kind INTEGER NOT NULL,
    prior REAL NOT NULL
);
"""
# Pieces of three letters alone, neither where they stand nor the names again: the smallest index of them.
PIECES = """
CREATE VIRTUAL TABLE pieces USING fts5 (folded, tokenize='trigram', detail=none, columnsize=0, content='');
INSERT INTO pieces (pieces, rank) VALUES ('automerge', 0), ('crisismerge', 1000), ('hashsize', 67108864);
"""
SOURCE = """
INSERT INTO names (folded, row, kind, prior)
SELECT fold(title), key, kind, prior FROM kb.entities WHERE key >= :start AND key < :end
UNION ALL SELECT fold(value), entities.key, kind, prior FROM kb.entities, json_each(aliases)
WHERE entities.key >= :start AND entities.key < :end
"""
ALLOWED = """
(:kinds IS NULL OR kind IN (SELECT value FROM json_each(:kinds)))
AND (:removed IS NULL OR row NOT IN (SELECT value FROM json_each(:removed)))
"""
BEST = "GROUP BY row ORDER BY prior DESC, row LIMIT :most"


@dataclass(frozen=True, slots=True)
class Found:
    """A row with the name that was found, folded, its prior, and by how many edits it differs."""

    row: int
    name: str
    prior: float
    edits: float = 0.0


class NameTable:
    """Questions to the names of a segment; rows come once each, at most `most`, the best known first.

    `types` are those of which an entity must have one (None: any), `removed` rows that are never found.
    Raises KBError, at once or later, where the file is damaged.
    """

    def __init__(self, path: Path, removed: Iterable[int] = ()) -> None:
        self.path = path
        gone = list(map(int, removed))
        self._removed = json.dumps(gone) if gone else None
        self._connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
        )
        self._ask("CREATE VIRTUAL TABLE temp.counted USING fts5vocab (main, pieces, row)")
        self._kinds = [
            (kind, {name.casefold() for name in json.loads(types)})
            for kind, types in self._ask("SELECT kind, types FROM kinds")
        ]

    def equal(self, folded: str, most: int, types: Sequence[str] | None = None) -> list[Found]:
        """Entities of just this name."""
        return self._best("WHERE folded = :name", most, types, name=folded)

    def beginning(self, folded: str, most: int, types: Sequence[str] | None = None) -> list[Found]:
        """Entities with a name that begins so, or is so."""
        return self._best(
            "WHERE folded >= :name AND folded < :end", most, types, name=folded, end=folded + LAST
        )

    def containing(self, folded: str, most: int, types: Sequence[str] | None = None) -> list[Found]:
        """Entities with a name that goes on with these words after others."""
        return self._within(f" {folded} ", "instr(names.folded || ' ', :within)", most, types)

    def continuing(self, folded: str, most: int, types: Sequence[str] | None = None) -> list[Found]:
        """Entities with a name that goes on so after other words, with the last word begun at least.

        A word that is only begun counts as an edit.
        """
        found = self._within(f" {folded}", "instr(names.folded, :within)", most, types)
        return [replace(one, edits=1.0) for one in found]

    def _within(self, within: str, condition: str, most: int, types: Sequence[str] | None) -> list[Found]:
        wanted = " ".join(map(_quoted, pieces(within)))
        if not wanted:
            return []
        where = f"JOIN pieces ON pieces.rowid = name WHERE pieces MATCH :pieces AND {condition}"
        return self._best(where, most, types, pieces=wanted, within=within)

    def similar(self, folded: str, most: int, types: Sequence[str] | None = None) -> list[Found]:
        """Entities with a name, or some words of one, that differ by a few edits; fewest edits first.

        So many of the rarest pieces are looked for that the edits allowed cannot have changed all of them.
        """
        allowed = edits_allowed(folded)
        chosen = self._rarest(pieces(padded(folded)), SPOILT * allowed + 1)
        if not allowed or not chosen:
            return []
        each = " UNION ALL ".join(
            f"SELECT rowid AS name FROM pieces WHERE pieces MATCH :piece{number}"
            for number in range(len(chosen))
        )
        rows = self._ask(
            "SELECT row, names.folded, prior FROM "
            f"(SELECT name, count(*) AS shared FROM ({each}) GROUP BY name HAVING shared >= :least) "
            f"JOIN names USING (name) WHERE {ALLOWED} "
            "ORDER BY shared / (length(names.folded) + :length) DESC, name LIMIT :most",
            {
                **{f"piece{number}": _quoted(piece) for number, piece in enumerate(chosen)},
                "least": max(1, len(chosen) - SPOILT * allowed),
                "length": len(folded) + 4.0,
                "most": SIMILAR,
                **self._allowed(types),
            },
        )
        best: dict[int, Found] = {}
        for row, name, prior in rows:
            edits: float = distance(folded, name, allowed)
            if edits > allowed:
                edits = distance_within(folded, name, allowed) + WITHIN
            if edits <= allowed + WITHIN and (row not in best or edits < best[row].edits):
                best[row] = Found(row, name, prior, edits)
        return sorted(best.values(), key=lambda found: (found.edits, -found.prior, found.row))[:most]

    def _best(self, where: str, most: int, types: Sequence[str] | None, **values: str) -> list[Found]:
        query = f"SELECT row, names.folded, max(prior) AS prior FROM names {where} AND {ALLOWED} {BEST}"
        rows = self._ask(query, {**values, "most": most, **self._allowed(types)})
        return [Found(*row) for row in rows]

    def _ask(self, query: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise KBError(
                f"{self.path}: this index of names is damaged ({error}); delete the file, it is made again"
            ) from error

    def _allowed(self, types: Sequence[str] | None) -> dict[str, str | None]:
        kinds = None
        if types is not None:
            wanted = {name.casefold() for name in types}
            kinds = json.dumps([kind for kind, names in self._kinds if names & wanted])
        return {"kinds": kinds, "removed": self._removed}

    def _rarest(self, wanted: list[str], most: int) -> list[str]:
        """Those of the `wanted` pieces that are in any name, the rarest first."""
        counts = self._ask(
            "SELECT term, doc FROM temp.counted WHERE term IN (SELECT value FROM json_each(?)) "
            "ORDER BY doc, term",
            (json.dumps(wanted),),
        )
        return [piece for piece, _ in counts[:most]]


def write_names(table: EntityTable, path: Path, progress: Progress | None = None) -> None:
    """Writes the names of all entities of `table` to `path`, which appears when it is whole.

    `progress` gets steps done and in all. Raises KBError where the folder of `path` cannot be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        connection = sqlite3.connect(part, isolation_level=None, uri=True)
        try:
            _fill(connection, table, progress or (lambda done, total: None))
        finally:
            connection.close()
        part.replace(path)
    except (OSError, sqlite3.OperationalError) as error:
        raise KBError(
            f"{path.parent}: the index of names cannot be written ({error}); make room, or set "
            f"{CACHE_VARIABLE} to another folder"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()


def _fill(connection: sqlite3.Connection, table: EntityTable, progress: Progress) -> None:
    connection.create_function("fold", 1, fold, deterministic=True)
    connection.create_function("padded", 1, padded, deterministic=True)
    connection.executescript(UNSAFE)
    connection.execute("ATTACH ? AS kb", (f"{table.path.absolute().as_uri()}?mode=ro&immutable=1",))
    connection.executescript(SCHEMA + PIECES)
    connection.execute("BEGIN")
    connection.execute("INSERT INTO kinds SELECT kind, types FROM kb.kinds")
    rows = len(table)
    for start in range(0, rows, STEP):
        progress(start, 3 * rows)
        connection.execute(SOURCE, {"start": start, "end": start + STEP})
    connection.execute("CREATE INDEX by_name ON names (folded)")
    (names,) = connection.execute("SELECT count(*) FROM names").fetchone()
    for start in range(0, names, STEP):
        progress(rows + 2 * rows * start // names, 3 * rows)
        connection.execute(
            "INSERT INTO pieces (rowid, folded) "
            "SELECT name, padded(folded) FROM names WHERE name > ? AND name <= ?",
            (start, start + STEP),
        )
    connection.execute("INSERT INTO pieces (pieces) VALUES ('optimize')")
    connection.execute("COMMIT")
    progress(3 * rows, 3 * rows)


def _quoted(piece: str) -> str:
    return '"' + piece.replace('"', '""') + '"'
