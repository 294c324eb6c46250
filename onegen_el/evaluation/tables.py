"""The figures of an evaluation as tables: rows once, shown on a terminal or as Markdown.

Knows which figures stand in which column, and `rich`; knows neither how they came about nor HTML.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from onegen_el.evaluation.measures import Measures
from onegen_el.evaluation.outcome import GIVEN, LINKS, SEARCHED, Block, Conditions, Evaluation, Outcome
from onegen_el.evaluation.significance import Comparison
from onegen_el.unicode import visible

NONE = "-"
WIDTH = 10_000  # rows are never folded: they are for reading and for grep


@dataclass(frozen=True, slots=True)
class Rows:
    """A table: the heads of its columns and the cells below; the first `left` columns are text."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1


def summary(outcomes: Sequence[Outcome]) -> Rows:
    """A line a corpus: strong micro scores of spans and of links (InKB), coverage, accuracy, speed."""
    heads = ("marks P", "R", "F1", "links P", "R", "F1", "coverage", "accuracy", "documents/s")
    return Rows(
        "Corpora",
        ("corpus", "documents", *heads),
        tuple(
            (
                outcome.name,
                f"{outcome.documents:,}",
                *_three(outcome.marks),
                *_three(outcome.links),
                _number(outcome.coverage),
                _number(outcome.accuracy),
                f"{outcome.seconds.rate:.1f}" if outcome.seconds else NONE,
            )
            for outcome in outcomes
        ),
    )


def scorings(outcomes: Sequence[Outcome]) -> Rows:
    """A line a corpus: F1 of the links by all the rules that people publish figures by, side by side."""
    if not outcomes:
        return Rows("F1 by scoring", ("corpus",), ())
    main = outcomes[0].experiment.upper()
    others = list(dict.fromkeys(scoring.name for outcome in outcomes for scoring in outcome.scorings))
    rows = []
    for outcome in outcomes:
        tally = outcome.tally(LINKS)
        named = {scoring.name: scoring.micro.f1 for scoring in outcome.scorings}
        inside = outcome.block(main, main, "InKB")
        every = outcome.block(main, _part(main), "all")
        searched = outcome.block(SEARCHED.format(main), main, "InKB")
        given = outcome.block(GIVEN, "D2KB", "InKB")
        rows.append(
            (
                outcome.name,
                _f1(inside, "micro"),
                f"{tally.interval[0]:.3f} to {tally.interval[1]:.3f}" if tally else NONE,
                _f1(inside, "macro"),
                _f1(every, "micro"),
                _f1(every, "macro"),
                _f1(searched, "micro"),
                _f1(given, "micro"),
                *(_number(named.get(name)) for name in others),
            )
        )
    heads = ("InKB micro", "95 %", "InKB macro", "all micro", "all macro", "searched", "given spans")
    return Rows("F1 by scoring", ("corpus", *heads, *others), tuple(rows))


def gerbil(outcome: Outcome, run: str | None = None) -> Rows:
    """GERBIL's table of a corpus: a line a class of items of each (sub-)experiment, micro and macro.

    Only that of a `run` if one is given, and then without a column for it.
    """
    rows = tuple(
        (
            *((block.run,) if run is None else ()),
            block.part,
            block.items,
            *_three(block.micro),
            *_three(block.macro),
            *(f"{count:,}" for count in (block.counts.tp, block.counts.fp, block.counts.fn)),
            f"{block.threshold:.3f}" if block.threshold else NONE,
        )
        for block in outcome.blocks
        if run in (None, block.run)
    )
    names = ("experiment", "items") if run else ("run", "experiment", "items")
    heads = ("micro P", "R", "F1", "macro P", "R", "F1", "tp", "fp", "fn", "threshold")
    return Rows(f"{outcome.name}: GERBIL, {rules(outcome)}", (*names, *heads), rows, left=len(names))


def rules(outcome: Outcome) -> str:
    """Which rules of matching GERBIL's table follows."""
    return f"{outcome.match} match" + ("" if outcome.oddities else ", without its oddities")


def classes(outcomes: Sequence[Outcome]) -> Rows:
    """A line a corpus: how many mentions are of each class."""
    names = list(dict.fromkeys(kind.name for outcome in outcomes for kind in outcome.classes))
    rows = []
    for outcome in outcomes:
        counts = {kind.name: kind.count for kind in outcome.classes}
        rows.append((outcome.name, *(f"{counts.get(name, 0):,}" for name in names)))
    return Rows("Mentions by class", ("corpus", *names), tuple(rows))


def comparisons(results: Sequence[tuple[str, str, Comparison]]) -> Rows:
    """A line a corpus and figure: micro F1 of A and of B, what B gains, with its interval and p.

    The comparisons are those of B with A, in this order.
    """
    rows = tuple(
        (
            name,
            what,
            f"{found.documents:,}",
            f"{found.b:.3f}",
            f"{found.a:.3f}",
            f"{found.difference:+.3f}",
            f"{found.low:+.3f} to {found.high:+.3f}",
            f"{found.p:.4f}",
        )
        for name, what, found in results
    )
    return Rows("F1", ("corpus", "figure", "documents", "A", "B", "B - A", "95 %", "p"), rows, left=2)


def missing(evaluation: Evaluation) -> Rows:
    """Corpora that were asked for and are not on the machine."""
    rows = tuple((one.name, one.title, one.how) for one in evaluation.missing)
    return Rows("Not here", ("corpus", "what it is", "how to get it"), rows, left=3)


def conditions(evaluation: Evaluation) -> Rows:
    """Under what the figures came about."""
    return Rows("Conditions", ("what", "value"), tuple(_conditions(evaluation.conditions)), left=2)


def notes(outcome: Outcome) -> list[str]:
    """What was lost on the way, in sentences; nothing is left out silently."""
    told = [
        (outcome.unanswered, "without an answer: they count as answered with nothing", "document"),
        (outcome.left_out, "outside of what gold annotated, or on optional gold: not counted", "answer"),
        (outcome.unasked, "too long for the model, or without a token: not linked", "gold span"),
    ]
    return [f"{outcome.name}: {_count(number, noun)} {what}" for number, what, noun in told if number]


def detailed(evaluation: Evaluation) -> Iterator[Rows]:
    """All tables but the summary and what is missing."""
    yield scorings(evaluation.outcomes)
    yield classes(evaluation.outcomes)
    yield from map(gerbil, evaluation.outcomes)


def terminal(table: Rows, *, color: bool = False, title: bool = True) -> str:
    """The table with columns two spaces apart, in bold and dim with `color`; cells hold no escapes."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    page = io.StringIO()
    console = Console(
        file=page,
        width=WIDTH,
        force_terminal=color,
        no_color=not color,
        highlight=False,
        markup=False,
        emoji=False,
    )
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold" if color else "")
    for index, head in enumerate(table.heads):
        shown.add_column(Text(head), justify="left" if index < table.left else "right", no_wrap=True)
    for row in table.rows:
        shown.add_row(*(Text(_cell(cell)) for cell in row))
    if title:
        console.print(Text(_cell(table.title), style="bold" if color else ""))
    console.print(shown)
    return "".join(line.rstrip() + "\n" for line in page.getvalue().splitlines())


def markdown(evaluation: Evaluation) -> str:
    """A page of Markdown with all tables."""
    parts = ["# Entity linking, measured", markdown_table(summary(evaluation.outcomes))]
    if evaluation.missing:
        parts += ["## Not here", markdown_table(missing(evaluation))]
    for table in detailed(evaluation):
        parts += [f"## {escaped(table.title)}", markdown_table(table)]
    lost = [f"* {escaped(note)}" for outcome in evaluation.outcomes for note in notes(outcome)]
    if lost:
        parts += ["## Not counted", "\n".join(lost)]
    parts += ["## Conditions", markdown_table(conditions(evaluation))]
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Rows) -> str:
    """The table in Markdown, without its title and a final line feed."""
    rule = ["---" if index < table.left else "--:" for index in range(len(table.heads))]
    rows = [[escaped(cell) for cell in row] for row in (table.heads, *table.rows)]
    lines = [rows[0], rule, *rows[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escaped(text: str) -> str:
    """A text on one line of Markdown, in which it means nothing but itself."""
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return _cell(text)


def _conditions(what: Conditions) -> Iterator[tuple[str, str]]:
    yield "system", what.model
    yield "knowledge base", f"{what.kb}, {what.entities:,} entities"
    if what.fingerprint:
        yield "fingerprint", what.fingerprint
    if what.policy:
        yield "marking policy", what.policy
    if what.threshold is not None:
        yield "threshold of scores", f"{what.threshold:.3f}"
    yield "onegen-el", what.version
    yield "date", what.date
    yield "machine", what.machine
    yield "device", what.device
    if what.load_seconds is not None:
        yield "loading", f"{what.load_seconds:.1f} s"


def _three(of: Measures) -> tuple[str, str, str]:
    return f"{of.precision:.3f}", f"{of.recall:.3f}", f"{of.f1:.3f}"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def _f1(block: Block | None, kind: Literal["micro", "macro"]) -> str:
    return NONE if block is None else f"{(block.micro if kind == 'micro' else block.macro).f1:.3f}"


def _part(experiment: str) -> str:
    return "ERec" if experiment == "EREC" else experiment


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _cell(text: str) -> str:
    return " ".join(visible(text).split())
