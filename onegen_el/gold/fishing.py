"""The corpus XML of entity-fishing, also that of WNED and others (github.com/kermitt2/entity-fishing).

Knows `<document docName="X">` with `<annotation>`s of `<mention>`, `<wikiName>`, `<wikidataId>`,
`<wikipediaId>`, `<offset>` and `<length>`, whatever the root is named, and that the text of X is the file
`RawText/X` beside the XML file: UTF-8, without newline translation.

* The entity is the QID in `wikidataId`, and `wikiName` then the mention's name. Without `wikidataId` it is
  the title in `wikiName`. It is NIL if `wikiName` is `NIL` or empty, or `wikidataId` is there but `null`:
  entity-fishing then repeats the mention as `wikiName`. Page numbers (`wikipediaId`) are dropped.
* Offsets count characters. Java counts UTF-16 units; where these put more of a document's mentions where
  they stand in the text, all of the document's offsets are read so.
* A `mention` that is not what stands there is told in a warning, and the offsets count.

A document type is refused: it can declare entities that grow without end or name other files.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from onegen_el.errors import InputError
from onegen_el.gold.document import NIL_IDS, GoldDocument, GoldMention, checked_span, gold_document
from onegen_el.gold.lines import open_bytes
from onegen_el.gold.names import QID, titled

log = logging.getLogger(__name__)

TEXTS = "RawText"
FIELDS = ("mention", "wikiName", "wikidataId", "wikipediaId", "offset", "length")
CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class _Row:
    """An annotation and the line where it ends."""

    fields: dict[str, str]
    line: int


def read_fishing(path: str | Path) -> Iterator[GoldDocument]:
    """Documents of an entity-fishing corpus XML, plain or `.gz`; one is held at a time.

    Raises InputError naming file and line of what is not XML or not of the format, and naming the text
    that is missing.
    """
    path = Path(path)
    differ = 0
    for name, rows in _documents(path):
        text = _text(path, name)
        places = _places(text, rows)
        mentions = []
        for row in rows:
            try:
                start, end = _span(row, places)
                checked_span(start, end, text)
                mentions.append(_mention(row.fields, start, end))
            except ValueError as error:
                raise InputError(f"{path}, line {row.line}: annotation of {name!r}: {error}") from error
            differ += not _stands(row, text[start:end])
        yield gold_document(name, text, mentions)
    if differ:
        log.warning("%s: %d mentions are not what stands at their offsets", path, differ)


def _documents(path: Path) -> Iterator[tuple[str, list[_Row]]]:
    """Names and annotations, each when its element ends."""
    reader = _Reader()
    parser = reader.parser
    try:
        with open_bytes(path) as file:
            while True:
                chunk = file.read(CHUNK)
                parser.Parse(chunk, not chunk)
                yield from reader.done
                reader.done.clear()
                if not chunk:
                    return
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise InputError(f"{path}, line {error.lineno}: is not XML ({reason})") from error
    except (ValueError, LookupError) as error:
        raise InputError(f"{path}, line {parser.CurrentLineNumber}: {error}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


class _Reader:
    """What the parser calls; `done` holds the documents that have ended."""

    def __init__(self) -> None:
        self.done: list[tuple[str, list[_Row]]] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self._name: str | None = None
        self._rows: list[_Row] = []
        self._fields: dict[str, str] | None = None
        self._field: str | None = None

    def _doctype(self, *_: object) -> None:
        raise ValueError("a document type (<!DOCTYPE) is refused; delete it, corpora need none")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "document":
            if "docName" not in attributes or self._name is not None:
                raise ValueError("expected documents, one after the other, as <document docName=…>")
            self._name, self._rows = attributes["docName"], []
        elif tag == "annotation":
            if self._name is None or self._fields is not None:
                raise ValueError("expected annotations, one after the other, inside of a document")
            self._fields = {}
        elif self._fields is not None and tag in FIELDS:
            if tag in self._fields:
                raise ValueError(f"an annotation with two <{tag}>; expected one")
            self._fields[tag], self._field = "", tag

    def _end(self, tag: str) -> None:
        if tag == self._field:
            self._field = None
        elif tag == "annotation" and self._fields is not None:
            self._rows.append(_Row(self._fields, self.parser.CurrentLineNumber))
            self._fields = None
        elif tag == "document" and self._name is not None:
            self.done.append((self._name, self._rows))
            self._name = None

    def _characters(self, text: str) -> None:
        if self._fields is not None and self._field:
            self._fields[self._field] += text


def _text(path: Path, name: str) -> str:
    # No name may lead out of the folder.
    if name in ("", ".", "..") or any(character in name for character in "/\\\0"):
        raise InputError(f"{path}: docName {name!r} is not the name of a file; mend it")
    source = path.parent / TEXTS / name
    try:
        return source.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: is not UTF-8 ({error})") from error
    except OSError as error:
        raise InputError(
            f"{source}: cannot be read ({error.strerror}); the texts of {path.name} stand in {TEXTS}"
        ) from error


def _places(text: str, rows: list[_Row]) -> Callable[[int], int]:
    """From an offset of the file to one of the text; -1 where there is none."""
    if text.isascii() or max(text) <= "\uffff":
        return lambda offset: offset
    units, here = {}, 0
    for index, character in enumerate(text):
        units[here] = index
        here += 1 + (character > "\uffff")
    units[here] = len(text)

    def fitting(places: Callable[[int], int]) -> int:
        return sum(_fits(row, text, places) for row in rows)

    def by_units(offset: int) -> int:
        return units.get(offset, -1)

    def as_they_are(offset: int) -> int:
        return offset

    return by_units if fitting(by_units) > fitting(as_they_are) else as_they_are


def _fits(row: _Row, text: str, places: Callable[[int], int]) -> bool:
    try:
        start, end = _span(row, places)
    except ValueError:
        return False
    return 0 <= start < end and _stands(row, text[start:end])


def _span(row: _Row, places: Callable[[int], int]) -> tuple[int, int]:
    start, length = _number(row, "offset"), _number(row, "length")
    return places(start), places(start + length)


def _number(row: _Row, field: str) -> int:
    value = row.fields.get(field, "").strip()
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        raise ValueError(f"{field} {value!r} is no whole number; expected <offset> and <length>")
    return int(value)


def _stands(row: _Row, found: str) -> bool:
    mention = row.fields.get("mention")
    # XML reads every line end as a line feed.
    return mention is None or mention in (found, found.replace("\r\n", "\n").replace("\r", "\n"))


def _mention(fields: dict[str, str], start: int, end: int) -> GoldMention:
    item, title = fields.get("wikidataId"), fields.get("wikiName", "").strip()
    title = "" if title in NIL_IDS else title
    if item is not None and (item := item.strip()) not in ("", "null", *NIL_IDS):
        if not QID.fullmatch(item):
            raise ValueError(f"wikidataId {item!r}; expected a QID or null")
        return GoldMention(start, end, item, name=title)
    return GoldMention(start, end, titled(title) if title and item is None else None)
