"""Training the whole way: from gold to a model that links, killed and resumed, with and without adapters."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from two import together
from typer.testing import CliRunner
from world import a_recipe, link_and_score, write_jsonl

from onegen_el.backbone import load_backbone
from onegen_el.cli.main import app
from onegen_el.errors import KBError, RecipeError
from onegen_el.gold import GoldDocument, read_gold
from onegen_el.knowledge import KnowledgeBase
from onegen_el.knowledge.texts import entity_text
from onegen_el.linker import EntityLinker
from onegen_el.manifest import Calibration, ModelManifest, write_manifest
from onegen_el.training import run
from onegen_el.training.catalog import Catalog, read_catalog
from onegen_el.training.examples import Reach, collate, document_examples
from onegen_el.training.recipe import Corpus, Data, Dev, Lora, Recipe
from onegen_el.training.step import Step
from onegen_el.windows import WindowSettings


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are only slowed by threads, the more so on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing the curves takes as long as many updates; what fixtures of the module train has them."""
    monkeypatch.setattr(run, "draw", lambda log, picture: True)


PARTS = {"generation", "retrieval", "mark_errors", "recall_in_batch", "recall_in_pool"}


@pytest.fixture(scope="module")
def trained(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT that has learned the twenty texts by heart; its knowledge base is not yet built."""
    out = tmp_path_factory.mktemp("trained") / "model"
    dev = Dev((Corpus("gold.jsonl.gz"),), every=100, windows=10, candidates=99)
    run.train(replace(a_recipe(world), dev=dev), out)
    return out


@pytest.fixture(scope="module")
def trained_kb(trained: Path, world: Path) -> Path:
    """The knowledge base of the trained BERT, which links everything right with it."""
    scores = link_and_score(trained, trained.parent / "kb", world)
    assert (scores.marks.f1, scores.links.f1, scores.accuracy) == (1, 1, 1)
    assert scores.linked == scores.reachable == 47
    return trained.parent / "kb"


# --- the whole way ---


def test_an_encoder_learns_and_what_it_learned_is_on_record(trained: Path, trained_kb: Path) -> None:
    record = json.loads((trained / "training.json").read_text())
    # One of the texts takes two windows.
    assert (record["steps"], record["windows"]) == (220, 21)
    logged = {name for row in record["history"] for name in row}
    assert logged >= {*PARTS, "dev_mark_f1", "dev_recall_1"}
    lines = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert {name for line in lines for name in line} >= {*PARTS, "tokens_per_second", "step"}
    measured = {line["step"]: line for line in lines if "dev_mark_f1" in line}
    assert list(measured) == [100, 200, 220]
    assert all(
        measured[220][f"dev_{name}"] == 1 for name in ("mark_accuracy", "mark_f1", "recall_1", "recall_10")
    )
    assert (trained / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("base", ["llama", "qwen2", "mistral"])
def test_a_causal_decoder_learns_twenty_documents_by_heart(base: str, world: Path, tmp_path: Path) -> None:
    run.train(a_recipe(world, base), tmp_path / "model")
    scores = link_and_score(tmp_path / "model", tmp_path / "kb", world)
    assert (scores.marks.f1, scores.links.f1) == (1, 1)
    assert scores.documents == 20


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        path.name + name: t for path in folder.glob("*.safetensors") for name, t in load_file(path).items()
    }


class Killed(Exception):  # noqa: N818
    pass


def kill_at(patch: pytest.MonkeyPatch, step: int) -> None:
    """The next training stops as if killed when it comes to this step."""
    whole = Step.forward

    def forward(self: Step, batch: dict[str, torch.Tensor], at: int) -> Any:
        if at == step:
            raise Killed
        return whole(self, batch, at)

    patch.setattr(Step, "forward", forward)


@pytest.fixture
def killed(world: Path, tmp_path: Path) -> tuple[Recipe, Path]:
    """A run that was killed at step 10 while it wrote a checkpoint; its last whole one is that of step 8.

    The pool was embedded at steps 2 and 7, so that of step 8 is older than the weights.
    """
    recipe = a_recipe(world, steps=14, save_steps=4)
    recipe = replace(recipe, objective=replace(recipe.objective, warmup=2, refresh=5))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        kill_at(patch, 10)
        run.train(recipe, tmp_path / "killed")
    (tmp_path / "killed/checkpoints/checkpoint-10").mkdir()
    return recipe, tmp_path / "killed"


def test_a_killed_run_ends_with_the_weights_of_an_unbroken_one(
    killed: tuple[Recipe, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe, out = killed
    run.train(recipe, tmp_path / "whole")
    caplog.clear()
    with caplog.at_level(logging.INFO, "onegen_el"):
        resumed = run.train(recipe, out)
    # It did go on: the pool is embedded at step 12 only.
    assert [r.args[0] for r in caplog.records if "pool embedded" in r.msg and r.args] == [12]
    one, other = weights(tmp_path / "whole"), weights(out)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert resumed.fingerprint == ModelManifest.read(tmp_path / "whole").fingerprint


def test_a_finished_run_has_nothing_left_to_do(trained: Path, world: Path) -> None:
    before = ModelManifest.read(trained)
    assert run.train(a_recipe(world), trained) == before


def test_checkpoints_of_another_recipe_are_not_taken_up(killed: tuple[Recipe, Path]) -> None:
    recipe, out = killed
    with pytest.raises(RecipeError, match=r"another objective; choose another folder.*checkpoints"):
        run.train(replace(recipe, objective=replace(recipe.objective, temperature=0.1)), out)


def test_a_model_of_ours_is_trained_on(trained: Path, world: Path, tmp_path: Path) -> None:
    longer = WindowSettings(own=40, before=8, after=8, head=4)
    recipe = replace(a_recipe(world, steps=2), name="second", base=str(trained), windows=longer)
    start = run.starting_point(recipe)
    assert torch.equal(
        start.lm.get_input_embeddings().weight, load_backbone(trained).lm.get_input_embeddings().weight
    )
    manifest = run.train(recipe, tmp_path / "out")
    assert (manifest.name, manifest.windows, manifest.dims) == ("second", longer, 24)
    assert manifest.calibration == Calibration()
    for change, message in (
        ({"grammar": replace(recipe.grammar, attention="causal")}, "grammar differs"),
        ({"dims": 0}, "set dims = 24"),
        ({"dims": 12}, "set dims = 24"),
    ):
        with pytest.raises(RecipeError, match=message):
            run.starting_point(replace(recipe, **change))


def broken(world: Path) -> Iterator[tuple[Callable[[Recipe], Recipe], str]]:
    """Changes to a recipe that cannot be run, and what the error must name."""
    yield lambda r: replace(r, base=str(world / "nowhere")), "base .*nowhere"
    yield lambda r: replace(r, base=str(world)), "base "  # a folder without a model
    yield lambda r: replace(r, data=replace(r.data, pool=31)), "data.pool is 31, .* has 30"
    yield lambda r: replace(r, report_to=("carrier-pigeon",)), "report_to: 'carrier-pigeon' is not installed"
    yield lambda r: replace(r, optimiser=replace(r.optimiser, optimiser="luck")), "'luck' is none that trans"
    yield lambda r: replace(r, windows=replace(r.windows, own=250)), "windows need 272 positions.* 256"
    nothing = Corpus("gold.jsonl.gz", min_links=99)
    yield lambda r: replace(r, data=replace(r.data, corpora=(nothing,))), "no window can be trained on"


@pytest.mark.parametrize("number", range(7))
def test_what_cannot_be_trained_is_said_before_the_first_step(
    world: Path, tmp_path: Path, number: int
) -> None:
    change, message = list(broken(world))[number]
    with pytest.raises(RecipeError, match=message):
        run.train(change(a_recipe(world)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_windows_may_fill_the_model_to_its_last_position(world: Path) -> None:
    recipe = a_recipe(world)
    full = replace(recipe, windows=WindowSettings(own=175, before=75, after=0, head=4))
    backbone = run.starting_point(full)
    tokens = backbone.tokenize("planet " * 400)
    document = GoldDocument("", tokens.text, (), (0, len(tokens.text)))
    found = document_examples(
        document, Corpus("x"), backbone.tokenize, full.windows, Catalog([], [], {}), Reach(), True
    )
    batch = collate(found, backbone.marks, aligned=True, prefix=True)
    assert batch.positions.max() == 255
    assert torch.isfinite(backbone.hidden(batch.ids, batch.positions, batch.types, batch.mask)).all()


# --- one's own texts on top of a trained model ---


def test_a_model_is_tuned_while_its_knowledge_base_stays(
    trained: Path, trained_kb: Path, world: Path, tmp_path: Path
) -> None:
    """Entity vectors are frozen: what was built with the base is searched with the new queries."""
    calibration = Calibration(mark_bias=0.25, min_score=0.1)
    base = tmp_path / "base"
    shutil.copytree(trained, base)
    write_manifest(base, replace(ModelManifest.read(base), calibration=calibration))
    recipe = a_recipe(world, steps=40, learning_rate=1e-3)
    recipe = replace(
        recipe,
        base=str(base),
        data=Data((Corpus("gold.jsonl.gz"),), root=str(world), kb=str(trained_kb)),
        objective=replace(recipe.objective, entities="frozen"),
    )
    tuned = run.train(recipe, tmp_path / "tuned")
    before = ModelManifest.read(trained)
    assert tuned.fingerprint != before.fingerprint == tuned.entity_fingerprint
    assert tuned.calibration == calibration  # the scores still mean what they meant
    backbone = load_backbone(tmp_path / "tuned")
    linker = EntityLinker(backbone, KnowledgeBase.open(trained_kb))
    document = next(read_gold(world / "gold.jsonl.gz"))
    (linked,) = linker.annotate([(document.id, document.text)])
    assert [mention.entity for mention in linked.mentions] == ["Q1"]
    # Tuned once more it still belongs to the first model's knowledge base ...
    again = run.train(replace(recipe, base=str(tmp_path / "tuned")), tmp_path / "again")
    assert again.entity_fingerprint == before.fingerprint
    # ... and it cannot build one: its own entity vectors were not looked after.
    code, output = onegen(
        "kb", "build", world / "entities.jsonl", "--model", tmp_path / "tuned", "-o", tmp_path / "kb"
    )
    assert code == 2
    assert before.fingerprint[:12] in " ".join(output.split())
    # ... unless it went on making those vectors.
    kept = replace(recipe, objective=replace(recipe.objective, entities="kept", rehearsed=20))
    manifest = run.train(kept, tmp_path / "kept")
    assert manifest.entity_fingerprint == before.fingerprint
    assert manifest.builds
    code, output = onegen(
        "kb", "build", world / "entities.jsonl", "--model", tmp_path / "kept", "-o", tmp_path / "kb"
    )
    assert code == 0, output
    old, new = KnowledgeBase.open(trained_kb), KnowledgeBase.open(tmp_path / "kb")
    assert new.fingerprint == old.fingerprint

    def agreement(made: np.ndarray) -> float:
        unit = [v.astype(np.float64) / np.linalg.norm(v, axis=1, keepdims=True) for v in (old.vectors, made)]
        return float((unit[0] * unit[1]).sum(1).mean())

    texts = [entity_text(entity) for entity in old]
    drifted = load_backbone(tmp_path / "tuned").embed_entities(texts)
    assert agreement(new.vectors) > max(0.98, agreement(drifted))
    (linked,) = EntityLinker(load_backbone(tmp_path / "kept"), new).annotate([(document.id, document.text)])
    assert [mention.entity for mention in linked.mentions] == ["Q1"]
    # A knowledge base that shortens vectors is searched with queries that learned to be shortened.
    code, output = onegen(
        "kb", "build", world / "entities.jsonl", "--model", trained, "--dims", "12", "-o", tmp_path / "short"
    )
    assert code == 0, output
    data = replace(recipe.data, kb=str(tmp_path / "short"))
    run.train(replace(kept, data=data, dev=Dev(data.corpora, every=20, windows=9)), tmp_path / "shortened")
    short = EntityLinker(load_backbone(tmp_path / "shortened"), KnowledgeBase.open(tmp_path / "short"))
    (linked,) = short.annotate([(document.id, document.text)])
    assert [mention.entity for mention in linked.mentions] == ["Q1"]
    other = run.train(a_recipe(world, steps=2), tmp_path / "other")
    assert other.entity_fingerprint == ""
    with pytest.raises(KBError, match="built with model"):
        run.train(replace(recipe, base=str(tmp_path / "other")), tmp_path / "wrong")


# --- adapters ---


def a_lora_recipe(world: Path, **optimiser: Any) -> Recipe:
    return replace(a_recipe(world, "llama", **optimiser), lora=Lora(rank=8, alpha=16))


def test_lora_learns_and_links_the_same_when_loaded_and_when_merged(world: Path, tmp_path: Path) -> None:
    """On top of a base with random weights it learns the names by heart only in part."""
    run.train(a_lora_recipe(world, steps=150, learning_rate=1e-2), tmp_path / "adapter")
    scores = link_and_score(tmp_path / "adapter", tmp_path / "kb", world)
    assert scores.accuracy > 0.5
    losses = [
        json.loads(line).get("loss") for line in (tmp_path / "adapter/log.jsonl").read_text().splitlines()
    ]
    assert losses[-2] < 0.5 * losses[0]
    assert not list((tmp_path / "adapter").glob("model*.safetensors"))
    merged = tmp_path / "merged"
    code, output = onegen("train", "merge", tmp_path / "adapter", "-o", merged, "--dtype", "float32")
    assert code == 0, output
    kb = KnowledgeBase.open(tmp_path / "kb")
    documents = [(document.id, document.text) for document in read_gold(world / "gold.jsonl.gz")]
    one, other = (
        [
            (m.start, m.end, m.entity, pytest.approx(m.score, abs=1e-4))
            for linked in EntityLinker(load_backbone(tmp_path / name), kb).annotate(documents)
            for m in linked.mentions
        ]
        for name in ("adapter", "merged")
    )
    assert one == other


def test_a_killed_lora_run_ends_with_the_weights_of_an_unbroken_one(world: Path, tmp_path: Path) -> None:
    recipe = a_lora_recipe(world, steps=8, save_steps=4)
    run.train(recipe, tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        kill_at(patch, 6)
        run.train(recipe, tmp_path / "killed")
    run.train(recipe, tmp_path / "killed")
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


# --- the recipes for large models, on small ones of the same kind ---


def reference_data(world: Path, folder: Path) -> None:
    """The world as the reference's release has it: train.jsonl and db.jsonl."""
    rows = []
    for document in read_gold(world / "gold.jsonl.gz"):
        content, done = "", 0
        for m in document.mentions:
            content += (
                f"{document.text[done : m.start]}<MENTION>{document.text[m.start : m.end]}</MENTION>[LK]"
            )
            done = m.end
        catalog = read_catalog(world / "entities.jsonl", world / "links.tsv")
        found = [catalog.find(m.entity) for m in document.mentions]
        message = {
            "role": "assistant",
            "content": content + document.text[done:],
            "positive": [[f"Q{n + 1}"] for n in found],
            "negative": [[f"Q{(n + k) % 30 + 1}" for k in (5, 9, 13, 17)] for n in found],
        }
        rows.append({"messages": [{"role": "user", "content": document.text}, message]})
    write_jsonl(folder / "train.jsonl", rows)
    entities = []
    for line in (world / "entities.jsonl").read_text().splitlines():
        entity = json.loads(line)
        text = f"The description of {entity['title']} is as follows:\n{entity['description']}[SE]"
        entities.append({"uid": entity["id"], "messages": [{"role": "assistant", "content": text}]})
    write_jsonl(folder / "db.jsonl", entities)


@pytest.mark.parametrize(
    ("name", "base"), [("qwen-lora", "qwen2"), ("llama3-lora", "llama"), ("llama2-7b-paper", "llama")]
)
def test_recipes_for_large_models_run_on_small_ones(
    name: str, base: str, world: Path, tmp_path: Path
) -> None:
    settings = {
        "base": world / base,
        "windows": {"own": 24, "before": 4, "after": 4, "head": 0},
        "optimiser.steps": 4,
        "optimiser.log_steps": 1,
        "optimiser.step_tokens": 400,
        "objective.warmup": 2,
        "dev.every": 3,
    }
    if name == "llama2-7b-paper":
        reference_data(world, tmp_path)
        settings |= {"data.root": tmp_path, "data.entities": tmp_path / "db.jsonl", "optimiser.epochs": 1.0}
        files: list[object] = []
    else:
        settings |= {"data.entities": world / "entities.jsonl", "data.links": world / "links.tsv"}
        files = ["--data", world / "gold.jsonl.gz", "--dev", world / "gold.jsonl.gz"]
    for key, value in settings.items():
        files += ["--set", f"{key}={json.dumps(value) if isinstance(value, dict) else value}"]
    code, output = onegen("train", name, "-o", tmp_path / "out", *files)
    assert code == 0, output
    lines = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    assert all(line["generation"] > 0 and line["retrieval"] > 0 for line in lines if "loss" in line)
    assert ("dev_mark_f1" in {key for line in lines for key in line}) == (name != "llama2-7b-paper")
    assert (tmp_path / "out/adapter_config.json").exists() == ("lora" in name)


# --- several processes, several batches an update, less memory ---


def close(one: Path, other: Path) -> bool:
    left, right = weights(one), weights(other)
    return left.keys() == right.keys() and all(torch.allclose(left[n], right[n], atol=2e-3) for n in left)


def test_batches_made_ahead_by_workers_are_those_made_in_place(world: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (world / "entities.jsonl").read_text("utf-8").splitlines()]
    write_jsonl(tmp_path / "people.jsonl", [{**row, "types": ["PER"]} for row in rows])
    recipe = a_recipe(world, steps=3, step_tokens=200, bf16=False)

    def trained(replaced: float, workers: int) -> str:
        """The fingerprint of the weights."""
        data = replace(recipe.data, entities=str(tmp_path / "people.jsonl"), replaced=replaced)
        optimiser = replace(recipe.optimiser, workers=workers)
        return run.train(
            replace(recipe, data=data, optimiser=optimiser), tmp_path / f"{replaced} {workers}"
        ).fingerprint

    here = trained(0.5, 0)
    assert trained(0.5, 2) == here != trained(0.0, 0)


def test_two_processes_make_the_updates_of_one_that_accumulates(world: Path, tmp_path: Path) -> None:
    settings = [
        *("--set", "optimiser.steps=6", "--set", "objective.warmup=2", "--set", "objective.refresh=2"),
        *("--set", "optimiser.bf16=false", "--set", "optimiser.save_steps=3"),
        # Batches of some windows and steps of some size: else half of an update would look like a whole one.
        *("--set", "optimiser.step_tokens=300", "--set", "optimiser.learning_rate=4e-3"),
        *("--set", 'grammar={"prompt_suffix": "\\n"}', "--set", "windows.head=0"),
    ]
    (tmp_path / "recipe.toml").write_text(TOML.replace("/bert", "/llama").format(world=world.as_posix()))
    arguments = ["train", str(tmp_path / "recipe.toml"), *settings, "-o"]
    assert together(app, [*arguments, str(tmp_path / "two")]) == [0, 0]
    code, output = onegen(*arguments, tmp_path / "one", "--set", "optimiser.accumulate=2")
    assert code == 0, output
    assert close(tmp_path / "one", tmp_path / "two")


def test_checkpointed_layers_and_cached_entities_learn_the_same(world: Path, tmp_path: Path) -> None:
    recipe = a_recipe(world, "llama", steps=5)
    run.train(recipe, tmp_path / "plain")
    sparing = replace(
        recipe,
        optimiser=replace(recipe.optimiser, gradient_checkpointing=True),
        objective=replace(recipe.objective, chunk=4),
    )
    run.train(sparing, tmp_path / "sparing")
    assert close(tmp_path / "plain", tmp_path / "sparing")


# --- the command line ---


def onegen(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


TOML = """
name = "from-toml"
base = "{world}/bert"
dims = 16
[grammar]
prompt_prefix = "[CLS]"
prompt_suffix = "[SEP]"
positions = "aligned"
attention = "prefix"
token_types = "casing"
[windows]
own = 32
before = 8
after = 8
head = 4
[data]
root = "{world}"
entities = "{world}/entities.jsonl"
pool = 30
[[data.corpora]]
path = "gold.jsonl.gz"
[objective]
mined = 4
warmup = 1
[optimiser]
steps = 99
bf16 = true
"""


def test_train_command(world: Path, tmp_path: Path) -> None:
    level = logging.getLogger("onegen_el").level
    try:
        (tmp_path / "recipe.toml").write_text(TOML.format(world=world.as_posix()))
        arguments = ["train", tmp_path / "recipe.toml", "--set", "optimiser.steps=3", "-o", tmp_path / "out"]
        code, output = onegen(*arguments, "--set", 'report_to=["tensorboard"]')
        assert code == 0, output
        assert list(tmp_path.glob("out/checkpoints/runs/*/events.out.tfevents.*"))
        manifest = ModelManifest.read(tmp_path / "out")
        assert f"{tmp_path / 'out'}: from-toml ({manifest.fingerprint[:12]})" in output
        assert (load_backbone(tmp_path / "out").dims, manifest.projected) == (16, True)
        assert manifest.training == {"base": "bert", "corpora": ["gold.jsonl.gz"]}
        code, output = onegen(*arguments, "--set", "optimiser.speed=3")
        assert (code, "optimiser: unknown field 'speed'" in output) == (2, True)
    finally:
        logging.getLogger("onegen_el").setLevel(level)


def test_train_command_without_its_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("onegen_el.cli.train.find_spec", lambda name: None)
    code, output = onegen("train", tmp_path / "x.toml", "-o", tmp_path / "out")
    assert (code, "pip install 'onegen-el[train]'" in output) == (2, True)


def test_eval_and_calibrate_commands(trained: Path, trained_kb: Path, world: Path, tmp_path: Path) -> None:
    model, kb = tmp_path / "model", trained_kb
    shutil.copytree(trained, model)
    common = ["--model", model, "--kb", kb, "--gold", world / "gold.jsonl.gz"]
    code, output = onegen("eval", *common, "-o", tmp_path / "figures.json")
    assert code == 0, output
    heads, line = (re.split(r"  +", row) for row in output.splitlines())
    assert heads[:4] == ["corpus", "documents", "marks P", "R"]
    assert line[:-1] == ["gold", "20", *["1.000"] * 8]
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["model"], figures["entities"]) == ("tiny-bert", 30)
    assert figures["corpora"]["gold"]["mentions"] == 47
    assert figures["corpora"]["gold"]["half"] == "all"
    code, output = onegen("eval", *common, "--half", "odd", "--min-score", "1.1")
    assert re.split(r"  +", output.splitlines()[1])[1:8] == [
        "10",  # every second document
        *["1.000"] * 3,
        *["0.000"] * 3,  # no score is above 1
    ]
    code, output = onegen("calibrate", *common)
    assert code == 0, output
    assert "mean InKB F1 1.000 on 1 corpora" in output
    # Of all that are perfect the smallest threshold.
    assert ModelManifest.read(model).calibration.min_score == 0.3


def test_eval_command_names_the_file_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    for name, message in (
        ("missing.jsonl", "no such corpus file"),
        ("empty.jsonl", "it begins with nothing"),
    ):
        code, output = onegen("eval", "--gold", tmp_path / name)
        assert code == 2
        assert message in " ".join(output.split())
