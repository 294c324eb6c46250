"""What the model was meant to reach, and whether it did.

Knows the aims and which figure speaks to each; a figure that is not there is said to be missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from card.measured import Figures, Measured
from onegen_el.evaluation.outcome import LINKS, MARKS, Outcome
from onegen_el.evaluation.tables import Rows
from onegen_el.grammar import DEFAULT_POLICY

FULL_COMMAND = "make eval-dev KB=full"
BEFORE_COMMAND = "onegen-el bench --model EARLIER --kb ITS-KB --json runs/bench-before.json"


def links_f1(outcome: Outcome) -> float | None:
    return outcome.links.f1


def marks_f1(outcome: Outcome) -> float | None:
    return outcome.marks.f1


def accuracy_given(outcome: Outcome) -> float | None:
    return outcome.accuracy_given


# The tally whose interval belongs to a figure.
TALLIES = {links_f1: LINKS, marks_f1: MARKS}


@dataclass(frozen=True, slots=True)
class Target:
    """An aim: `figure` of a corpus under a policy, with the bundled or the full knowledge base."""

    aim: str
    least: float
    corpus: str
    figure: Callable[[Outcome], float | None]
    policy: str = DEFAULT_POLICY
    full: bool = False


TARGETS = (
    Target("AIDA dev, links F1", 0.74, "aida-conll-dev", links_f1),
    Target("AIDA dev, links F1, full knowledge base", 0.80, "aida-conll-dev", links_f1, full=True),
    Target("AIDA dev, marks F1", 0.93, "aida-conll-dev", marks_f1),
    Target("AIDA dev, accuracy on gold spans whose entity is there", 0.88, "aida-conll-dev", accuracy_given),
    Target(
        "OKE-2015 train, set aside, links F1, marked as OKE marks", 0.58, "oke-2015-train", links_f1, "roles"
    ),
    Target(
        "Wikipedia pages, set aside, links F1, marked as Wikipedia links",
        0.65,
        "wikipedia-pages-2014",
        links_f1,
        "wikipedia",
    ),
)
LEAST_ENTITIES = 150_000
HEADS = ("aim", "at least", "measured", "coverage", "")


def targets(measured: Measured) -> Rows:
    """A line an aim: what was wanted, what was measured, and whether it is met."""
    rows = [_row(measured, target) for target in TARGETS]
    rows.append(_judged("entities in the bundled knowledge base", LEAST_ENTITIES, measured.kb.count, ",d"))
    rows.append(_throughput(measured))
    return Rows("Targets", HEADS, tuple(rows), left=1)


def _row(measured: Measured, target: Target) -> tuple[str, ...]:
    figures: Figures | None = measured.full if target.full else measured.bundled
    known = target.policy in (DEFAULT_POLICY, *measured.model.grammar.policies)
    # A model without the policy is held to the aim as it marks.
    asked = target.corpus, target.policy if known else DEFAULT_POLICY
    outcome = figures.runs.get(asked) if figures else None
    if outcome is None:
        return target.aim, f"{target.least:.2f}", "-", "-", f"not measured ({FULL_COMMAND})"
    value = target.figure(outcome)
    if value is None:
        return target.aim, f"{target.least:.2f}", "-", "-", "not measured"
    tally = outcome.tally(TALLIES[target.figure]) if target.figure in TALLIES else None
    spread = f" ({tally.interval[0]:.3f}-{tally.interval[1]:.3f})" if tally else ""
    verdict = _verdict(value, target.least)
    return target.aim, f"{target.least:.2f}", f"{value:.3f}{spread}", f"{outcome.coverage:.3f}", verdict


def _judged(aim: str, least: float, value: float, form: str) -> tuple[str, ...]:
    return aim, format(least, form), format(value, form), "-", "met" if value >= least else "missed"


def _verdict(value: float, least: float) -> str:
    return "met" if value >= least else f"missed by {least - value:.3f}"


def _throughput(measured: Measured) -> tuple[str, ...]:
    aim = "source tokens/s, those of the earlier model on the same machine"
    now = fastest(measured.bench)
    if measured.before is None:
        return aim, "-", f"{now:,.0f}", "-", f"not measured ({BEFORE_COMMAND})"
    before = fastest(measured.before)
    verdict = "met" if now >= before else f"missed: {now / before:.2f} x"
    return aim, f"{before:,.0f}", f"{now:,.0f}", "-", verdict


def fastest(bench: Mapping[str, Any]) -> float:
    """Source tokens a second of the fastest way to decode."""
    return max(float(rate["tokens"]) for rate in bench["decoding"])
