"""The files of a selection, the same bytes for the same input. Knows file names and columns, no rules."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .names import WIKIPEDIA


def all_links(rows: pd.DataFrame, moved: Mapping[str, str], redirects: pd.DataFrame) -> pd.DataFrame:
    """Every name a corpus may use for an entity of `rows`: columns name, id; the first meaning wins."""
    names = [
        pd.DataFrame({"name": rows["qid"], "id": rows["id"]}).dropna(),
        pd.DataFrame({"name": WIKIPEDIA + rows["wikipedia_title"], "id": rows["id"]}).dropna(),
        pd.DataFrame({"name": list(moved.keys()), "id": list(moved.values())}, dtype=object),
    ]
    known = pd.concat(names).drop_duplicates("name").set_index("name")["id"]
    by_qid, by_title = redirects["qid"].map(known), (WIKIPEDIA + redirects["title"]).map(known)
    target = by_qid.astype(object).where(by_qid.notna(), by_title)
    names.append(pd.DataFrame({"name": WIKIPEDIA + redirects["alternative_title"], "id": target}).dropna())
    return pd.concat(names).drop_duplicates("name").reset_index(drop=True)


def coverage(entities: pd.DataFrame, links: pd.DataFrame, corpus: Path, counts: Sequence[int]) -> list[float]:
    """Share of a corpus' linked mentions whose entity is in the first N entities, for each N of `counts`."""
    place = links["id"].map(pd.Series(entities.index, index=entities["id"])).set_axis(links["name"])
    with gzip.open(corpus, "rt", encoding="utf-8") as lines:
        names = [label["entity_id"] for line in lines for label in json.loads(line)["labels"]]
    linked = pd.Series(
        [name for name in names if name[:1] == "Q" or name.startswith(WIKIPEDIA)], dtype=object
    )
    ranks = linked.map(place)
    return [round(float((ranks < count).mean()), 3) for count in counts]


def write(out: Path, entities: pd.DataFrame, links: pd.DataFrame, report: Mapping[str, Any]) -> None:
    """The three files of a selection; equal input gives equal bytes."""
    out.mkdir(parents=True, exist_ok=True)
    entities.to_parquet(out / "entities.parquet", index=False)
    with gzip.GzipFile(out / "links.tsv.gz", "wb", compresslevel=6, mtime=0) as file:
        file.write(b"name\tid\n")
        file.write("".join(f"{n}\t{i}\n" for n, i in links.itertuples(index=False)).encode())
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
