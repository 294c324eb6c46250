r"""CoNLL-U with entities in the MISC column (universaldependencies.org/format.html), in two varieties.

Knows ten tab-separated columns and these comments: `# newdoc id = X` begins a document (without one, the
file is a document named like it), `# newpar` a paragraph, `# meta::genre = X` is its genre.

Text. Forms are joined with a space, without one after a row with `SpaceAfter=No`, also where a sentence
ends there; paragraphs are joined with an empty line (two line feeds). `SpacesAfter=\s\n` of any row, the
last included, and `SpacesBefore` of the first say exactly what stands there, as UDPipe writes them (`\s`,
`\t`, `\r`, `\n`, `\p` for `|`, `\\`), and count before both. `# text` is not looked at. A multiword token
(row `1-2`) has its own form and SpaceAfter; if the forms of its words spell it exactly, each word is its
part of it, else every word is the whole of it. Empty nodes (row `1.1`) are no text.

Variety (a), brackets of GUM and CorefUD. `# global.Entity = GRP-etype-…-identity` names the fields, in force
until the next such comment. `Entity=(1-person-…-Ada_Lovelace` opens a span, `1)` closes the innermost open
one of that group, `(1-person-…)` does both; several stand side by side, and spans nest. Only spans with the
field `identity` become mentions: `enwiki:` and the title (percent-decoded, `_` is a blank); the others are
unlinked phrases of coreference. A header field `kind` (NAM, NOM, PRO) becomes the kind. Left out are
spans of empty nodes alone, and discontinuous ones (`(e1[1/2]-…`), which no offsets can name.

Variety (b), a tag a word: `NER=B-PER|NEL=Q64`. `NER` is `B-` or `I-` and a type, or `O`; every `B` begins a
mention, which ends with its sentence at the latest. `NEL` of its first word is a QID, `enwiki:Title` (`_` is
a blank), or `NIL` or `_` or absent for no entity; further words repeat it or have none. `KIND` of the
first word becomes the kind. Types are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from onegen_el.document import TITLE_PREFIX
from onegen_el.errors import InputError
from onegen_el.gold.document import GoldDocument, GoldMention, gold_document
from onegen_el.gold.lines import stem, text_lines
from onegen_el.gold.names import QID, titled

COLUMNS = 10
NUMBER = re.compile(r"[0-9]+(?:[-.][0-9]+)?")
COMMENT = re.compile(
    r"#\s*(?P<name>newdoc(?: id)?|newpar(?: id)?|meta::genre|global\.Entity)\s*(?:=\s*(?P<value>.*?)\s*)?"
)
BRACKET = re.compile(r"\((?P<opened>[^()]+)(?P<closed>\))?|(?P<closing>[^()]+)\)")
PART = re.compile(r".*\[[0-9]+/[0-9]+\]")
SPACES = re.compile(r"\\([strnp\\])")
WHITE = {"s": " ", "t": "\t", "r": "\r", "n": "\n", "p": "|", "\\": "\\"}
TAG = re.compile(r"(?P<mark>[BI])-(?P<type>.+)")


def read_conllu(path: str | Path) -> Iterator[GoldDocument]:
    """Documents of a CoNLL-U file of either variety, plain or `.gz`; one is held at a time.

    Raises InputError naming file and line where a row is not of the format.
    """
    path = Path(path)
    document = _Document(stem(path))
    fields: tuple[str, ...] = ()
    unnamed = number = 0
    try:
        for number, line in text_lines(path):
            if not line.strip():
                document.sentence_ends()
            elif line.startswith("#"):
                comment = COMMENT.fullmatch(line)
                name, value = (comment["name"], comment["value"]) if comment else ("", None)
                if name.startswith("newdoc"):
                    if document.begun:
                        yield document.finished()
                    unnamed += not value
                    document = _Document(value or f"{stem(path)}-{unnamed}", begun=True)
                elif name.startswith("newpar"):
                    document.paragraph_ends()
                elif name == "meta::genre":
                    document.genre = value or ""
                elif name == "global.Entity":
                    fields = tuple((value or "").split("-"))
            else:
                document.row(line.split("\t"), fields, number)
        if document.begun:
            yield document.finished()
    except ValueError as error:
        raise InputError(f"{path}, line {number}: {error}") from error


@dataclass(slots=True)
class _Span:
    """Words `first` to `last` (numbers in the document, inclusive); not yet ended while `last` is None."""

    group: str
    entity: str | None
    kind: str
    first: int
    line: int
    last: int | None = None


class _Document:
    """A document while its rows come."""

    def __init__(self, identity: str, begun: bool = False) -> None:
        self.begun = begun  # has a heading or a word
        self.genre = ""
        self._id = identity
        self._parts: list[str] = []
        self._length = 0
        self._between = ""
        self._stated = False  # SpacesAfter said what is between
        self._words: list[tuple[int, int]] = []
        self._multiword: tuple[int, int, list[str]] | None = None  # number of its last word, start, forms
        self._spans: list[_Span] = []
        self._open: list[_Span] = []
        self._tagged: _Span | None = None

    def paragraph_ends(self) -> None:
        if not self._stated:
            self._between = "\n\n" if self._parts else ""

    def sentence_ends(self) -> None:
        if self._multiword:
            raise ValueError(f"the sentence ends before word {self._multiword[0]} of its multiword token")
        self._tagged = None

    def row(self, columns: list[str], fields: tuple[str, ...], line: int) -> None:
        """Adds a row; raises ValueError saying what is wrong with it."""
        if len(columns) != COLUMNS:
            raise ValueError(f"{len(columns)} columns; expected {COLUMNS} of CoNLL-U, separated by tabs")
        number, form, misc = columns[0], columns[1], _misc(columns[9])
        if not NUMBER.fullmatch(number) or not form:
            raise ValueError(f"word {number!r} with form {form!r}; expected a number and a form")
        self.begun = True
        if "-" in number:
            if self._multiword:
                raise ValueError(f"multiword token {number} inside another")
            self._multiword = int(number.partition("-")[2]), self._add(form, misc), []
            return
        if "." not in number:
            self._word(int(number), form, misc)
            self._tag(misc, line)
        self._brackets(misc.get("Entity", ""), fields, empty="." in number, line=line)

    def finished(self) -> GoldDocument:
        self.sentence_ends()
        if self._open:
            span = self._open[-1]
            raise ValueError(
                f"the document ends before {span.group!r}, opened in line {span.line}, closes; "
                f"expected {span.group})"
            )
        mentions = [
            GoldMention(self._words[span.first][0], self._words[span.last][1], span.entity, kind=span.kind)
            for span in self._spans
            if span.last is not None and span.first <= span.last
        ]
        text = "".join([*self._parts, self._between if self._stated else ""])
        return gold_document(self._id, text, mentions, genre=self.genre)

    def _add(self, form: str, misc: Mapping[str, str]) -> int:
        """Adds to the text; returns where the form starts."""
        if not self._parts:
            self._between = _white(misc.get("SpacesBefore", ""))
        self._parts += self._between, form
        start = self._length + len(self._between)
        self._length = start + len(form)
        self._stated = "SpacesAfter" in misc
        self._between = "" if misc.get("SpaceAfter") == "No" else " "
        if self._stated:
            self._between = _white(misc["SpacesAfter"])
        return start

    def _word(self, number: int, form: str, misc: Mapping[str, str]) -> None:
        if not self._multiword:
            start = self._add(form, misc)
            self._words.append((start, start + len(form)))
            return
        last, start, forms = self._multiword
        forms.append(form)
        self._words.append((start, self._length))
        if number > last:
            raise ValueError(f"word {number} after a multiword token that ends with word {last}")
        if number == last:
            self._multiword = None
            if "".join(forms) == self._parts[-1]:
                for index, part in enumerate(forms, start=len(self._words) - len(forms)):
                    self._words[index] = start, start + len(part)
                    start += len(part)

    def _brackets(self, value: str, fields: tuple[str, ...], empty: bool, line: int) -> None:
        position, first = 0, len(self._words) - (not empty)
        while position < len(value):
            bracket = BRACKET.match(value, position)
            if not bracket:
                raise ValueError(f"Entity={value} cannot be read; expected (group-field-…, group) or both")
            position = bracket.end()
            if opened := bracket["opened"]:
                span = _opened(opened, fields, first, line)
                self._open.append(span)
                group = span.group if bracket["closed"] else None
            else:
                group = bracket["closing"]
            if group is not None:
                self._close(group)

    def _close(self, group: str) -> None:
        span = next((span for span in reversed(self._open) if span.group == group), None)
        if span is None:
            raise ValueError(f"Entity closes {group!r}, which is not open; expected ({group}-… before")
        self._open.remove(span)
        span.last = len(self._words) - 1
        if span.entity and not PART.fullmatch(group):
            self._spans.append(span)

    def _tag(self, misc: Mapping[str, str], line: int) -> None:
        value, link = misc.get("NER", "O"), misc.get("NEL", "_")
        if value in ("O", "_"):
            self._tagged = None
            return
        tag = TAG.fullmatch(value)
        if not tag:
            raise ValueError(f"NER={value}; expected B-TYPE, I-TYPE or O")
        entity, here = _linked(link), len(self._words) - 1
        if tag["mark"] == "B":
            self._tagged = _Span(tag["type"], entity, misc.get("KIND", ""), here, line, here)
            self._spans.append(self._tagged)
        elif self._tagged is None or self._tagged.group != tag["type"]:
            raise ValueError(f"NER={value} does not continue a mention; expected B-{tag['type']} before it")
        elif link != "_" and entity != self._tagged.entity:
            raise ValueError(f"NEL={link} differs from that of the first word, line {self._tagged.line}")
        else:
            self._tagged.last = here


def _misc(column: str) -> dict[str, str]:
    pairs = (item.partition("=") for item in column.split("|"))
    return {name: value for name, _, value in pairs}


def _white(value: str) -> str:
    return SPACES.sub(lambda found: WHITE[found[1]], value)


def _opened(text: str, fields: tuple[str, ...], first: int, line: int) -> _Span:
    if "identity" not in fields:
        raise ValueError("Entity= without `# global.Entity = …` that names a field `identity` before it")
    # The last field may hold hyphens: they separate nothing there.
    values = dict(zip(fields, text.split("-", len(fields) - 1), strict=False))
    identity = values.get("identity", "")
    entity = None if identity in ("", "_") else titled(unquote(identity))
    return _Span(values[fields[0]], entity, values.get("kind", ""), first, line)


def _linked(link: str) -> str | None:
    if link in ("", "_", "NIL"):
        return None
    if QID.fullmatch(link):
        return link
    if link.startswith(TITLE_PREFIX):
        return titled(link.removeprefix(TITLE_PREFIX))
    raise ValueError(f"NEL={link}; expected a QID, {TITLE_PREFIX}Title, NIL or _")
