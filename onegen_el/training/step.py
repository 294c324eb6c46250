"""The loss of one batch: marks and queries off one forward pass of the windows, entities off a second.

Knows the backbone, the objective and the pool of negatives; does not know optimisers, data or files. All
of it happens inside `forward`, so that what wraps a model (autocast, DDP, FSDP) wraps the whole step.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from onegen_el.backbone import Backbone
from onegen_el.training.catalog import Catalog
from onegen_el.training.negatives import Pool, choose
from onegen_el.training.objective import bpr, full_loss, info_nce, legal_loss
from onegen_el.training.recipe import Objective

log = logging.getLogger(__name__)

LENGTH_GROUPS = 4  # entity texts of a step are embedded in so many batches of like length


class Step(nn.Module):
    """L = lambda_g * Lg + lambda_r * Lr of a batch (OneGen, section 3.3), and what it is made of."""

    def __init__(
        self, backbone: Backbone, objective: Objective, catalog: Catalog, pool: Pool, seed: int
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.objective, self.catalog, self.pool, self.seed = objective, catalog, pool, seed
        self._rows: dict[str, list[int]] = {}  # token ids of the pool's texts, once they are needed
        # What FSDP shards as one unit; transformers' models name it by this attribute.
        self._no_split_modules = backbone.lm._no_split_modules

    def forward(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch (see `examples.Batch` for its fields) at update `step`, and its parts,
        detached: `generation`, `retrieval`, `mark_errors`, `recall_in_batch`, `recall_in_pool`, `drift`."""
        backbone, objective = self.backbone, self.objective
        parts: dict[str, Tensor] = {}
        states = backbone.hidden(batch["ids"], batch["positions"], batch["types"], batch["mask"]).flatten(
            0, 1
        )
        loss = 0.0 * states.sum()  # not a constant, so that a batch with nothing to learn has a gradient
        if objective.generation_weight and len(batch["decide_at"]):
            parts |= self._generation(states, batch)
            loss = loss + objective.generation_weight * parts["generation"]
        if objective.retrieval_weight and len(batch["query_at"]):
            queries = self.pool.shortened(backbone.vectors(states[batch["query_at"]]))
            parts |= self._retrieval(queries, batch["targets"], batch["given"], step)
            loss = loss + objective.retrieval_weight * parts["retrieval"]
        if objective.entities == "kept" and objective.rehearsal_weight:
            parts["drift"] = self._drift(batch["targets"], step)
            loss = loss + objective.rehearsal_weight * parts["drift"]
        return loss, {name: part.detach() for name, part in parts.items()}

    def _generation(self, states: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        logits = self.backbone.logits_of(states[batch["decide_at"]], batch["choices"]).float()
        wrong = (logits[:, 1] > logits[:, 0]).float() != batch["wrote_tag"]
        if self.objective.generation == "full":
            rows = self.backbone.vocabulary_logits(states[batch["next_at"]]).float()
            loss = full_loss(rows, batch["next_ids"])
        else:
            loss = legal_loss(logits, batch["wrote_tag"])
        return {"generation": loss, "mark_errors": wrong.float().mean()}

    def _retrieval(self, queries: Tensor, targets: Tensor, given: Tensor, step: int) -> dict[str, Tensor]:
        """Contrastive loss of queries `[q, dims]` against fresh or frozen vectors and the stale pool."""
        objective = self.objective
        mined: Tensor | None = None
        if objective.mined and (objective.stored or step >= objective.warmup):
            self._refresh(step)
            mined, valid = self.pool.mine(queries, targets, objective.mined)
            mined = mined.masked_fill(~valid, -1)
        if objective.stored:
            assert self.pool.vectors is not None
            wanted, vectors = targets, self.pool.vectors[targets]
            repeated = (targets[:, None] == targets).tril(-1).any(1)
            rivals = self.pool.differs(wanted.expand(len(targets), -1), targets) & ~repeated
            rivals &= objective.in_batch
            positives = torch.arange(len(targets), device=targets.device)
        else:
            wanted, vectors, rivals, positives = self._fresh(targets, given, mined, step)
        # Cosines divided by a small temperature need all of float32.
        with torch.autocast(queries.device.type, enabled=False):
            return self._contrast(queries.float(), vectors.float(), positives, rivals, wanted, mined)

    def _fresh(
        self, targets: Tensor, given: Tensor, mined: Tensor | None, step: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Entities that are embedded in this step: indices `[w]`, vectors `[w, dims]`, which of them are
        negatives of which query `[q, w]`, and where each query's target is `[q]`."""
        width = given.shape[1]
        # The one copy from the device in a step: entity texts are chosen and tokenised here.
        known = targets.new_empty(len(targets), 0) if mined is None else mined
        table = torch.cat([targets[:, None], given, known], dim=1).tolist()
        rng = random.Random(f"{self.seed} {step} {table[0][0]} {len(table)}")
        hard = choose(
            [row[1 : 1 + width] for row in table],
            [row[1 + width :] for row in table],
            self.objective.hard,
            self.pool.size,
            rng,
        )
        indices = sorted({row[0] for row in table}.union(*hard))
        place = {index: number for number, index in enumerate(indices)}
        wanted = torch.tensor(indices, device=targets.device)
        rivals = self.pool.differs(wanted.expand(len(targets), -1), targets)
        if not self.objective.in_batch:
            own = torch.zeros(len(targets), len(indices), dtype=torch.bool)
            for row, picked in enumerate(hard):
                own[row, [place[index] for index in picked]] = True
            rivals &= own.to(targets.device)
        positives = torch.tensor([place[row[0]] for row in table], device=targets.device)
        return wanted, self.entity_vectors([self._text(i, rng) for i in indices]), rivals, positives

    def _contrast(
        self,
        queries: Tensor,
        vectors: Tensor,
        positives: Tensor,
        rivals: Tensor,
        wanted: Tensor,
        mined: Tensor | None,
    ) -> dict[str, Tensor]:
        """Loss of queries `[q, dims]` whose targets are rows `positives` of `vectors` `[w, dims]` (of the
        entities `wanted`), against the rows that are `rivals` `[q, w]` and the stale vectors of the
        `mined` entities `[q, n]` (-1: none)."""
        scores = queries @ vectors.T
        positive = scores.gather(1, positives[:, None])[:, 0]
        negatives = scores.masked_fill(~rivals, float("-inf"))
        parts = {"recall_in_batch": (positive > negatives.amax(1)).float().mean()}
        if mined is not None:
            assert self.pool.vectors is not None
            stale = torch.einsum("qd,qnd->qn", queries, self.pool.vectors[mined.clamp(min=0)].float())
            # A mined entity that was embedded afresh as well must not count twice.
            ordered, columns = wanted.sort(stable=True)
            at = torch.searchsorted(ordered, mined).clamp(max=len(wanted) - 1)
            twice = (ordered[at] == mined) & rivals.gather(1, columns[at])
            stale = stale.masked_fill((mined < 0) | twice, float("-inf"))
            negatives = torch.cat([negatives, stale], dim=1)
            parts["recall_in_pool"] = (positive > negatives.amax(1)).float().mean()
        if self.objective.retrieval == "bpr":
            return {"retrieval": bpr(positive, negatives), **parts}
        return {"retrieval": info_nce(positive, negatives, self.objective.temperature), **parts}

    def entity_vectors(self, texts: Sequence[str]) -> Tensor:
        """Vectors `[n, dims]` of entity texts, each distinct one embedded once, in batches of like length.

        With `objective.chunk` a batch is embedded again on the way back instead of being remembered
        (gradient caching, Gao et al. 2021, arXiv 2101.06983): the gradient is the same.
        """
        place = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        new = [text for text in place if text not in self._rows]
        made = dict(zip(new, self.backbone.entity_ids(new), strict=True)) if new else {}
        rows = [self._rows.get(text) or made[text] for text in place]
        order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
        size = self.objective.chunk or -(-len(order) // LENGTH_GROUPS)
        groups = [[rows[n] for n in order[start : start + size]] for start in range(0, len(order), size)]
        embedded = [
            checkpoint(self._embed, group, use_reentrant=False)
            if self.objective.chunk
            else self._embed(group)
            for group in groups
        ]
        where = torch.empty(len(order), dtype=torch.long)
        where[torch.tensor(order)] = torch.arange(len(order))
        chosen = where[torch.tensor([place[text] for text in texts])]
        return torch.cat(embedded)[chosen.to(embedded[0].device)]

    def _embed(self, rows: Sequence[Sequence[int]]) -> Tensor:
        return self.backbone.vectors(self.backbone.entity_states(rows))

    def _drift(self, targets: Tensor, step: int) -> Tensor:
        """Mean 1 - cosine between vectors of entities made now and those that are stored: half of them are
        targets of the batch, as far as there are so many, the others any of the pool."""
        assert self.pool.vectors is not None
        count = self.objective.rehearsed
        rng = random.Random(f"{self.seed} rehearsal {step}")
        own = sorted(set(targets.tolist()))
        chosen = rng.sample(own, min(len(own), count // 2))
        chosen += rng.sample(range(self.pool.size), min(self.pool.size, count - len(chosen)))
        stored = self.pool.vectors[torch.tensor(chosen, device=self.pool.vectors.device)]
        made = self.pool.shortened(self.entity_vectors([self.catalog.texts[index] for index in chosen]))
        with torch.autocast(made.device.type, enabled=False):
            return (1 - (made.float() * stored.float()).sum(1)).mean()

    def _text(self, index: int, rng: random.Random) -> str:
        dropped = rng.random() < self.objective.description_dropout
        return self.catalog.titles[index] if dropped else self.catalog.texts[index]

    def _refresh(self, step: int) -> None:
        """Embeds the pool with the present weights, at the first use and then every `refresh` steps."""
        turn = (step - self.objective.warmup) // self.objective.refresh
        if self.objective.stored or (turn == self.pool.turn and self.pool.vectors is not None):
            return
        started = time.monotonic()
        texts = self.catalog.texts[: self.pool.size]
        if not self._rows:
            self._rows = dict(zip(texts, self.backbone.entity_ids(texts), strict=True))
        rows = [self._rows[text] for text in texts]
        was_training = self.backbone.training
        self.backbone.eval()
        self.pool.refresh(turn, lambda share: self.backbone.embed_rows(rows[share]))
        self.backbone.train(was_training)
        log.info("step %d: pool embedded in %.0f s", step, time.monotonic() - started)
