"""What is measured while a model trains: marks and retrieval on windows it does not train on.

Knows examples, the backbone and entity vectors; does not know when it is asked or who writes it down.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from onegen_el.training.examples import Batch, Example
from onegen_el.training.step import Step

CANDIDATES_SEED = 11


class DevSet:
    """Windows of the development corpora, in batches, with the entities their queries choose among.

    These are the entities of the windows themselves and `candidates` others, drawn once from the pool.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        make: Callable[[Sequence[Example]], Batch],
        step_tokens: int,
        pool: int,
        candidates: int,
    ) -> None:
        rng = random.Random(CANDIDATES_SEED)
        self.batches: list[dict[str, Tensor]] = []
        waiting: list[Example] = []
        for example in sorted(examples, key=lambda example: example.size):
            if waiting and (len(waiting) + 1) * example.size > step_tokens:
                self.batches.append(make(waiting).as_dict())
                waiting = []
            waiting.append(example)
        if waiting:
            self.batches.append(make(waiting).as_dict())
        targets = {index for batch in self.batches for index in batch["targets"].tolist()}
        others = rng.sample(range(pool), min(pool, candidates))
        self.entities = sorted(targets.union(others) if targets else ())

    def __len__(self) -> int:
        return len(self.batches)

    @torch.inference_mode()
    def measure(self, step: Step) -> dict[str, float]:
        """`dev_mark_accuracy` (share of right decisions), `dev_mark_precision`, `_recall`, `_f1` (of opening
        and closing marks, the gold output before them given), `dev_recall_1` and `dev_recall_10`."""
        backbone, device = step.backbone, step.backbone.device
        was_training = backbone.training
        backbone.eval()
        marks, ranks = torch.zeros(5, device=device), []
        with _gathered(step):
            vectors = self._vectors(step)
            for held in self.batches:
                batch = {name: tensor.to(device) for name, tensor in held.items()}
                states = backbone.hidden(batch["ids"], batch["positions"], batch["types"], batch["mask"])
                states = states.flatten(0, 1)
                if len(batch["decide_at"]):
                    marks += _mark_counts(step, states, batch)
                if len(batch["query_at"]):
                    ranks.append(self._ranks(step, states, batch, vectors))
        backbone.train(was_training)
        scores: dict[str, float] = {}
        right, decisions, found, gold, both = marks.tolist()
        if decisions:
            scores |= {
                "dev_mark_accuracy": right / decisions,
                "dev_mark_precision": both / max(found, 1),
                "dev_mark_recall": both / max(gold, 1),
                "dev_mark_f1": 2 * both / max(found + gold, 1),
            }
        if ranks:
            better = torch.cat(ranks)
            for k in (1, 10):
                scores[f"dev_recall_{k}"] = (better < k).float().mean().item()
        return {name: round(score, 4) for name, score in scores.items()}

    def _ranks(self, step: Step, states: Tensor, batch: dict[str, Tensor], vectors: Tensor) -> Tensor:
        """How many candidates each query finds better than its target `[q]`."""
        queries = step.pool.shortened(step.backbone.vectors(states[batch["query_at"]]))
        targets = batch["targets"]
        entities = torch.tensor(self.entities, device=queries.device)
        with torch.autocast(queries.device.type, enabled=False):  # bfloat16 would make ties
            scores = queries.float() @ vectors.T
        own = scores.gather(1, torch.searchsorted(entities, targets)[:, None])
        return ((scores > own) & step.pool.differs(entities.expand_as(scores), targets)).sum(1)

    def _vectors(self, step: Step) -> Tensor:
        """Float `[entities, dims]`: stored ones as they are, else embedded with the present weights."""
        if not self.entities:
            return torch.empty(0, step.backbone.dims, device=step.backbone.device)
        if step.objective.stored:
            assert step.pool.vectors is not None
            return step.pool.vectors[torch.tensor(self.entities)].float()
        texts = [step.catalog.texts[index] for index in self.entities]
        return torch.from_numpy(step.backbone.embed_entities(texts)).to(step.backbone.device)


def _mark_counts(step: Step, states: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Right decisions, decisions, marks found, gold marks, marks that are both `[5]`."""
    logits = step.backbone.logits_of(states[batch["decide_at"]], batch["choices"])
    wrote, tag = logits[:, 1] > logits[:, 0], batch["wrote_tag"] > 0
    decided = torch.ones_like(tag)
    return torch.stack([counted.sum() for counted in (wrote == tag, decided, wrote, tag, wrote & tag)])


@contextmanager
def _gathered(step: Step) -> Iterator[None]:
    """Where FSDP has sharded the step, the weights of no layer of their own are gathered meanwhile: they
    are for its `forward`, which is not called here."""
    if not isinstance(step, FSDPModule):
        yield
        return
    step.unshard()
    yield
    step.reshard()
