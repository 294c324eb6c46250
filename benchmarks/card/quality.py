"""How well the model does: scores by corpus and policy, NIL, and the curve of the threshold, as tables.

Knows outcomes; knows neither targets nor what went wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

from card.facts import Facts, facts_of
from card.measured import Figures, Measured
from onegen_el.evaluation.measures import Measures
from onegen_el.evaluation.outcome import GIVEN, LINKS, MARKS, Curve, Outcome, Point
from onegen_el.evaluation.tables import Rows
from onegen_el.grammar import DEFAULT_POLICY
from onegen_el.manifest import Calibration

NONE = "-"
CURVE_CORPUS = "aida-conll-dev"
STEPS = 8  # lines of the table of thresholds, beside those in force and best


def scores(figures: Figures, facts: dict[str, Facts]) -> Rows:
    """A line a corpus and policy: marks, links (InKB, strong, micro) with 95 % intervals, coverage."""
    rows = []
    for (corpus, policy), outcome in figures.runs.items():
        rows.append(
            (
                facts_of(facts, corpus).title,
                policy,
                *_measures(outcome.marks, outcome, MARKS),
                *_measures(outcome.links, outcome, LINKS),
                f"{outcome.coverage:.3f}",
            )
        )
    heads = ("marks P", "R", "F1 (95 %)", "links P", "R", "F1 (95 %)", "coverage")
    return Rows("Quality", ("corpus (odd half)", "policy", *heads), tuple(rows), left=2)


def entities(figures: Figures, facts: dict[str, Facts]) -> Rows:
    """A line a corpus and policy: how often the right entity is chosen, whoever marks."""
    rows = []
    for (corpus, policy), outcome in figures.runs.items():
        given = outcome.block(GIVEN, "D2KB", "InKB")
        rows.append(
            (
                facts_of(facts, corpus).title,
                policy,
                _number(outcome.accuracy),
                _number(outcome.accuracy_given),
                _number(given.micro.f1 if given else None) + _spread(outcome, GIVEN),
            )
        )
    heads = ("accuracy", "accuracy, given spans", "links F1 (95 %), given spans")
    return Rows("Entities", ("corpus (odd half)", "policy", *heads), tuple(rows), left=2)


def nil(figures: Figures, facts: dict[str, Facts]) -> Rows:
    """A line a corpus of the default policy: mentions without an entity, found and not."""
    rows = []
    for (corpus, policy), outcome in figures.runs.items():
        block = outcome.block("A2KB", "A2KB", "EE")
        if policy != DEFAULT_POLICY or outcome.curve is None or outcome.curve.own is None or block is None:
            continue
        own = at(outcome.curve, outcome.curve.own)
        counts = block.counts
        gold = f"{counts.tp + counts.fn:,}"
        numbers = (f"{block.micro.precision:.3f}", f"{block.micro.recall:.3f}", f"{block.micro.f1:.3f}")
        rows.append((facts_of(facts, corpus).title, gold, *numbers, f"{own.nil_rate:.3f}"))
    heads = ("NIL in gold", "NIL P", "R", "F1", "part of the answers that are NIL")
    return Rows("NIL", ("corpus (odd half)", *heads), tuple(rows))


def thresholds(figures: Figures) -> Rows:
    """Links of one corpus at some thresholds, the one in force and the best among them."""
    curve = figures.runs[CURVE_CORPUS, DEFAULT_POLICY].curve
    points = [] if curve is None else _some(curve)
    rows = [
        (
            f"{point.threshold:.3f}",
            f"{point.precision:.3f}",
            f"{point.recall:.3f}",
            f"{point.f1:.3f}",
            f"{point.nil_rate:.3f}",
            told,
        )
        for point, told in points
    ]
    return Rows("Thresholds", ("threshold", "links P", "R", "F1", "NIL", ""), tuple(rows), left=0)


def at(curve: Curve, threshold: float) -> Point:
    """The point of the curve that a threshold gives: the first not below it, else the last."""
    return next((point for point in curve.points if point.threshold >= threshold), curve.points[-1])


def _some(curve: Curve) -> list[tuple[Point, str]]:
    """Some points of the curve by threshold, at most one that is told of as in force and as best."""
    last = len(curve.points) - 1
    chosen = {id(curve.points[last * step // STEPS]): "" for step in range(STEPS + 1)}
    if curve.own is not None:
        chosen[id(at(curve, curve.own))] = "in force"
    best = at(curve, curve.best.threshold)
    chosen[id(best)] = ", ".join(filter(None, (chosen.get(id(best)), "best on these documents")))
    return [(point, chosen[id(point)]) for point in curve.points if id(point) in chosen]


def policies(measured: Measured) -> Rows:
    """A line a policy: the numbers with which it is used."""
    model = measured.model
    own: Sequence[tuple[str, Calibration]] = [
        (policy, model.calibration_of(policy)) for policy in (DEFAULT_POLICY, *model.grammar.policies)
    ]
    rows = [
        (policy, f"{c.mark_bias:g}", f"{c.min_score:g}", f"{c.prior_weight:g}", f"{c.coherence:g}")
        for policy, c in own
    ]
    return Rows(
        "Policies", ("policy", "mark bias", "threshold", "prior weight", "coherence"), tuple(rows), left=1
    )


def _measures(of: Measures, outcome: Outcome, tally: str) -> tuple[str, str, str]:
    return f"{of.precision:.3f}", f"{of.recall:.3f}", f"{of.f1:.3f}" + _spread(outcome, tally)


def _spread(outcome: Outcome, name: str) -> str:
    tally = outcome.tally(name)
    return f" ({tally.interval[0]:.3f}-{tally.interval[1]:.3f})" if tally else ""


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"
