"""Hard negatives: vectors of the whole entity pool, stale or frozen, and the search among them.

Knows vectors and indices only. Mining against the pool the model ships with is what keeps a linker
from falling when the knowledge base grows (see docs/training.md).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed

POOL_FILE = "pool.safetensors"
SCORES = 1 << 29  # of queries with the pool, held at once


class Pool:
    """Vectors `[pool, dims]` of the first entities of the catalogue.

    Where they are those of a knowledge base that shortens the model's, `projection` `[width, dims]` is its.

    An entity is never a negative of its twin: two entities with the same text, or with the same title
    where one has nothing but its title (often the same entity under another id).
    """

    def __init__(self, texts: Sequence[str], titles: Sequence[str], size: int) -> None:
        self.size = size
        self.text = _numbered(texts)
        self.title = _numbered([title.casefold() for title in titles])
        self.bare = torch.tensor([text == title for text, title in zip(texts, titles, strict=True)])
        self.vectors: Tensor | None = None
        self.projection: Tensor | None = None
        self.turn = -1

    def to(self, device: torch.device) -> None:
        """Moves what mining needs, once."""
        self.text, self.title, self.bare = (t.to(device) for t in (self.text, self.title, self.bare))
        if self.vectors is not None:
            self.vectors = self.vectors.to(device)
        if self.projection is not None:
            self.projection = self.projection.to(device)

    def shortened(self, vectors: Tensor) -> Tensor:
        """The model's unit vectors `[n, width]` as unit vectors `[n, dims]` like the stored ones."""
        if self.projection is None:
            return vectors
        return torch.nn.functional.normalize(vectors @ self.projection.to(vectors.dtype), dim=-1)

    def refresh(self, turn: int, embed: Callable[[slice], np.ndarray]) -> None:
        """Embeds the pool anew. `embed` gives float32 vectors `[n, dims]` of a slice of the pool; where
        several processes train together each embeds its share."""
        world, rank = 1, 0
        if distributed.is_available() and distributed.is_initialized():
            world, rank = distributed.get_world_size(), distributed.get_rank()
        share = -(-self.size // world)
        mine = torch.from_numpy(embed(slice(rank * share, min(self.size, (rank + 1) * share))))
        mine = mine.to(self.text.device)
        if world > 1:
            padded = torch.zeros(share, mine.shape[1], device=mine.device)
            padded[: len(mine)] = mine
            parts = [torch.empty_like(padded) for _ in range(world)]
            distributed.all_gather(parts, padded)
            mine = torch.cat(parts)[: self.size]
        self.vectors, self.turn = mine, turn

    @torch.no_grad()
    def mine(self, queries: Tensor, targets: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The `count` most similar entities of each query that are not its target.

        `queries` `[q, dims]`, `targets` `[q]` (catalogue indices, maybe outside the pool) -> indices
        `[q, count]` and a mask `[q, count]`, False where the entry is the target or its twin.
        """
        assert self.vectors is not None, "the pool was never embedded"
        count, pool = min(count, self.size), self.vectors[: self.size].T
        some = max(1, SCORES // self.size)
        found = [(part @ pool).topk(count, dim=1).indices for part in queries.detach().split(some)]
        indices = torch.cat(found)
        return indices, self.differs(indices, targets)

    def differs(self, indices: Tensor, targets: Tensor) -> Tensor:
        """Whether entity `indices` `[q, n]` is another than `targets` `[q]`."""
        others, own = indices, targets[:, None]
        namesakes = (self.title[others] == self.title[own]) & (self.bare[others] | self.bare[own])
        return (self.text[others] != self.text[own]) & ~namesakes

    def save(self, folder: Path) -> None:
        """Into a checkpoint: embedded anew when a run goes on, vectors would be younger than they were."""
        if self.vectors is not None:
            save_file({"vectors": self.vectors, "turn": torch.tensor(self.turn)}, folder / POOL_FILE)

    def load(self, folder: Path) -> None:
        if (folder / POOL_FILE).is_file():
            stored = load_file(folder / POOL_FILE, device=str(self.text.device))
            self.vectors, self.turn = stored["vectors"], int(stored["turn"])


def choose(
    given: Sequence[Sequence[int]], mined: Sequence[Sequence[int]], count: int, pool: int, rng: random.Random
) -> list[list[int]]:
    """`count` hard negatives of each query: those its corpus names, then mined ones, the harder the
    likelier, and where none were mined any of the first `pool` entities. -1 is no entity."""
    chosen = []
    for named, found in zip(given, mined, strict=True):
        able = [index for index in named if index >= 0]
        picked = rng.sample(able, min(count, len(able)))
        able = [index for index in found if index >= 0 and index not in picked]
        while able and len(picked) < count:
            picked.append(able.pop(min(int(rng.expovariate(0.25)), len(able) - 1)))
        if not found and len(picked) < count:
            picked += rng.sample(range(pool), min(pool, count - len(picked)))
        chosen.append(picked)
    return chosen


def _numbered(names: Sequence[str]) -> Tensor:
    """Equal names get equal numbers."""
    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(name, len(numbers)) for name in names])
