"""HIPE-2022 TSV: historical texts with names and Wikidata links (github.com/hipe-eval/HIPE-2022-data).

Knows these lines, UTF-8:

* the first names the columns, tab-separated; TOKEN, NE-COARSE-LIT, NEL-LIT and MISC are read, by name;
* `# hipe2022:document_id = X` (any prefix before the colon, or none) begins a document with the next token,
  `# …document_type = X` in the same block is its genre; other comments are passed over, empty lines only
  end a block;
* every other line is a token.

Text. Tokens are joined with a space; with nothing after a token whose MISC has `NoSpaceAfter`, else with a
line feed after one with `EndOfLine`. What the last token says of what follows is not looked at.

Mentions. `B-type` begins one, `I-type` continues it; NEL-LIT of its first token is a QID, or `NIL`, `_` or
nothing for no entity, further tokens repeat it or have `_`. `Partial-2:5` in MISC says which characters of a
token belong: of the first token of a mention the start counts, of the last one the end. Left out are spans
of the types `scope` (lines of a cited work) and `date`, which name no entity; types, the metonymic, fine and
nested columns are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from onegen_el.errors import InputError
from onegen_el.gold.document import NIL_IDS, GoldDocument, GoldMention, gold_document
from onegen_el.gold.lines import text_lines
from onegen_el.gold.names import QID

COLUMNS = (
    "TOKEN",
    "NE-COARSE-LIT",
    "NE-COARSE-METO",
    "NE-FINE-LIT",
    "NE-FINE-METO",
    "NE-FINE-COMP",
    "NE-NESTED",
    "NEL-LIT",
    "NEL-METO",
    "MISC",
)
READ = ("TOKEN", "NE-COARSE-LIT", "NEL-LIT", "MISC")
HEAD = "TOKEN\tNE-COARSE-LIT"
NO_SPACE, LINE_END = "NoSpaceAfter", "EndOfLine"
NO_ENTITIES = frozenset({"scope", "date"})
COMMENT = re.compile(r"#\s*(?:[^\s:=]+:)?(?P<name>document_id|document_type)\s*=\s*(?P<value>.*?)\s*")
TAG = re.compile(r"(?P<mark>[BI])-(?P<type>.+)")
PARTIAL = re.compile(r"Partial-([0-9]+):([0-9]+)")


def read_hipe(path: str | Path) -> Iterator[GoldDocument]:
    """Documents of a HIPE-2022 TSV file, plain or `.gz`; one is held at a time.

    Raises InputError naming file and line where a row is not of the format.
    """
    path = Path(path)
    columns: tuple[str, ...] = ()
    document: _Document | None = None
    block: dict[str, str] = {}
    for number, line in text_lines(path):
        try:
            if line.startswith(HEAD):
                columns = _columns(line)
                continue
            comment = line.startswith("#") and "\t" not in line
            found = COMMENT.fullmatch(line) if comment else None
            # Such a block was of a document without tokens.
            over = "document_id" in block and (not line.strip() or (found and found["name"] == "document_id"))
            if "document_id" in block and (over or not comment):
                if document:
                    yield document.finished()
                document, block = _Document(block), {}
            if found:
                block[found["name"]] = found["value"]
            elif line.strip() and not comment:
                if not columns:
                    raise ValueError(f"no line that names the columns before; expected {HEAD!r} and so on")
                if document is None:
                    raise ValueError("a token before `# hipe2022:document_id = …`")
                document.token(_row(line, columns))
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {error}") from error
    if document:
        yield document.finished()
    if "document_id" in block:
        yield _Document(block).finished()


def _columns(line: str) -> tuple[str, ...]:
    columns = tuple(line.split("\t"))
    if missing := [name for name in READ if name not in columns]:
        raise ValueError(f"no column {' and '.join(missing)}; expected {', '.join(COLUMNS)}")
    return columns


def _row(line: str, columns: tuple[str, ...]) -> dict[str, str]:
    values = line.split("\t")
    if len(values) != len(columns):
        raise ValueError(f"{len(values)} columns, but {len(columns)} names of columns; separate them by tabs")
    return dict(zip(columns, values, strict=True))


@dataclass(slots=True)
class _Span:
    """A mention while it goes on; offsets in the document."""

    type: str
    link: str
    start: int
    end: int


class _Document:
    """A document while its tokens come."""

    def __init__(self, block: dict[str, str]) -> None:
        self._id = block["document_id"]
        self._genre = block.get("document_type", "")
        if not self._id:
            raise ValueError("document_id is empty; expected a name")
        self._parts: list[str] = []
        self._length = 0
        self._between = ""
        self._spans: list[_Span] = []
        self._inside = False

    def token(self, row: dict[str, str]) -> None:
        """Adds a token; raises ValueError saying what is wrong with its columns."""
        form, tag, link, misc = (row[name] for name in READ)
        if not form:
            raise ValueError("no TOKEN")
        flags = misc.split("|")
        start = self._length + len(self._between)
        self._parts += self._between, form
        self._length = start + len(form)
        self._between = "" if NO_SPACE in flags else "\n" if LINE_END in flags else " "
        if tag in ("O", "_"):
            self._inside = False
            return
        first, last = _part(flags, form)
        self._mention(tag, link, start + first, start + last)

    def finished(self) -> GoldDocument:
        mentions = [
            GoldMention(span.start, span.end, None if span.link in NIL_IDS else span.link)
            for span in self._spans
            if span.type not in NO_ENTITIES
        ]
        return gold_document(self._id, "".join(self._parts), mentions, genre=self._genre)

    def _mention(self, tag: str, link: str, start: int, end: int) -> None:
        parsed = TAG.fullmatch(tag)
        if not parsed:
            raise ValueError(f"NE-COARSE-LIT is {tag!r}; expected B-type, I-type or O")
        link = "" if link in ("_", "NIL") else link
        if link and not QID.fullmatch(link):
            raise ValueError(f"NEL-LIT is {link!r}; expected a QID, NIL or _")
        if parsed["mark"] == "B":
            self._spans.append(_Span(parsed["type"], link, start, end))
            self._inside = True
            return
        if not self._inside or self._spans[-1].type != parsed["type"]:
            raise ValueError(f"{tag} does not continue a mention; expected B-{parsed['type']} before it")
        span = self._spans[-1]
        if link not in ("", span.link):
            raise ValueError(
                f"NEL-LIT is {link!r}, but {span.link or 'NIL'!r} at the first token of the mention"
            )
        span.end = end


def _part(flags: list[str], form: str) -> tuple[int, int]:
    """Which characters of the token belong to its mention; raises ValueError if it has not so many."""
    for flag in flags:
        if found := PARTIAL.fullmatch(flag):
            first, last = int(found[1]), int(found[2])
            if not first < last <= len(form):
                raise ValueError(f"{flag} is not inside the {len(form)} characters of {form!r}")
            return first, last
    return 0, len(form)
