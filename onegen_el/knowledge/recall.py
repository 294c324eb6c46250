"""How much of what an exact search finds the index of a knowledge base finds too.

Knows searches and vectors; what recall is enough is not known here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from onegen_el.knowledge.embedding import unit_rows
from onegen_el.knowledge.kb import KnowledgeBase

DEEP = 10
COSINE = 0.8  # of a perturbed vector and the vector itself: about that of a query and its entity
CLOSE = 1e-6  # scores that differ by less are of vectors that cannot be told apart


@dataclass(frozen=True, slots=True)
class Recall:
    """Of `queries` in number, the part of the best and of the ten best entities that was found.

    An entity counts as found where one of the same score was: copies of a vector stand for one another.
    """

    at_1: float
    at_10: float
    queries: int

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


def recall(kb: KnowledgeBase, queries: np.ndarray) -> Recall:
    """Compares `kb`'s search with one that looks at all vectors; `queries` float `[n, dims]`, n >= 1."""
    depth = min(DEEP, len(kb))
    truth = kb.exact().search_short(queries, depth).scores
    found = kb.search_short(queries, depth).scores
    return Recall(_part(truth[:, :1], found[:, :1]), _part(truth, found), len(queries))


def _part(truth: np.ndarray, found: np.ndarray) -> float:
    return float((found >= truth[:, -1:] - CLOSE).mean())


def perturbed(kb: KnowledgeBase, sample: int, seed: int = 0) -> np.ndarray:
    """Vectors of `sample` entities (of all, if there are fewer), moved in a random direction, `[n, dims]`.

    To find a vector by itself is easier for a graph than to find it by a query, which never equals it; so
    each is turned until its cosine with what it was is COSINE.
    """
    dice = np.random.default_rng(seed)
    keys = np.sort(dice.choice(len(kb), min(sample, len(kb)), replace=False))
    vectors = unit_rows(kb.vectors[keys].astype(np.float32))
    noise = dice.standard_normal(vectors.shape, np.float32)
    noise -= (noise * vectors).sum(1, keepdims=True) * vectors
    moved: np.ndarray = COSINE * vectors + np.sqrt(1 - COSINE**2) * unit_rows(noise)
    return moved
