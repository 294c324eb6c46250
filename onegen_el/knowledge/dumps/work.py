"""The work file: an SQLite database beside the output in which the stages leave their tables and counts.

Knows stages, the files they read, and which are done; knows nothing of what they do. A stage is one
transaction: it is done, or as if it had never begun.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from onegen_el.errors import KBError

VERSION = 1  # of the tables of all stages: a work file of another version is begun anew
CACHE_KIB = 128 << 10
SUFFIXES = ("", "-journal")


class WorkFile:
    """Open for one process at a time.

    Raises KBError where the file is in use, is none of ours, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._done: list[str] = []  # stages of this call, in order
        with self.guarded():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._open()
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, VERSION):
                self.discard()
                self._connection = self._open()
            self._connection.execute(f"PRAGMA user_version={VERSION}")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS stages (name TEXT PRIMARY KEY, inputs TEXT, counts TEXT)"
            )

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("BEGIN IMMEDIATE")  # takes the lock, which is kept
        connection.execute("COMMIT")
        return connection

    def stage(
        self,
        name: str,
        inputs: Sequence[Path | str],
        tables: Mapping[str, str],
        do: Callable[[Counter[str]], None],
    ) -> None:
        """Does a stage unless it is done with these inputs (files as they are now, settings as text).

        `tables` are the names of its tables and how SQL defines them; they are empty when `do` is called with
        the counts it may add to. What was done after a former version of this stage is forgotten with it.
        """
        said = json.dumps([_identity(value) for value in inputs])
        if self._recorded(name) == said:
            self._done.append(name)
            return
        with self.guarded():
            self._connection.execute("BEGIN")
            try:
                kept = ", ".join("?" * len(self._done))
                self._connection.execute(f"DELETE FROM stages WHERE name NOT IN ({kept})", self._done)
                for table, columns in tables.items():
                    self._connection.execute(f"DROP TABLE IF EXISTS {table}")
                    self._connection.execute(f"CREATE TABLE {table} {columns}")
                counts: Counter[str] = Counter()
                do(counts)
                row = (name, said, json.dumps(counts))
                self._connection.execute("INSERT INTO stages VALUES (?, ?, ?)", row)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        self._done.append(name)

    def counts(self) -> dict[str, int]:
        """What the stages of this call counted, in their order."""
        rows = dict(self.rows("SELECT name, counts FROM stages"))
        return {name: number for stage in self._done for name, number in json.loads(rows[stage]).items()}

    def rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        with self.guarded():
            yield from self._connection.execute(query, values)

    def first(self, query: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row, None if there is none."""
        row: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
        return row

    def write(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Executes a statement of a stage; the number of rows it changed."""
        return self._connection.execute(statement, values).rowcount

    def write_many(self, statement: str, rows: Iterator[Sequence[Any]] | Sequence[Sequence[Any]]) -> None:
        self._connection.executemany(statement, rows)

    def function(self, name: str, call: Callable[[str], str]) -> None:
        """Makes a function of one text known to SQL."""
        self._connection.create_function(name, 1, call, deterministic=True)

    def close(self) -> None:
        self._connection.close()

    def discard(self) -> None:
        """Closes and deletes the file."""
        self.close()
        for suffix in SUFFIXES:
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Faults of the file as KBErrors."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise KBError(
                    f"{self.path}: another process works with this file; wait for it, or build elsewhere"
                ) from error
            raise KBError(
                f"{self.path}: cannot be written ({error}); make room there and in the folder for temporary "
                "files (SQLITE_TMPDIR), then give the same command again: finished stages are kept"
            ) from error
        except sqlite3.DatabaseError as error:
            raise KBError(f"{self.path}: is damaged ({error}); delete it and begin again") from error
        except PermissionError as error:
            raise KBError(f"{self.path}: cannot be written ({error.strerror})") from error

    def _recorded(self, name: str) -> str | None:
        row = self.first("SELECT inputs FROM stages WHERE name = ?", (name,))
        return row[0] if row else None


def _identity(value: Path | str) -> Any:
    if isinstance(value, str):
        return value
    stat = value.stat()
    return [value.name, stat.st_size, stat.st_mtime_ns]
