"""The verdict on pairs: boosted decision trees over pieces of evidence. Knows numbers only.

Small and exact enough for some ten thousand pairs, so that the selection needs numpy and pandas alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

BINS = 33


@dataclass(frozen=True, slots=True)
class Tree:
    """A complete binary tree: the split of each inner node by column and bin, the value of each leaf."""

    column: np.ndarray  # [2**depth - 1]
    limit: np.ndarray  # [2**depth - 1]; a bin above it goes right
    value: np.ndarray  # [2**depth]

    def __call__(self, bins: np.ndarray) -> np.ndarray:
        """Value for each row of `bins` ([columns, rows])."""
        node = np.zeros(bins.shape[1], dtype=np.int64)
        rows = np.arange(bins.shape[1])
        for _ in range(len(self.value).bit_length() - 1):
            node = 2 * node + 1 + (bins[self.column[node], rows] > self.limit[node])
        found: np.ndarray = self.value[node - len(self.column)]
        return found


@dataclass(frozen=True, slots=True)
class Judge:
    """Trees learned on pairs whose truth is known; gives the probability of others."""

    edges: list[np.ndarray]
    start: float
    trees: list[Tree]

    @classmethod
    def taught(
        cls,
        evidence: pd.DataFrame,
        right: np.ndarray,
        rounds: int = 150,
        depth: int = 5,
        rate: float = 0.15,
        ridge: float = 4.0,
    ) -> Judge:
        """Gradient boosting of the logistic loss with Newton steps; the same input gives the same judge."""
        matrix = evidence.to_numpy(dtype="float64")
        edges = [np.unique(np.quantile(column, np.linspace(0, 1, BINS)[1:-1])) for column in matrix.T]
        bins = binned(matrix, edges)
        lone = rarer(bins)
        share = right.mean()
        start = float(np.log(share / (1 - share)))
        score = np.full(len(right), start)
        trees = []
        for _ in range(rounds):
            chance = 1 / (1 + np.exp(-score))
            tree = grown(bins, lone, right - chance, chance * (1 - chance), depth, rate, ridge)
            score += tree(bins)
            trees.append(tree)
        return cls(edges, start, trees)

    def __call__(self, evidence: pd.DataFrame) -> np.ndarray:
        """Probability of each pair."""
        bins = binned(evidence.to_numpy(dtype="float64"), self.edges)
        score = np.full(len(evidence), self.start)
        for tree in self.trees:
            score += tree(bins)
        return 1 / (1 + np.exp(-score))


def binned(matrix: np.ndarray, edges: list[np.ndarray]) -> np.ndarray:
    """Numbers as bins, [columns, rows]."""
    pairs = zip(edges, matrix.T, strict=True)
    return np.stack([np.searchsorted(edge, column, side="left") for edge, column in pairs]).astype(np.int16)


def rarer(bins: np.ndarray) -> dict[int, np.ndarray]:
    """For each column of two bins, the rows of the rarer one."""
    found = {}
    for number, column in enumerate(bins):
        ones = np.flatnonzero(column)
        if column.max() == 1:
            found[number] = ones if 2 * len(ones) <= len(column) else np.flatnonzero(column == 0)
    return {number: rows for number, rows in found.items() if len(rows)}


def grown(
    bins: np.ndarray,
    lone: dict[int, np.ndarray],
    slope: np.ndarray,
    bend: np.ndarray,
    depth: int,
    rate: float,
    ridge: float,
) -> Tree:
    """The tree that lowers the loss most, split by split, from first and second derivatives."""
    rows = bins.shape[1]
    node = np.zeros(rows, dtype=np.int64)
    chosen, limits = [], []
    for level in range(depth):
        size = 2**level
        best = np.full(size, -np.inf)
        column, limit = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
        whole = np.bincount(node, slope, size), np.bincount(node, bend, size)
        for number in np.flatnonzero(bins.max(axis=1)):
            if number in lone:
                # A piece that is true or false: counting the rarer of both is enough.
                few = lone[number]
                part = [np.bincount(node[few], weight[few], size) for weight in (slope, bend)]
                down, curve = part[0][:, None], part[1][:, None]
                if bins[number, few[0]]:
                    down, curve = whole[0][:, None] - down, whole[1][:, None] - curve
            else:
                cell = node * BINS + bins[number]
                down, curve = (
                    np.bincount(cell, weight, size * BINS).reshape(size, BINS).cumsum(axis=1)
                    for weight in (slope, bend)
                )
            up, rest = whole[0][:, None] - down, whole[1][:, None] - curve
            gain = down**2 / (curve + ridge) + up**2 / (rest + ridge)
            gain[(curve < 2) | (rest < 2)] = -np.inf
            at = gain.argmax(axis=1)
            better = gain[np.arange(size), at] > best
            best = np.where(better, gain[np.arange(size), at], best)
            column, limit = np.where(better, number, column), np.where(better, at, limit)
        # A node that cannot be split sends all rows left.
        limit = np.where(np.isinf(best), BINS, limit)
        chosen.append(column)
        limits.append(limit)
        node = 2 * node + (bins[column[node], np.arange(rows)] > limit[node])
    down, curve = np.bincount(node, slope, 2**depth), np.bincount(node, bend, 2**depth)
    return Tree(np.concatenate(chosen), np.concatenate(limits), rate * down / (curve + ridge))


def matched(pairs: pd.DataFrame, chance: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """Which pairs are one entity: surer than their `sure`, given that only one pair of a row can be right."""
    odds = chance / (1 - np.clip(chance, 0, 1 - 1e-9))
    frame = pairs[["by_qid", "by_title"]].assign(odds=odds)
    total = np.maximum(*(frame.groupby(side)["odds"].transform("sum") for side in ("by_qid", "by_title")))
    alone: np.ndarray = odds / (1 + total.to_numpy()) >= sure
    return alone
