"""Rows with titles that are other spellings, redirects or former titles of another row. Joins nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .candidates import strength
from .names import folded, initials, spelling_of, words_of
from .rules import Rules

# Words that a club, firm or airport can leave out of its name.
FORMAL_WORDS = frozenset(
    ("fc", "f", "c", "fk", "sc", "if", "fotboll", "inc", "corporation", "company", "airport")
)


def spelling_pairs(rows: pd.DataFrame) -> pd.DataFrame:
    """Pairs of row labels (kept, joined) whose Wikipedia titles differ in dashes and the like only."""
    keys = spelling_of(rows["title"].dropna())
    keys = keys[keys.duplicated(keep=False)]
    items = rows["qid"].loc[keys.index].notna()
    groups = items.groupby(keys).agg(["size", "sum"])
    keys = keys[keys.isin(groups.index[(groups["size"] == 2) & (groups["sum"] < 2)])]
    # The row with an item first, else the first of the file, which is the more popular.
    ordered = keys.loc[(~items).loc[keys.index].sort_values(kind="stable").index]
    first, second = ordered.drop_duplicates(keep="first"), ordered.drop_duplicates(keep="last")
    by_key = pd.Series(first.index, index=first)
    return pd.DataFrame({"kept": by_key.loc[second].to_numpy(), "joined": second.index})


def redirect_pairs(rows: pd.DataFrame, redirects: pd.DataFrame) -> pd.DataFrame:
    """Pairs (kept, joined) where a title is a redirect of the other row, and has no item of its own."""
    by_title = pd.Series(rows.index, index=rows["title"]).groupby(level=0).first()
    by_item = pd.Series(rows.index, index=rows["qid"]).groupby(level=0).first()
    target = redirects["title"].map(by_title).fillna(redirects["qid"].map(by_item))
    pairs = pd.DataFrame({"kept": target, "joined": redirects["alternative_title"].map(by_title)})
    pairs = pairs.dropna().astype("int64").drop_duplicates("joined")
    pairs = pairs[pairs["kept"] != pairs["joined"]]
    return pairs[rows["qid"].loc[pairs["joined"]].isna().to_numpy()]


def alias_pairs(
    rows: pd.DataFrame, anchors: pd.DataFrame, surfaces: pd.DataFrame, rules: Rules
) -> pd.DataFrame:
    """Pairs (kept, joined, why): a title without item that is an alias of one row alone, a better known one.

    That alone does not tell "München" from "Mookie Blaylock", so there must be a reason, `why`:
    `same`: the names differ in case, accents and punctuation only; `initials`: the title is the initials of
    the other; `led`: links of this name lead to the other, which only adds a place or "F.C."; `place`: it
    only adds a country or state. `surfaces` holds names of items in texts: qid, name, share.
    """
    plain = ~rows["title"].str.contains("(", regex=False, na=True)
    known, other = rows[rows["qid"].notna() & plain], rows[rows["qid"].isna() & plain]
    by_item = pd.Series(known.index, index=known["qid"])
    said = surfaces[surfaces["share"] >= 0.8].assign(row=surfaces["qid"].map(by_item)).dropna(subset=["row"])
    pairs = sole_aliases(known, other, said)
    kept, joined = rows.loc[pairs["kept"]], rows.loc[pairs["joined"]]
    power = strength(rows)
    lead = power.loc[pairs["kept"]].to_numpy() - power.loc[pairs["joined"]].to_numpy()
    weak = power.loc[pairs["joined"]].to_numpy() <= rules.weak_title
    kinds = kept["coarse"].to_numpy(), joined["coarse"].to_numpy()
    unknown = pd.isna(kinds[0]) | pd.isna(kinds[1])
    one_kind = ~unknown & (kinds[0] == kinds[1])

    long, short = kept["title"].to_numpy(), joined["title"].to_numpy()
    links = anchors.groupby(["surface", "title"])["count"].sum()
    led = links.reindex(pd.MultiIndex.from_arrays([short, long])).fillna(0).to_numpy()
    all_led = links.groupby(level=0).sum().reindex(short).fillna(0).to_numpy()
    in_texts = pd.MultiIndex.from_arrays([kept["qid"], short]).isin(
        pd.MultiIndex.from_frame(said[["qid", "name"]])
    )
    words = (folded(kept["title"]).str.split(), folded(joined["title"]).str.split())
    texts = zip(long, short, *words, strict=True)
    longer = np.array([is_longer_form(*pair) for pair in texts], dtype=bool)
    heads = [[name.partition(",")[0] for name in names] for names in (long, short)]
    place = np.array(["," in b and x == y for b, x, y in zip(short, *heads, strict=True)], dtype=bool)
    initial = np.array([is_short_form(b, a) for a, b in zip(long, short, strict=True)], dtype=bool)
    same = plain_spelling(kept["title"]).to_numpy() == plain_spelling(joined["title"]).to_numpy()
    # COMPASS is no compass, and "Slavs!" a play.
    for odd in (
        (kept["title"].str.isupper(), joined["title"].str.isupper()),
        (
            kept["title"].str.endswith(("!", "?", "...")),
            joined["title"].str.endswith(("!", "?", "...")),
        ),
    ):
        same &= odd[0].to_numpy() == odd[1].to_numpy()

    better = lead >= 1
    reasons = {
        "same": same & (unknown | one_kind) & ((lead >= 2) | (weak & (lead >= 0.5))),
        "initials": initial & np.where(unknown, in_texts | (better & (led >= 1)), one_kind & better),
        "led": weak & (lead >= 2) & (led >= 3) & (led >= 0.8 * all_led) & longer & (unknown | one_kind),
        "place": weak & (lead >= 3) & place & (unknown | one_kind),
    }
    why = np.select(list(reasons.values()), list(reasons), "")
    return pairs.assign(why=why)[why != ""]


def sole_aliases(known: pd.DataFrame, other: pd.DataFrame, said: pd.DataFrame) -> pd.DataFrame:
    """Pairs (kept, joined) of a row of `known` and one of `other` whose title only that row is called too."""
    own = pd.DataFrame({"key": words_of(other["title"]).to_numpy(), "joined": other.index})
    alias = known["aliases"].explode().dropna()
    keys = words_of(pd.concat([alias, said["name"], known["title"]])).to_numpy()
    names = pd.DataFrame({"key": keys, "kept": [*alias.index, *said["row"].astype("int64"), *known.index]})
    names = names[names["key"].isin(own["key"])].drop_duplicates()
    pairs = names.merge(own, on="key")[["kept", "joined"]]
    return pairs[~pairs.duplicated("joined", keep=False)].reset_index(drop=True)


def is_short_form(short: str, long: str) -> bool:
    """Whether a name in capitals is the initials of another."""
    return short.isupper() and len(short) > 2 and short.casefold() in initials(long)


def is_longer_form(long: str, short: str, long_words: list[str], short_words: list[str]) -> bool:
    """Whether a title adds a place after a comma, or words that tell a club or firm, and nothing else."""
    added = set(long_words) - set(short_words)
    return long.startswith(f"{short},") or (bool(added) and added <= FORMAL_WORDS)


def plain_spelling(titles: pd.Series) -> pd.Series:
    """Titles without case, accents and punctuation; a comma stays, it tells a place from a person."""
    plain = titles.str.replace(r",(?= (?:Jr|Sr|Inc|Ltd)\b)", "", regex=True)
    plain = plain.str.normalize("NFKD").str.replace("[\u0300-\u036f]", "", regex=True).str.casefold()
    plain = plain.str.replace(r"[^\w,]+", " ", regex=True)
    return plain.str.replace(r"(?<=\b\w) (?=\w\b)", "", regex=True).str.strip()
