"""Reads the items of a Wikidata JSON dump that have a page in one wiki.

Knows the dump (an array, one entity a line) and of an entity its page, English description and classes (P31).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onegen_el.knowledge.dumps.source import Source, Watch

EXPECTED = "give the file latest-all.json.gz or latest-all.json.bz2 of Wikidata"
LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Item:
    """An item: its id (`Q42`), the title of its page, its description, the ids of its classes."""

    qid: str
    title: str
    description: str
    classes: tuple[str, ...]


def read_items(
    path: Path, site: str, wanted: Callable[[str], bool], watch: Watch | None = None
) -> Iterator[Item]:
    """Items whose page in `site` (`enwiki`) is `wanted` by its title.

    Only lines that name the site are looked into, and only those of wanted pages are parsed. Raises
    InputError naming the line where the file is not such a dump, is cut off, or a line is broken.
    """
    source = Source(path, watch)
    name = f'"{site}"'.encode()
    page = re.compile(rb'%b\s*:\s*\{"site"\s*:\s*%b,\s*"title"\s*:\s*("(?:[^"\\]|\\.)*+")' % (name, name))
    number, last = 0, b""
    for number, line in source.lines():
        if number == 1:
            _check_first(source, line)
        if name in line:
            item = _item(source, number, line, site, page, wanted)
            if item:
                yield item
        last = line
    if last.strip() not in (b"]", b"[]"):
        raise source.fault(f"line {number:,}", "the file ends before the ] of its last line")


def check_items(path: Path) -> None:
    """Raises InputError if the file does not begin as a dump of Wikidata does."""
    source = Source(path)
    _check_first(source, next(source.lines(), (1, b""))[1])


def _check_first(source: Source, line: bytes) -> None:
    if line.strip() not in (b"[", b"[]"):
        raise source.fault("line 1", "is not the beginning of a dump of Wikidata, which is [", EXPECTED)


def _item(
    source: Source,
    number: int,
    line: bytes,
    site: str,
    page: re.Pattern[bytes],
    wanted: Callable[[str], bool],
) -> Item | None:
    try:
        found = page.search(line)
        if found and not wanted(json.loads(found[1])):
            return None
        entity = json.loads(line.rstrip().removesuffix(b","))
        title = entity["sitelinks"][site]["title"] if _has(entity.get("sitelinks"), site) else None
        if title is None or not wanted(title):
            return None
        described = entity.get("descriptions")
        return Item(
            qid=entity["id"],
            title=title,
            description=described[LANGUAGE]["value"] if _has(described, LANGUAGE) else "",
            classes=_classes(entity.get("claims")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise source.fault(f"line {number:,}", f"is not an entity of Wikidata ({error!r})") from error


def _has(values: Any, key: str) -> bool:
    # PHP, which writes the dumps, writes empty objects as [].
    return isinstance(values, dict) and key in values


def _classes(claims: Any) -> tuple[str, ...]:
    """The classes of the best rank; those that are unknown (no value) have no id."""
    if not _has(claims, "P31"):
        return ()
    statements = [statement for statement in claims["P31"] if statement.get("rank") != "deprecated"]
    preferred = [statement for statement in statements if statement.get("rank") == "preferred"]
    snaks = [statement["mainsnak"] for statement in preferred or statements]
    values = [snak["datavalue"]["value"] for snak in snaks if snak["snaktype"] == "value"]
    # Dumps of before 2017 have the number alone.
    return tuple(str(value["id"] if "id" in value else f"Q{value['numeric-id']}") for value in values)
