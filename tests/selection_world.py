"""A fact folder small enough to check by eye, for the tests of the selection in kb/."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

KB = Path(__file__).parents[1] / "kb"
if str(KB) not in sys.path:
    sys.path.append(str(KB))


def fact(label: str, sources: list[str], **values: Any) -> dict[str, Any]:
    """A row of facts; whatever is not given is unknown."""
    row = {
        "qid": None,
        "title": None,
        "label": label,
        "description": None,
        "aliases": [],
        "types": None,
        "sources": sources,
        "popularity": 0.0,
        "inlinks": 0,
        "pageviews": None,
        "title_inferred": False,
        "description_source": None,
        "types_inferred": False,
    }
    assert values.keys() <= row.keys()
    return row | values


def table(facts: list[dict[str, Any]]) -> pd.DataFrame:
    """Facts with the column types of the fact files."""
    return pd.DataFrame(facts).astype({"inlinks": "int32", "pageviews": "float64"})


def document(*links: str | tuple[str, str], title: str = "", **values: Any) -> dict[str, Any]:
    """A document that links each entity once, by its name or by the surface given with it."""
    text, labels = "", []
    for link in links:
        entity, surface = link if isinstance(link, tuple) else (link, link.removeprefix("enwiki:"))
        labels.append({"span": [len(text), len(text) + len(surface)], "entity_id": entity, **values})
        text += surface + " "
    return {"id": 1, "title": title, "text": text, "labels": labels}


def write_folder(
    folder: Path,
    facts: list[dict[str, Any]],
    anchors: Sequence[tuple[str, str, int]] = (),
    redirects: Sequence[tuple[str, str, str]] = (),
    corpora: Mapping[str, list[dict[str, Any]]] | None = None,
) -> Path:
    """The files of a fact folder."""
    (folder / "kb").mkdir(parents=True)
    (folder / "corpora").mkdir()
    table(facts).to_parquet(folder / "kb" / "entities.parquet")
    for name, head, rows in (
        ("aliases", "surface\ttitle\tcount", anchors),
        ("redirects", "alternative_title\ttitle\tqid", redirects),
    ):
        with gzip.open(folder / "kb" / f"{name}.tsv.gz", "wt", encoding="utf-8") as file:
            file.write("\n".join([head, *("\t".join(map(str, row)) for row in rows)]) + "\n")
    for name, documents in (corpora or {}).items():
        with gzip.open(folder / "corpora" / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in documents)
    return folder
