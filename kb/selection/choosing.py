"""The selection as a whole: what may be used, one row an entity, words, order.

Knows the order of the steps, and no rule of any.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from .admission import Counted, admit, anchors_left, count_links
from .facts import read_facts
from .joining import final, ids_of, join
from .matching import Names, item_pairs, known_names
from .ranking import lower_share, order_score, popularity
from .rules import HALVED, Rules
from .same_titles import alias_pairs, redirect_pairs, spelling_pairs
from .tables import as_lists
from .words import described, other_names
from .writing import all_links

# Corpora whose anchors the fact folder counted, and that have documents without a say.
ANCHORED = (*HALVED, "wiki-fair-hyperlinks")


@dataclass(slots=True)
class Material:
    """Permitted rows, spellings joined, and what else tells about them."""

    rows: pd.DataFrame
    anchors: pd.DataFrame
    redirects: pd.DataFrame
    counted: Counted
    names: Names
    moved: dict[str, str]
    report: dict[str, int]

    def join(self, pairs: pd.DataFrame, what: str) -> None:
        """Joins pairs (kept, joined) and keeps the former names."""
        before = len(self.rows)
        self.rows, moved = join(self.rows, pairs)
        self.moved = {old: moved.get(new, new) for old, new in self.moved.items()} | moved
        self.report[f"merged: {what}"] = before - len(self.rows)


def gather(data: Path, rules: Rules) -> Material:
    """Permitted rows of the fact folder; rows whose titles differ in spelling only are one."""
    report: dict[str, int] = {}
    facts, anchors, redirects = read_facts(data)
    counted = count_links(data, rules)
    rows = admit(facts, counted, rules, report)
    anchors = anchors_left(anchors, counted.voiceless, ANCHORED)
    names = known_names(counted.kept, anchors, redirects)
    material = Material(rows, anchors, redirects, counted, names, {}, report)
    material.join(spelling_pairs(rows), "one title in two spellings")
    return material


def resolved(data: Path, rules: Rules) -> Material:
    """Permitted rows of the fact folder, one real entity one row, in no order."""
    material = gather(data, rules)
    material.join(redirect_pairs(material.rows, material.redirects), "a title and its redirect")
    pairs = item_pairs(material.rows, material.counted.kept, material.names, rules)
    material.join(pairs, "an item and a title")
    pairs = alias_pairs(material.rows, material.anchors, material.names.items, rules)
    material.join(pairs, "a title and its former or short form")
    return material


def select(data: Path, rules: Rules) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """Entities best first, links to them, and the counts of the report."""
    material = resolved(data, rules)
    report = material.report
    rows = material.rows.reset_index(drop=True)
    rows["written"] = rows["description"].notna()
    rows["description"] = described(rows, rules)
    rows["prior"] = popularity(rows, rules)
    rows["order"] = order_score(rows, lower_share(material.anchors), rules)
    rows["id"] = ids_of(rows)
    rows["aliases"] = other_names(rows, rules)
    rows["types"] = as_lists(rows["types"])
    rows = rows.sort_values(["order", "id"], ascending=[False, True], kind="stable", ignore_index=True)
    report["described by a source"] = int(rows["written"].sum())
    report["described by type or title"] = int((rows["description"].notna() & ~rows["written"]).sum())
    report["typed"] = int(rows["coarse"].notna().sum())
    report["item and title"] = int((rows["qid"].notna() & rows["title"].notna()).sum())
    report["rows out"] = len(rows)
    entities = rows[["id", "label", "title", "qid", "description", "aliases", "types", "prior"]]
    entities = entities.set_axis(
        ["id", "title", "wikipedia_title", "qid", "description", "aliases", "types", "prior"], axis=1
    )
    moved = {old: final(new, material.moved) for old, new in material.moved.items()}
    links = all_links(entities, moved, material.redirects)
    report["names in links"] = len(links)
    return entities, links, report
