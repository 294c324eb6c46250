"""Pairs whose truth is known: rows with item and title, split into the halves that sources give alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from .facts import counts
from .rules import Rules

GOLDEN = 0.6180339887498949


def split(rows: pd.DataFrame, links: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """The table with its known rows split, the item of a half in `truth`.

    A row whose QID and title a source gave together is split as if that source were absent: a QID half
    if another source has the QID alone, a title half if another has the title alone. Every half keeps
    what its own sources may have given: sources, links (of corpora that name items), the description,
    and its types as often as rows of these sources alone have any. The halves stand in the whole table,
    so that a half without its partner meets strangers of the same name.
    """
    known = rows[rows["qid"].notna() & rows["title"].notna() & ~rows["title_inferred"]]
    single = rows[(rows["sources"].str.len() == 1) & ~rows["title_inferred"]]
    shape = np.select([single["qid"].isna(), single["title"].isna()], ["title", "qid"], "both")
    typed = single["coarse"].notna().groupby(single["sources"].str[0]).mean().to_dict()
    gives = pd.crosstab(single["sources"].str[0], shape).idxmax(axis=1).to_dict()
    barred = {*rules.barred, *rules.evaluation}
    by_item = known["qid"].map(counts(links)).astype("float64").fillna(0)

    def half(side: str, hidden: str) -> pd.DataFrame:
        own = known["sources"].map(
            lambda names: [n for n in names if gives.get(n) == side and n not in barred]
        )
        part = known[own.str.len() > 0].copy()
        part["sources"], part["truth"], part[hidden] = own, part["qid"], None
        part["wikilinker"] = has(part["sources"], "wikilinker")
        part["n_sources"] = part["sources"].str.len() - part["wikilinker"]
        linked = by_item.loc[part.index]
        part["inlinks"] = (linked if side == "qid" else part["inlinks"] - linked).clip(lower=0)
        said = [s in names for s, names in zip(part["description_source"], part["sources"], strict=True)]
        part["description"] = part["description"].where(said)
        untyped = part["sources"].map(lambda names: np.prod([1 - typed.get(n, 0) for n in names]))
        # Even steps through [0, 1): no random numbers, and each kind of row loses its share.
        lost = np.arange(len(part)) * GOLDEN % 1 < untyped.to_numpy()
        part.loc[lost, ["coarse", "types"]] = None
        return part

    by_qid, by_title = half("qid", "title"), half("title", "qid")
    named = capital_surfaces(links).reindex(by_qid["qid"]).to_numpy()
    corpus = by_qid["sources"].map(lambda names: all(n.startswith("corpus:") for n in names)).to_numpy()
    by_qid["label"] = by_qid["label"].where(~corpus | pd.isna(named), named)
    return pd.concat([rows.drop(index=known.index), by_qid, by_title], ignore_index=True)


def has(sources: Iterable[list[str]], name: str) -> list[bool]:
    """Which lists of sources hold this one."""
    return [name in names for names in sources]


def capital_surfaces(links: pd.DataFrame) -> pd.Series:
    """The most frequent surface of each item that begins with a capital."""
    links = links[links["entity"].str.startswith("Q") & links["surface"].str[0].str.isupper()]
    total = links.groupby(["entity", "surface"])["count"].sum().reset_index()
    total = total.sort_values(["count", "surface"], ascending=[False, True]).drop_duplicates("entity")
    return total.set_index("entity")["surface"]
