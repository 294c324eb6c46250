"""GERBIL's experiments A2KB, D2KB, C2KB and ERec on documents in memory, with the figures GERBIL reports.

Knows which annotations an experiment sees, how they are matched, its classes and its sub-experiments; reads
no files, runs no model. The reference is GERBIL 1.2.9 (EvaluatorFactory and what it wires).

The one switch is `oddities`. With it, the default, figures are GERBIL's. Without it five things are mended:
class blocks are read at the chosen threshold instead of the next higher one that the class has; confidences
of 0 or less count; empty gold is not won by dropping every answer; weak matching of empty spans is symmetric;
bare spans keep their confidence in ERec.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from onegen_el.errors import InputError
from onegen_el.evaluation.annotations import AnnotatedDocument, Annotation
from onegen_el.evaluation.matching import Item, SpanMatch, assign, find_pairs, on_gold_spans
from onegen_el.evaluation.measures import Curve, Scores, document_records
from onegen_el.evaluation.pairing import paired
from onegen_el.evaluation.uris import KB_PREFIXES, Links, SameAs, in_kb

IN_KB, EE, GS_IN_KB = "InKB", "EE", "GSInKB"
RECOGNITION = "Entity Recognition"
# More failed documents than this part of them, rounded up, abort an experiment.
FAILURES = 0.25

Items = Sequence[Sequence[Item]]


class Experiment(StrEnum):
    """What a system is asked: find and link, link given spans, name the entities of the text, find."""

    A2KB = "a2kb"
    D2KB = "d2kb"
    C2KB = "c2kb"
    EREC = "erec"


@dataclass(frozen=True, slots=True)
class Part:
    """An experiment or sub-experiment: all its items, and those of each class that occurs at all.

    `threshold` is the confidence above which answers count, 0 for all of them; it gives the best micro F1 of
    `curve`, which has the counts at every other one.
    """

    name: str
    overall: Scores
    classes: Mapping[str, Scores]
    threshold: float
    curve: Curve = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            **self.overall.to_dict(),
            "confidence_threshold": self.threshold,
            "classes": {label: scores.to_dict() for label, scores in self.classes.items()},
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What GERBIL reports for one system on one data set.

    `errors` counts documents without an answer; `left_out` the answers that lay outside of what gold
    annotated or on its optional spans, which no experiment saw.
    """

    experiment: Experiment
    match: SpanMatch
    oddities: bool
    documents: int
    errors: int
    left_out: int
    main: Part
    parts: tuple[Part, ...] = ()

    def part(self, name: str) -> Part:
        """A sub-experiment by its name; raises KeyError if the experiment has none of it."""
        try:
            return next(part for part in self.parts if part.name == name)
        except StopIteration:
            raise KeyError(name) from None

    def to_dict(self) -> dict[str, Any]:
        return {
            "experiment": self.experiment.value,
            "match": self.match.value,
            "oddities": self.oddities,
            "documents": self.documents,
            "errors": self.errors,
            "left_out": self.left_out,
            **self.main.to_dict(),
            "parts": [part.to_dict() for part in self.parts],
        }


def evaluate(
    gold: Sequence[AnnotatedDocument],
    system: Sequence[AnnotatedDocument | None],
    experiment: Experiment | str = Experiment.A2KB,
    match: SpanMatch | str = SpanMatch.STRONG,
    oddities: bool = True,
    *,
    links: Links | None = None,
    gold_pairs: Iterable[tuple[str, str]] = (),
    kb_prefixes: tuple[str, ...] = KB_PREFIXES,
) -> Report:
    """GERBIL's figures for answers to gold documents, which are paired by position.

    None among the answers is a failed request: no annotations, and counted. `links` are an index's other
    names of a URI (`uris.kb_links`), `gold_pairs` the sameAs statements of the data set's own file. Raises
    InputError for an unknown option, no documents, documents that do not belong together, or too many
    failures.
    """
    try:
        experiment, spans = Experiment(experiment), SpanMatch(match)
        if spans is SpanMatch.ANY:
            raise ValueError(f"{match!r} is no match of spans; choose strong or weak")
    except ValueError as error:
        raise InputError(f"the evaluation cannot be run: {error}") from error
    errors = _check(gold, system)
    pairs = tuple(gold_pairs)
    answer_names = SameAs(links)
    gold_names = SameAs(links, pairs) if pairs else answer_names
    wanted, given = [], []
    left_out = 0
    for document, answer in zip(gold, system, strict=True):
        annotations = answer.annotations if answer else ()
        seen = [a for a in annotations if _in_scope(a, document) and a.span not in document.optional]
        left_out += len(annotations) - len(seen)
        asked = [a for a in document.annotations if _in_scope(a, document)]
        items = partial(_items, experiment=experiment, oddities=oddities, prefixes=kb_prefixes)
        wanted.append(items(asked, gold_names))
        given.append(items(seen, answer_names))
    run = partial(_run, gold=wanted, answers=given, oddities=oddities)
    parts: tuple[Part, ...] = ()
    if experiment is Experiment.A2KB:
        main = run("A2KB", spans=spans, entities=True, classes=(IN_KB, EE))
        # Both on the lists of A2KB: spans without entity are missing, and D2KB was not given the spans.
        parts = (run(RECOGNITION, spans=spans), _d2kb(wanted, given, SpanMatch.STRONG, oddities))
    elif experiment is Experiment.D2KB:
        main = _d2kb(wanted, given, spans, oddities)
    elif experiment is Experiment.C2KB:
        main = run("C2KB", spans=SpanMatch.ANY, entities=True, classes=(IN_KB, EE))
    else:
        main = run("ERec", spans=spans)
    return Report(experiment, spans, oddities, len(gold), errors, left_out, main, parts)


def _check(gold: Sequence[AnnotatedDocument], system: Sequence[AnnotatedDocument | None]) -> int:
    """The number of failures; raises InputError where nothing can be evaluated."""
    if not gold:
        raise InputError("there are no gold documents to evaluate on")
    deque(paired(gold, system), maxlen=0)
    errors = sum(answer is None for answer in system)
    if errors > math.ceil(FAILURES * len(gold)):
        raise InputError(
            f"{errors} of {len(gold)} documents have no answer: GERBIL gives up beyond a quarter"
        )
    return errors


def _in_scope(annotation: Annotation, document: AnnotatedDocument) -> bool:
    first, last = document.scope or (0, math.inf)
    return first <= annotation.start and annotation.end <= last


def _items(
    annotations: Iterable[Annotation],
    names: SameAs,
    *,
    experiment: Experiment,
    oddities: bool,
    prefixes: tuple[str, ...],
) -> list[Item]:
    """What an experiment sees: only ERec sees bare spans, whose confidence GERBIL does not read."""
    items = []
    for annotation in annotations:
        if not annotation.uris and experiment is not Experiment.EREC:
            continue
        uris = names(annotation.uris)
        scored = annotation.uris or not oddities
        items.append(
            Item(annotation.span, uris, in_kb(uris, prefixes), annotation.confidence if scored else None)
        )
    return items


def _d2kb(gold: Items, answers: Items, spans: SpanMatch, oddities: bool) -> Part:
    """Answers elsewhere than on a gold span are dropped first and cost nothing."""
    asked = [on_gold_spans(wanted, given) for wanted, given in zip(gold, answers, strict=True)]
    return _run(
        "D2KB",
        gold=gold,
        answers=asked,
        spans=spans,
        entities=True,
        classes=(IN_KB, EE, GS_IN_KB),
        oddities=oddities,
    )


def _run(
    name: str,
    *,
    gold: Items,
    answers: Items,
    spans: SpanMatch,
    entities: bool = False,
    classes: Sequence[str] = (),
    oddities: bool,
) -> Part:
    """Chooses the threshold on all items; class blocks are matched anew and read at that threshold.

    A class without an item on either side has no block, neither 0 nor 1 (ClassConsideringFMeasureCalculator).
    """
    draw = partial(_curve, spans=spans, entities=entities, oddities=oddities)
    curve = draw(gold, answers)
    best = curve.best(oddities=oddities)
    threshold = curve.thresholds[best]
    blocks = {}
    for label in classes:
        chosen = [CLASSES[label](*lists) for lists in zip(gold, answers, strict=True)]
        block = draw([wanted for wanted, _ in chosen], [given for _, given in chosen])
        counts = block.total(0)
        if counts.tp + counts.fp + counts.fn:
            blocks[label] = Scores.read(block, block.at(threshold, oddities=oddities))
    return Part(name, Scores.read(curve, best), blocks, threshold, curve)


def _curve(gold: Items, answers: Items, *, spans: SpanMatch, entities: bool, oddities: bool) -> Curve:
    documents = []
    for wanted, given in zip(gold, answers, strict=True):
        pairs = find_pairs(wanted, given, spans, entities=entities, oddities=oddities)
        confidences = [answer.confidence for answer in given]
        documents.append(document_records(confidences, partial(assign, pairs), oddities=oddities))
    return Curve(documents)


Lists = tuple[list[Item], list[Item]]


def _in_kb(gold: Sequence[Item], answers: Sequence[Item]) -> Lists:
    """Each side by its own URIs: a NIL on a KB item is only a miss, a link on a NIL only a false positive."""
    return [item for item in gold if item.in_kb], [item for item in answers if item.in_kb]


def _ee(gold: Sequence[Item], answers: Sequence[Item]) -> Lists:
    return [item for item in gold if not item.in_kb], [item for item in answers if not item.in_kb]


def _gs_in_kb(gold: Sequence[Item], answers: Sequence[Item]) -> Lists:
    """Gold in the KB, and all answers on the spans of such (GSInKBClassifyingEvaluatorDecorator)."""
    wanted = [item for item in gold if item.in_kb]
    return wanted, on_gold_spans(wanted, answers)


CLASSES: Mapping[str, Callable[[Sequence[Item], Sequence[Item]], Lists]] = {
    IN_KB: _in_kb,
    EE: _ee,
    GS_IN_KB: _gs_in_kb,
}
