"""What may be used: permitted rows, and the links and sources that count. Knows rules and columns, no names.

No evaluation set has a say: neither as a source nor by its links nor by its anchors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from .facts import counts, page_titles, read_links
from .names import WIKIPEDIA, unescaped
from .rules import HALVED, Rules

COARSE = ("PER", "ORG", "LOC", "MISC")
PAGES = "wikipedia-pages-2014"


@dataclass(frozen=True, slots=True)
class Counted:
    """Links of corpora by what they are for, and the titles of pages that are set aside."""

    evaluation: pd.DataFrame  # evaluation sets, the facts may have counted them
    aside: pd.DataFrame  # odd halves of the corpora of which the even half is a training corpus
    more: pd.DataFrame  # training corpora that the facts have not counted
    kept: pd.DataFrame  # every link of training corpora, whoever counted it
    pages: frozenset[str]

    @property
    def voiceless(self) -> pd.DataFrame:
        """All links that must not count."""
        return pd.concat([self.evaluation, self.aside], ignore_index=True)


def count_links(data: Path, rules: Rules) -> Counted:
    """Reads the corpora once and tells their links apart."""
    paths = sorted((data / "corpora").glob("*.jsonl.gz"))
    barred = {name.removeprefix("corpus:") for name in rules.barred}
    corpora = [path.name.removesuffix(".jsonl.gz") for path in paths]
    links = read_links(data, [name for name in corpora if not name.startswith("ner-") and name not in barred])
    set_aside = links["corpus"].isin(HALVED) & (links["half"] == "odd")
    tested = links["corpus"].isin([name.removeprefix("corpus:") for name in rules.evaluation])
    source = "corpus:" + links["corpus"]
    trained = source.isin(rules.training) | (source + ":" + links["half"]).isin(rules.training)
    # The facts never saw AIDA dev, and what is not in the facts cannot be taken from them.
    seen = tested & (links["corpus"] != "aida-conll-dev")
    learned = ~set_aside & (~tested | trained)
    return Counted(
        evaluation=links[seen],
        aside=links[set_aside & ~tested],
        more=links[trained],
        kept=links[learned],
        pages=page_titles(data, PAGES, "odd"),
    )


def admit(facts: pd.DataFrame, counted: Counted, rules: Rules, report: dict[str, int]) -> pd.DataFrame:
    """Permitted rows with what counts for their rank: n_sources, wikilinker, held, inlinks, coarse."""
    sources = facts["sources"].explode()
    sources = sources[~sources.isin(rules.barred)]
    identified = facts["qid"].notna() | facts["title"].notna()
    licensed = facts.index.isin(sources.index)
    report["rows in"] = len(facts)
    report["dropped: neither QID nor title"] = int((~identified).sum())
    report["dropped: only ODbL or non-commercial sources"] = int((identified & ~licensed).sum())
    rows = facts[identified & licensed].copy()
    rows["title"], rows["label"] = unescaped(rows["title"]), unescaped(rows["label"])

    names = linkable(rows, counted)
    more = linked(names, counted.more, rows.index)
    left = rows["inlinks"] - linked(names, counted.voiceless, rows.index)
    rows["inlinks"] = left.clip(lower=0).astype("int32") + more
    voices = sources[~sources.isin(rules.evaluation) & sources.index.isin(rows.index)]
    voices = voices[~silent(rows, names, voices, counted, rules)]
    wikilinker = voices == "wikilinker"
    rows["n_sources"] = voices[~wikilinker].groupby(level=0).size().reindex(rows.index, fill_value=0)
    rows["wikilinker"] = rows.index.isin(voices.index[wikilinker])
    rows["n_sources"] += more > 0
    rows["held"] = ~rows.index.isin(voices.index) & (more == 0)
    report["kept at the tail: only evaluation sets name them"] = int(rows["held"].sum())

    foreign = rows["description_source"].isin((*rules.barred, *rules.wordless))
    report["descriptions dropped for their licence"] = int(foreign.sum())
    rows["description"] = rows["description"].mask(foreign)
    first = rows["types"].str[0]
    rows["coarse"] = first.where(first.isin(COARSE))
    return rows.reset_index(drop=True)


def silent(
    rows: pd.DataFrame, names: pd.Series, voices: pd.Series, counted: Counted, rules: Rules
) -> pd.Series:
    """Which of the (row, source) pairs come from documents that are set aside only."""
    aside = linked(names, counted.aside, rows.index) > 0
    table = {"wtq-links": aside & (rows["inlinks"] == 0), "wtq-pages": rows["title"].isin(counted.pages)}
    for source, corpus in rules.halved:
        own, other = (part[part["corpus"] == corpus] for part in (counted.aside, counted.kept))
        table[source] = (linked(names, own, rows.index) > 0) & (linked(names, other, rows.index) == 0)
    result = pd.Series(False, index=voices.index)
    for source, mute in table.items():
        result |= (voices == source) & voices.index.isin(rows.index[mute])
    return result


def linkable(rows: pd.DataFrame, counted: Counted) -> pd.Series:
    """The items and titles by which corpora link rows, by row."""
    known = set(pd.concat([counted.voiceless["entity"], counted.more["entity"], counted.kept["entity"]]))
    titles = {name.removeprefix(WIKIPEDIA) for name in known if name.startswith(WIKIPEDIA)}
    by_title = WIKIPEDIA + rows["title"][rows["title"].isin(titles)]
    return pd.concat([rows["qid"][rows["qid"].isin(known)], by_title]).astype(object)


def linked(names: pd.Series, links: pd.DataFrame, rows: pd.Index) -> pd.Series:
    """How often each of `rows` is linked, by its item or by its title."""
    found = names.map(counts(links)).dropna()
    return found.groupby(level=0).sum().reindex(rows, fill_value=0).astype("int32")


def anchors_left(anchors: pd.DataFrame, voiceless: pd.DataFrame, corpora: Sequence[str]) -> pd.DataFrame:
    """Anchors without those of documents that must not count; `corpora` are those the anchors came from."""
    taken = voiceless[voiceless["corpus"].isin(corpora) & voiceless["entity"].str.startswith(WIKIPEDIA)]
    title = taken["entity"].str.removeprefix(WIKIPEDIA)
    minus = taken["count"].groupby([taken["surface"], title]).sum()
    keys = pd.MultiIndex.from_frame(anchors[["surface", "title"]])
    left = anchors["count"] - minus.reindex(keys).fillna(0).to_numpy()
    return anchors.assign(count=left.astype("int64"))[left > 0]
