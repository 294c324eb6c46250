"""Runs a recipe: transformers' Trainer over the schedule of windows, from starting point to saved model.

Knows the other training modules; leaves optimiser, devices, checkpoints and resuming to Trainer, and the
loss to `step`.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PrinterCallback, Trainer, TrainingArguments
from transformers.integrations.integration_utils import get_available_reporting_integrations
from transformers.trainer_utils import set_seed
from transformers.training_args import OptimizerNames

from onegen_el.backbone import Backbone
from onegen_el.errors import RecipeError
from onegen_el.knowledge import KnowledgeBase
from onegen_el.manifest import ModelManifest
from onegen_el.training.catalog import Catalog, catalog_of_kb, read_catalog
from onegen_el.training.curves import draw
from onegen_el.training.dev import DevSet
from onegen_el.training.examples import Batch, Example, Schedule, collate, read_examples
from onegen_el.training.negatives import Pool
from onegen_el.training.recipe import Recipe
from onegen_el.training.record import Record
from onegen_el.training.replacement import Replacement
from onegen_el.training.start import starting_point
from onegen_el.training.step import Step

log = logging.getLogger(__name__)

RECIPE_FILE, RECORD_FILE, LOG_FILE, CURVES_FILE = "recipe.json", "training.json", "log.jsonl", "curves.png"
CHECKPOINTS = "checkpoints"
STATE_FILE = "trainer_state.json"  # Trainer writes it last, so a checkpoint that has it is whole


def train(recipe: Recipe, out: str | Path) -> ModelManifest:
    """Trains a model into the folder `out`; a run that was killed goes on from its newest whole checkpoint
    and ends with the weights it would have had.

    Raises RecipeError, InputError, ModelError or KBError before any step is made.
    """
    out = Path(out)
    started = time.monotonic()
    _check_folder(recipe, out)
    arguments = _arguments(recipe, out / CHECKPOINTS)
    set_seed(recipe.optimiser.seed)
    backbone = starting_point(recipe)
    if recipe.optimiser.attention:
        backbone.lm.set_attn_implementation(recipe.optimiser.attention)
    if recipe.optimiser.gradient_checkpointing:
        backbone.lm.activation_checkpointing_enable()
    catalog, pool = _entities(recipe, backbone)
    settings = backbone.manifest.windows
    read = partial(
        read_examples,
        root=recipe.data.root,
        tokenize=backbone.tokenize,
        windows=settings,
        catalog=catalog,
        aligned=backbone.aligned,
        seed=recipe.optimiser.seed,
        tag=backbone.tag,
    )
    examples = read(recipe.data.corpora)
    if not examples:
        raise RecipeError(
            "no window can be trained on; look at the counts above: are the links in the table?"
        )
    make = partial(
        collate,
        marks=backbone.marks,
        aligned=backbone.aligned,
        prefix=backbone.grammar.attention == "prefix",
    )
    optimiser = recipe.optimiser
    together = arguments.world_size * optimiser.accumulate
    share, positives = recipe.data.replaced, recipe.objective.positives
    replaced = Replacement(catalog, pool.size, backbone.tokenize, share) if share else None
    schedule = Schedule(
        examples,
        partial(_batch, make=partial(make, positives=positives), replaced=replaced),
        optimiser.step_tokens,
        optimiser.seed,
        batches=0 if optimiser.epochs else optimiser.steps * together,
        epochs=optimiser.epochs,
        multiple=together,
    )
    arguments.max_steps = len(schedule) // together
    arguments.warmup_steps = int(optimiser.warmup_ratio * arguments.max_steps)
    dev = None
    if recipe.dev.corpora:
        windows = read(recipe.dev.corpora)[: recipe.dev.windows]
        dev = DevSet(windows, make, optimiser.step_tokens, pool.size, recipe.dev.candidates)
    log.info("%d windows, %d steps, %d passes", len(examples), arguments.max_steps, schedule.passes)
    if arguments.process_index == 0:
        out.mkdir(parents=True, exist_ok=True)
        (out / RECIPE_FILE).write_text(_as_json(recipe), "utf-8")
    record = Record(out / LOG_FILE)
    step = Step(backbone, recipe.objective, catalog, pool, optimiser.seed)
    trainer = LinkerTrainer(step, arguments, schedule, dev, record)
    with closing(record):  # whatever ends the training, the terminal gets its cursor back
        trainer.train(resume_from_checkpoint=_newest_checkpoint(out / CHECKPOINTS))
    trainer.save_model(str(out))
    if trainer.is_world_process_zero():
        _write_record(out, trainer, len(examples), time.monotonic() - started)
    trainer.accelerator.wait_for_everyone()  # before anybody reads what the first process writes
    return ModelManifest.read(out)


def _batch(
    chosen: Sequence[Example], rng: random.Random, make: Callable[..., Batch], replaced: Replacement | None
) -> Batch:
    """A batch as it is shown this time; no closure, so that workers can be started anew with it."""
    shown = [replaced(example, rng) for example in chosen] if replaced else chosen
    return make(shown, rng=rng)


def _arguments(recipe: Recipe, folder: Path) -> TrainingArguments:
    """Raises RecipeError for an optimiser or a tracker that transformers does not know or have here."""
    trackers = get_available_reporting_integrations()
    for name in recipe.report_to:
        if name not in trackers:
            raise RecipeError(f"report_to: {name!r} is not installed; available are {', '.join(trackers)}")
    if recipe.optimiser.optimiser not in list(OptimizerNames):
        raise RecipeError(
            f"optimiser.optimiser: {recipe.optimiser.optimiser!r} is none that transformers knows; "
            f"known are {', '.join(OptimizerNames)}"
        )
    optimiser = recipe.optimiser
    accelerated = torch.accelerator.is_available()
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=1,  # an item of the schedule is a whole batch
        gradient_accumulation_steps=optimiser.accumulate,
        optim=optimiser.optimiser,
        learning_rate=optimiser.learning_rate,
        lr_scheduler_type=optimiser.schedule,
        weight_decay=optimiser.weight_decay,
        max_grad_norm=optimiser.max_grad_norm,
        logging_steps=optimiser.log_steps,
        logging_nan_inf_filter=False,  # it would look at the loss, on the host, in every step
        eval_strategy="steps" if recipe.dev.corpora else "no",
        eval_steps=recipe.dev.every,
        save_steps=optimiser.save_steps,
        save_total_limit=2,
        seed=optimiser.seed,
        dataloader_num_workers=optimiser.workers,
        remove_unused_columns=False,
        label_names=[],
        bf16=optimiser.bf16,
        use_cpu=not accelerated,
        dataloader_pin_memory=accelerated,
        # What a batch does not use (a head without decisions, queries without links) differs by device.
        ddp_find_unused_parameters=True,
        disable_tqdm=True,
        report_to=list(recipe.report_to),
    )


def _entities(recipe: Recipe, backbone: Backbone) -> tuple[Catalog, Pool]:
    """The entities of the recipe's table or knowledge base, and the pool negatives are mined from."""
    data = recipe.data
    vectors = projection = None
    if data.kb:
        kb = KnowledgeBase.open(None if data.kb == "bundled" else data.kb)
        catalog = catalog_of_kb(kb, kb.manifest.template, data.links)
        if recipe.objective.stored:
            kb.check_model(backbone.manifest.serves, backbone.name)
            vectors = torch.nn.functional.normalize(torch.from_numpy(kb.vectors.astype("float32")), dim=1)
            if kb.projection is not None:
                projection = torch.from_numpy(kb.projection)
    else:
        catalog = read_catalog(data.entities, data.links, backbone.grammar.entity_template)
    if data.pool > len(catalog):
        raise RecipeError(
            f"data.pool is {data.pool}, but {data.kb or data.entities} has {len(catalog)} entities"
        )
    pool = Pool(catalog.texts, catalog.titles, data.pool or len(catalog))
    pool.vectors, pool.projection = vectors, projection
    return catalog, pool


def _write_record(out: Path, trainer: LinkerTrainer, windows: int, seconds: float) -> None:
    history = trainer.state.log_history
    record = {"steps": trainer.state.global_step, "windows": windows, "minutes": seconds / 60}
    (out / RECORD_FILE).write_text(json.dumps({**record, "history": history}, indent=1) + "\n", "utf-8")
    if not draw(out / LOG_FILE, out / CURVES_FILE) and find_spec("matplotlib") is None:
        log.info("no %s: pip install 'onegen-el[train]' brings what draws it", CURVES_FILE)


def _as_json(recipe: Recipe) -> str:
    return json.dumps(asdict(recipe), indent=1) + "\n"


def _check_folder(recipe: Recipe, out: Path) -> None:
    """Raises RecipeError if `out` has checkpoints that another recipe made."""
    made_by = out / RECIPE_FILE
    if _newest_checkpoint(out / CHECKPOINTS) and made_by.is_file():
        # What is watched and where it is told may change in the middle of a run.
        old, new = json.loads(made_by.read_text("utf-8")), json.loads(_as_json(recipe))
        changed = [name for name in new if name not in ("dev", "report_to") and old.get(name) != new[name]]
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
    """Trainer whose batches come as planned, whose model is a `Step`, and whose checkpoints are models."""

    def __init__(
        self,
        step: Step,
        arguments: TrainingArguments,
        schedule: Schedule,
        dev: DevSet | None,
        record: Record,
    ) -> None:
        super().__init__(
            model=step,
            args=arguments,
            train_dataset=schedule,
            eval_dataset=schedule if dev else None,  # Trainer asks for one; `evaluate` takes `dev`
            data_collator=lambda items: items[0],
            callbacks=[record],
        )
        self.remove_callback(PrinterCallback)  # Trainer's own, for when it shows no bar; `record` says it
        self.step, self.schedule, self.dev, self.record = step, schedule, dev, record
        self.parts: dict[str, list[Tensor]] = {}
        step.pool.to(self.args.device)

    def _get_train_sampler(self, *_: Any) -> torch.utils.data.Sampler[int]:
        # The schedule is shuffled already; its order is the plan.
        return torch.utils.data.SequentialSampler(self.schedule)

    def compute_loss(self, model: Any, inputs: dict[str, Tensor], *_: Any, **__: Any) -> Tensor:
        """The loss of one batch (see `examples.Batch` for its fields)."""
        self.record.count(inputs["ids"].numel())
        loss, parts = model(inputs, self.state.global_step)
        for name, part in parts.items():
            self.parts.setdefault(name, []).append(part)
        result: Tensor = loss
        return result

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Adds the parts of the loss, averaged since the last log; the only place values leave the device."""
        if "loss" in logs:
            means = {name: torch.stack(values).mean().item() for name, values in self.parts.items()}
            logs = {**logs, **means}
            self.parts.clear()
        super().log(logs, *args, **kwargs)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Measures on the development set and logs it (`dev_...`)."""
        assert self.dev is not None
        with self.accelerator.autocast():
            scores = self.dev.measure(self.step)
        self.log(scores)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, scores)
        return scores

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        if not self.is_world_process_zero():
            return
        prefix = "backbone."
        state = {name.removeprefix(prefix): tensor for name, tensor in (state_dict or {}).items()}
        checkpoint = folder.parent.name == CHECKPOINTS
        backbone = self.step.backbone
        backbone.save(folder, torch.float32 if checkpoint else torch.float16, state=state or None)
        if checkpoint:
            self.step.pool.save(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        folder = Path(resume_from_checkpoint)
        if self.is_fsdp_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            self.step.backbone.load_weights(folder)
        if self.step.objective.entities == "trained":
            self.step.pool.load(folder)
