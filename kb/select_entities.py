"""Chooses, merges and orders the entities of the bundled knowledge base from the fact files.

Knows the columns of the fact files and the rules of kb/README.md; does not know models, vectors or the
KB folder. Never looks at an evaluation set: what only such a set names goes to the tail with score 0.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

WIKIPEDIA = "enwiki:"
COARSE = ("PER", "ORG", "LOC", "MISC")
ESCAPE = r"\\u([0-9A-Fa-f]{4})"
COVERAGE_AT = (150_000, 200_000, 250_000)


@dataclass(frozen=True, slots=True)
class Rules:
    """Every constant of the selection; kb/README.md tells how each was chosen."""

    # Rows known only from these are left out (ODbL, non-commercial); as a source they never count.
    barred: tuple[str, ...] = (
        "dr5hn-cities",
        "dr5hn-states",
        "dr5hn-counties",
        "dr5hn-countries",
        "dr5hn-names",
        "mledoze",
        "tennis",
        "corpus:webnlg-v1.6",
        "corpus:hipe2022-hipe2020-dev",
        "corpus:hipe2022-topres19th-dev",
        "corpus:hipe2022-topres19th-train",
    )
    # Descriptions written by these are dropped as well: share-alike, though their names and ids are facts.
    wordless: tuple[str, ...] = ("worldcup", "rubq", "fetaqa")
    # Evaluation sets: they and the links counted in them never raise a row.
    evaluation: tuple[str, ...] = (
        "elevant-gold-dev",
        "elevant-pred-dev",
        "tweeki",
        "corpus:aida-conll-dev",
        "corpus:oke-2015-train",
        "corpus:tweeki-gold",
        "corpus:wiki-fair-hyperlinks",
        "corpus:wiki-fair-v2-nontest",
    )
    # Training corpora that came after the facts were counted: they count as a source, their links as links.
    training: tuple[str, ...] = ("corpus:aida-conll-train",)
    # Popularity: ln(1 + inlinks) + per_source * sources + per_view * log10(1 + page views).
    per_source: float = 0.4
    per_view: float = 0.25
    wikilinker: float = 0.1
    # Bonuses of the order, beside popularity.
    described: float = 0.3
    named: float = 0.3
    concept: float = -1.0
    common_anchors: float = 0.5  # share of links in lower case that makes a title a common concept
    # Merging a QID row with a title row: which sources of the QID row are trusted, up to which QID number,
    # and in how many names a person's or place's rarest word may occur.
    merge_sources: tuple[str, ...] = ("wikilinker", "lm-kbc", "corpus:")
    early_qid: int = 4_000_000
    person_qid: int = 8_200_000
    rare_word: int = 60
    # Texts.
    description_words: int = 12
    alias_count: int = 8
    alias_length: int = 60


RULES = Rules()


# --- reading -----------------------------------------------------------------------------------------


def read_facts(data: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Entities, anchors (surface, title, count) and redirects of the fact folder, as they are."""
    entities = pd.read_parquet(data / "kb" / "entities.parquet")
    options: dict[str, Any] = {"sep": "\t", "quoting": 3, "keep_default_na": False}
    anchors = pd.read_csv(data / "kb" / "aliases.tsv.gz", dtype={"surface": str, "title": str}, **options)
    redirects = pd.read_csv(data / "kb" / "redirects.tsv.gz", dtype=str, **options)
    return entities, anchors, redirects


def corpus_links(data: Path, sources: Sequence[str]) -> pd.Series:
    """How often each entity name is linked in those of the `corpus:` sources that are on this machine."""
    counts: Counter[str] = Counter()
    for source in sources:
        path = data / "corpora" / f"{source.removeprefix('corpus:')}.jsonl.gz"
        if source.startswith("corpus:") and path.is_file():
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                counts.update(label["entity_id"] for line in lines for label in json.loads(line)["labels"])
    return pd.Series(dict(counts), dtype="int64")


def unescaped(names: pd.Series) -> pd.Series:
    """Names with the JSON escapes that a source left in them as characters."""
    odd = names.str.contains("\\u", regex=False, na=False)
    plain = names[odd].str.replace(ESCAPE, lambda match: chr(int(match[1], 16)), regex=True)
    return names.mask(odd, plain.reindex(names.index))


def spelling_of(titles: pd.Series) -> pd.Series:
    """Wikipedia titles as compared: dashes, apostrophes and composed letters of one kind."""
    plain = titles.str.normalize("NFC").str.replace("[‐‑‒–—−]", "-", regex=True)
    return plain.str.replace("[’‘`]", "'", regex=True).str.replace("_", " ", regex=False)


def words_of(names: pd.Series) -> pd.Series:
    """Names as compared: no closing bracket, no case, no punctuation."""
    plain = names.str.replace(r"\s*\([^()]*\)$", "", regex=True).str.normalize("NFKC").str.casefold()
    return plain.str.replace(r"[\W_]+", " ", regex=True).str.strip()


# --- what may be used --------------------------------------------------------------------------------


def admit(
    facts: pd.DataFrame, eval_links: pd.Series, more_links: pd.Series, rules: Rules, report: dict[str, int]
) -> pd.DataFrame:
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

    counted = sources[~sources.isin(rules.evaluation)]
    wikilinker = counted == "wikilinker"
    rows["n_sources"] = counted[~wikilinker].groupby(level=0).size().reindex(rows.index, fill_value=0)
    rows["wikilinker"] = rows.index.isin(counted.index[wikilinker])
    more = linked(rows, more_links)
    rows["n_sources"] += more > 0
    rows["held"] = ~rows.index.isin(counted.index) & (more == 0)
    report["kept at the tail: only evaluation sources"] = int(rows["held"].sum())

    rows["inlinks"] = (rows["inlinks"] - linked(rows, eval_links)).clip(lower=0).astype("int32") + more

    source = rows["description_source"]
    foreign = source.isin((*rules.barred, *rules.wordless))
    report["descriptions dropped for their licence"] = int(foreign.sum())
    rows["description"] = rows["description"].mask(foreign)
    first = rows["types"].str[0]
    rows["coarse"] = first.where(first.isin(COARSE))
    return rows.reset_index(drop=True)


def linked(rows: pd.DataFrame, links: pd.Series) -> pd.Series:
    """How often each row is linked, by its item or by its title."""
    by_item, by_title = rows["qid"].map(links), (WIKIPEDIA + rows["title"]).map(links)
    return (by_item.fillna(0) + by_title.fillna(0)).astype("int32")


# --- one real entity, one row ------------------------------------------------------------------------


def merge_pairs(rows: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Pairs of row labels (by_qid, by_title) that share a name no third row has, and the verdict `same`.

    `band` names the kind of evidence: source, type and age of the item; precision is measured by it.
    """
    keys = words_of(rows["title"].fillna(rows["label"]))
    words = Counter(word for key in keys.unique() for word in set(key.split()))
    alone = keys.map(keys.value_counts()).eq(2) & keys.ne("")
    frame = pd.DataFrame({"key": keys, "row": rows.index})
    pairs = pd.merge(
        frame[alone & rows["title"].isna()].rename(columns={"row": "by_qid"}),
        frame[alone & rows["qid"].isna()].rename(columns={"row": "by_title"}),
        on="key",
    )
    left = rows.loc[pairs["by_qid"]].reset_index(drop=True)
    right = rows.loc[pairs["by_title"]].reset_index(drop=True)
    number = left["qid"].str[1:].astype("int64")
    kind = left["coarse"].fillna("none")
    trusted = left["sources"].map(lambda names: all(name.startswith(rules.merge_sources) for name in names))
    agree = left["coarse"].notna() & (right["coarse"].isna() | (left["coarse"] == right["coarse"]))
    plain = ~right["title"].str.contains("(", regex=False)
    rare = pairs["key"].map(lambda key: min(words[word] for word in key.split())) <= rules.rare_word
    early = number <= rules.early_qid
    # Places of one name are many (city, district, province): only the people and city list tells them apart.
    place = (kind != "LOC") | (rare & left["wikilinker"])
    person = (kind == "PER") & rare & (number <= rules.person_qid)
    pairs["same"] = trusted & agree & plain & ((early & place) | person)
    source = np.where(left["wikilinker"], "wikilinker", "other")
    known = np.where(right["coarse"].isna(), "one type", "two types")
    pairs["band"] = source + " " + kind + np.where(early, " early ", " late ") + known
    return pairs


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


def join(rows: pd.DataFrame, kept: pd.Series, joined: pd.Series) -> tuple[pd.DataFrame, dict[str, str]]:
    """Rows with each of `joined` taken into its row of `kept`, and the former names of what was joined."""
    left, right = rows.loc[kept], rows.loc[joined].set_axis(kept)
    both = left.copy()
    both["label"] = left["label"].where(left["title"].notna(), right["label"])
    for column in ("title", "description", "pageviews", "coarse"):
        both[column] = left[column].fillna(right[column])
    for column in ("inlinks", "n_sources"):
        both[column] = left[column] + right[column]
    both["wikilinker"] = left["wikilinker"] | right["wikilinker"]
    both["held"] = left["held"] & right["held"]
    for column in ("types", "aliases", "sources"):
        pairs = zip(as_lists(left[column]), as_lists(right[column]), strict=True)
        both[column] = pd.Series(
            [list(dict.fromkeys(a + b)) for a, b in pairs], index=left.index, dtype=object
        )
    ids = both["qid"].fillna(WIKIPEDIA + both["title"])
    moved = dict(zip(WIKIPEDIA + right["title"], ids, strict=True))
    rest = rows.drop(index=[*kept, *joined])
    return pd.concat([rest, both], ignore_index=True), moved


def as_lists(column: pd.Series) -> list[list[str]]:
    """A column of arrays or nulls as plain lists."""
    return [[] if value is None or value is pd.NA else list(value) for value in column]


def measure_merge(rows: pd.DataFrame, rules: Rules) -> dict[str, Any]:
    """Precision of the merge on pairs whose truth is known.

    A row whose QID and title a source gave together is split as if that source were absent: a QID half
    if another source has the QID alone, a title half if another has the title alone. Every second title
    half loses its type, as untyped rows are frequent. The halves stand in the whole table, so that a
    half without its partner meets strangers of the same name.
    """
    known = rows[rows["qid"].notna() & rows["title"].notna() & ~rows["title_inferred"]]
    single = rows[(rows["sources"].str.len() == 1) & ~rows["title_inferred"]]
    shape = np.select([single["qid"].isna(), single["title"].isna()], ["title", "qid"], "both")
    gives = pd.crosstab(single["sources"].str[0], shape).idxmax(axis=1).to_dict()

    def half(side: str, hidden: str) -> pd.DataFrame:
        barred = {*rules.barred, *rules.evaluation}
        own = known["sources"].map(
            lambda names: [n for n in names if gives.get(n) == side and n not in barred]
        )
        part = known[own.str.len() > 0].copy()
        part["sources"], part["truth"], part[hidden] = own, part["qid"], None
        part["wikilinker"] = part["sources"].map(lambda names: "wikilinker" in names)
        return part

    by_qid, by_title = half("qid", "title"), half("title", "qid")
    by_title.loc[np.arange(len(by_title)) % 2 == 1, "coarse"] = None
    table = pd.concat([rows.drop(index=known.index), by_qid, by_title], ignore_index=True)
    pairs = merge_pairs(table, rules)
    qid, truth = table["qid"].loc[pairs["by_qid"]], table["truth"].loc[pairs["by_title"]]
    pairs["right"] = qid.to_numpy() == truth.to_numpy()
    pairs["judged"] = truth.notna().to_numpy()
    judged = pairs[pairs["judged"] & pairs["same"]]
    lone = pairs["same"] & ~pairs["judged"] & table["truth"].loc[pairs["by_qid"]].notna().to_numpy()
    real = merge_pairs(rows, rules)
    sizes = real[real["same"]]["band"].value_counts()
    bands = judged.groupby("band")["right"].agg(["mean", "size"])
    weighted = (bands["mean"] * sizes).dropna()
    weighted_size = sizes.reindex(weighted.index).sum()
    both = len(set(by_qid["truth"]) & set(by_title["truth"]))
    return {
        "merged and judged": len(judged),
        "right": int(judged["right"].sum()),
        "precision": round(float(judged["right"].mean()), 4),
        "precision weighted to the real pairs": round(float(weighted.sum() / max(1, weighted_size)), 4),
        "recall of pairs with both halves": round(float(judged["right"].sum() / both), 4),
        "merged with a title of unknown item": int(lone.sum()),
        "precision by band": {band: [round(float(m), 3), int(n)] for band, m, n in bands.itertuples()},
        "real pairs by band": {str(band): int(size) for band, size in sizes.items()},
    }


# --- words about an entity ---------------------------------------------------------------------------

# Finer types that tell nothing, or that their sources give wrongly (insect, eukaryote).
GENERIC = re.compile(
    "human|person|people|agent|organi[sz]ation|place|thing|entity|insect|eukaryote|animal|species"
    "|human settlement|populated place|office holder|city/town|city or town|big city|million city",
    re.IGNORECASE,
)
# A description that was cut must not end in one of these.
DANGLING = (
    r"(?:[\s,;:(–-]+(?:a|an|the|of|in|on|at|by|for|from|to|and|or|with|as|that|which|who|whom|whose|where|when"
    r"|is|was|are|were|its|his|her|their|between|near|into|also|most|one))+$"
)
# What joins a further clause to a phrase, and what opens its last part.
JOINTS = frozenset(["and", "or", "which", "who", "that", "where", "when"])
OPENERS = frozenset(["in", "on", "at", "by", "for", "from", "to", "with", "as"])
SECOND_SENTENCE = r"\.\s+(?:The|It|He|She|They|This|Its|His|Her)\b.*$"
PHRASE_OPENERS = frozenset({"near", "in", "at", "by", "from", "of", "part", "a", "an", "this", "that"})


def unbroken(phrase: str) -> str:
    """A phrase without its last clause: from the last comma, else the first joint, else the last opener on.

    Three words stay before a comma or an opener, four before a joint ("capital and largest city").
    """
    head, comma, _ = phrase.rpartition(",")
    if comma and head.count(" ") >= 2:
        return head
    words = phrase.split(" ")
    joints = [place for place, word in enumerate(words) if word in JOINTS and place >= 4]
    openers = [place for place, word in enumerate(words) if word in OPENERS and place >= 3]
    end = min(joints) if joints else max(openers, default=len(words))
    return " ".join(words[:end])


def described(rows: pd.DataFrame, rules: Rules) -> pd.Series:
    """Short descriptions; where none is known, one from the finer types or the title's bracket, else null."""
    text = rows["description"].str.replace("[\\u200b\\u200e\\u200f\\ufeff]", "", regex=True)
    text = text.str.replace(SECOND_SENTENCE, "", regex=True).str.replace(r"\s+", " ", regex=True)
    words = text.str.strip(" ,;:.").str.split(" ")
    text = words.str[: rules.description_words].str.join(" ")
    # A phrase that fills the limit was cut there: leave out its unfinished clause.
    full = words.str.len() >= rules.description_words
    whole = text[full].map(unbroken)
    text = text.mask(full, whole.reindex(text.index))
    text = text.str.replace(DANGLING, "", regex=True).str.strip(" ,;:.(-–")
    text = text.where(text.str.contains("[^\\W\\d_]{2}", regex=True, na=False))
    finer = [
        next((kind for kind in kinds if kind not in COARSE and not GENERIC.fullmatch(kind)), None)
        for kinds in as_lists(rows["types"])
    ]
    bracket = rows["title"].str.extract(r"\(([^()]*[^\W\d_]{2}[^()]*)\)$", expand=False)
    return text.fillna(pd.Series(finer, index=rows.index, dtype=object)).fillna(bracket)


def other_names(rows: pd.DataFrame, rules: Rules) -> list[list[str]]:
    """Aliases worth keeping: names, most frequent first, without the title itself, phrases and flags."""
    plain = rows["title"].str.replace(r"\s*\([^()]*\)$", "", regex=True)
    result = []
    for label, title, names in zip(rows["label"], plain, as_lists(rows["aliases"]), strict=True):
        kept: dict[str, str] = {}
        for name in [title, *names] if isinstance(title, str) else names:
            if name.casefold() != label.casefold() and is_name(name, rules):
                kept.setdefault(name.casefold(), name)
        result.append(list(kept.values())[: rules.alias_count])
    return result


def is_name(text: str, rules: Rules) -> bool:
    """Whether an alias can be a name: short, with letters, not a phrase such as "near Carano"."""
    words = text.split()
    # Aliases all in lower case repeat a name or are common nouns.
    if len(text) > rules.alias_length or not 0 < len(words) <= 8 or text == text.lower():
        return False
    return len(words) == 1 or words[0] not in PHRASE_OPENERS


# --- the order ---------------------------------------------------------------------------------------


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


# --- writing -----------------------------------------------------------------------------------------


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


def permitted(
    data: Path, facts: pd.DataFrame, rules: Rules, report: dict[str, int]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Permitted rows, those that differ in spelling only joined, and former names."""
    evaluation = [
        source for source in rules.evaluation if source != "corpus:aida-conll-dev"
    ]  # not in the facts
    rows = admit(facts, corpus_links(data, evaluation), corpus_links(data, rules.training), rules, report)
    pairs = spelling_pairs(rows)
    report["merged: one title in two spellings"] = len(pairs)
    return join(rows, pairs["kept"], pairs["joined"])


def select(data: Path, rules: Rules) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """Entities best first, links to them, and the counts of the report."""
    report: dict[str, int] = {}
    facts, anchors, redirects = read_facts(data)
    rows, respelled = permitted(data, facts, rules, report)
    pairs = merge_pairs(rows, rules)
    pairs = pairs[pairs["same"]]
    report["merged: an item and a title of one name"] = len(pairs)
    rows, merged = join(rows, pairs["by_qid"], pairs["by_title"])
    # What was renamed twice is found by its first name too.
    moved = {name: merged.get(target, target) for name, target in respelled.items()} | merged
    rows["written"] = rows["description"].notna()
    rows["description"] = described(rows, rules)
    rows["prior"] = popularity(rows, rules)
    rows["order"] = order_score(rows, lower_share(anchors), rules)
    rows["id"] = rows["qid"].fillna(WIKIPEDIA + rows["title"])
    rows["aliases"] = other_names(rows, rules)
    rows["types"] = as_lists(rows["types"])
    rows = rows.sort_values(["order", "id"], ascending=[False, True], kind="stable", ignore_index=True)
    report["described by a source"] = int(rows["written"].sum())
    report["described by type or title"] = int((rows["description"].notna() & ~rows["written"]).sum())
    report["typed"] = int(rows["coarse"].notna().sum())
    report["rows out"] = len(rows)
    entities = rows[["id", "label", "title", "qid", "description", "aliases", "types", "prior"]]
    entities = entities.set_axis(
        ["id", "title", "wikipedia_title", "qid", "description", "aliases", "types", "prior"], axis=1
    )
    links = all_links(entities, moved, redirects)
    report["names in links"] = len(links)
    return entities, links, report


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


def main() -> None:
    """Command line of the selection."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with kb/ and corpora/")
    parser.add_argument(
        "-o", "--out", type=Path, help="folder of entities.parquet, links.tsv.gz, report.json"
    )
    parser.add_argument("--count", type=int, help="keep only the first N entities")
    parser.add_argument(
        "--coverage", nargs="*", default=[], metavar="CORPUS", help="add coverage to the report"
    )
    parser.add_argument("--measure-merge", action="store_true", help="measure the merge instead, print JSON")
    options = parser.parse_args()
    if options.measure_merge:
        facts, _, _ = read_facts(options.data)
        rows, _ = permitted(options.data, facts, RULES, {})
        print(json.dumps(measure_merge(rows, RULES), indent=2))
        return
    if options.out is None:
        parser.error("-o OUT is needed unless --measure-merge is given")
    entities, links, counts = select(options.data, RULES)
    report: dict[str, Any] = {"counts": counts, "coverage": {}, "rules": asdict(RULES)}
    for name in options.coverage:
        shares = coverage(entities, links, options.data / "corpora" / f"{name}.jsonl.gz", COVERAGE_AT)
        report["coverage"][name] = dict(zip(map(str, COVERAGE_AT), shares, strict=True))
    if options.count is not None:
        entities = entities.head(options.count)
        links = links[links["id"].isin(entities["id"])]
    write(options.out, entities, links, report)


def write(out: Path, entities: pd.DataFrame, links: pd.DataFrame, report: Mapping[str, Any]) -> None:
    """The three files of a selection; equal input gives equal bytes."""
    out.mkdir(parents=True, exist_ok=True)
    entities.to_parquet(out / "entities.parquet", index=False)
    with gzip.GzipFile(out / "links.tsv.gz", "wb", mtime=0) as file:
        file.write(b"name\tid\n")
        file.write("".join(f"{n}\t{i}\n" for n, i in links.itertuples(index=False)).encode())
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
