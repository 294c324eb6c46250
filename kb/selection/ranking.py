"""The order of the entities, and the prior of each. Knows counts, no texts beyond their case."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .rules import Rules


def lower_share(anchors: pd.DataFrame) -> pd.Series:
    """Share of a title's links whose words begin in lower case: 1 for legislature, 0 for Legoland."""
    # Abbreviations in tables (MF, DF) tell nothing about case.
    anchors = anchors[anchors["surface"].str.len() > 3]
    lower = anchors["count"].where(anchors["surface"].str[0].str.islower(), 0)
    return lower.groupby(anchors["title"]).sum() / anchors["count"].groupby(anchors["title"]).sum()


def popularity(rows: pd.DataFrame, rules: Rules) -> pd.Series:
    """The prior of a row, like the logarithm of how often it is named; 0 where nothing may be counted."""
    views = np.log10(1 + rows["pageviews"].fillna(0))
    score = np.log1p(rows["inlinks"]) + rules.per_source * rows["n_sources"]
    score += rules.per_view * views + rules.wikilinker * rows["wikilinker"]
    return score.mask(rows["held"], 0.0).astype("float32")


def order_score(rows: pd.DataFrame, shares: pd.Series, rules: Rules) -> pd.Series:
    """What rows are sorted by: popularity, with named and described entities before common concepts."""
    share = rows["title"].map(shares)
    proper = rows["coarse"].isin(["PER", "ORG", "LOC"])
    bare = rows["label"].str.replace(r"\s*\([^()]*\)$", "", regex=True)
    capital = bare.str.contains(r"\s[^\W\d_a-z]", regex=True)
    concept = ~proper & (share >= rules.common_anchors)
    named = ~concept & (proper | capital | share.notna())
    score = rows["prior"] + rules.described * rows["written"] + rules.named * named + rules.concept * concept
    return score.mask(rows["held"], -1.0)
