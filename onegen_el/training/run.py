"""Runs a recipe: transformers' Trainer with the OneGen objective over windows and entity texts.

Knows the other training modules and the backbone; leaves optimiser, checkpoints and resuming to Trainer.
"""

from __future__ import annotations

import json
import logging
import random
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import set_seed

from onegen_el.backbone import Backbone, load_backbone
from onegen_el.errors import RecipeError
from onegen_el.manifest import ModelManifest
from onegen_el.training.catalog import Catalog, read_catalog
from onegen_el.training.examples import Schedule, collate, read_examples
from onegen_el.training.negatives import Pool
from onegen_el.training.objective import bpr, full_loss, info_nce, legal_loss
from onegen_el.training.recipe import Recipe
from onegen_el.training.start import starting_point

log = logging.getLogger(__name__)

RECIPE_FILE, RECORD_FILE, CHECKPOINTS = "recipe.json", "training.json", "checkpoints"
STATE_FILE = "trainer_state.json"  # Trainer writes it last, so a checkpoint that has it is whole
POOL_FILE = "pool.safetensors"


def train(recipe: Recipe, out: str | Path) -> ModelManifest:
    """Trains a model into the folder `out`; a run that was killed goes on from its newest whole checkpoint
    and ends with the weights it would have had.

    Raises RecipeError, InputError or ModelError before any step is made.
    """
    out = Path(out)
    started = time.monotonic()
    _check_folder(recipe, out)
    set_seed(recipe.optimiser.seed)
    backbone = starting_point(recipe)
    if recipe.optimiser.attention:
        backbone.lm.set_attn_implementation(recipe.optimiser.attention)
    catalog = read_catalog(recipe.data.entities, recipe.data.links, recipe.grammar.entity_template)
    if recipe.data.pool > len(catalog):
        raise RecipeError(
            f"data.pool is {recipe.data.pool}, but {recipe.data.entities} has {len(catalog)} entities"
        )
    examples = read_examples(
        recipe.data, backbone.tokenize, recipe.windows, catalog, backbone.aligned, recipe.optimiser.seed
    )
    if not examples:
        raise RecipeError(
            "no window can be trained on; look at the counts above: are the links in the table?"
        )
    schedule = Schedule(
        examples,
        lambda chosen: collate(
            chosen, backbone.marks, backbone.aligned, recipe.grammar.attention == "prefix"
        ),
        recipe.optimiser.steps,
        recipe.optimiser.step_tokens,
        recipe.optimiser.seed,
    )
    log.info("%d windows, %d steps, %d passes", len(examples), len(schedule), schedule.passes)
    out.mkdir(parents=True, exist_ok=True)
    (out / RECIPE_FILE).write_text(_as_json(recipe), "utf-8")
    trainer = LinkerTrainer(recipe, backbone, catalog, schedule, out / CHECKPOINTS)
    trainer.train(resume_from_checkpoint=_newest_checkpoint(out / CHECKPOINTS))
    manifest = backbone.eval().save(out)
    record = {"steps": len(schedule), "windows": len(examples), "minutes": (time.monotonic() - started) / 60}
    (out / RECORD_FILE).write_text(
        json.dumps({**record, "history": trainer.state.log_history}, indent=1) + "\n", "utf-8"
    )
    return manifest


def _as_json(recipe: Recipe) -> str:
    return json.dumps(asdict(recipe), indent=1) + "\n"


def _check_folder(recipe: Recipe, out: Path) -> None:
    """Raises RecipeError if `out` has checkpoints that another recipe made."""
    made_by = out / RECIPE_FILE
    if _newest_checkpoint(out / CHECKPOINTS) and made_by.is_file():
        old, new = json.loads(made_by.read_text("utf-8")), json.loads(_as_json(recipe))
        changed = [name for name in new if old.get(name) != new[name]]
        if changed:
            raise RecipeError(
                f"{out}: has checkpoints of a recipe with another {', '.join(changed)}; "
                f"choose another folder with -o, or delete {out / CHECKPOINTS} to begin anew"
            )


def _newest_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end."""
    whole = [path.parent for path in folder.glob(f"checkpoint-*/{STATE_FILE}")]
    return str(max(whole, key=lambda path: int(path.name.rpartition("-")[2]))) if whole else None


class LinkerTrainer(Trainer):
    """Trainer whose step reads marks and queries off one forward pass and entities off a second."""

    def __init__(
        self, recipe: Recipe, backbone: Backbone, catalog: Catalog, schedule: Schedule, folder: Path
    ) -> None:
        optimiser = recipe.optimiser
        arguments = TrainingArguments(
            output_dir=str(folder),
            max_steps=optimiser.steps,
            per_device_train_batch_size=1,
            learning_rate=optimiser.learning_rate,
            weight_decay=optimiser.weight_decay,
            warmup_steps=int(optimiser.warmup_ratio * optimiser.steps),
            lr_scheduler_type="linear",
            logging_steps=optimiser.log_steps,
            save_steps=optimiser.save_steps,
            save_total_limit=2,
            seed=optimiser.seed,
            remove_unused_columns=False,
            bf16=optimiser.bf16,
            use_cpu=not torch.accelerator.is_available(),
            dataloader_pin_memory=torch.accelerator.is_available(),
            report_to=[],
        )
        super().__init__(
            model=backbone, args=arguments, train_dataset=schedule, data_collator=lambda items: items[0]
        )
        self.recipe, self.backbone, self.catalog, self.schedule = recipe, backbone, catalog, schedule
        self.pool = Pool(catalog.texts)
        self.refreshed = -1
        self.parts: dict[str, list[Tensor]] = {}

    def _get_train_sampler(self, *_: Any) -> torch.utils.data.Sampler[int]:
        # The schedule is shuffled already; its order is the plan.
        return torch.utils.data.SequentialSampler(self.schedule)

    def compute_loss(self, model: Any, inputs: dict[str, Tensor], *_: Any, **__: Any) -> Tensor:
        """lambda_g * Lg + lambda_r * Lr of one batch (see `examples.Batch` for its fields)."""
        with self._autocast():
            return self._loss(inputs)

    def _autocast(self) -> torch.autocast:
        # Trainer would cast only what goes through the model's `forward`, which is not used here.
        return torch.autocast(self.backbone.device.type, torch.bfloat16, enabled=self.recipe.optimiser.bf16)

    def _loss(self, batch: dict[str, Tensor]) -> Tensor:
        backbone, objective = self.backbone, self.recipe.objective
        states = backbone.hidden(batch["ids"], batch["positions"], batch["types"], batch["mask"]).flatten(
            0, 1
        )
        loss = 0.0 * states.sum()  # not a constant, so that a batch with nothing to learn has a gradient
        if objective.generation == "full" and len(batch["next_at"]):
            generation = full_loss(backbone.vocabulary_logits(states[batch["next_at"]]), batch["next_ids"])
            loss = loss + objective.generation_weight * self._note("generation", generation)
        elif len(batch["decide_at"]):
            logits = backbone.logits_of(states[batch["decide_at"]], batch["choices"]).float()
            generation = legal_loss(logits, batch["wrote_tag"])
            self._note(
                "mark_errors", ((logits[:, 1] > logits[:, 0]).float() != batch["wrote_tag"]).float().mean()
            )
            loss = loss + objective.generation_weight * self._note("generation", generation)
        if len(batch["query_at"]):
            retrieval = self._retrieval(backbone.vectors(states[batch["query_at"]]), batch["targets"])
            loss = loss + objective.retrieval_weight * self._note("retrieval", retrieval)
        return loss

    def _retrieval(self, queries: Tensor, targets: Tensor) -> Tensor:
        """Contrastive loss of queries `[q, dims]` against fresh entity vectors and the stale pool."""
        objective, step = self.recipe.objective, self.state.global_step
        rng = random.Random(self.recipe.optimiser.seed * 1_000_003 + step)
        wanted, mined, valid = targets.unique(), None, None
        if objective.mined and step >= objective.warmup:
            self._refresh(step)
            mined, valid = self.pool.mine(queries, targets, objective.mined)
            wanted = torch.cat([wanted, _pick(mined, valid, objective.hard, rng)]).unique()
        elif objective.hard:
            # Before the pool is worth searching, any of its entities are the negatives.
            pool = self.recipe.data.pool
            others = rng.sample(range(pool), min(pool, objective.hard * len(targets)))
            wanted = torch.cat([wanted, torch.tensor(others, device=wanted.device)]).unique()
        rows = self.backbone.entity_ids([self._text(index, rng) for index in wanted.tolist()])
        fresh = self.backbone.vectors(_states_by_length(self.backbone, rows))
        # Cosines divided by a small temperature need all of float32.
        with torch.autocast(queries.device.type, enabled=False):
            return self._contrast(queries, targets, fresh, wanted, mined, valid)

    def _contrast(
        self,
        queries: Tensor,
        targets: Tensor,
        fresh: Tensor,
        wanted: Tensor,
        mined: Tensor | None,
        valid: Tensor | None,
    ) -> Tensor:
        """Loss of queries against `fresh` `[w, dims]`, the vectors of the entities `wanted` `[w]`, and
        against the pool's stale vectors of the `mined` entities `[q, n]` that are `valid`."""
        objective = self.recipe.objective
        scores = queries @ fresh.T
        positive = scores[torch.arange(len(targets)), torch.searchsorted(wanted, targets)]
        other = self.pool.differs(wanted.expand(len(targets), -1), targets)
        negatives = scores.masked_fill(~other, float("-inf"))
        self._note("recall_in_batch", (positive > negatives.amax(1)).float().mean())
        if mined is not None and valid is not None and self.pool.vectors is not None:
            # A mined entity that was embedded afresh as well must not count twice.
            stale = torch.einsum("qd,qnd->qn", queries, self.pool.vectors[mined])
            stale = stale.masked_fill(~valid | torch.isin(mined, wanted), float("-inf"))
            negatives = torch.cat([negatives, stale], dim=1)
            self._note("recall_in_pool", (positive > negatives.amax(1)).float().mean())
        if objective.retrieval == "bpr":
            return bpr(positive, negatives)
        return info_nce(positive, negatives, objective.temperature)

    def _text(self, index: int, rng: random.Random) -> str:
        dropped = rng.random() < self.recipe.objective.description_dropout
        return self.catalog.titles[index] if dropped else self.catalog.texts[index]

    def _refresh(self, step: int) -> None:
        """Embeds the pool with the present weights, at the first use and then every `refresh` steps."""
        turn = (step - self.recipe.objective.warmup) // self.recipe.objective.refresh
        if turn == self.refreshed and self.pool.vectors is not None:
            return
        started = time.monotonic()
        self.backbone.eval()
        with self._autocast():
            vectors = self.backbone.embed_entities(self.catalog.texts[: self.recipe.data.pool])
        self.backbone.train()
        self.pool.vectors = torch.from_numpy(vectors).to(self.backbone.device)
        self.refreshed = turn
        log.info("step %d: pool embedded in %.0f s", step, time.monotonic() - started)

    def _note(self, name: str, value: Tensor) -> Tensor:
        self.parts.setdefault(name, []).append(value.detach())
        return value

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Adds the parts of the loss, averaged since the last log; the only place values leave the device."""
        logs = {**logs, **{name: torch.stack(values).mean().item() for name, values in self.parts.items()}}
        self.parts.clear()
        super().log(logs, *args, **kwargs)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        self.backbone.save(folder, dtype=torch.float32)
        if self.pool.vectors is not None:
            # Embedded anew when a run goes on they would be younger than they were.
            save_file(
                {"vectors": self.pool.vectors, "refreshed": torch.tensor(self.refreshed)}, folder / POOL_FILE
            )

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        folder = Path(resume_from_checkpoint)
        self.backbone.load_state_dict(load_backbone(folder, device="cpu").state_dict())
        if (folder / POOL_FILE).is_file():
            pool = load_file(folder / POOL_FILE, device=str(self.args.device))
            self.pool.vectors, self.refreshed = pool["vectors"], int(pool["refreshed"])


def _pick(mined: Tensor, valid: Tensor, count: int, rng: random.Random) -> Tensor:
    """`count` valid mined entities of each query, harder ones likelier -> indices `[at most q * count]`."""
    chosen = []
    for indices, keep in zip(mined.tolist(), valid.tolist(), strict=True):
        able = [index for index, ok in zip(indices, keep, strict=True) if ok]
        chosen += [able[min(int(rng.expovariate(0.25)), len(able) - 1)] for _ in range(count) if able]
    return torch.tensor(chosen, dtype=torch.long, device=mined.device)


def _states_by_length(backbone: Backbone, rows: list[list[int]], parts: int = 4) -> Tensor:
    """Entity states in the order of `rows`, computed in a few batches of like length to save padding."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    size = -(-len(order) // parts)
    groups = [order[start : start + size] for start in range(0, len(order), size)]
    states = torch.cat([backbone.entity_states([rows[index] for index in group]) for group in groups])
    place = torch.empty(len(order), dtype=torch.long)
    place[torch.tensor(order)] = torch.arange(len(order))
    return states[place.to(states.device)]
