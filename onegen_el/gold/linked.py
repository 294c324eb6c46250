"""Our own JSONL, as `onegen-el link` writes it; also the format we recommend for gold.

Knows the rows of `LinkedDocument.to_dict`, {"id", "text", "mentions": [{"start", "end", "entity"}]}, and
what gold may add to them: `scope` and `genre` of a document, `kind`, `optional` and `negatives` of a
mention. Scores, candidates and urls are passed over: they are no gold.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from onegen_el.gold.document import NIL_IDS, GoldDocument, GoldMention, checked_span, gold_document
from onegen_el.gold.lines import json_rows

EXPECTED = '{"id", "text", "mentions": [{"start", "end", "surface", "entity"}]}'


def read_linked(path: str | Path) -> Iterator[GoldDocument]:
    """Documents of a JSONL file of linked documents, plain or `.gz`.

    `title` becomes the name of the mention. `surface` may be absent, but not disagree with the text.
    Raises InputError naming file and line where a row is not of the format.
    """
    yield from json_rows(Path(path), _document, "a row of linked documents", EXPECTED)


def _document(row: dict[str, Any], _number: int) -> GoldDocument:
    identity, text = row["id"], _of(str, row["text"], "text")
    if type(identity) not in (str, int):
        raise TypeError(f"id is {identity!r}")
    scope = row.get("scope")
    return gold_document(
        str(identity),
        text,
        [_mention(mention, text) for mention in _of(list, row["mentions"], "mentions")],
        _scope(scope, text) if scope is not None else None,
        _of(str, row.get("genre", ""), "genre"),
    )


def _mention(mention: dict[str, Any], text: str) -> GoldMention:
    start, end = checked_span(mention["start"], mention["end"], text)
    surface, entity = mention.get("surface", text[start:end]), mention["entity"]
    if surface != text[start:end]:
        raise ValueError(f"surface is {surface!r}, but the text has {text[start:end]!r} at {start}-{end}")
    if entity is not None and not isinstance(entity, str):
        raise TypeError(f"entity is {entity!r}")
    negatives = _of(list, mention.get("negatives", []), "negatives")
    if not all(isinstance(negative, str) for negative in negatives):
        raise TypeError(f"negatives are {negatives!r}")
    return GoldMention(
        start=start,
        end=end,
        entity=None if entity in NIL_IDS else entity,
        name=_of(str, mention.get("title") or "", "title"),
        kind=_of(str, mention.get("kind", ""), "kind"),
        optional=_of(bool, mention.get("optional", False), "optional"),
        negatives=tuple(negatives),
    )


def _scope(value: Any, text: str) -> tuple[int, int]:
    start, end = _of(list, value, "scope")
    return checked_span(start, end, text)


def _of(kind: type, value: Any, name: str) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {value!r}")
    return value
