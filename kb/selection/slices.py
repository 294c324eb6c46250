"""What the first rows cover, by kind of entity, in corpora that had no say in their order. Changes nothing.

The kinds are what a slice is chosen by, not the entities: each training corpus is measured on the order that
comes out without its own links, and no evaluation set is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from .admission import COARSE
from .choosing import Material, resolved
from .facts import counts
from .joining import final, ids_of
from .names import WIKIPEDIA
from .ranking import lower_share, order_score, popularity
from .rules import Rules

SLICES = (150_000, 200_000, 250_000, 300_000, 400_000, 500_000)
CORPORA = (
    "aida-conll-train",
    "gum-wikified",
    "knowledgenet-notest",
    "meantime-en",
    "wikipedia-pages-2014",
    "wned-clueweb",
    "wned-wikipedia",
)


def slices(
    data: Path, rules: Rules, corpora: Sequence[str] = CORPORA, sizes: Sequence[int] = SLICES
) -> pd.DataFrame:
    """Share of the linked mentions of each kind that the first rows cover, mean over corpora of equal weight.

    Rows are kinds (PER, ORG, LOC, MISC, none: of no known kind, and all), columns the `sizes`.
    """
    material = resolved(data, rules)
    material.rows = material.rows.reset_index(drop=True)
    material.rows["written"] = material.rows["description"].notna()
    shares = lower_share(material.anchors)
    found = [covered(material, corpus, shares, rules, sizes) for corpus in corpora]
    return pd.concat(found).groupby(level=0, sort=False).mean().round(3)


def covered(
    material: Material, corpus: str, shares: pd.Series, rules: Rules, sizes: Sequence[int]
) -> pd.DataFrame:
    """Coverage of one corpus by kind, in the order that comes out without it; also written as `corpus`."""
    rows = material.rows
    links = counts(material.counted.kept[material.counted.kept["corpus"] == corpus])
    place = pd.Series(rows.index, index=ids_of(rows))
    known = {name: final(new, material.moved) for name, new in material.moved.items()}
    by_title = (WIKIPEDIA + rows["title"]).dropna()
    titles = pd.Series(by_title.index, index=by_title.to_numpy()).groupby(level=0).first()
    names = pd.Series(links.index, index=links.index)
    target = names.map(place).fillna(names.map(titles)).fillna(names.map(known).map(place))
    own = links.groupby(target).sum().reindex(rows.index, fill_value=0)
    # The source goes with the links; pages of Wikipedia are one of many things behind theirs.
    if corpus == "wikipedia-pages-2014":
        counted = (
            rows["sources"].map(lambda names: "wtq-links" in names) & (own > 0) & (rows["inlinks"] <= own)
        )
    elif f"corpus:{corpus}" in rules.training:
        counted = own > 0
    else:
        counted = rows["sources"].map(lambda names: f"corpus:{corpus}" in names)
    left = rows.assign(
        inlinks=(rows["inlinks"] - own).clip(lower=0), n_sources=(rows["n_sources"] - counted).clip(lower=0)
    )
    left["prior"] = popularity(left, rules)
    order = order_score(left, shares, rules).rank(ascending=False, method="first")
    kinds = rows["coarse"].where(rows["coarse"].isin(COARSE), "none")
    weights = own[own > 0]
    table = {
        kind: [
            weights[(kinds == kind) & (order <= size)].sum() / max(1, weights[kinds == kind].sum())
            for size in sizes
        ]
        for kind in (*COARSE, "none")
    }
    table["all"] = [weights[order <= size].sum() / links.sum() for size in sizes]
    return pd.DataFrame.from_dict(table, orient="index", columns=list(sizes))
