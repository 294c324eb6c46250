"""Reads the pages of a MediaWiki XML dump (pages-articles) as a stream, whatever its size.

Knows the export format (versions 0.6 to 0.11); knows no wikitext. What is held is one block of the file and
the page that is being read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from onegen_el.knowledge.dumps.source import Source, Watch

LONGEST_TEXT = 4 << 20  # characters; MediaWiki itself refuses pages of more than 2 MiB
EXPECTED = "give the file enwiki-...-pages-articles.xml.bz2 (or -pages-articles-multistream.xml.bz2)"


@dataclass(frozen=True, slots=True)
class Page:
    """A page of any namespace (0: articles) with the text of its last revision in the dump.

    `redirect` is the title in the element `<redirect>`, None where there is none; `text` is None where it is
    longer than LONGEST_TEXT characters and was passed over.
    """

    id: int
    title: str
    namespace: int
    redirect: str | None
    text: str | None


def read_pages(path: Path, watch: Watch | None = None) -> Iterator[Page]:
    """The pages of the dump in its order; raises InputError naming the place where it is not one."""
    source = Source(path, watch)
    reader = _Reader(source)
    for block in source.blocks():
        yield from reader.feed(block)
    yield from reader.feed(b"", last=True)


def site_of(path: Path) -> str:
    """The name of the wiki a dump is of (`enwiki`), "" where the dump does not say."""
    source = Source(path)
    reader = _Reader(source)
    for block in source.blocks():
        if next(reader.feed(block), None) or reader.site:
            break
    return reader.site


class _Reader:
    """The state of the XML parser: where it is, and what of the page it has."""

    def __init__(self, source: Source) -> None:
        self.site = ""
        self._source = source
        self._open: list[str] = []
        self._wanted: list[str] | None = None  # pieces of the element that is being read
        self._length = 0
        self._fields: dict[str, str | None] = {}
        self._pages: list[Page] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.buffer_size = 1 << 16
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._doctype

    def feed(self, block: bytes, last: bool = False) -> Iterator[Page]:
        try:
            self._parser.Parse(block, last)
        except expat.ExpatError as error:
            began = bool(self._open)
            raise self._source.fault(
                self._place(), f"is not XML ({error})", *(() if began else (EXPECTED,))
            ) from error
        pages, self._pages = self._pages, []
        yield from pages

    def _place(self) -> str:
        place = f"byte {self._parser.CurrentByteIndex:,} of the unpacked data"
        title = self._fields.get("title")
        return f"{place} (page {title!r})" if title else place

    def _doctype(self, *_: object) -> None:
        raise self._source.fault(self._place(), "has a DOCTYPE, which no dump has", EXPECTED)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._open and name != "mediawiki":
            raise self._source.fault(self._place(), f"begins with <{name}>, not <mediawiki>", EXPECTED)
        parent = self._open[-1] if self._open else ""
        self._open.append(name)
        if name == "page":
            self._fields = {}
        elif parent == "page" and name == "redirect":
            self._fields["redirect"] = attributes.get("title")
        elif name == "text" or (parent == "page" and name in ("title", "ns", "id")) or name == "dbname":
            self._wanted, self._length = [], 0
            self._parser.CharacterDataHandler = self._characters

    def _characters(self, characters: str) -> None:
        self._length += len(characters)
        if self._wanted is not None and self._length <= LONGEST_TEXT:
            self._wanted.append(characters)

    def _end(self, name: str) -> None:
        self._open.pop()
        if self._wanted is not None:
            value = "".join(self._wanted) if self._length <= LONGEST_TEXT else None
            self._wanted = None
            self._parser.CharacterDataHandler = None
            if name == "dbname":
                self.site = value or ""
            else:
                self._fields[name] = value
        elif name == "page":
            self._pages.append(self._page())
            self._fields = {}

    def _page(self) -> Page:
        fields = self._fields
        try:
            number, namespace = int(fields["id"] or ""), int(fields["ns"] or "")
            title = (fields["title"] or "").replace("_", " ").strip()
        except (KeyError, ValueError) as error:
            raise self._source.fault(
                self._place(), f"a page without title, id or namespace ({error!r})", EXPECTED
            ) from error
        return Page(number, title, namespace, fields.get("redirect"), fields.get("text", ""))
