"""Rows that are one entity become one row. Knows pairs and columns, not how a pair was found."""

from __future__ import annotations

import pandas as pd

from .names import WIKIPEDIA
from .tables import as_lists

TEXTS = ("title", "description", "description_source", "pageviews", "coarse")
LISTS = ("types", "aliases", "sources")


def ids_of(rows: pd.DataFrame) -> pd.Series:
    """The item where it is known, else the title."""
    return rows["qid"].fillna(WIKIPEDIA + rows["title"])


def rounds(pairs: pd.DataFrame) -> list[pd.DataFrame]:
    """Pairs (kept, joined) in rounds in which every row stands once; who is joined is never kept later."""
    target = dict(zip(pairs["joined"], pairs["kept"], strict=True))

    def last(row: int) -> int:
        seen = {row}
        while row in target and target[row] not in seen:
            row = target[row]
            seen.add(row)
        return row

    frame = pd.DataFrame({"kept": [last(row) for row in target], "joined": list(target)}, dtype="int64")
    frame = frame[frame["kept"] != frame["joined"]]
    number = frame.groupby("kept").cumcount()
    return [part for _, part in frame.groupby(number)]


def join(rows: pd.DataFrame, pairs: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Rows with each of `joined` taken into its row of `kept`, and the new ids of what was joined.

    Pairs with two different items are left as they are. Labels of `rows` stay what they were.
    """
    moved: dict[str, str] = {}
    for part in rounds(pairs):
        one, two = rows["qid"].loc[part["kept"]], rows["qid"].loc[part["joined"]]
        agree = one.isna().to_numpy() | two.isna().to_numpy() | (one.to_numpy() == two.to_numpy())
        part = part[agree]
        left, right = rows.loc[part["kept"]], rows.loc[part["joined"]].set_axis(part["kept"])
        both = left.copy()
        both["label"] = left["label"].where(left["title"].notna() | right["title"].isna(), right["label"])
        both["qid"] = left["qid"].fillna(right["qid"])
        for column in TEXTS:
            both[column] = left[column].fillna(right[column])
        for column in ("inlinks", "n_sources"):
            both[column] = left[column] + right[column]
        both["wikilinker"] = left["wikilinker"] | right["wikilinker"]
        both["held"] = left["held"] & right["held"]
        for column in LISTS:
            found = zip(as_lists(left[column]), as_lists(right[column]), strict=True)
            both[column] = pd.Series(
                [list(dict.fromkeys(a + b)) for a, b in found], index=left.index, dtype=object
            )
        # The names of what is joined stay names of what it is joined to.
        former = zip(both["aliases"], left["label"], right["label"], right["title"].fillna(""), strict=True)
        both["aliases"] = pd.Series(
            [list(dict.fromkeys([*a, *filter(None, names)])) for a, *names in former],
            index=left.index,
            dtype=object,
        )
        new = ids_of(both)
        for old in (ids_of(left), ids_of(right), (WIKIPEDIA + right["title"]).dropna()):
            moved |= dict(zip(old, new.loc[old.index], strict=True))
        rows = pd.concat([rows[~rows.index.isin([*part["kept"], *part["joined"]])], both])
    return rows.sort_index(), {old: final(new, moved) for old, new in moved.items() if old != new}


def final(name: str, moved: dict[str, str]) -> str:
    """Where a name leads in the end."""
    while moved.get(name, name) != name:
        name = moved[name]
    return name
