"""What an update costs: the counts are worked out by hand, what cannot be measured is told in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from onegen_el.cli.main import Program
from onegen_el.cli.train_bench import bench
from onegen_el.errors import ModelError, RecipeError
from onegen_el.knowledge import KnowledgeBase, entity_text
from onegen_el.training import memory, speed
from onegen_el.training.catalog import Catalog
from onegen_el.training.recipe import Recipe
from onegen_el.training.recipe_file import read_recipe, recipe_names
from onegen_el.training.shapes import SHAPES, find_shape
from onegen_el.training.speed import StepCost, measure

SMALL = ("data.pool=500", "optimiser.bf16=false")
# Smaller than "tiny", of the same kind: embeddings and head, then a layer's matrices and norms.
SPECK = replace(SHAPES["tiny"], name="speck", width=32, inner=48, layers=2, heads=4, kv_heads=2)
MATRICES = 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48)
SPECK_WEIGHTS = 2 * 32000 * 32 + MATRICES + 5 * 32
SEQUENTIAL = ('grammar={"prompt_prefix": "copy", "prompt_suffix": "now"}', "windows.head=0")


@pytest.fixture(autouse=True)
def of_few_entities(monkeypatch: pytest.MonkeyPatch) -> None:
    """To number all that are bundled takes longer than the updates; `test_negatives.py` has them all."""
    monkeypatch.setattr(speed, "_catalog", few_entities)


@cache
def few_entities(template: str) -> Catalog:
    entities = list(islice(KnowledgeBase.open(), 2000))
    texts = [entity_text(entity, template) for entity in entities]
    return Catalog(texts, [entity.title for entity in entities], {e.id: n for n, e in enumerate(entities)})


def cost(*settings: str, recipe: str = "mini", length: int = 120, mentions: int = 6, **more: Any) -> StepCost:
    return measure(made(*settings, recipe=recipe), SPECK, 1, length, mentions, "cpu", **more)


def made(*settings: str, recipe: str = "mini") -> Recipe:
    return read_recipe(recipe, [*SMALL, *settings])


# --- what is counted ---


def test_counts_of_a_full_fine_tune() -> None:
    found = cost(windows=3)
    assert found.parameters == found.trainable == SPECK_WEIGHTS + 32 * 128  # with the projection
    assert (found.windows, found.accumulate, found.window_tokens) == (3, 1, 360)
    # Each of 18 mentions has its entity and one hard negative, which may be drawn twice.
    assert 30 <= found.entities <= 36
    assert 4 * found.entities <= found.entity_tokens <= 64 * found.entities
    assert found.finite and found.steps == 1
    assert found.fastest == found.seconds > 0
    assert found.tokens_per_second == pytest.approx(360 / found.seconds)
    assert (found.weights, found.computes) == ("float32", "float32")


def test_lora_trains_the_adapter_the_marks_and_the_projection_only() -> None:
    found = cost("lora.rank=2", windows=1)
    # Two matrices beside each linear layer, rows of three marks in both tables, the projection.
    pairs = 2 * 2 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 48))
    assert found.trainable == pairs + 2 * 3 * 32 + 32 * 128
    assert found.parameters == SPECK_WEIGHTS + found.trainable
    assert found.finite


def test_sequential_sequences_show_and_copy_the_same_and_an_update_is_all_its_batches() -> None:
    found = cost(*SEQUENTIAL, "optimiser.step_tokens=250", "optimiser.accumulate=2")
    assert (found.windows, found.accumulate, found.window_tokens) == (2, 2, 4 * 120)


def test_length_0_is_that_of_the_recipes_windows() -> None:
    windows = ("windows.own=30", "windows.before=5", "windows.after=6", "windows.head=7")
    # Prefix, suffix, 48 tokens shown, 30 copied, two mentions with three marks each.
    assert cost(*windows, length=0, mentions=2, windows=1).window_tokens == 2 + 48 + 30 + 6


@pytest.mark.parametrize(
    "settings",
    [
        ("objective.generation=full", "objective.retrieval=bpr", "objective.mined=0", "objective.hard=4"),
        ("objective.chunk=8", "objective.hard=8", "optimiser.gradient_checkpointing=true"),
        ("objective.positives=1", "optimiser.bf16=true", "dims=0", "objective.refresh=1"),
        ("lora.rank=2", "optimiser.gradient_checkpointing=true", "objective.chunk=8"),
    ],
)
def test_every_objective_gives_a_finite_loss(settings: tuple[str, ...]) -> None:
    found = cost(*settings, windows=2)
    assert found.finite
    if "objective.positives=1" in settings:
        assert found.entities <= 4


@pytest.mark.parametrize("recipe", [name for name in recipe_names() if name != "finetune-mine"])
def test_every_recipe_that_comes_with_us_can_be_measured(recipe: str) -> None:
    found = cost(recipe=recipe, length=160, windows=1)
    assert found.finite
    assert 158 * found.accumulate <= found.window_tokens <= 160 * found.accumulate
    assert found.entities > 0


def test_frozen_entities_are_not_embedded() -> None:
    found = cost(recipe="finetune-mine", windows=2)
    assert found.finite
    assert found.entities == found.entity_tokens == 0


def test_chunks_cost_memory_or_time_but_embed_the_same() -> None:
    hard = ("objective.hard=8",)
    assert cost(*hard, windows=1).entity_tokens == cost(*hard, "objective.chunk=8", windows=1).entity_tokens


@pytest.mark.skipif(not memory.STATUS.is_file(), reason="peaks are read from /proc")
def test_memory_of_a_larger_batch_is_larger() -> None:
    cost(windows=1)  # what libraries load at the first use
    small, large = (cost("objective.hard=0", windows=size).peak_memory for size in (1, 48))
    assert small is not None and large is not None
    # Weights, gradients and two averages, less what the process kept from before.
    assert small > 2 * 4 * SPECK_WEIGHTS
    assert large > small


# --- what cannot be measured ---


@pytest.mark.parametrize(
    ("settings", "more", "says"),
    [
        ((), {"mentions": 60}, "60 mentions do not fit"),
        ((), {"length": 20}, "mentions do not fit into the 0 tokens"),
        (SEQUENTIAL, {"length": 5000}, "need 5000 positions, the shape has 4096"),
        (("lora.rank=2", "lora.quantise=4bit"), {}, "lora.quantise"),
        (("optimiser.optimiser=adafactor",), {}, "AdamW is measured, not adafactor"),
        (("lora.rank=2", 'lora.targets=["nothing"]'), {}, "shape speck: the adapter cannot be put on"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    settings: tuple[str, ...], more: dict[str, int], says: str
) -> None:
    with pytest.raises(RecipeError, match=says):
        cost(*settings, **{"windows": 1, **more})


def test_a_model_that_cannot_fit_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "device_memory", lambda device: 4 * 4 * SPECK_WEIGHTS - 1)
    with pytest.raises(ModelError, match="shape speck: weights, gradients and AdamW take"):
        cost(windows=1)
    assert cost("lora.rank=2", windows=1).finite  # its weights alone fit


def test_unknown_shapes_and_devices_are_told() -> None:
    with pytest.raises(ModelError, match=r"'gpt5': no such shape; known are llama2-7b, .*minilm"):
        find_shape("gpt5")
    with pytest.raises(ModelError, match="device 'abacus' is not available here"):
        measure(made(), SPECK, 1, 120, 6, "abacus")


# Sizes of the published models, as their authors count them.
@pytest.mark.parametrize(
    ("name", "billions"),
    [("llama2-7b", 6.738), ("llama3-8b", 8.030), ("qwen2.5-1.5b", 1.544), ("qwen2.5-0.5b", 0.494)],
)
def test_shapes_have_as_many_weights_as_the_published_models(name: str, billions: float) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = find_shape(name)
    with torch.device("meta"):
        lm = AutoModelForCausalLM.from_config(AutoConfig.for_model(shape.kind, **shape.fields()))
    assert sum(weight.numel() for weight in lm.parameters()) / 1e9 == pytest.approx(billions, abs=0.0006)


# --- the command ---


def run(*arguments: str) -> Any:
    app = typer.Typer(cls=Program)
    app.command()(bench)
    app.callback()(lambda: None)
    return CliRunner().invoke(app, ["bench", *arguments, *(f"--set={setting}" for setting in SMALL)])


def test_the_command_prints_a_row_for_each_shape_and_writes_json(tmp_path: Path) -> None:
    file = tmp_path / "cost.json"
    small = ("--length=90", "--mentions=4", "--windows=1", "--steps=2", "--device=cpu")
    result = run("mini", "--shape=tiny", "--shape=tiny", *small, f"--json={file}")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split()[0] == "shape"
    assert [line.split()[:5] for line in lines[1:3]] == [["tiny", "19.6", "19.6", "1", "90"]] * 2
    assert "onegen-el-mini on CPU" in result.stdout
    report = json.loads(file.read_text("utf-8"))
    assert report["recipe"]["name"] == "onegen-el-mini" and report["length"] == 90
    assert [row["window_tokens"] for row in report["costs"]] == [90, 90]
    assert all(row["finite"] and row["steps"] == 2 for row in report["costs"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("mini", "--shape=huge"), "'huge': no such shape; known are"),
        (("mini", "--shape=tiny", "--device=abacus"), "device 'abacus' is not available here"),
        (("no-such", "--shape=tiny"), "no-such: no such recipe file"),
    ],
)
def test_errors_are_one_line(arguments: tuple[str, ...], says: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr and len(result.stderr.strip().splitlines()) == 1
