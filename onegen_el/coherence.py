"""Coherence of a document: queries of mentions whose names are alike help one another.

Knows names and vectors; does not know entities. "Clinton" after "Bill Clinton" is mostly the same man: the
query of the short name moves towards that of the long one, if the two are about one thing already. No second
model and no second pass: the queries of the one pass are added up.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

import numpy as np

NEAR = 16  # mentions of like names on either side that a mention may listen to; bounds the work
WORD = re.compile(r"\w+")


def coherent(vectors: np.ndarray, names: Sequence[str], weight: float) -> np.ndarray:
    """Unit queries float32 `[n, dims]` of a document's mentions, each with its fellows' mixed in.

    `vectors` `[n, dims]` are unit vectors in text order and `names` the mentions' surfaces. A fellow has the
    same words, or all of a mention's words in a row and more. With the mean f of the fellows' vectors,
    each weighted by its cosine to the mention's own vector q (none below 0), the new query is q + `weight` f,
    scaled to unit length. Mentions without fellows keep their vectors.
    """
    if not weight:
        return vectors
    mixed = vectors.copy()
    for own, fellows in _fellows([tuple(WORD.findall(name.casefold())) for name in names]):
        cosines = np.maximum(vectors[fellows] @ vectors[own], 0.0)
        mixed[own] += weight * (cosines @ vectors[fellows]) / len(fellows)
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    return mixed


def _fellows(names: Sequence[tuple[str, ...]]) -> Iterator[tuple[int, list[int]]]:
    """Mentions that have fellows, with these, nearest first on either side."""
    having: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        for word in set(name):
            having.setdefault(word, []).append(index)
    for own, name in enumerate(names):
        # The rarest word of a name leaves the fewest others to look at.
        others = min((having[word] for word in name), key=len, default=[])
        at = bisect_left(others, own)
        before = [other for other in others[max(0, at - NEAR) : at] if _within(name, names[other])]
        after = [other for other in others[at + 1 : at + 1 + NEAR] if _within(name, names[other])]
        if before or after:
            yield own, [*before, *after]


def _within(part: tuple[str, ...], whole: tuple[str, ...]) -> bool:
    return any(whole[start : start + len(part)] == part for start in range(len(whole) - len(part) + 1))
