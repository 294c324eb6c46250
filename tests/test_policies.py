"""Marking policies: what a model is told of them, learns of them, and remembers of them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner
from world import a_recipe, write_jsonl

from onegen_el.backbone import load_backbone
from onegen_el.cli.main import app
from onegen_el.errors import ModelError, RecipeError
from onegen_el.grammar import Grammar
from onegen_el.knowledge import KnowledgeBase, build_kb, read_entities
from onegen_el.linker import EntityLinker
from onegen_el.manifest import Calibration, ModelManifest, write_manifest
from onegen_el.training import run
from onegen_el.training.recipe import Corpus, Recipe


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def first_mentions(source: Path, target: Path) -> None:
    """The same texts, of each only the first mention annotated."""
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    write_jsonl(target, [{**row, "labels": row["labels"][:1]} for row in rows])


def with_policy(recipe: Recipe) -> Recipe:
    assert recipe.grammar is not None
    corpora = (*recipe.data.corpora, Corpus("first.jsonl", policy="first"))
    return replace(
        recipe,
        grammar=replace(recipe.grammar, policies=("first",)),
        data=replace(recipe.data, corpora=corpora),
    )


@pytest.fixture(scope="module")
def taught(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned two policies on the same texts: mark all, and mark the first."""
    first_mentions(world / "gold.jsonl.gz", world / "first.jsonl")
    out = tmp_path_factory.mktemp("policies") / "model"
    run.train(with_policy(a_recipe(world, steps=400)), out)
    backbone = load_backbone(out)
    build_kb(
        read_entities(world / "entities.jsonl"),
        backbone.embed_entities,
        out.parent / "kb",
        fingerprint=backbone.fingerprint,
        model_name=backbone.name,
    )
    return out


def marked(model: Path, policy: str | None) -> list[int]:
    linker = EntityLinker(load_backbone(model), KnowledgeBase.open(model.parent / "kb"), policy=policy)
    texts = [
        "Students row in Cambridge and in Oxford, but never in Reading.",
        "Chelsea lost the match, and the galleries of Chelsea closed. In Phoenix it was dry; "
        "the phoenix rose from its ashes.",
        "Turkey and Georgia sell wine to France.",
    ]
    return [len(document.mentions) for document in linker.annotate((str(n), t) for n, t in enumerate(texts))]


def test_one_model_marks_by_the_policy_it_is_told(taught: Path) -> None:
    assert marked(taught, None) == marked(taught, "default") == [3, 4, 3]
    assert marked(taught, "first") == [1, 1, 1]


def test_given_spans_are_linked_under_every_policy(taught: Path) -> None:
    for policy in (None, "first"):
        linker = EntityLinker(load_backbone(taught), KnowledgeBase.open(taught.parent / "kb"), policy=policy)
        linked = linker.link("Turkey and Georgia sell wine to France.", [(0, 6)])
        assert [m.title for m in linked.mentions] == ["Turkey"]


def test_a_policy_that_the_model_does_not_know_is_refused_with_those_it_knows(taught: Path) -> None:
    with pytest.raises(ModelError, match="'last' is not one this model knows; choose one of: default, first"):
        load_backbone(taught).tag("last")
    arguments = ["link", "-", "--model", str(taught), "--kb", str(taught.parent / "kb"), "--policy", "last"]
    result = CliRunner().invoke(app, arguments, input="Nobody.")
    assert result.exit_code != 0
    assert "choose one of: default, first" in " ".join(result.output.split())


def test_a_recipe_with_an_unknown_policy_is_refused_before_anything_is_trained(
    world: Path, tmp_path: Path
) -> None:
    recipe = a_recipe(world)
    recipe = replace(recipe, data=replace(recipe.data, corpora=(Corpus("gold.jsonl.gz", policy="odd"),)))
    with pytest.raises((RecipeError, ModelError), match="'odd'"):
        run.train(recipe, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_each_policy_has_its_own_calibration_or_that_of_the_default(taught: Path, tmp_path: Path) -> None:
    manifest = ModelManifest.read(taught).calibrated("first", Calibration(0.5, 0.2))
    manifest = manifest.calibrated(None, Calibration(-0.5, 0.1))
    write_manifest(tmp_path, manifest)
    read = ModelManifest.read(tmp_path)
    assert read == manifest
    assert read.calibration_of("first") == Calibration(0.5, 0.2)
    assert read.calibration_of("default") == read.calibration_of(None) == Calibration(-0.5, 0.1)
    with pytest.raises(ModelError, match="'last'"):
        manifest.calibrated("last", Calibration())


def test_a_model_without_policies_is_described_as_before_there_were_any() -> None:
    assert "policies" not in Grammar().to_dict()
    told = Grammar(policies=("first", "all-names"))
    assert Grammar.from_dict(json.loads(json.dumps(told.to_dict()))) == told


@pytest.mark.parametrize("name", ["", "default", "Two Words", "UPPER", "9"])
def test_a_policy_needs_a_plain_name(name: str) -> None:
    with pytest.raises(ModelError, match="policy"):
        Grammar(policies=(name,))
