"""What the weights learned from and what they are measured on, as tables.

Knows recipes, facts on corpora and which documents were measured; knows no scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from card.facts import Facts, facts_of, name_of
from card.measured import Measured
from card.plan import HALF, RUNS
from onegen_el.evaluation.tables import Rows
from onegen_el.grammar import DEFAULT_POLICY
from onegen_el.training.recipe import Corpus, Recipe

MARKS = {"all": "all", "partial": "as far as annotated", "none": "-"}


def training(measured: Measured, facts: dict[str, Facts]) -> Rows:
    """A line a corpus and way it is used, in the order of the recipes."""
    rows = []
    for name, recipe in measured.recipes.items():
        for corpus in recipe.data.corpora:
            known = facts_of(facts, name_of(corpus.path))
            used = _used(corpus)
            links = "yes" if corpus.links else "-"
            how = (MARKS[corpus.marks], links, corpus.policy if corpus.marks != "none" else "-", used)
            rows.append((name, known.title, known.kind, *how, known.licence, known.non_commercial))
    heads = (
        "recipe",
        "corpus",
        "what it is",
        "marks",
        "links",
        "policy",
        "used",
        "licence",
        "non-commercial",
    )
    return Rows("Training data", heads, tuple(rows), left=len(heads))


def _used(corpus: Corpus) -> str:
    parts = [f"documents of {corpus.half} position" if corpus.half else ""]
    parts.append(f"without the first {corpus.skip:,} of them" if corpus.skip else "")
    parts.append(f"{corpus.documents:,} documents" if corpus.documents else "")
    parts.append(f"genres {', '.join(corpus.genres)}" if corpus.genres else "")
    parts.append(f"mentions of kind {', '.join(corpus.kinds)}" if corpus.kinds else "")
    parts.append(f"windows with {corpus.min_links} links or more" if corpus.min_links else "")
    parts.append(f"at most {corpus.limit:,} windows" if corpus.limit else "")
    parts.append(f"{corpus.repeat} times" if corpus.repeat > 1 else "")
    return "; ".join(filter(None, parts)) or "all of it"


def sources(measured: Measured, facts: dict[str, Facts]) -> Rows:
    """Where each corpus of the card was published."""
    trained = [name_of(corpus.path) for recipe in measured.recipes.values() for corpus in recipe.data.corpora]
    names = dict.fromkeys([*trained, *(run.corpus for run in RUNS)])
    rows = [(known.title, known.source) for known in (facts_of(facts, name) for name in names)]
    return Rows("Sources", ("corpus", "published by"), tuple(rows), left=2)


def development(measured: Measured, facts: dict[str, Facts]) -> Rows:
    """A line a set: what of it is measured, how much that is, and what the recipes did with it."""
    rows = []
    for name in dict.fromkeys(run.corpus for run in RUNS):
        run = next(run for run in RUNS if run.corpus == name)
        outcome = measured.bundled.runs[name, DEFAULT_POLICY]
        rule = f"documents of {outcome.half} position"
        if run.documents:
            rule = f"the first {outcome.documents:,} documents of {outcome.half} position"
        uses = "; ".join(_uses(measured.recipes, name, facts)) or "not trained on"
        counts = (f"{outcome.documents:,}", f"{outcome.mentions:,}")
        known = facts_of(facts, name)
        rows.append((known.title, known.kind, rule, uses, known.licence, *counts))
    heads = ("set", "what it is", "measured", "the rest of it", "licence", "documents", "mentions")
    return Rows("Development sets", heads, tuple(rows), left=5)


def _uses(recipes: Mapping[str, Recipe], name: str, facts: dict[str, Facts]) -> Iterator[str]:
    """What the recipes did with a set's texts, each thing once."""
    found: dict[str, None] = {}
    for file, recipe in recipes.items():
        for corpus in recipe.data.corpora:
            used = name_of(corpus.path)
            if name in (used, facts_of(facts, used).shares_texts):
                position = f"those of {corpus.half} position" if corpus.half else "all positions"
                position += f" but the first {corpus.skip:,}" if corpus.skip else ""
                found[f"{file} trained on {position}"] = None
    yield from found


def seen(measured: Measured, name: str, facts: dict[str, Facts]) -> list[str]:
    """The recipes that may have trained on the very documents that are measured."""
    most = max((run.documents or math.inf for run in RUNS if run.corpus == name), default=math.inf)
    return [
        file
        for file, recipe in measured.recipes.items()
        if any(
            name in (name_of(corpus.path), facts_of(facts, name_of(corpus.path)).shares_texts)
            and (not corpus.half or (corpus.half == HALF and corpus.skip < most))
            for corpus in recipe.data.corpora
        )
    ]
