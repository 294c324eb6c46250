"""Chooses a model's mark bias, score threshold, prior weight and coherence on gold documents.

Knows the linker, gold and scores; the knowledge base must be the one the model ships with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from onegen_el.document import Candidate, LinkedDocument
from onegen_el.evaluation.scores import Counts, Resolve, counted, resolver
from onegen_el.gold import GoldDocument
from onegen_el.linker import RANKED, EntityLinker, MarkedDocument
from onegen_el.manifest import Calibration

BIASES = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
COHERENCES = (0.25, 0.5, 1.0)
PRIOR_WEIGHTS = (0.0, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03)
THRESHOLDS = tuple(step / 50 for step in range(15, 48))


@dataclass(frozen=True, slots=True)
class Choice:
    """A calibration and the mean InKB F1 over the corpora that it gave."""

    calibration: Calibration
    f1: float


def calibrate(linker: EntityLinker, corpora: Mapping[str, Sequence[GoldDocument]]) -> Choice:
    """The best of a grid by the mean of the corpora's InKB micro-F1; ties go to what was tried first.

    From no bias its values are tried upwards as long as that is better, else downwards: a text has to be
    decoded for each. Weights of the prior and thresholds are tried on the candidates of all of them; the
    weight of coherence is chosen for the best bias, with the others tried again.
    """
    resolve = resolver(linker.kb)
    shipped = linker.calibration, linker.min_score, linker.top_k

    def tried(marked: Mapping[str, Sequence[MarkedDocument]], bias: float, coherence: float) -> list[Choice]:
        linker.calibration = Calibration(bias, -1.0, 0.0, coherence)
        linked = {name: linker.retrieve(documents) for name, documents in marked.items()}
        return _try_scores(linker, corpora, linked, linker.calibration, resolve)

    def at(bias: float) -> tuple[Choice, dict[str, list[MarkedDocument]]]:
        linker.calibration = Calibration(mark_bias=bias)
        marked = {
            name: list(linker.mark((document.id, document.text) for document in documents))
            for name, documents in corpora.items()
        }
        return max(tried(marked, bias, 0.0), key=_quality), marked

    above = [bias for bias in BIASES if bias > 0]
    below = [bias for bias in reversed(BIASES) if bias < 0]
    try:
        linker.top_k, linker.min_score = RANKED, -1.0
        best, best_marked = at(0.0)
        for biases in (above, below):
            before = best
            for bias in biases:
                choice, marked = at(bias)
                if choice.f1 <= best.f1:
                    break
                best, best_marked = choice, marked
            if best is not before:
                break
        for coherence in COHERENCES:
            choice = max(tried(best_marked, best.calibration.mark_bias, coherence), key=_quality)
            best = max(best, choice, key=_quality)
    finally:
        linker.calibration, linker.min_score, linker.top_k = shipped
    return best


def _quality(choice: Choice) -> float:
    return choice.f1


def _try_scores(
    linker: EntityLinker,
    corpora: Mapping[str, Sequence[GoldDocument]],
    linked: Mapping[str, Sequence[LinkedDocument]],
    tried: Calibration,
    resolve: Resolve,
) -> list[Choice]:
    ids = {
        c.entity for documents in linked.values() for d in documents for m in d.mentions for c in m.candidates
    }
    priors = {identifier: entity.prior for identifier in ids if (entity := linker.kb.get(identifier))}
    answers = {name: Answers.of(gold, linked[name], resolve) for name, gold in corpora.items()}
    choices = []
    for weight in PRIOR_WEIGHTS:
        weighed = [answers[name].weighed(weight, priors) for name in corpora]
        for threshold in THRESHOLDS:
            f1 = [corpus.counts(threshold).f1 for corpus in weighed]
            calibration = replace(tried, min_score=threshold, prior_weight=weight)
            choices.append(Choice(calibration, sum(f1) / len(f1)))
    return choices


@dataclass(frozen=True, slots=True)
class Weighed:
    """Each answer's best score float `[n]` and whether it is right bool `[n]`, of `wanted` gold links."""

    scores: np.ndarray
    right: np.ndarray
    wanted: int

    def counts(self, threshold: float) -> Counts:
        """What `score` would count with this threshold."""
        linked = self.scores >= threshold
        tp = int(self.right[linked].sum())
        return Counts(tp, int(linked.sum()) - tp, self.wanted - tp)


@dataclass(frozen=True, slots=True)
class Answers:
    """The candidates of each answer of a corpus with the entity that gold has on its span ("" for none).

    Which answer is right does not depend on the threshold, so it is asked once and not for each.
    """

    candidates: list[tuple[tuple[Candidate, ...], str]]
    wanted: int

    @classmethod
    def of(cls, gold: Sequence[GoldDocument], linked: Sequence[LinkedDocument], resolve: Resolve) -> Answers:
        candidates, total = [], 0
        for document, answer in zip(gold, linked, strict=True):
            wanted, found = counted(document, answer)
            named = {(m.start, m.end): resolve(m.entity) or m.entity for m in wanted if m.entity}
            total += len(named)
            at = {(m.start, m.end): m.candidates for m in found if m.candidates}
            candidates += [(ranked, named.get(span, "")) for span, ranked in at.items()]
        return cls(candidates, total)

    def weighed(self, weight: float, priors: Mapping[str, float]) -> Weighed:
        """With the candidates that this weight of the prior puts first."""
        scores, right = [], []
        for candidates, wanted in self.candidates:
            # As the linker ranks: ties go to the smaller id.
            value, entity = min((-c.score - weight * priors[c.entity], c.entity) for c in candidates)
            scores.append(-value)
            right.append(entity == wanted)
        return Weighed(np.array(scores), np.array(right, dtype=bool), self.wanted)
