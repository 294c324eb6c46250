"""The fact folder as it is: tables and the links of corpora. Knows files and columns, no rules of choice."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .names import WIKIPEDIA

LINKS = ("corpus", "half", "entity", "surface", "name", "count")


def read_facts(data: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Entities, anchors (surface, title, count) and redirects of the fact folder."""
    entities = pd.read_parquet(data / "kb" / "entities.parquet")
    options: dict[str, Any] = {"sep": "\t", "quoting": 3, "keep_default_na": False}
    anchors = pd.read_csv(data / "kb" / "aliases.tsv.gz", dtype={"surface": str, "title": str}, **options)
    redirects = pd.read_csv(data / "kb" / "redirects.tsv.gz", dtype=str, **options)
    return entities, anchors, redirects


def read_links(data: Path, corpora: Sequence[str]) -> pd.DataFrame:
    """Counted links of those `corpora` that are here: corpus, half, entity, surface, name, count.

    `half` is even or odd, as the document's position is; the first is even. What was found by repetition
    of a name, and titles of pages, are no links that somebody made.
    """
    found = [link for corpus in corpora for link in _links_of(data, corpus)]
    frame = pd.DataFrame(found, columns=list(LINKS[:-1]), dtype=object)
    return frame.groupby(list(LINKS[:-1]), sort=False).size().rename("count").reset_index()


def _links_of(data: Path, corpus: str) -> Iterator[tuple[str, str, str, str, str]]:
    path = data / "corpora" / f"{corpus}.jsonl.gz"
    if not path.is_file():
        return
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            document = json.loads(line)
            half = ("even", "odd")[number % 2]
            for label in document["labels"]:
                entity = label["entity_id"]
                named = entity.startswith(WIKIPEDIA) or (entity[:1] == "Q" and entity[1:].isdecimal())
                if named and label.get("origin", "link") == "link":
                    start, end = label["span"]
                    yield corpus, half, entity, document["text"][start:end], label.get("name") or ""


def page_titles(data: Path, corpus: str, half: str) -> frozenset[str]:
    """Titles of the documents of a corpus that are of this half."""
    path = data / "corpora" / f"{corpus}.jsonl.gz"
    if not path.is_file():
        return frozenset()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return frozenset(
            json.loads(line)["title"] for number, line in enumerate(lines) if number % 2 == (half == "odd")
        )


def counts(links: pd.DataFrame) -> pd.Series:
    """How often each entity is linked."""
    total: pd.Series = links.groupby("entity")["count"].sum()
    return total
