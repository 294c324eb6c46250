"""What a format could not hold, counted.

Knows the fields of gold; knows no format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass

from onegen_el.gold.document import NIL_IDS, GoldDocument, GoldMention
from onegen_el.unicode import SURROGATE, encodable

# Counts under the names of the fields of Dropped.
Tally = Counter[str]


@dataclass(frozen=True, slots=True)
class Dropped:
    """How much of the documents the file does not say; all zero if it is read back as it was.

    The first two count mentions that were left out; of these nothing else is counted.
    """

    nested: int = 0  # mentions that overlap another one, which begins before or is the outer one
    blank: int = 0  # mentions of white space alone
    trimmed: int = 0  # mentions that lost white space at their ends
    entities: int = 0  # mentions whose entity comes back as NIL or under another name
    names: int = 0  # mentions whose entity's name is lost
    kinds: int = 0  # mentions whose kind is lost
    optional: int = 0  # optional mentions that come back as ordinary ones
    negatives: int = 0  # mentions whose negatives are lost
    scopes: int = 0  # documents whose scope comes back as the whole text
    genres: int = 0  # documents whose genre is lost or changed
    ids: int = 0  # documents that come back under another id
    gaps: int = 0  # places where the white space comes back otherwise, which moves what follows
    characters: int = 0  # lone surrogates, which come back as U+FFFD

    def __bool__(self) -> bool:
        return bool(self.counts())

    def counts(self) -> dict[str, int]:
        """The counts that are not zero, by field."""
        return {name: count for name, count in asdict(self).items() if count}


def entity_of(mention: GoldMention) -> str | None:
    """The mention's entity, None for any way to say NIL."""
    return None if mention.entity in NIL_IDS else mention.entity


def text_of(document: GoldDocument, tally: Tally) -> str:
    """The text as UTF-8 can hold it, character for character."""
    tally["characters"] += len(SURROGATE.findall(document.text))
    return encodable(document.text)


def count_fields(mentions: Iterable[GoldMention], tally: Tally, held: Collection[str] = ()) -> None:
    """Counts what the mentions say beside span and entity, but for the `held` fields of Dropped."""
    for mention in mentions:
        said = {
            "names": mention.name,
            "kinds": mention.kind,
            "optional": mention.optional,
            "negatives": mention.negatives,
        }
        tally.update(field for field, value in said.items() if value and field not in held)


def count_scope(document: GoldDocument, tally: Tally) -> None:
    """Counts a scope that is not the whole text, for formats that have none."""
    tally["scopes"] += document.scope != (0, len(document.text))


def one_line(name: str) -> str:
    """The id or genre as a line of text can hold it: without white space but single blanks inside."""
    return " ".join(encodable(name).split())
