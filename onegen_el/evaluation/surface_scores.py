"""The scores of the paper's reference implementation, which compares surfaces, not spans.

Knows the rules of `eval_entity_linking.py` and `eval_mention_detection.py` of github.com/zjunlp/OneGen; only
for comparison with the paper's figures (arXiv 2409.05152). The rules:

Linking
1. The unit is (document, surface without white space around it, entity); where it stands does not matter.
   Equal units are numbered, so gold and answers are multisets and tp is the size of what they share.
2. Gold NILs are not wanted. Their surfaces excuse answers: in text order, an answer with the surface of a
   gold NIL uses it up and counts neither as right nor as wrong, be it on that span or not.
3. Only linked mentions are answers; a mention answered NIL has no link token, so it is not seen and excuses
   nothing.
4. All of gold is wanted, optional mentions too, and the whole text is judged, whatever was annotated.
5. tp = 0 makes P, R and F1 0, also where there is nothing to find.
Detection
6. The unit is the surface as it is, without the document: a name missed in one document is made up for by a
   false one in another. NILs count on both sides.

Not as there: answers and gold are one entity if any of their names agree (`pairing.Identity`); the reference
compares Wikidata items as text. Pronouns that readers of gold leave out are not wanted here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from onegen_el.evaluation.annotations import AnnotatedDocument, Annotation, from_gold
from onegen_el.evaluation.matching import Counts, Item
from onegen_el.evaluation.measures import PERFECT, ZERO, Measures, measure
from onegen_el.evaluation.pairing import Identity, paired
from onegen_el.gold import GoldDocument


@dataclass(frozen=True, slots=True)
class SurfaceScores:
    """Micro scores by surface; `excused` answers fell on the surface of a gold NIL."""

    linking: Counts
    detection: Counts
    excused: int

    @property
    def linking_measures(self) -> Measures:
        return _measure(self.linking)

    @property
    def detection_measures(self) -> Measures:
        return _measure(self.detection)

    def to_dict(self) -> dict[str, Any]:
        return {
            "linking": self.linking_measures.to_dict(),
            "detection": self.detection_measures.to_dict(),
            "excused": self.excused,
        }


def _measure(counts: Counts) -> Measures:
    measures = measure(counts)
    return ZERO if measures == PERFECT and counts.tp == 0 else measures


def surface_scores(
    gold: Sequence[GoldDocument],
    system: Sequence[AnnotatedDocument | None],
    identity: Identity | None = None,
) -> SurfaceScores:
    """Scores of answers to gold documents, which are paired by position.

    Answers are cut out of the gold text. Raises InputError where gold and answers do not belong together.
    """
    identity = identity or Identity()
    linking, excused = Counts(), 0
    wanted_names: Counter[str] = Counter()
    given_names: Counter[str] = Counter()
    for document, answer in paired(gold, system):
        text = document.text
        answers = sorted(answer.annotations, key=lambda a: a.span)
        wanted_names.update(text[m.start : m.end] for m in document.mentions)
        given_names.update(text[a.start : a.end] for a in answers)
        counts, passed = _link(document, answers, identity)
        linking += counts
        excused += passed
    shared = (wanted_names & given_names).total()
    detection = Counts(shared, given_names.total() - shared, wanted_names.total() - shared)
    return SurfaceScores(linking, detection, excused)


def _link(document: GoldDocument, answers: Sequence[Annotation], identity: Identity) -> tuple[Counts, int]:
    text = document.text
    wanted: defaultdict[str, list[Item]] = defaultdict(list)
    nils: Counter[str] = Counter()
    for annotation in _required(document):
        item = identity.gold(annotation)
        surface = _surface(text, annotation)
        if item.in_kb:
            wanted[surface].append(item)
        else:
            nils[surface] += 1
    total = sum(map(len, wanted.values()))
    tp = fp = excused = 0
    for annotation in answers:
        item = identity.answer(annotation)
        surface = _surface(text, annotation)
        if not item.in_kb:
            continue
        if nils[surface]:
            nils[surface] -= 1
            excused += 1
            continue
        same = [i for i, other in enumerate(wanted[surface]) if not other.uris.isdisjoint(item.uris)]
        if same:
            del wanted[surface][same[0]]
            tp += 1
        else:
            fp += 1
    return Counts(tp, fp, total - tp), excused


def _required(document: GoldDocument) -> tuple[Annotation, ...]:
    """All gold mentions, optional ones included."""
    required = tuple(replace(mention, optional=False) for mention in document.mentions)
    return from_gold(replace(document, mentions=required)).annotations


def _surface(text: str, annotation: Annotation) -> str:
    return text[annotation.start : annotation.end].strip()
