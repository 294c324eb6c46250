"""What speaks for a row with an item and a row with a title being one entity. Knows no verdict.

Each candidate is described by numbers near 0 to 1, which `judgement` weighs.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pandas as pd

from .candidates import item_number
from .names import BRACKET, bare
from .tables import as_lists

# Items between these were made by a robot that went through English Wikipedia by the alphabet.
ALPHABET = (4_600_000, 8_140_000)
ITEM_SOURCES = ("wikilinker", "chadwick", "legislator", "name-suggestion-index", "lm-kbc", "corpus:", "codex")
TITLE_SOURCES = (
    "yago",
    "ottqa",
    "vital",
    "dbp15k",
    "wtq",
    "dbpedia",
    "worldcup",
    "movies",
    "pantheon",
    "srprs",
    "corpus:",
)
YEAR = re.compile(r"\b(1[0-9]{3}|20[0-9]{2})\b")
IDLE = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "in",
        "on",
        "at",
        "by",
        "for",
        "from",
        "to",
        "and",
        "or",
        "with",
        "as",
        "is",
        "was",
        "american",
        "british",
        "film",
    ]
)


def alphabetical(rows: pd.DataFrame, items: pd.Series, labels: pd.Series) -> np.ndarray:
    """How far a name is from where the alphabet has its neighbours by item, in [0, 1], nan outside.

    Between the numbers of `ALPHABET` items were made in the order of English titles, so an item there
    whose name fits its neighbours was made from the article of that name.
    """
    known = rows[rows["qid"].notna() & rows["title"].notna()]
    number = item_number(known["qid"])
    known = known[number.between(*ALPHABET)]
    number = number[known.index]
    titles = known["title"].str.casefold().to_numpy(dtype=str)
    alphabet = np.sort(titles)
    order = np.argsort(number.to_numpy(), kind="stable")
    numbers, place = number.to_numpy()[order], np.searchsorted(alphabet, titles[order]) / max(1, len(titles))
    wanted = item_number(items).to_numpy()
    at = np.searchsorted(numbers, wanted)
    own = np.searchsorted(alphabet, labels.str.casefold().to_numpy(dtype=str)) / max(1, len(titles))
    distance = np.full(len(wanted), np.nan)
    inside = (wanted >= ALPHABET[0]) & (wanted <= ALPHABET[1]) & (len(numbers) > 12)
    around = np.stack(
        [np.clip(at + step, 0, max(0, len(numbers) - 1)) for step in (-4, -3, -2, -1, 0, 1, 2, 3)]
    )
    if inside.any():
        distance[inside] = np.sort(np.abs(place[around] - own), axis=0)[2][inside]
    return distance


def tokens(*parts: object) -> set[str]:
    """Telling words of descriptions and types."""
    text = " ".join(part for part in parts if isinstance(part, str)).casefold()
    return {word.rstrip("s") for word in re.findall(r"[^\W\d_]{3,}", text)} - IDLE


def evidence(rows: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """One column a piece of evidence, numbers near 0 to 1, one row a pair."""
    left = rows.loc[pairs["by_qid"]].reset_index(drop=True)
    right = rows.loc[pairs["by_title"]].reset_index(drop=True)
    number = item_number(left["qid"])
    columns: dict[str, object] = {}

    bracket = right["title"].str.extract(BRACKET, expand=False)
    plain = bracket.isna() & pairs["own_title"]
    columns["plain title"] = plain
    columns["same spelling"] = left["label"] == bare(right["title"])
    columns["by alias of item"] = ~pairs["own_qid"]
    columns["by alias of title"] = ~pairs["own_title"]
    columns["alias share"] = np.where(pairs["both"] == 1, 0, pairs["share_qid"] * pairs["share_title"])

    for side in ("qid", "title"):
        rank, own = pairs[f"rank_{side}"].fillna(9), pairs[f"own_{side}"]
        columns[f"first by {side}"] = (rank == 0) & own
        columns[f"alone by {side}"] = (pairs[f"namesakes_{side}"] == 1) & own
        lead = pairs[f"lead_{side}"].fillna(3).clip(upper=3)
        columns[f"lead by {side}"] = np.where((rank == 0) & own, lead / 3, 0)
        columns[f"behind by {side}"] = pairs[f"behind_{side}"].fillna(0).clip(upper=5) / 5
        columns[f"namesakes by {side}"] = np.log1p(pairs[f"namesakes_{side}"]) / 2
        columns[f"strength by {side}"] = pairs[f"strength_{side}"].clip(upper=6) / 3
    columns["older"] = pairs["older_qid"].fillna(3).clip(-3, 3)
    columns["strength apart"] = (pairs["strength_qid"] - pairs["strength_title"]).abs().clip(upper=6) / 6

    columns["item number"] = np.log10(number)
    distance = pd.Series(alphabetical(rows, left["qid"], bare(right["title"])))
    columns["off the alphabet"] = distance.clip(upper=0.05).fillna(-1)

    kinds = left["coarse"].fillna("none"), right["coarse"].fillna("none")
    unknown = (kinds[0] == "none") | (kinds[1] == "none")
    columns["one kind"] = (kinds[0] == kinds[1]) & ~unknown
    columns["two kinds"] = (kinds[0] != kinds[1]) & ~unknown
    columns["no kind"] = (kinds[0] == "none") & (kinds[1] == "none")
    for name in ("PER", "ORG", "LOC", "MISC"):
        columns[f"item is {name}"], columns[f"title is {name}"] = kinds[0] == name, kinds[1] == name
    for row, groups, side in ((left, ITEM_SOURCES, "item"), (right, TITLE_SOURCES, "title")):
        sources = row["sources"].map(" ".join)
        for name in groups:
            columns[f"{side} from {name}"] = sources.str.contains(name, regex=False)
        columns[f"{side} sources"] = row["sources"].str.len()

    common = Counter(word for key in set(pairs["key"]) for word in key.split())
    rare = pairs["key"].map(lambda key: min(common[word] for word in key.split()))
    columns["common name"] = np.log1p(rare) / 4
    columns["words"] = pairs["key"].str.count(" ").clip(upper=4) / 4
    columns["one word"] = ~pairs["key"].str.contains(" ", regex=False)

    said = [tokens(d, *k) for d, k in zip(left["description"], as_lists(left["types"]), strict=True)]
    told = [
        tokens(d, b, *k)
        for d, b, k in zip(right["description"], bracket, as_lists(right["types"]), strict=True)
    ]
    shared = pd.Series([len(a & b) for a, b in zip(said, told, strict=True)])
    either = pd.Series([bool(a) and bool(b) for a, b in zip(said, told, strict=True)])
    columns["words shared"], columns["words apart"] = shared.clip(upper=3) / 3, either & (shared == 0)
    hint = [tokens(text) for text in bracket]
    columns["bracket told"] = pd.Series([bool(a & b) for a, b in zip(said, hint, strict=True)])
    columns["bracket untold"] = bracket.notna() & ~columns["bracket told"]  # type: ignore[operator]
    years = [
        (set(YEAR.findall(a)), set(YEAR.findall(b)))
        for a, b in zip(
            left["description"].fillna(""),
            (right["description"].fillna("") + bracket.fillna("")),
            strict=True,
        )
    ]
    columns["year shared"] = pd.Series([bool(a & b) for a, b in years])
    columns["years apart"] = pd.Series([bool(a and b and not a & b) for a, b in years])
    frame = pd.DataFrame({name: np.asarray(value, dtype="float64") for name, value in columns.items()})
    return frame
