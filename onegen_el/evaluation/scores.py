"""Strong-match scores of linked documents against gold, by GERBIL's InKB rule.

Knows gold and linked documents and how a knowledge base names entities; runs no model. A mention is right
if span and entity are; a link on a span that gold calls NIL is a false positive, a gold link to an entity
that the knowledge base lacks is a false negative (GERBIL, ClassConsideringFMeasureCalculator).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from onegen_el.document import TITLE_PREFIX, LinkedDocument, Mention
from onegen_el.gold import GoldDocument, GoldMention
from onegen_el.knowledge import KnowledgeBase

Resolve = Callable[[str], str | None]


@dataclass(slots=True)
class Counts:
    """True positives, false positives, false negatives, pooled over documents (micro)."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def add(self, gold: set[Any], found: set[Any]) -> None:
        self.tp += len(gold & found)
        self.fp += len(found - gold)
        self.fn += len(gold - found)

    # Nothing to find and nothing found is perfect, nothing right is zero: GERBIL's convention.
    @property
    def precision(self) -> float:
        return self.tp / (self.tp + self.fp) if self.tp else float(not (self.fp or self.fn))

    @property
    def recall(self) -> float:
        return self.tp / (self.tp + self.fn) if self.tp else float(not (self.fp or self.fn))

    @property
    def f1(self) -> float:
        p, r = self.precision, self.recall
        return 2 * p * r / (p + r) if p + r else 0.0

    def to_dict(self) -> dict[str, float]:
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclass(slots=True)
class Scores:
    """Quality on one corpus.

    `marks`: spans alone; `links`: span and entity (InKB). `reachable` of the `linked` gold mentions have
    an entity that the knowledge base holds; of the `asked`, those of them whose span was marked exactly,
    `answered` got the right entity as best candidate, whatever the threshold.
    """

    documents: int = 0
    marks: Counts = field(default_factory=Counts)
    links: Counts = field(default_factory=Counts)
    linked: int = 0
    reachable: int = 0
    asked: int = 0
    answered: int = 0

    @property
    def coverage(self) -> float:
        return self.reachable / self.linked if self.linked else 0.0

    @property
    def accuracy(self) -> float:
        return self.answered / self.asked if self.asked else 0.0

    def to_dict(self) -> dict[str, Any]:
        return {
            "documents": self.documents,
            "mentions": self.marks.tp + self.marks.fn,
            "marks": self.marks.to_dict(),
            "links": self.links.to_dict(),
            "coverage": self.coverage,
            "accuracy": self.accuracy,
        }


def resolver(kb: KnowledgeBase) -> Resolve:
    """Maps a gold id (QID or `enwiki:Title`) to the id that the knowledge base uses, None if it has none."""
    known: dict[str, str | None] = {}

    def resolve(identifier: str) -> str | None:
        if identifier not in known:
            entity = kb.get(identifier)
            if entity is None and identifier.startswith(TITLE_PREFIX):
                named = kb.by_title(identifier.removeprefix(TITLE_PREFIX))
                # A mere label of another page must not pass for this page.
                if named is not None and named.wikipedia_title == identifier.removeprefix(TITLE_PREFIX):
                    entity = named
            known[identifier] = entity.id if entity else None
        return known[identifier]

    return resolve


def counted(gold: GoldDocument, linked: LinkedDocument) -> tuple[list[GoldMention], list[Mention]]:
    """The gold mentions and the answers of a document that count: in its annotated scope, not optional."""
    first, last = gold.scope
    optional = {(m.start, m.end) for m in gold.mentions if m.optional}
    wanted = [m for m in gold.mentions if first <= m.start and m.end <= last and not m.optional]
    answers = [
        m for m in linked.mentions if first <= m.start and m.end <= last and (m.start, m.end) not in optional
    ]
    return wanted, answers


def score(pairs: Iterable[tuple[GoldDocument, LinkedDocument]], resolve: Resolve) -> Scores:
    """Pools all documents; neither what is outside a document's annotated scope counts nor optional gold."""
    scores = Scores()
    for gold, linked in pairs:
        scores.documents += 1
        wanted, answers = counted(gold, linked)
        scores.marks.add({(m.start, m.end) for m in wanted}, {(m.start, m.end) for m in answers})
        named = {(m.start, m.end, resolve(m.entity) or m.entity) for m in wanted if m.entity}
        scores.links.add(named, {(m.start, m.end, m.entity) for m in answers if m.entity})
        best = {(m.start, m.end): m.candidates[0].entity for m in answers if m.candidates}
        for mention in wanted:
            if mention.entity is None:
                continue
            scores.linked += 1
            entity = resolve(mention.entity)
            scores.reachable += entity is not None
            if entity is not None and (mention.start, mention.end) in best:
                scores.asked += 1
                scores.answered += best[mention.start, mention.end] == entity
    return scores
