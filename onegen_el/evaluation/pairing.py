"""Gold beside answers, and what makes their annotations comparable: the ground of every analysis.

Knows which answers take part (GERBIL's view: `gerbil.evaluate`) and which names mean the same entity; knows
neither how mentions are matched nor what is counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from onegen_el.errors import InputError
from onegen_el.evaluation.annotations import AnnotatedDocument, Annotation
from onegen_el.evaluation.matching import Item
from onegen_el.evaluation.uris import KB_PREFIXES, Links, SameAs, in_kb


class Named(Protocol):
    """Any document with an id."""

    @property
    def id(self) -> str: ...


G = TypeVar("G", bound=Named)
Paired = tuple[Annotation, Item]


class Identity:
    """Which annotations name the same entity, by the arguments of `gerbil.evaluate`.

    `links` are an index's other names of a URI, `gold_pairs` the sameAs statements of the data set's file,
    which hold for gold only. An annotation without a URI that begins with one of `kb_prefixes` is a NIL;
    bare spans are NILs here too.
    """

    def __init__(
        self,
        links: Links | None = None,
        gold_pairs: Iterable[tuple[str, str]] = (),
        kb_prefixes: tuple[str, ...] = KB_PREFIXES,
    ) -> None:
        pairs = tuple(gold_pairs)
        self._answers = SameAs(links)
        self._gold = SameAs(links, pairs) if pairs else self._answers
        self._prefixes = kb_prefixes

    def gold(self, annotation: Annotation) -> Item:
        """A gold annotation with all names of its entity."""
        return self._item(annotation, self._gold)

    def answer(self, annotation: Annotation) -> Item:
        """An answer with all names of its entity."""
        return self._item(annotation, self._answers)

    def _item(self, annotation: Annotation, names: SameAs) -> Item:
        uris = names(annotation.uris)
        return Item(annotation.span, uris, in_kb(uris, self._prefixes), annotation.confidence)


@dataclass(frozen=True, slots=True)
class Judged:
    """A gold document, its annotations and the answers that take part, in the order of the files.

    `left_out` answers lay outside of what gold annotated or on its optional spans.
    """

    document: AnnotatedDocument
    gold: tuple[Paired, ...]
    answers: tuple[Paired, ...]
    left_out: int


def paired(
    gold: Sequence[G], system: Sequence[AnnotatedDocument | None]
) -> Iterator[tuple[G, AnnotatedDocument]]:
    """Gold documents with their answers, by position; a missing answer (None) is an empty one.

    Raises InputError where the two do not belong together.
    """
    if len(gold) != len(system):
        raise InputError(
            f"{len(gold)} gold documents and {len(system)} answers: give one answer for each, in order"
        )
    for number, (document, answer) in enumerate(zip(gold, system, strict=True), 1):
        if answer is not None and answer.id != document.id:
            raise InputError(
                f"document {number} is {document.id!r} in gold and {answer.id!r} in the answers: "
                "give the answers in the order of gold"
            )
        yield document, answer or AnnotatedDocument(document.id, "")


def judged(
    gold: Sequence[AnnotatedDocument], system: Sequence[AnnotatedDocument | None], identity: Identity
) -> Iterator[Judged]:
    """The documents with what is compared; raises InputError as `paired` does."""
    for document, answer in paired(gold, system):
        first, last = document.scope or (0, math.inf)
        asked = [a for a in document.annotations if first <= a.start and a.end <= last]
        seen = [
            a
            for a in answer.annotations
            if first <= a.start and a.end <= last and a.span not in document.optional
        ]
        yield Judged(
            document,
            tuple((a, identity.gold(a)) for a in asked),
            tuple((a, identity.answer(a)) for a in seen),
            len(answer.annotations) - len(seen),
        )
