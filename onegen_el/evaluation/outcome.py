"""What came out of an evaluation, as values that survive JSON: a corpus's `Outcome`, a run's `Evaluation`.

Knows figures and the layout of the figures file; neither measures (`measuring`) nor shows (`tables`, `page`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from onegen_el.errors import InputError
from onegen_el.evaluation.answers import Seconds
from onegen_el.evaluation.matching import Counts
from onegen_el.evaluation.measures import Measures

FORMAT = 1
# Names of tallies, and of runs in GERBIL's table beside the one that was asked for.
LINKS, MARKS = "links", "marks"
GIVEN = "D2KB, given spans"
SEARCHED = "{}, searched"
# Inside JSON strings line feeds are escaped, so nothing but a list can match.
NUMBERS = re.compile(r"\[\n[-+.0-9eE,\s]+\]")


@dataclass(frozen=True, slots=True)
class Block:
    """A line of GERBIL's table: experiment `run`, its (sub-)experiment `part`, and which `items` of it.

    `items` are "all" or a class (InKB, EE, GSInKB); `counts` are summed over the documents; answers with a
    confidence above `threshold` count.
    """

    run: str
    part: str
    items: str
    micro: Measures
    macro: Measures
    counts: Counts
    threshold: float

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Block:
        return cls(
            **{
                **row,
                "micro": Measures(**row["micro"]),
                "macro": Measures(**row["macro"]),
                "counts": Counts(**row["counts"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of each document behind a micro F1, for its 95 % interval and for comparisons."""

    name: str
    counts: tuple[Counts, ...]
    interval: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        rows = [[one.tp, one.fp, one.fn] for one in self.counts]
        return {"name": self.name, "interval": list(self.interval), "counts": rows}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Tally:
        low, high = row["interval"]
        return cls(row["name"], tuple(Counts(*counts) for counts in row["counts"]), (low, high))


@dataclass(frozen=True, slots=True)
class Scoring:
    """Micro precision, recall and F1 by the rules of somebody else than GERBIL."""

    name: str
    micro: Measures

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Scoring:
        return cls(row["name"], Measures(**row["micro"]))


@dataclass(frozen=True, slots=True)
class Point:
    """Links with a score of at least `threshold`; `nil_rate` of the system's mentions have none then."""

    threshold: float
    precision: float
    recall: float
    f1: float
    nil_rate: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Links as the score threshold moves, ascending; `own` is the threshold that was in force, if known.

    `area` is that under precision over recall, `best` the point of the best F1.
    """

    points: tuple[Point, ...]
    best: Point
    area: float
    own: float | None

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Curve:
        points = tuple(Point(*values) for values in row["points"])
        return cls(points, Point(*row["best"]), row["area"], row["own"])

    def to_dict(self) -> dict[str, Any]:
        return {
            "points": [_values(point) for point in self.points],
            "best": _values(self.best),
            "area": self.area,
            "own": self.own,
        }


@dataclass(frozen=True, slots=True)
class Side:
    """What gold or the system says of a mention; `entity` None is NIL, `url` None a page nobody knows."""

    surface: str
    entity: str | None
    title: str
    url: str | None


@dataclass(frozen=True, slots=True)
class Example:
    """A mention of an error class with the text around it; `gold` or `found` None: there is none."""

    document: str
    before: str
    surface: str
    after: str
    gold: Side | None
    found: Side | None

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Example:
        sides = {name: Side(**row[name]) if row[name] else None for name in ("gold", "found")}
        return cls(**{**row, **sides})


@dataclass(frozen=True, slots=True)
class MentionClass:
    """What became of mentions, how many of them, and some of them.

    `kind` is "right", "wrong", or "across" for one whose mentions are of other classes too.
    """

    name: str
    meaning: str
    kind: str
    count: int
    examples: tuple[Example, ...]

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> MentionClass:
        return cls(**{**row, "examples": tuple(map(Example.from_dict, row["examples"]))})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one system got on one corpus.

    `marks`, `links`, `coverage` and `accuracy` are those of `scores.score`: strong matches, spans alone and
    linked; accuracy is None where no right span was asked. `accuracy_given` is the same over all gold spans,
    given to the linker; None where they were not. `unanswered` documents had no answer, `left_out` answers
    lay where gold was not annotated, `unasked` gold spans could not be put to the linker.
    """

    name: str
    half: str
    experiment: str
    match: str
    oddities: bool
    ids: tuple[str, ...]
    mentions: int
    unanswered: int
    left_out: int
    unasked: int
    marks: Measures
    links: Measures
    coverage: float
    accuracy: float | None
    blocks: tuple[Block, ...]
    tallies: tuple[Tally, ...]
    scorings: tuple[Scoring, ...]
    classes: tuple[MentionClass, ...]
    curve: Curve | None
    seconds: Seconds | None
    accuracy_given: float | None = None

    @property
    def documents(self) -> int:
        return len(self.ids)

    def block(self, run: str, part: str, items: str) -> Block | None:
        """The line of GERBIL's table, None if it has none."""
        return next((b for b in self.blocks if (b.run, b.part, b.items) == (run, part, items)), None)

    def tally(self, name: str) -> Tally | None:
        """The counts of that name, None if there are none."""
        return next((tally for tally in self.tallies if tally.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        row = asdict(self)
        row["documents"] = self.documents
        row["ids"] = list(self.ids)
        row["tallies"] = [tally.to_dict() for tally in self.tallies]
        row["curve"] = self.curve.to_dict() if self.curve else None
        return row

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Outcome:
        """Inverse of `to_dict`; raises KeyError, TypeError or ValueError for anything else."""
        known = _known(cls, row) | {
            "ids": tuple(row["ids"]),
            "marks": Measures(**row["marks"]),
            "links": Measures(**row["links"]),
            "blocks": tuple(map(Block.from_dict, row["blocks"])),
            "tallies": tuple(map(Tally.from_dict, row["tallies"])),
            "scorings": tuple(map(Scoring.from_dict, row["scorings"])),
            "classes": tuple(map(MentionClass.from_dict, row["classes"])),
            "curve": Curve.from_dict(row["curve"]) if row["curve"] else None,
            "seconds": Seconds(**row["seconds"]) if row["seconds"] else None,
        }
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Missing:
    """A corpus that was asked for and is not on this machine, and how to get it."""

    name: str
    title: str
    how: str


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what the figures came about.

    `model` is its name, or that of the file of predictions; `entities` those of the knowledge base;
    `fingerprint` and `threshold` are the model's, `load_seconds` until it could link; `date` is ISO 8601.
    `policy` is what the model was told to mark and `calibration` its numbers for that, "" and None where no
    model ran; `kb_checksum` is that of the knowledge base's files, "" in figures of before it was noted.
    """

    model: str
    kb: str
    entities: int
    fingerprint: str
    threshold: float | None
    version: str
    date: str
    machine: str
    device: str
    load_seconds: float | None
    policy: str = ""
    calibration: Mapping[str, float] | None = None
    kb_checksum: str = ""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A run over several corpora; what `--json` writes and `eval compare` reads."""

    conditions: Conditions
    outcomes: tuple[Outcome, ...]
    missing: tuple[Missing, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The figures file: conditions, `corpora` by name, `missing`."""
        return {
            "format": FORMAT,
            **asdict(self.conditions),
            "corpora": {outcome.name: outcome.to_dict() for outcome in self.outcomes},
            "missing": [asdict(missing) for missing in self.missing],
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Evaluation:
        """Inverse of `to_dict`; raises KeyError, TypeError or ValueError for anything else."""
        if row["format"] != FORMAT:
            raise ValueError(f"format {row['format']!r} is not {FORMAT}")
        return cls(
            Conditions(**_known(Conditions, row)),
            tuple(map(Outcome.from_dict, row["corpora"].values())),
            tuple(Missing(**missing) for missing in row["missing"]),
        )

    def to_json(self) -> str:
        """The figures file: a field a line, a list of numbers a line."""
        text = json.dumps(self.to_dict(), indent=1)
        return NUMBERS.sub(lambda found: json.dumps(json.loads(found[0])), text) + "\n"


def read_figures(path: Path) -> Evaluation:
    """The figures file that `eval --json` wrote; raises InputError where it is none."""
    try:
        return Evaluation.from_dict(json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}: not figures of this onegen-el ({error!r}); write them with `onegen-el eval --json FILE`"
        ) from error


def _known(cls: type[Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass that are in the row; raises KeyError where one without a default is not."""
    return {
        field.name: row[field.name] for field in fields(cls) if field.name in row or field.default is MISSING
    }


def _values(point: Point) -> list[float]:
    return [point.threshold, point.precision, point.recall, point.f1, point.nil_rate]


def common(first: Evaluation, second: Evaluation) -> Sequence[tuple[Outcome, Outcome]]:
    """Corpora of both evaluations; raises InputError where they cannot be compared document by document."""
    other = {outcome.name: outcome for outcome in second.outcomes}
    pairs = [(outcome, other[outcome.name]) for outcome in first.outcomes if outcome.name in other]
    if not pairs:
        raise InputError("the two files have no corpus in common; compare runs on the same corpora")
    for one, two in pairs:
        for what in ("experiment", "match", "oddities", "ids"):
            if getattr(one, what) != getattr(two, what):
                raise InputError(
                    f"{one.name}: the two runs differ in {'documents' if what == 'ids' else what}; "
                    "compare runs with the same options on the same documents"
                )
        for tally in one.tallies:
            theirs = two.tally(tally.name)
            if theirs and [c.tp + c.fn for c in tally.counts] != [c.tp + c.fn for c in theirs.counts]:
                raise InputError(f"{one.name}: gold was changed between the two runs; measure both again")
    return pairs
