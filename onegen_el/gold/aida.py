r"""AIDA-YAGO2-dataset.tsv: CoNLL-2003 with entities of YAGO2 and Wikipedia (Hoffart et al., EMNLP 2011).

Knows the rows of that file:

* `-DOCSTART- (1 EU)` begins a document; its id is what stands in the brackets.
* An empty line ends a sentence.
* Every other row is a token; inside a mention, tab-separated, 4 to 7 columns: token, `B` or `I`, the full
  mention, the YAGO2 entity (`_` for blanks, `\u0028` for other characters) or `--NME--` for NIL, the
  Wikipedia URL, the Wikipedia page number, the Freebase mid.

The text is restored by joining tokens with a space and sentences with a line feed. Spans follow `B` and
`I`, the column of the full mention is not looked at. A `B` whose entity is `null` is the rest of a mention
that a sentence end had cut and continues the one directly before it. The entity is the title in the
Wikipedia URL, without one the YAGO2 name; page number and mid are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from onegen_el.errors import InputError
from onegen_el.gold.document import GoldDocument, GoldMention, gold_document
from onegen_el.gold.lines import text_lines
from onegen_el.gold.names import from_address, titled

START = "-DOCSTART-"
HEAD = re.compile(START + r"\s*\((.+)\)\s*")
NIL, CONTINUED = "--NME--", "null"
ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")
EXPECTED = "token, B or I, mention, YAGO2 entity, Wikipedia URL, Wikipedia id, Freebase mid, tabs between"


def read_aida(path: str | Path) -> Iterator[GoldDocument]:
    """Documents of an AIDA-YAGO2 dataset TSV, plain or `.gz`; one is held at a time.

    Raises InputError naming file and line where a row is not of the format.
    """
    path = Path(path)
    document: _Document | None = None
    for number, line in text_lines(path):
        try:
            if line.startswith(START):
                if document:
                    yield document.finished()
                document = _Document(_identity(line))
            elif not line.strip():
                if document:
                    document.sentence_ends()
            elif document is None:
                raise ValueError("a token before the first document; expected `-DOCSTART- (1 EU)`")
            else:
                document.token(line.split("\t"))
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {error}") from error
    if document:
        yield document.finished()


def _identity(line: str) -> str:
    head = HEAD.fullmatch(line)
    if not head:
        raise ValueError(f"{line!r} does not name the document; expected `-DOCSTART- (1 EU)`")
    return head[1].strip()


class _Document:
    """A document while its tokens come."""

    def __init__(self, identity: str) -> None:
        self._id = identity
        self._parts: list[str] = []
        self._length = 0
        self._between = ""
        self._spans: list[tuple[int, int, str | None]] = []
        self._inside = False

    def sentence_ends(self) -> None:
        self._between = "\n" if self._parts else ""

    def token(self, columns: list[str]) -> None:
        """Adds a token; raises ValueError saying what is wrong with its columns."""
        if not 4 <= len(columns) <= 7 and len(columns) != 1:
            raise ValueError(f"{len(columns)} columns; expected the token alone, or 4 to 7: {EXPECTED}")
        if not columns[0]:
            raise ValueError(f"no token; expected {EXPECTED}")
        self._parts += self._between, columns[0]
        start = self._length + len(self._between)
        self._length = start + len(columns[0])
        self._between = " "
        if len(columns) == 1:
            self._inside = False
            return
        tag, entity = columns[1], columns[3]
        if tag not in ("B", "I") or not entity:
            raise ValueError(f"tag {tag!r} and entity {entity!r}; expected {EXPECTED}")
        if tag == "I" and not self._inside:
            raise ValueError("I where no mention goes on; expected B at its first token")
        if self._inside and (tag == "I" or entity == CONTINUED):
            first, _, known = self._spans[-1]
            self._spans[-1] = first, self._length, known
        else:
            self._spans.append((start, self._length, _entity(entity, columns[4:5])))
        self._inside = True

    def finished(self) -> GoldDocument:
        return gold_document(self._id, "".join(self._parts), (GoldMention(*span) for span in self._spans))


def _entity(yago: str, url: list[str]) -> str | None:
    if yago in (NIL, CONTINUED):
        return None
    return (from_address(url[0]) if url else None) or titled(ESCAPES.sub(_unescaped, yago))


def _unescaped(escapes: re.Match[str]) -> str:
    """UTF-16 units, as Java writes them: two make one character beyond U+FFFF."""
    return bytes.fromhex(escapes[0].replace("\\u", "")).decode("utf-16-be", "replace")
