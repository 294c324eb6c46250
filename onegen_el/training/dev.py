"""What is measured while a model trains: marks and retrieval on windows it does not train on.

Knows examples, the backbone and entity vectors; does not know when it is asked or who writes it down.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

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
        tables = self._vectors(step)
        right, found, gold, both, decisions = (torch.zeros((), device=device) for _ in range(5))
        first, tenth, queries = (torch.zeros((), device=device) for _ in range(3))
        entities = torch.tensor(self.entities, device=device)
        for batch in self.batches:
            batch = {name: tensor.to(device) for name, tensor in batch.items()}
            states = backbone.hidden(batch["ids"], batch["positions"], batch["types"], batch["mask"])
            states = states.flatten(0, 1)
            if len(batch["decide_at"]):
                logits = backbone.logits_of(states[batch["decide_at"]], batch["choices"])
                wrote, tag = logits[:, 1] > logits[:, 0], batch["wrote_tag"] > 0
                right, decisions = right + (wrote == tag).sum(), decisions + len(tag)
                found, gold, both = found + wrote.sum(), gold + tag.sum(), both + (wrote & tag).sum()
            if len(batch["query_at"]):
                vectors = backbone.vectors(states[batch["query_at"]])
                with torch.autocast(device.type, enabled=False):  # bfloat16 would make ties
                    scores = vectors.float() @ tables.T
                own = scores.gather(1, torch.searchsorted(entities, batch["targets"])[:, None])
                better = (
                    (scores > own) & step.pool.differs(entities.expand_as(scores), batch["targets"])
                ).sum(1)
                first, tenth = first + (better < 1).sum(), tenth + (better < 10).sum()
                queries = queries + len(better)
        backbone.train(was_training)
        scores_of: dict[str, Tensor] = {}
        if decisions:
            precision, recall = both / found.clamp(min=1), both / gold.clamp(min=1)
            scores_of |= {
                "dev_mark_accuracy": right / decisions,
                "dev_mark_precision": precision,
                "dev_mark_recall": recall,
                "dev_mark_f1": 2 * both / (found + gold).clamp(min=1),
            }
        if queries:
            scores_of |= {"dev_recall_1": first / queries, "dev_recall_10": tenth / queries}
        return {name: round(value.item(), 4) for name, value in scores_of.items()}

    def _vectors(self, step: Step) -> Tensor:
        """Float `[entities, dims]`: frozen ones as they are, else embedded with the present weights."""
        if not self.entities:
            return torch.empty(0, step.backbone.dims, device=step.backbone.device)
        if step.objective.entities == "frozen":
            assert step.pool.vectors is not None
            return step.pool.vectors[torch.tensor(self.entities)].float()
        texts = [step.catalog.texts[index] for index in self.entities]
        return torch.from_numpy(step.backbone.embed_entities(texts)).to(step.backbone.device)
