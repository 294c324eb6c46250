"""Documents as tokens with at most one mention each, for the formats that have a token a line.

Knows where tokens begin and end; knows no format. A token holds no blank, tab, line feed or carriage return:
these are the gaps between tokens.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from onegen_el.gold.document import GoldDocument, GoldMention
from onegen_el.gold.writers.dropped import Tally, count_fields, count_scope, text_of

# Runs of letters, marks and digits; punctuation and odd white space character by character.
WORDS = re.compile(r"[^\s!-/:-@\[-`{-~\u00a1-\u00bf\u2010-\u205e\u3001-\u303f]+|[^ \t\r\n]")


@dataclass(frozen=True, slots=True)
class Token:
    """`gap` is the white space after it; `first` says that its mention begins here."""

    text: str
    gap: str
    mention: GoldMention | None = None
    first: bool = False


@dataclass(frozen=True, slots=True)
class Tokens:
    """A document's tokens; `before` is the white space before the first, all of the text if there is none."""

    before: str
    tokens: tuple[Token, ...]


def cut(
    document: GoldDocument,
    tally: Tally,
    held: Collection[str] = (),
    pattern: re.Pattern[str] = WORDS,
    blanks: bool = True,
) -> Tokens:
    """The document cut into what matches the pattern, and again where a mention begins or ends.

    Mentions begin and end with a character that is no white space. Without `blanks`, tokens of white space
    alone (a no-break space) become part of the gap. What is lost is counted, and fields that are not `held`.
    """
    text = text_of(document, tally)
    spans = list(_spans(document, text, tally))
    count_fields([mention for _, _, mention in spans], tally, held)
    count_scope(document, tally)
    borders = {offset for start, end, _ in spans for offset in (start, end)}
    pieces = [piece for found in pattern.finditer(text) for piece in _pieces(*found.span(), borders)]
    owners = {}
    waiting = iter(spans)
    span = next(waiting, None)
    for start, _ in pieces:
        while span and span[1] <= start:
            span = next(waiting, None)
        if span and span[0] <= start:
            owners[start] = span[2], span[0] == start
    if not blanks:
        pieces = [(start, end) for start, end in pieces if not text[start:end].isspace()]
    if not pieces:
        return Tokens(text, ())
    ends = [start for start, _ in pieces[1:]] + [len(text)]
    tokens = tuple(
        Token(text[start:end], text[end:following], *owners.get(start, ()))
        for (start, end), following in zip(pieces, ends, strict=True)
    )
    return Tokens(text[: pieces[0][0]], tokens)


def _spans(document: GoldDocument, text: str, tally: Tally) -> Iterator[tuple[int, int, GoldMention]]:
    """The mentions that can be held, in order, none overlapping another."""
    spans = []
    for mention in document.mentions:
        surface = text[mention.start : mention.end]
        start = mention.end - len(surface.lstrip())
        end = mention.start + len(surface.rstrip())
        if start >= end:
            tally["blank"] += 1
        else:
            spans.append((start, end, mention))
    reach = 0
    for start, end, mention in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start < reach:
            tally["nested"] += 1
            continue
        tally["trimmed"] += (start, end) != (mention.start, mention.end)
        reach = end
        yield start, end, mention


def _pieces(start: int, end: int, borders: Collection[int]) -> Iterator[tuple[int, int]]:
    here = start
    for offset in range(start + 1, end):
        if offset in borders:
            yield here, offset
            here = offset
    yield here, end
