"""Reads the rows of one table from a SQL dump as mysqldump writes it.

Knows CREATE TABLE and INSERT statements of such dumps; knows no table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from onegen_el.knowledge.dumps.source import Source, Watch

STRING = rb"(?:_binary )?'(?:[^'\\]++|\\.|'')*+'"
VALUE = rb"(NULL|-?[\d.]+(?:[eE][+-]?\d+)?|0x[0-9A-Fa-f]*|%b)" % STRING
ROW_OF = {
    count: re.compile(rb"\(" + b",".join([VALUE] * count) + rb"\)", re.DOTALL) for count in range(1, 33)
}
COLUMN = re.compile(rb"\s+`(\w+)` ")
CREATE = re.compile(rb"CREATE TABLE (?:IF NOT EXISTS )?`(\w+)`")
INSERT = re.compile(rb"INSERT (?:IGNORE )?INTO `(\w+)`(?: \(([^)]*)\))? VALUES\s*")
BETWEEN = re.compile(rb"\s*(?:,\s*|(;)\s*|$)")
ESCAPE = re.compile(rb"\\(.)|''", re.DOTALL)
ESCAPED = {b"0": b"\0", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"Z": b"\x1a"}

Row = tuple[bytes | None, ...]


def read_table(path: Path, table: str, columns: Sequence[str], watch: Watch | None = None) -> Iterator[Row]:
    """The values of `columns` in all rows of `table`, None for NULL.

    Raises InputError naming the line where the file holds another table, lacks a column, ends within a
    statement, or is no dump.
    """
    source = Source(path, watch)
    expected = f"give the dump of the table `{table}`: enwiki-...-{table}.sql.gz"
    number, defined = 0, list[str]()
    insert: _Insert | None = None  # the statement that is being read
    for number, line in source.lines():
        place, at = f"line {number:,}", 0
        if insert is None:
            if created := CREATE.match(line):
                _is_of(source, place, created[1], table, expected)
            elif column := COLUMN.match(line):
                defined.append(column[1].decode())
            elif inserted := INSERT.match(line):
                _is_of(source, place, inserted[1], table, expected)
                defined = re.findall(r"\w+", inserted[2].decode()) if inserted[2] else defined
                if missing := [name for name in columns if name not in defined]:
                    raise source.fault(place, f"`{table}` has no column {', '.join(missing)}", expected)
                insert, at = _Insert(defined, columns), inserted.end()
        while insert is not None and at < len(line):
            found = insert.row(line, at)
            if found is None:
                raise source.fault(place, f"column {at:,} is no row of `{table}`: {line[at : at + 40]!r}")
            row, at, ended = found
            yield row
            if ended:
                insert = None
    if insert is not None:
        raise source.fault(f"line {number:,}", "ends within a statement")
    if not defined:
        raise source.fault(f"line {number:,}", "has no SQL of a table", expected)


class _Insert:
    """One INSERT statement: what its rows look like, and which of their values are wanted."""

    def __init__(self, named: Sequence[str], columns: Sequence[str]) -> None:
        self._row = re.compile(rb"\(" + b",".join([VALUE] * len(named)) + rb"\)", re.DOTALL)
        self._groups = [named.index(name) + 1 for name in columns]

    def row(self, line: bytes, at: int) -> tuple[Row, int, bool] | None:
        """The row at a place of the line, the place after it, and whether the statement ends there."""
        found = self._row.match(line, at)
        after = BETWEEN.match(line, found.end()) if found else None
        if not found or not after:
            return None
        return tuple(_value(found[group]) for group in self._groups), after.end(), after[1] is not None


def _is_of(source: Source, place: str, name: bytes, table: str, expected: str) -> None:
    if name.decode() != table:
        raise source.fault(place, f"is of the table `{name.decode()}`", expected)


def _value(written: bytes) -> bytes | None:
    if written == b"NULL":
        return None
    if not written.endswith(b"'"):
        return bytes.fromhex(written[2:].decode()) if written.startswith(b"0x") else written
    value = written[written.index(b"'") + 1 : -1]
    return ESCAPE.sub(_unescaped, value) if b"\\" in value or b"'" in value else value


def _unescaped(found: re.Match[bytes]) -> bytes:
    letter = found[1] or b"'"
    return ESCAPED.get(letter, letter)
