"""One corpus measured: gold and answers put through every scoring there is, into an `Outcome`.

Knows the scorings and which of them belong to an experiment; asks no linker and shows nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from onegen_el.document import TITLE_PREFIX, Entity, LinkedDocument
from onegen_el.evaluation.annotations import AnnotatedDocument, from_gold, from_linked
from onegen_el.evaluation.answers import Answers, unthresholded
from onegen_el.evaluation.curve import Point as CurvePoint
from onegen_el.evaluation.curve import threshold_curve
from onegen_el.evaluation.elevant_scores import LabelledDocument, elevant_scores, labels_of
from onegen_el.evaluation.error_classes import Case, ErrorClass, Shown, classify
from onegen_el.evaluation.gerbil import IN_KB, RECOGNITION, Experiment, Part, Report, evaluate
from onegen_el.evaluation.matching import SpanMatch
from onegen_el.evaluation.measures import Measures, Scores
from onegen_el.evaluation.outcome import (
    GIVEN,
    LINKS,
    MARKS,
    SEARCHED,
    Block,
    Curve,
    Example,
    MentionClass,
    Outcome,
    Point,
    Scoring,
    Side,
    Tally,
)
from onegen_el.evaluation.pairing import Identity
from onegen_el.evaluation.scores import Counts as SimpleCounts
from onegen_el.evaluation.scores import Scores as SimpleScores
from onegen_el.evaluation.scores import resolver, score
from onegen_el.evaluation.significance import interval
from onegen_el.evaluation.surface_scores import surface_scores
from onegen_el.evaluation.uris import KB_PREFIXES, kb_links
from onegen_el.gold import GoldDocument
from onegen_el.gold.names import QID
from onegen_el.iris import OWN
from onegen_el.knowledge import KnowledgeBase
from onegen_el.unicode import encodable

# Ids of a user's own are entities of a knowledge base too; public corpora have none.
PREFIXES = (*KB_PREFIXES, f"{OWN}entity/")
AROUND = 100  # characters of text that an example shows on each side
MEANINGS = {
    ErrorClass.RIGHT: "span and entity are right",
    ErrorClass.RIGHT_NIL: "span is right, and the entity is none of the knowledge base",
    ErrorClass.WRONG_ENTITY: "span is right, entity is not",
    ErrorClass.LINK_AS_NIL: "span is right, gold has an entity and the answer none",
    ErrorClass.NIL_AS_LINK: "span is right, gold has no entity and the answer one",
    ErrorClass.SPAN_ONLY: "spans overlap, the entity is the same",
    ErrorClass.SPAN_AND_ENTITY: "spans overlap, entities differ",
    ErrorClass.MISSED: "no answer overlaps this gold mention",
    ErrorClass.SPURIOUS: "no gold mention overlaps this answer",
}
RIGHT = (ErrorClass.RIGHT, ErrorClass.RIGHT_NIL)
LACKING = "not in KB"
LACKING_MEANING = "gone wrong, and could not go right: the knowledge base lacks gold's entity"


@dataclass(frozen=True, slots=True)
class Settings:
    """What is measured, and how many examples of a class are kept."""

    experiment: Experiment = Experiment.A2KB
    match: SpanMatch = SpanMatch.STRONG
    oddities: bool = True
    examples: int = 20


class Meter:
    """Measures corpora; `kb` says which entities there are, and which names mean the same."""

    def __init__(self, kb: KnowledgeBase, settings: Settings) -> None:
        self._kb = kb
        self._settings = settings
        self._links = kb_links(kb)
        self._identity = Identity(self._links, kb_prefixes=PREFIXES)
        self._resolve = resolver(kb)

    def measure(
        self,
        name: str,
        gold: Sequence[GoldDocument],
        answers: Answers,
        *,
        labels: Sequence[LabelledDocument] | None = None,
        half: str = "all",
    ) -> Outcome:
        """Everything about one corpus; `labels` are ELEVANT's own of the same documents, if there are any.

        Raises InputError where gold and answers do not belong together.
        """
        settings, documents = self._settings, answers.documents
        annotated = [from_gold(document) for document in gold]
        system = _annotated(documents)
        report = self._run(annotated, system, settings.experiment)
        runs = [(settings.experiment.upper(), report)]
        if answers.scored:
            scored = _annotated(documents, confidences=True)
            runs.append((SEARCHED.format(runs[0][0]), self._run(annotated, scored, settings.experiment)))
        if answers.given is not None and settings.experiment is not Experiment.D2KB:
            runs.append((GIVEN, self._run(annotated, _annotated(answers.given), Experiment.D2KB)))
        simple = self._score(gold, documents)
        given = None if answers.given is None else self._score(gold, answers.given)
        return Outcome(
            name=name,
            half=half,
            experiment=settings.experiment.value,
            match=settings.match.value,
            oddities=settings.oddities,
            ids=tuple(document.id for document in gold),
            mentions=simple.marks.tp + simple.marks.fn,
            unanswered=report.errors,
            left_out=report.left_out,
            unasked=answers.unasked,
            marks=_measures(simple.marks),
            links=_measures(simple.links),
            coverage=simple.coverage,
            accuracy=simple.accuracy if simple.asked else None,
            blocks=tuple(block for run, one in runs for block in _blocks(run, one)),
            tallies=tuple(_tallies(runs)),
            scorings=tuple(self._scorings(gold, labels, system)),
            classes=tuple(self._classes(annotated, system)),
            curve=self._curve(annotated, answers),
            seconds=answers.seconds,
            accuracy_given=given.accuracy if given and given.asked else None,
        )

    def _score(self, gold: Sequence[GoldDocument], answers: Sequence[LinkedDocument | None]) -> SimpleScores:
        return score(zip(gold, map(self._answer, gold, answers), strict=True), self._resolve)

    def _run(
        self,
        gold: Sequence[AnnotatedDocument],
        system: Sequence[AnnotatedDocument | None],
        experiment: Experiment,
    ) -> Report:
        settings = self._settings
        return evaluate(
            gold,
            system,
            experiment,
            settings.match,
            settings.oddities,
            links=self._links,
            kb_prefixes=PREFIXES,
        )

    def _answer(self, gold: GoldDocument, answer: LinkedDocument | None) -> LinkedDocument:
        """An answer with the knowledge base's names of its entities."""
        if answer is None:
            return LinkedDocument(gold.id, gold.text)

        def named(entity: str) -> str:
            return self._resolve(entity) or entity

        mentions = []
        for mention in answer.mentions:
            candidates = tuple(replace(c, entity=named(c.entity)) for c in mention.candidates)
            entity = named(mention.entity) if mention.entity else None
            mentions.append(replace(mention, entity=entity, candidates=candidates))
        return replace(answer, mentions=tuple(mentions))

    def _scorings(
        self,
        gold: Sequence[GoldDocument],
        labels: Sequence[LabelledDocument] | None,
        system: Sequence[AnnotatedDocument | None],
    ) -> Iterator[Scoring]:
        elevant = elevant_scores(labels or [labels_of(document) for document in gold], system, self._identity)
        yield Scoring("ELEVANT", elevant.measures["entity"])
        yield Scoring("ELEVANT ER", elevant.measures["recognition"])
        surface = surface_scores(gold, system, self._identity)
        yield Scoring("surface", surface.linking_measures)
        yield Scoring("surface ER", surface.detection_measures)

    def _curve(self, gold: Sequence[AnnotatedDocument], answers: Answers) -> Curve | None:
        if not answers.scored:
            return None
        every = [None if document is None else unthresholded(document) for document in answers.documents]
        system = _annotated(every, confidences=True)
        curve = threshold_curve(gold, system, self._identity)
        return Curve(tuple(map(_point, curve.points)), _point(curve.best), curve.area, answers.threshold)

    def _classes(
        self, gold: Sequence[AnnotatedDocument], system: Sequence[AnnotatedDocument | None]
    ) -> Iterator[MentionClass]:
        limit = self._settings.examples
        report = classify(
            gold,
            system,
            self._identity,
            holds=lambda entity: self._resolve(entity) is not None,
            title=self._title,
        )
        show = _Shower(gold, self._kb)
        for name in ErrorClass:
            cases = report.examples(name)
            kind = "right" if name in RIGHT else "wrong"
            yield MentionClass(name.value, MEANINGS[name], kind, len(cases), show.examples(cases[:limit]))
        lacking = tuple(case for case in report.cases if case.not_in_kb)
        yield MentionClass(LACKING, LACKING_MEANING, "across", len(lacking), show.examples(lacking[:limit]))

    def _title(self, entity: str) -> str | None:
        known = self._kb.get(entity)
        return known.title if known else None


class _Shower:
    """Makes cases into examples: cuts out the text around them, finds pages of their entities."""

    def __init__(self, gold: Sequence[AnnotatedDocument], kb: KnowledgeBase) -> None:
        self._kb = kb
        self._texts: dict[str, list[str]] = {}
        for document in gold:
            self._texts.setdefault(document.id, []).append(document.text)

    def examples(self, cases: Sequence[Case]) -> tuple[Example, ...]:
        return tuple(self._example(case) for case in cases)

    def _example(self, case: Case) -> Example:
        shown = case.gold or case.found
        assert shown is not None
        # Ids may repeat; the surface tells which of the documents it is, as far as it shows.
        texts = self._texts[case.document]
        text = next((t for t in texts if t[shown.start : shown.end] == shown.surface), texts[0])
        return Example(
            document=case.document,
            before=_cut(text[max(0, shown.start - AROUND) : shown.start], shown.start > AROUND, False),
            surface=encodable(shown.surface),
            after=_cut(text[shown.end : shown.end + AROUND], False, shown.end + AROUND < len(text)),
            gold=self._side(case.gold),
            found=self._side(case.found),
        )

    def _side(self, shown: Shown | None) -> Side | None:
        if shown is None:
            return None
        return Side(encodable(shown.surface), shown.entity, shown.title or "", self._page(shown.entity))

    def _page(self, entity: str | None) -> str | None:
        """Wikipedia where that is known, else Wikidata, or the entity itself if it is an address."""
        if entity is None:
            return None
        if known := self._kb.get(entity):
            return known.url
        if entity.startswith(TITLE_PREFIX):
            title = entity.removeprefix(TITLE_PREFIX)
            return Entity(entity, title, wikipedia_title=title).url
        if QID.fullmatch(entity):
            return Entity(entity, "", qid=entity).url
        return entity if entity.startswith(("http://", "https://")) else None


def _annotated(
    documents: Iterable[LinkedDocument | None], *, confidences: bool = False
) -> list[AnnotatedDocument | None]:
    return [None if one is None else from_linked(one, confidences=confidences) for one in documents]


def _cut(text: str, before: bool, after: bool) -> str:
    return encodable(f"{'…' if before else ''}{text}{'…' if after else ''}")


def _blocks(run: str, report: Report) -> Iterator[Block]:
    for part in (report.main, *report.parts):
        for items, scores in {"all": part.overall, **part.classes}.items():
            yield Block(run, part.name, items, scores.micro, scores.macro, scores.counts, part.threshold)


def _tallies(runs: Sequence[tuple[str, Report]]) -> Iterator[Tally]:
    """Links (InKB) and marks of what was asked for, and links given spans; at the system's own threshold."""
    main = runs[0][1]
    marks = main.main if main.experiment is Experiment.EREC else _part(main, RECOGNITION)
    given = next((report for run, report in runs if run == GIVEN), None)
    figures: dict[str, Scores | None] = {
        LINKS: main.main.classes.get(IN_KB),
        MARKS: marks.overall if marks else None,
        GIVEN: given.main.classes.get(IN_KB) if given else None,
    }
    for name, scores in figures.items():
        if scores is not None and scores.documents:
            spread = interval(scores.documents)
            yield Tally(name, scores.documents, (spread.low, spread.high))


def _part(report: Report, name: str) -> Part | None:
    return next((part for part in report.parts if part.name == name), None)


def _point(point: CurvePoint) -> Point:
    return Point(point.threshold, point.precision, point.recall, point.f1, point.nil_rate)


def _measures(counts: SimpleCounts) -> Measures:
    return Measures(counts.precision, counts.recall, counts.f1)
