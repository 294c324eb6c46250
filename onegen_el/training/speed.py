"""What an update costs: time, tokens and peak memory of training steps of a model of some shape.

Knows shapes of models, recipes and the clock; downloads nothing, reads no corpus and saves nothing. Weights
are random and so are the texts, but all else is what `run` does: the same marks, adapter, batches and loss.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib import import_module
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from onegen_el import resources
from onegen_el.backbone import Backbone, pick_device
from onegen_el.errors import ModelError, RecipeError
from onegen_el.knowledge import KnowledgeBase
from onegen_el.manifest import ModelManifest
from onegen_el.pretrained import load_pretrained, load_tokenizer
from onegen_el.training import memory as memory_of
from onegen_el.training import start
from onegen_el.training.catalog import Catalog, catalog_of_kb
from onegen_el.training.examples import Example, collate
from onegen_el.training.negatives import Pool
from onegen_el.training.recipe import Recipe
from onegen_el.training.shapes import Shape
from onegen_el.training.step import Step
from onegen_el.windows import Window

BUNDLED = resources.BUNDLED / "model"  # its tokenizer is used for every shape
TITLE_TOKENS = 6  # entities with a longer title are not mentioned
# Each is one token of the bundled tokenizer.
WORDS = (
    *("the", "harbour", "was", "quiet", "when", "a", "small", "boat", "came", "home", "and", "nobody", "saw"),
    *(
        "who",
        "had",
        "opened",
        "that",
        "old",
        "door",
        "after",
        "rain",
        "fell",
        "on",
        "every",
        "road",
        "between",
    ),
    *("our", "village", "their", "bridge", "where", "people", "wait", "for", "news"),
)


@dataclass(frozen=True, slots=True)
class StepCost:
    """What an update of `shape` costs: `accumulate` batches of `windows` windows, clipping and AdamW.

    `window_tokens` (with padding) and `entity_tokens` (without, each text once) go through the model in an
    update, the latter again where `objective.chunk` embeds them twice. `seconds` is the median, `fastest`
    the shortest update, `processor_seconds` the median of the CPU time of all threads, which says more on a
    shared machine; `tokens_per_second` are window tokens, as the progress bar of a training counts.
    `peak_memory` is in bytes, and `memory` says of what; None where the system does not tell. `weights` is
    the type of the model's weights, `computes` that of its matrix products.
    """

    shape: str
    device: str
    weights: str
    computes: str
    parameters: int
    trainable: int
    windows: int
    accumulate: int
    mentions: int
    window_tokens: int
    entities: int
    entity_tokens: int
    steps: int
    seconds: float
    fastest: float
    processor_seconds: float
    tokens_per_second: float
    peak_memory: int | None
    memory: str
    finite: bool

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure(
    recipe: Recipe,
    shape: Shape,
    steps: int,
    length: int,
    mentions: int,
    device: str | torch.device = "auto",
    windows: int = 0,
) -> StepCost:
    """The cost of an update by `recipe`, its `base` and corpora aside, on a model of `shape`.

    A sequence has `length` tokens, prompt and output (0 = as many as the recipe's windows give; one less
    where output and prompt cannot be of one size), and `mentions` linked mentions, each of another entity.
    A batch has `windows` of them (0 = as `optimiser.step_tokens` says). One update goes before the `steps`
    that are counted. Batches are made within the time, as in training.

    Entities are those of the bundled knowledge base; the vectors they are mined from are random, and so is
    what is found, because all queries of a random model find nearly the same. The time to embed the pool
    every `objective.refresh` steps is not in it. Raises RecipeError for what cannot be measured so,
    ModelError where the model does not fit the device.
    """
    _check(recipe)
    target = pick_device(device)
    if recipe.lora.rank:
        with suppress(ImportError):  # told when the adapter is put on
            import_module("peft")  # what it takes itself is no part of a step
    torch.manual_seed(recipe.optimiser.seed)
    manifest = _manifest(recipe, shape)
    catalog = _catalog(manifest.grammar.entity_template)
    _check_memory(recipe, shape, target)
    before = memory_of.reset_peak(target)
    try:
        backbone = _backbone(recipe, shape, manifest, target)
        examples = _examples(recipe, backbone, catalog, length, mentions, windows)
        step = _MeasuredStep(backbone, recipe, catalog, target)
        seconds, processor, losses, tokens = _updates(recipe, step, examples, steps)
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"shape {shape.name}: an update does not fit into the memory of {memory_of.device_name(target)}; "
            "give fewer --windows, a shorter --length, or --set optimiser.gradient_checkpointing=true, "
            "objective.chunk=16 or lora.rank=16"
        ) from error
    peak, memory = memory_of.peak(target, before)
    typical = statistics.median(seconds)
    embedded = [backbone.entity_ids(texts) if texts else [] for texts in step.embedded[1:]]
    return StepCost(
        shape=shape.name,
        device=memory_of.device_name(target),
        weights=_type_name(backbone.dtype),
        computes=_type_name(torch.bfloat16 if recipe.optimiser.bf16 else backbone.dtype),
        parameters=sum(weight.numel() for weight in backbone.parameters()),
        trainable=sum(weight.numel() for weight in backbone.parameters() if weight.requires_grad),
        windows=len(examples) // recipe.optimiser.accumulate,
        accumulate=recipe.optimiser.accumulate,
        mentions=mentions,
        window_tokens=tokens,
        entities=round(statistics.mean(map(len, embedded))),
        entity_tokens=round(statistics.mean(sum(map(len, rows)) for rows in embedded)),
        steps=steps,
        seconds=typical,
        fastest=min(seconds),
        processor_seconds=statistics.median(processor),
        tokens_per_second=tokens / typical,
        peak_memory=peak,
        memory=memory,
        finite=all(map(bool, torch.isfinite(torch.tensor(losses)))),
    )


class _DrawnPool(Pool):
    """A pool that is searched as ever, and then gives entities drawn by chance."""

    @torch.no_grad()
    def mine(self, queries: Tensor, targets: Tensor, count: int) -> tuple[Tensor, Tensor]:
        found, _ = super().mine(queries, targets, count)
        drawn = torch.randint(self.size, found.shape, device=found.device)
        return drawn, self.differs(drawn, targets)


class _MeasuredStep(Step):
    """A step past its warm-up with a pool of random vectors; remembers the texts it embeds.

    `embedded` has a list of distinct texts for each update.
    """

    def __init__(self, backbone: Backbone, recipe: Recipe, catalog: Catalog, device: torch.device) -> None:
        objective = recipe.objective
        pool = _DrawnPool(catalog.texts, catalog.titles, min(recipe.data.pool or len(catalog), len(catalog)))
        pool.to(device)
        if objective.mined:
            rows = len(catalog) if objective.stored else pool.size
            pool.vectors = torch.randn(rows, backbone.dims, device=device)
            # In place: the pool of a large model is larger than what is left beside it twice.
            pool.vectors /= pool.vectors.norm(dim=1, keepdim=True)
        pool.turn = 0
        super().__init__(backbone, objective, catalog, pool, recipe.optimiser.seed)
        self.embedded: list[list[str]] = []

    def entity_vectors(self, texts: Sequence[str]) -> Tensor:
        self.embedded[-1] += dict.fromkeys(texts)
        return super().entity_vectors(texts)


def _check(recipe: Recipe) -> None:
    if recipe.lora.quantise:
        raise RecipeError(
            "lora.quantise: weights in 4 bits are read from files, random ones cannot be measured; "
            "give --set lora.quantise="
        )
    if not recipe.optimiser.optimiser.startswith("adamw_torch"):
        raise RecipeError(
            f"optimiser.optimiser: AdamW is measured, not {recipe.optimiser.optimiser}; "
            "give --set optimiser.optimiser=adamw_torch"
        )


def _manifest(recipe: Recipe, shape: Shape) -> ModelManifest:
    base = start.base_of(recipe)
    manifest = start.manifest_of(recipe, ModelManifest.read(Path(base)) if start.is_ours(base) else None)
    if shape.kind and manifest.grammar.token_types != "none":
        # Only encoders have token types; they cost nothing.
        manifest = replace(manifest, grammar=replace(manifest.grammar, token_types="none"))
    return manifest


def _backbone(recipe: Recipe, shape: Shape, manifest: ModelManifest, device: torch.device) -> Backbone:
    """A model of the shape on the device with marks, projection and adapter, as `start` makes them."""
    lm = _language_model(recipe, shape, device)
    backbone = start.new_backbone(lm, load_tokenizer(BUNDLED), manifest)
    if recipe.lora.rank:
        try:
            backbone = start.with_lora(recipe, backbone, recipe.base, "")
        except ModelError as error:
            raise RecipeError(f"shape {shape.name}: {error}") from error
    backbone.to(device).train()
    if recipe.optimiser.attention:
        backbone.lm.set_attn_implementation(recipe.optimiser.attention)
    if recipe.optimiser.gradient_checkpointing:
        backbone.lm.activation_checkpointing_enable()
    return backbone


def _language_model(recipe: Recipe, shape: Shape, device: torch.device) -> PreTrainedModel:
    dropout, dtype = recipe.optimiser.attention_dropout, _dtype(recipe, device)
    if not shape.kind:
        return load_pretrained(BUNDLED, dtype, attention_dropout=dropout)
    config = AutoConfig.for_model(shape.kind, attention_dropout=dropout, **shape.fields())
    with device:
        lm: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=dtype)
    return lm


def _dtype(recipe: Recipe, device: torch.device) -> torch.dtype:
    half = recipe.lora.rank and recipe.optimiser.bf16 and device.type != "cpu"
    return torch.bfloat16 if half else torch.float32


@cache
def _catalog(template: str) -> Catalog:
    return catalog_of_kb(KnowledgeBase.open(resources.BUNDLED / "kb"), template)


def _examples(
    recipe: Recipe, backbone: Backbone, catalog: Catalog, length: int, mentions: int, windows: int
) -> list[Example]:
    """The windows of one update, all of the same size."""
    marks, settings = backbone.marks, backbone.manifest.windows
    prompt = len(marks.prefix) + len(marks.suffix)
    written = mentions * (len(marks.open) + len(marks.close) + 1 + len(marks.follow_up))
    shown, copied = settings.longest, settings.own if backbone.aligned else settings.longest
    if length:
        room = length - prompt - written
        # As much context beside what is copied as the recipe's windows have.
        copied = room * copied // (copied + shown)
        shown = room - copied if backbone.aligned else copied
    sequence = prompt + shown + copied + written
    positions, room = prompt + shown if backbone.aligned else sequence, _positions(backbone)
    if positions > room:
        raise RecipeError(
            f"sequences of {sequence} tokens need {positions} positions, the shape has {room}; "
            "give a shorter --length, or a shape with more"
        )
    count = windows or max(1, recipe.optimiser.step_tokens // sequence)
    names = _names(backbone, catalog)
    rng = random.Random(recipe.optimiser.seed)
    return [
        _example(backbone, list(islice(names, mentions)), copied, shown - copied, rng)
        for _ in range(count * recipe.optimiser.accumulate)
    ]


def _positions(backbone: Backbone) -> int:
    positions: int = backbone.lm.config.max_position_embeddings
    return positions


def _names(backbone: Backbone, catalog: Catalog) -> Iterator[tuple[str, int, int]]:
    """Titles that marks can surround, with the entity's index and the number of tokens; without end."""
    for index, title in cycle(enumerate(catalog.titles)):
        tokens = backbone.tokenize(title)
        if len(tokens) <= TITLE_TOKENS and tokens.tokens_of(0, len(title)) == (0, len(tokens)):
            yield title, index, len(tokens)


def _example(
    backbone: Backbone, names: Sequence[tuple[str, int, int]], copied: int, context: int, rng: random.Random
) -> Example:
    """Words with names between them at even distances: `copied` tokens amid `context` others."""
    filler = copied - sum(size for _, _, size in names)
    if filler < len(names) + 1:
        raise RecipeError(
            f"{len(names)} mentions do not fit into the {max(copied, 0)} tokens that a window copies; "
            "give fewer --mentions or a longer --length"
        )
    before, gaps = context // 2, len(names) + 1
    words = rng.choices(WORDS, k=before)
    spans = []
    for number in range(gaps):
        words += rng.choices(WORDS, k=filler * (number + 1) // gaps - filler * number // gaps)
        if number < len(names):
            title, index, _ = names[number]
            begin = sum(map(len, words)) + len(words)
            spans.append((begin, begin + len(title), index))
            words.append(title)
    words += rng.choices(WORDS, k=context - before)
    tokens = backbone.tokenize(" ".join(words))
    assert len(tokens) == copied + context, "a word of the filler is not one token"
    mentions = []
    for begin, end, index in spans:
        reached = tokens.tokens_of(begin, end)
        assert reached is not None
        mentions.append((*reached, index))
    own = (before, before + copied)
    window = Window(*own, context=(0, len(tokens)), head=0)
    return Example(tokens, window, own, tuple(mentions), "all")


def _updates(
    recipe: Recipe, step: _MeasuredStep, examples: Sequence[Example], steps: int
) -> tuple[list[float], list[float], list[float], int]:
    """Seconds, processor seconds and losses of `steps` updates after a first that is not counted, and the
    window tokens of one."""
    optimiser, objective, backbone = recipe.optimiser, recipe.objective, step.backbone
    device = backbone.device
    trained = [weight for weight in backbone.parameters() if weight.requires_grad]
    adamw = torch.optim.AdamW(trained, lr=optimiser.learning_rate, weight_decay=optimiser.weight_decay)
    prefix = backbone.grammar.attention == "prefix"
    size = len(examples) // optimiser.accumulate
    rng = random.Random(optimiser.seed)
    seconds, processor, losses, tokens = [], [], [], 0
    for number in range(steps + 1):
        started, worked, tokens = time.perf_counter(), time.process_time(), 0
        step.embedded.append([])
        total = torch.zeros((), device=device)
        for at in range(0, len(examples), size):
            chosen = examples[at : at + size]
            made = collate(chosen, backbone.marks, backbone.aligned, prefix, objective.positives, rng)
            batch = {name: tensor.to(device) for name, tensor in made.as_dict().items()}
            with torch.autocast(device.type, torch.bfloat16, enabled=optimiser.bf16):
                # Between two refreshes of the pool, when negatives are mined.
                loss, _ = step(batch, objective.warmup + number % objective.refresh)
            (loss / optimiser.accumulate).backward()
            total += loss.detach() / optimiser.accumulate
            tokens += made.ids.numel()
        torch.nn.utils.clip_grad_norm_(trained, optimiser.max_grad_norm)
        adamw.step()
        adamw.zero_grad(set_to_none=True)
        losses.append(total.item())  # waits for the device
        seconds.append(time.perf_counter() - started)
        processor.append(time.process_time() - worked)
    return seconds[1:], processor[1:], losses[1:], tokens


def _check_memory(recipe: Recipe, shape: Shape, device: torch.device) -> None:
    """Raises ModelError where not even the weights, and what AdamW keeps of them, fit the device."""
    there = memory_of.device_memory(device)
    with torch.device("meta"):
        config = AutoConfig.for_model(shape.kind, **shape.fields()) if shape.kind else None
        lm = AutoModelForCausalLM.from_config(config) if config else None
    parameters = sum(weight.numel() for weight in lm.parameters()) if lm else 0
    # Of each trained weight there are a gradient and two averages.
    needed = parameters * _dtype(recipe, device).itemsize * (1 if recipe.lora.rank else 4)
    if there is not None and needed > there:
        parts = "weights" if recipe.lora.rank else "weights, gradients and AdamW"
        raise ModelError(
            f"shape {shape.name}: {parts} take {needed / 1e9:,.1f} GB, {memory_of.device_name(device)} has "
            f"{there / 1e9:,.1f} GB; choose a smaller --shape, another --device or --set lora.rank=16"
        )


def _type_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
