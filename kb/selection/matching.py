"""Which item row and which title row are one entity: evidence and judge put together.

Knows where names come from and how the judge is taught; joins nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .candidates import candidates, keyed
from .evidence import evidence
from .halves import split
from .judgement import Judge, matched
from .rules import Rules


@dataclass(frozen=True, slots=True)
class Names:
    """Further names: of items (qid, name, share) and of titles (title, name, share)."""

    items: pd.DataFrame
    titles: pd.DataFrame


def known_names(links: pd.DataFrame, anchors: pd.DataFrame, redirects: pd.DataFrame) -> Names:
    """Surfaces of items in texts that name them, anchors of titles, redirects; share: of the name's links.

    AIDA's and OKE's links give the name of the entity too.
    """
    items = links[links["entity"].str.startswith("Q")]
    said = items.groupby(["entity", "surface"])["count"].sum().reset_index()
    said["share"] = said["count"] / said.groupby("surface")["count"].transform("sum")
    said = said[said["surface"].str[:1].str.isupper()]
    told = items[
        items["corpus"].isin(["aida-conll-train", "oke-2015-train"]) & ~items["name"].isin(["", "Unknown"])
    ]
    told = told[["entity", "name"]].drop_duplicates().assign(share=1.0)
    by_item = pd.concat([told, said.rename(columns={"surface": "name"})])
    anchors = anchors.assign(share=anchors["count"] / anchors.groupby("surface")["count"].transform("sum"))
    anchors = anchors[
        (anchors["count"] >= 2) & (anchors["share"] >= 0.3) & anchors["surface"].str[:1].str.isupper()
    ]
    other = redirects[["title", "alternative_title"]].assign(share=1.0)
    by_title = pd.concat(
        [anchors.rename(columns={"surface": "name"}), other.rename(columns={"alternative_title": "name"})]
    )
    return Names(
        by_item.rename(columns={"entity": "qid"})[["qid", "name", "share"]].drop_duplicates(
            ["qid", "name"], ignore_index=True
        ),
        by_title[["title", "name", "share"]].drop_duplicates(["title", "name"], ignore_index=True),
    )


def described_pairs(rows: pd.DataFrame, names: Names, rules: Rules) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Candidates of a table, and the evidence for each."""
    more = []
    for column, table, chosen in (
        ("qid", names.items, rows["title"].isna()),
        ("title", names.titles, rows["title"].notna()),
    ):
        own = rows[column][chosen & rows[column].isin(table[column])]
        own = own[~own.duplicated()]
        part = table.assign(row=table[column].map(pd.Series(own.index, index=own.to_numpy()))).dropna(
            subset=["row"]
        )
        more.append(part[["row", "name", "share"]].astype({"row": "int64"}))
    pairs = candidates(rows, keyed(rows, pd.concat(more)), rules)
    return pairs, evidence(rows, pairs)


def known_pairs(
    rows: pd.DataFrame, links: pd.DataFrame, names: Names, rules: Rules
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The split table, its candidates (with `judged`, `right`) and their evidence."""
    table = split(rows, links, rules)
    pairs, found = described_pairs(table, names, rules)
    truth = table["truth"].reindex(pairs["by_title"]).to_numpy()
    pairs["judged"] = pd.notna(truth)
    pairs["right"] = table["qid"].reindex(pairs["by_qid"]).to_numpy() == truth
    return table, pairs, found


def taught(pairs: pd.DataFrame, found: pd.DataFrame, chosen: np.ndarray) -> Judge:
    """A judge taught on those of the known pairs that are chosen and judged."""
    use = chosen & pairs["judged"].to_numpy()
    return Judge.taught(found[use], pairs["right"].to_numpy()[use].astype("float64"))


def limits(found: pd.DataFrame, rules: Rules) -> np.ndarray:
    """How sure a pair must be: less where the best known, oldest item meets the best known title."""
    first = (found[["plain title", "same spelling", "first by qid", "first by title"]] == 1).all(axis=1)
    old = (found["item number"] < np.log10(rules.first_item)) & (found["older"] >= np.log10(rules.first_lead))
    return np.where(first & old, rules.sure_first, rules.sure)


def item_pairs(rows: pd.DataFrame, links: pd.DataFrame, names: Names, rules: Rules) -> pd.DataFrame:
    """Pairs (kept, joined) of an item row and a title row that are one entity, with their `chance`.

    Without known pairs that are right and such that are wrong nothing can be learned and nothing is joined.
    """
    _, pairs, found = known_pairs(rows, links, names, rules)
    if pairs["right"][pairs["judged"]].nunique() < 2:
        return pd.DataFrame({"kept": [], "joined": [], "chance": []}).astype({"kept": int, "joined": int})
    judge = taught(pairs, found, np.ones(len(pairs), dtype=bool))
    pairs, found = described_pairs(rows, names, rules)
    chance = judge(found)
    same = matched(pairs, chance, limits(found, rules))
    result = pairs[same].assign(chance=chance[same])
    return result.rename(columns={"by_qid": "kept", "by_title": "joined"})[["kept", "joined", "chance"]]
