"""What goes wrong: mentions by class on the development sets, and examples from our own texts alone.

Knows error classes and the samples; never quotes another corpus, whose sentences are not ours to show.
"""

from __future__ import annotations

from collections.abc import Iterator

from card.facts import Facts, facts_of
from card.measured import Measured
from onegen_el.evaluation.outcome import Example, MentionClass, Outcome, Side
from onegen_el.evaluation.tables import Rows, escaped
from onegen_el.grammar import DEFAULT_POLICY

EACH = 3  # examples of a class


def classes(measured: Measured, facts: dict[str, Facts]) -> Rows:
    """A line a class, a column a development set under the default policy: how many mentions."""
    outcomes = [
        (facts_of(facts, corpus).title, outcome)
        for (corpus, policy), outcome in measured.bundled.runs.items()
        if policy == DEFAULT_POLICY
    ]
    counts = [{kind.name: kind.count for kind in outcome.classes} for _, outcome in outcomes]
    names = dict.fromkeys(kind.name for _, outcome in outcomes for kind in outcome.classes)
    meanings = {kind.name: kind.meaning for _, outcome in outcomes for kind in outcome.classes}
    rows = [(name, meanings[name], *(f"{count.get(name, 0):,}" for count in counts)) for name in names]
    heads = ("class", "what it is", *(title for title, _ in outcomes))
    return Rows("Mentions by class", heads, tuple(rows), left=2)


def examples(measured: Measured) -> str:
    """The first examples of each class of errors in our own texts, as a list in Markdown."""
    parts = []
    for name, found in _by_class(measured.samples.outcomes).items():
        lines = [_line(corpus, example) for corpus, _, example in found[:EACH]]
        total = sum({corpus: kind.count for corpus, kind, _ in found}.values())
        parts.append(f"**{name}** ({total:,} in our own texts)\n\n" + "\n".join(lines))
    return "\n\n".join(parts) or "There were none."


def _by_class(outcomes: tuple[Outcome, ...]) -> dict[str, list[tuple[str, MentionClass, Example]]]:
    """Examples of what went wrong by class, those of the corpora in turn, so that no style is left out."""
    found: dict[str, list[tuple[int, str, MentionClass, Example]]] = {}
    for outcome in outcomes:
        for kind in outcome.classes:
            if kind.kind == "wrong":
                for number, example in enumerate(kind.examples):
                    found.setdefault(kind.name, []).append((number, outcome.name, kind, example))
    return {
        name: [(corpus, kind, example) for _, corpus, kind, example in sorted(rows, key=lambda row: row[0])]
        for name, rows in found.items()
    }


def _line(corpus: str, example: Example) -> str:
    before, after = example.before, example.after
    gaps = " " if before[-1:].isspace() else "", " " if after[:1].isspace() else ""
    text = f"{escaped(before)}{gaps[0]}<b>{escaped(example.surface)}</b>{gaps[1]}{escaped(after)}"
    return f"* {text}<br>{'; '.join(_sides(example))} ({corpus})"


def _sides(example: Example) -> Iterator[str]:
    yield f"gold: {_side(example.gold)}" if example.gold else "gold: no mention"
    yield f"found: {_side(example.found)}" if example.found else "found: nothing"


def _side(side: Side) -> str:
    name = escaped(side.title or side.entity or "") if side.entity else "NIL"
    shown = f"[{name}]({side.url})" if side.entity and side.url else name
    return f"“{escaped(side.surface)}” → {shown}"
