"""Hard negatives: stale vectors of the whole entity pool and the search among them.

Knows vectors and indices only. Mining against the pool the model ships with is what keeps a linker
from falling when the knowledge base grows (see docs/training.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Pool:
    """Vectors `[pool, dims]` of the first entities of the catalogue, refreshed now and then.

    `same` gives entities that share a text one number, so that a twin is never a negative.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        numbers: dict[str, int] = {}
        self.same = torch.tensor([numbers.setdefault(text, len(numbers)) for text in texts])
        self.vectors: Tensor | None = None

    @torch.no_grad()
    def mine(self, queries: Tensor, targets: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The `count` most similar entities of each query that are not its target.

        `queries` `[q, dims]`, `targets` `[q]` (catalogue indices, maybe outside the pool) -> indices
        `[q, count]` and a mask `[q, count]`, False where the entry is the target or its twin.
        """
        assert self.vectors is not None, "the pool was never refreshed"
        scores = queries.detach() @ self.vectors.T
        indices = scores.topk(min(count, scores.shape[1]), dim=1).indices
        return indices, self.differs(indices, targets)

    def differs(self, indices: Tensor, targets: Tensor) -> Tensor:
        """Whether entity `indices` `[q, n]` is another than `targets` `[q]`, by text."""
        same = self.same.to(indices.device)
        return same[indices] != same[targets][:, None]
