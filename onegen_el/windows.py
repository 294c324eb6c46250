"""Cuts a tokenised text into windows that fit the model; each token is decided in exactly one window.

Knows tokens and their offsets; does not know marks or models. Nothing is ever left out: the windows'
own parts follow one another and cover the whole text.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from onegen_el.errors import ModelError
from onegen_el.grammar import Prompted
from onegen_el.tokens import SourceTokens

SENTENCE_ENDS = ".!?\u2026\u3002\uff01\uff1f"
CLOSERS = "\"')]}\u201d\u2019\u00bb"
PARAGRAPH, SENTENCE, WORD, PIECE = 3, 2, 1, 0


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """Sizes in tokens: `own` tokens are decided, `before`/`after` are shown as context, and the first
    `head` tokens of the document are shown in front (who and where a text is about)."""

    own: int = 128
    before: int = 48
    after: int = 48
    head: int = 24

    def __post_init__(self) -> None:
        if self.own < 1 or min(self.before, self.after, self.head) < 0:
            raise ModelError(f"windows: sizes must be positive, got {self}")

    @property
    def longest(self) -> int:
        """Most source tokens a window can show."""
        return self.own + self.before + self.after + self.head

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens `start` to `end` (exclusive) are decided here; `context` is the range that is shown, with
    the document's first `head` tokens before it."""

    start: int
    end: int
    context: tuple[int, int]
    head: int

    def prompted(self, tokens: SourceTokens, aligned: bool, tag: tuple[int, ...] = ()) -> Prompted:
        """The window as put to the model; without aligned positions all that is shown is copied. `tag` tells
        the marking policy (`Backbone.tag`)."""
        shown = [*range(self.head), *range(*self.context)]
        first = self.head + self.start - self.context[0]
        last = first + self.end - self.start
        if not aligned:
            first, last = 0, len(shown)
        return Prompted(tokens.ids, tokens.casing, tokens.breakable, shown, first, last, tag)


def cut_windows(tokens: SourceTokens, settings: WindowSettings) -> list[Window]:
    """Windows of a text in order; empty for a text without tokens."""
    windows: list[Window] = []
    start = 0
    while start < len(tokens):
        end = _cut(tokens, start, settings.own)
        left = max(0, start - settings.before)
        right = min(len(tokens), end + settings.after)
        head = min(settings.head, left)
        windows.append(Window(start, end, (left, right), head))
        start = end
    return windows


def _cut(tokens: SourceTokens, start: int, own: int) -> int:
    """End of the window that begins at `start`: the last of the strongest boundaries of its second half."""
    limit = start + own
    if limit >= len(tokens):
        return len(tokens)
    best, best_strength = limit, -1
    for index in range(limit, start + own // 2, -1):
        strength = boundary_strength(tokens, index)
        if strength > best_strength:
            best, best_strength = index, strength
    return best


def boundary_strength(tokens: SourceTokens, index: int) -> int:
    """How good a place to cut before token `index` is: PARAGRAPH, SENTENCE, WORD or PIECE."""
    if not tokens.breakable[index]:
        return PIECE
    text, before, after = tokens.text, tokens.ends[index - 1], tokens.starts[index]
    gap = text[before:after]
    if "\n" in gap:
        return PARAGRAPH
    if gap or text[after : after + 1].isspace():
        left = text[max(0, before - 8) : before].rstrip(CLOSERS + " ")
        if left and left[-1] in SENTENCE_ENDS:
            return SENTENCE
        return WORD
    return PIECE
