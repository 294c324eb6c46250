"""Pairs of an item row and a title row that share a name, and how each stands among its namesakes.

Knows names and how well known rows are; weighs nothing.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .names import words_of
from .rules import Rules


def item_number(items: pd.Series) -> pd.Series:
    """Number of each Wikidata item."""
    return items.str[1:].astype("int64")


def strength(rows: pd.DataFrame) -> pd.Series:
    """How well known a row is by its links and sources."""
    return np.log1p(rows["inlinks"]) + 0.4 * rows["n_sources"] + 0.1 * rows["wikilinker"]


def keyed(rows: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    """Names of rows as compared: columns key, row, own (the name itself, no alias), share (of its use).

    `more` holds further names: row, name, share.
    """
    name = rows["title"].fillna(rows["label"])
    own = pd.DataFrame({"key": words_of(name), "row": rows.index})
    labels = rows["label"][rows["label"] != name]
    label = pd.DataFrame({"key": words_of(labels), "row": labels.index})
    other = more[["row", "share"]].assign(key=words_of(more["name"]))
    frame = pd.concat(
        [own.assign(own=True, share=1.0), label.assign(own=False, share=1.0), other.assign(own=False)]
    )
    # Only names that a row with an item alone and one with a title alone share can make a pair.
    shared = set(frame["key"][frame["row"].map(rows["title"].isna())])
    shared &= set(frame["key"][frame["row"].map(rows["qid"].isna())])
    frame = frame[frame["key"].isin(shared - {""})]
    frame = frame.sort_values(["own", "share"], ascending=False, kind="stable")
    return frame.drop_duplicates(["key", "row"], ignore_index=True)


def candidates(rows: pd.DataFrame, names: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Pairs of rows (by_qid, by_title) that share a name; one of the two has it as its own."""
    has_item, has_title = rows["qid"].notna(), rows["title"].notna()
    names = names.assign(strength=names["row"].map(strength(rows)))
    names["number"] = np.log10(item_number(rows["qid"].fillna("Q1"))).reindex(names["row"]).to_numpy()
    parts = {}
    for side, chosen in (("qid", has_item), ("title", has_title)):
        part = names[names["row"].map(chosen)].sort_values("strength", ascending=False, kind="stable")
        group = part[part["own"]].groupby("key")
        part = part.assign(rank=group.cumcount(), lead=part["strength"] - group["strength"].shift(-1))
        part["behind"] = part["key"].map(group["strength"].max()).astype("float64") - part["strength"]
        part["namesakes"] = part["key"].map(group.size()).astype("float64").fillna(0)
        part["older"] = older(part)
        parts[side] = part
    left = parts["qid"][parts["qid"]["row"].map(~has_title)]
    right = parts["title"][parts["title"]["row"].map(~has_item)]
    pairs = left.merge(right, on="key", suffixes=("_qid", "_title"))
    pairs = pairs[pairs["own_qid"] | pairs["own_title"]]
    pairs = pairs[(pairs["namesakes_qid"] <= rules.namesakes) & (pairs["namesakes_title"] <= rules.namesakes)]
    pairs = pairs.rename(columns={"row_qid": "by_qid", "row_title": "by_title"})
    pairs["both"] = (pairs["own_qid"] & pairs["own_title"]).astype(int)
    pairs = pairs.sort_values(["both", "share_qid"], ascending=False, kind="stable")
    return pairs.drop_duplicates(["by_qid", "by_title"]).reset_index(drop=True)


def older(part: pd.DataFrame) -> pd.Series:
    """How much older each item is than the oldest other one of its name, in powers of ten, else nan."""
    own = part[part["own"]].sort_values("number", kind="stable").drop_duplicates(["key", "row"])
    first = own.drop_duplicates("key").set_index("key")
    second = own[own.duplicated("key")].drop_duplicates("key").set_index("key")
    oldest = part["key"].map(first["row"]) == part["row"]
    numbers = (part["key"].map(table["number"]).astype("float64") for table in (first, second))
    rival = next(numbers).mask(oldest, next(numbers))
    return rival - part["number"]
