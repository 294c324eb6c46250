"""The values of gold: a text and what was annotated in it.

Knows no file format.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NIL_IDS = frozenset({"Unknown", "<NIL>", "NIL", ""})


@dataclass(frozen=True, slots=True)
class GoldMention:
    """An annotated span; `entity` is a QID, `enwiki:Title`, or None for NIL / not linked.

    `optional` mentions may be found or not without being counted. `negatives` are ids of entities that
    the corpus names as not meant: hard negatives of training.
    """

    start: int
    end: int
    entity: str | None
    name: str = ""
    kind: str = ""
    optional: bool = False
    negatives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GoldDocument:
    """A text with gold mentions; only `scope` (start, end) was annotated, outside of it nothing counts."""

    id: str
    text: str
    mentions: tuple[GoldMention, ...]
    scope: tuple[int, int]
    genre: str = ""


def gold_document(
    identity: str,
    text: str,
    mentions: Iterable[GoldMention],
    scope: tuple[int, int] | None = None,
    genre: str = "",
) -> GoldDocument:
    """A document with its mentions in text order, outer ones first; the scope is the whole text if None."""
    ordered = tuple(sorted(mentions, key=lambda m: (m.start, -m.end)))
    return GoldDocument(identity, text, ordered, scope or (0, len(text)), genre)


def checked_span(start: object, end: object, text: str) -> tuple[int, int]:
    """The span, not empty and inside the text; raises ValueError otherwise."""
    if type(start) is int and type(end) is int and 0 <= start < end <= len(text):
        return start, end
    raise ValueError(f"span {start!r}-{end!r} is outside the text")
