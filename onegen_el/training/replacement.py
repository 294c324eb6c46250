"""Mention replacement: a window with some of its mentions shown as other entities of their type.

Knows examples and the names of a catalogue; does not know batches or models. What a linker meets in practice
are mostly entities that no training text has: here each of them may stand in a text that has its like.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace

from onegen_el.tokens import SourceTokenizer, SourceTokens
from onegen_el.training.catalog import Catalog
from onegen_el.training.examples import Example
from onegen_el.windows import Window

KINDS = ("PER", "ORG", "LOC")  # what is of the type MISC is too unlike for one to stand in for another
LONGER = 4  # tokens that a name may have more than what it replaces
ROOM = 24  # tokens by which a window may grow
BRACKET = re.compile(r" \([^()]*\)$")
CAPITALS = 2  # the casing of a headline


class Replacement:
    """Shows a `share` of linked mentions as other entities, drawn from the first `pool` of a catalogue.

    A name stands for the best entity that bears it, as it does without context. Half of the entities are
    drawn evenly and half of them the likelier the better they are.
    """

    def __init__(self, catalog: Catalog, pool: int, tokenize: SourceTokenizer, share: float) -> None:
        self.share = share
        self._catalog, self._tokenize = catalog, tokenize
        self._of_kind: dict[str, list[int]] = {kind: [] for kind in KINDS}
        self._holder: dict[str, int] = {}
        for index in range(pool):
            for name in self._names(index):
                self._holder.setdefault(name.casefold(), index)
            if catalog.kinds[index] in self._of_kind:
                self._of_kind[catalog.kinds[index]].append(index)

    def __call__(self, example: Example, rng: random.Random) -> Example:
        """The example itself, or one of the same window with other mentions."""
        tokens = example.tokens
        chosen: dict[tuple[int, ...], tuple[SourceTokens, int] | None] = {}
        room = ROOM
        drawn: list[tuple[SourceTokens, int] | None] = []
        for first, last, entity in example.mentions:
            # The same name of the same entity is the same name afterwards.
            key = (entity, *tokens.ids[first:last])
            if key not in chosen:
                chosen[key] = self._other(entity, last - first, rng)
            other = chosen[key]
            growth = len(other[0]) - (last - first) if other else 0
            drawn.append(other if growth <= room else None)
            room -= growth if drawn[-1] else 0
        return _spliced(example, drawn) if any(drawn) else example

    def _other(self, entity: int, length: int, rng: random.Random) -> tuple[SourceTokens, int] | None:
        """The tokens of a name and the entity that bears it, None where the mention stays."""
        if entity < 0 or rng.random() >= self.share:
            return None
        fitting = self._of_kind.get(self._catalog.kinds[entity], [])
        if not fitting:
            return None
        power = rng.choice((1, 3))
        index = fitting[int(len(fitting) * rng.random() ** power)]
        names = [name for name in self._names(index) if self._holder[name.casefold()] == index]
        if not names:
            return None
        name = names[0] if rng.random() < 0.5 else rng.choice(names)
        tokens = self._tokenize(name)
        return (tokens, index) if 0 < len(tokens) <= length + LONGER else None

    def _names(self, index: int) -> Sequence[str]:
        """Its title without what tells it from namesakes, and its aliases."""
        return (BRACKET.sub("", self._catalog.titles[index]), *self._catalog.aliases[index])


def _spliced(example: Example, drawn: Sequence[tuple[SourceTokens, int] | None]) -> Example:
    """The example with the tokens that are shown only, and other names for the mentions that were `drawn`."""
    tokens, window = example.tokens, example.window
    ids, casing, breakable = [], [], []
    mentions: list[tuple[int, int, int]] = []
    place: dict[int, int] = {}  # where tokens of the document are now, at the edges that matter

    def copy(first: int, last: int) -> None:
        ids.extend(tokens.ids[first:last])
        casing.extend(tokens.casing[first:last])
        breakable.extend(tokens.breakable[first:last])

    copy(0, window.head)
    at = window.context[0]
    edges = sorted({window.start, window.end, *example.copied})
    for (first, last, entity), other in zip(example.mentions, drawn, strict=True):
        for edge in edges:
            if at <= edge <= first:
                place[edge] = len(ids) + edge - at
        copy(at, first)
        start = len(ids)
        if other is None:
            copy(first, last)
        else:
            name, entity = other
            capitals = all(kind == CAPITALS for kind in tokens.casing[first:last])
            ids.extend(name.ids)
            casing.extend([CAPITALS] * len(name) if capitals else name.casing)
            breakable.extend(name.breakable)
            breakable[start] = tokens.breakable[first]
        mentions.append((start, len(ids), entity))
        at = last
    for edge in edges:
        if at <= edge:
            place[edge] = len(ids) + edge - at
    copy(at, window.context[1])
    return replace(
        example,
        tokens=SourceTokens("", ids, [], [], casing, breakable),
        window=Window(place[window.start], place[window.end], (window.head, len(ids)), window.head),
        copied=(place[example.copied[0]], place[example.copied[1]]),
        mentions=tuple(mentions),
        negatives=tuple(
            () if other else named for named, other in zip(example.negatives, drawn, strict=False)
        ),
    )
