"""Gold as CoNLL-U with tags in MISC.

Knows the second variety of docs/data-formats.md, `conllu`: `NER`, `NEL` and `KIND`; every mention has the
type `ENT`, since gold has none. Tokens are words and punctuation marks, cut where a mention begins or ends;
what is between them is written exactly (`SpaceAfter=No`, `SpacesAfter`). A line feed outside of mentions ends
a sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from onegen_el.document import TITLE_PREFIX
from onegen_el.gold.document import GoldDocument, GoldMention
from onegen_el.gold.names import QID, titled
from onegen_el.gold.writers.dropped import Dropped, Tally, entity_of, one_line
from onegen_el.gold.writers.files import write_lines
from onegen_el.gold.writers.tokens import Token, cut
from onegen_el.unicode import encodable

HELD = frozenset({"kinds"})
ESCAPES = str.maketrans({" ": r"\s", "\t": r"\t", "\r": r"\r", "\n": r"\n"})


def write_conllu(documents: Iterable[GoldDocument], path: Path) -> Dropped:
    """Writes the documents, plain or `.gz`; raises InputError where the file cannot be written."""
    return write_lines(documents, path, _lines)


def _lines(document: GoldDocument, number: int, tally: Tally) -> Iterator[str]:
    identity, genre = one_line(document.id) or str(number), one_line(document.genre)
    tally["ids"] += identity != document.id
    tally["genres"] += genre != document.genre
    yield f"# newdoc id = {identity}"
    if genre:
        yield f"# meta::genre = {genre}"
    cut_up = cut(document, tally, HELD)
    tokens = cut_up.tokens
    tally["gaps"] += bool(cut_up.before and not tokens)
    word, link = 1, ""
    for index, token in enumerate(tokens):
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        misc = []
        if token.mention:
            if token.first:
                link = _link(token.mention, tally)
                misc += _kind(token.mention, tally)
            misc += f"NEL={link}", f"NER={'B' if token.first else 'I'}-ENT"
        if not token.gap:
            misc.append("SpaceAfter=No")
        elif token.gap != " " or following is None:
            misc.append(f"SpacesAfter={token.gap.translate(ESCAPES)}")
        if index == 0 and cut_up.before:
            misc.append(f"SpacesBefore={cut_up.before.translate(ESCAPES)}")
        yield "\t".join([str(word), token.text, *"_" * 7, "|".join(misc) or "_"])
        word += 1
        if following is None or _ends(token, following):
            word = 1
            yield ""
    if not tokens:
        yield ""


def _ends(token: Token, following: Token) -> bool:
    """Whether the sentence ends: no mention goes on in the next line."""
    return "\n" in token.gap and (following.mention is None or following.first)


def _kind(mention: GoldMention, tally: Tally) -> list[str]:
    if not mention.kind:
        return []
    if not _in_misc(mention.kind):
        tally["kinds"] += 1
        return []
    return [f"KIND={mention.kind}"]


def _link(mention: GoldMention, tally: Tally) -> str:
    entity = entity_of(mention)
    if entity is None or QID.fullmatch(entity):
        return entity or "NIL"
    title = entity.removeprefix(TITLE_PREFIX)
    if title == entity or titled(title) != entity or not _in_misc(title):
        tally["entities"] += 1
        return "NIL"
    return TITLE_PREFIX + title.replace(" ", "_")


def _in_misc(value: str) -> bool:
    return encodable(value) == value and not any(character in value for character in "|\t\r\n")
