"""Recipes: the ones that are shipped, what may be set over them, and every way to get one wrong."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from onegen_el.errors import RecipeError
from onegen_el.training.recipe import Corpus
from onegen_el.training.recipe_file import read_recipe

SHIPPED = sorted(
    Path(str(file))
    for file in files("onegen_el.training").joinpath("recipes").iterdir()
    if file.name.endswith(".toml")
)
SMALL = """
name = "small"
base = "somewhere"
[data]
entities = "entities.parquet"
pool = 100
[[data.corpora]]
path = "gold.jsonl"
"""


def recipe_file(folder: Path, text: str = SMALL) -> Path:
    path = folder / "small.toml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_can_be_read(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.data.corpora
    assert recipe.name.startswith("onegen-el-")


def test_there_are_shipped_recipes() -> None:
    assert "mini" in [path.stem for path in SHIPPED]


def test_settings_are_put_over_the_file(tmp_path: Path) -> None:
    settings = [
        "optimiser.steps=50",
        "optimiser.learning_rate=1",  # a whole number will do for a float
        "name=seven",
        'objective.retrieval = "bpr"',
        "windows.head=0",
        'data.corpora=[{"path": "a.jsonl", "kinds": ["NAM"], "half": "odd"}]',
        "base=a=b",
    ]
    recipe = read_recipe(recipe_file(tmp_path), settings)
    assert recipe.optimiser.steps == 50
    assert recipe.optimiser.learning_rate == 1.0
    assert isinstance(recipe.optimiser.learning_rate, float)
    assert (recipe.name, recipe.objective.retrieval, recipe.base) == ("seven", "bpr", "a=b")
    assert recipe.data.corpora == (Corpus("a.jsonl", kinds=("NAM",), half="odd"),)
    assert recipe.data.pool == 100


SEQUENTIAL = ["windows.head=0", "grammar.positions=sequential"]  # what the small recipe lacks to be whole


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        # fields that are not there
        ("optimizer.steps=5", "unknown field 'optimizer'; known are base, data,"),
        ("optimiser.speed=5", "optimiser: unknown field 'speed'"),
        ('data.corpora=[{"paths": "x"}]', r"corpora\[0\]: unknown field 'paths'"),
        ('data.corpora=[{"marks": "all"}]', r"corpora\[0\]: field 'path' is missing"),
        ('data={"entities": "x"}', "data: field 'corpora' is missing"),
        # types
        ("optimiser.steps=many", "optimiser, steps: expected int, got 'many'"),
        ("optimiser.steps=5.0", "optimiser, steps: expected int, got 5.0"),
        ("optimiser.steps=true", "optimiser, steps: expected int, got True"),
        ("optimiser.bf16=1", "optimiser, bf16: expected bool, got 1"),
        ("objective.temperature=warm", "objective, temperature: expected float, got 'warm'"),
        ("name=7", "name: expected str, got 7"),
        ("optimiser=7", "optimiser: expected a table, got 7"),
        ("data.corpora=gold.jsonl", "corpora: expected a list, got 'gold.jsonl'"),
        ('data.corpora=["x"]', r"corpora\[0\]: expected a table"),
        ('data.corpora=[{"path": "x", "kinds": [1]}]', r"kinds\[0\]: expected str, got 1"),
        # one of a few
        ("objective.retrieval=dpo", "objective, retrieval: 'dpo' is not one of"),
        ("optimiser.attention=flash_attention_2", "attention: 'flash_attention_2' is not one of"),
        ("grammar.positions=random", "grammar, positions: 'random' is not one of"),
        ('data.corpora=[{"path": "x", "half": "third"}]', "half: 'third' is not one of"),
        ("objective.generation=[1]", r"generation: \[1\] is not one of"),
        # settings
        ("optimiser.steps", "--set optimiser.steps: expected key=value"),
        ("name.first=x", "--set name.first: name is not a table"),
        ("data.corpora.0.path=x", "--set data.corpora.0.path: corpora is not a table"),
        ("=x", "unknown field ''"),
        # numbers
        ("optimiser.steps=0", "optimiser: steps must be above 0, got 0"),
        ("optimiser.learning_rate=NaN", "optimiser: learning_rate must be above 0, got nan"),
        ("optimiser.learning_rate=Infinity", "learning_rate must be above 0, got inf"),
        ("optimiser.warmup_ratio=2", "optimiser: warmup_ratio must be from 0 to 1"),
        ("optimiser.seed=-1", "optimiser: seed must be 0 or more"),
        ("objective.temperature=0", "objective: temperature must be above 0"),
        ("objective.refresh=0", "objective: refresh must be above 0"),
        ("objective.description_dropout=-0.1", "objective: description_dropout must be from 0 to 1"),
        ("data.pool=-1", "data: pool must be 0 or more"),
        ('data.corpora=[{"path": "x", "repeat": 0}]', "data.corpora, x: repeat must be above 0"),
        ("dims=-1", "dims must be 0 or more"),
        ("windows.own=0", "windows: .*own=0"),
        # what cannot be together
        ("grammar.open=", "grammar: .*open is empty"),
        ('objective={"in_batch": false, "mined": 0, "hard": 0}', "objective: no negatives; set in_batch"),
        ('objective={"entities": "frozen", "mined": 0}', "takes all negatives from mined"),
        ("objective.entities=frozen", "needs data.kb, whose vectors are kept"),
        ("data.kb=bundled", "set entities .a table. or kb .a knowledge base., one of the two"),
        ("data.entities=", "set entities .a table. or kb .a knowledge base., one of the two"),
        ("lora.quantise=4bit", "lora.quantise trains adapters on a quantised base; set lora.rank"),
        ('lora={"rank": 8, "targets": []}', "lora.targets is empty"),
        ("dev.every=0", "dev: every must be above 0"),
        ("data.corpora=[]", "data.corpora is empty"),
        ('data.corpora=[{"path": "x", "links": false, "marks": "none"}]', "data.corpora, x: links=false"),
        ('data.corpora=[{"path": "x", "links": false, "min_links": 1}]', "data.corpora, x: links=false"),
        ("windows.head=8", 'windows.head needs grammar.positions = "aligned"'),
        ("grammar.entity_template={name}", r"grammar.entity_template '\{name\}'"),
        ("grammar.entity_template={title", "grammar.entity_template"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, setting: str, message: str) -> None:
    path = recipe_file(tmp_path)
    read_recipe(path, SEQUENTIAL)
    with pytest.raises(RecipeError, match=message):
        read_recipe(path, [*SEQUENTIAL, setting])


@pytest.mark.parametrize("gone", ["name", "base", "data"])
def test_a_field_that_is_missing_is_named(tmp_path: Path, gone: str) -> None:
    text = SMALL.partition("[data]")[0] if gone == "data" else re.sub(rf"{gone} = .*", "", SMALL)
    with pytest.raises(RecipeError, match=f"small.toml: field '{gone}' is missing"):
        read_recipe(recipe_file(tmp_path, text), SEQUENTIAL)


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"nowhere\.toml: no such recipe file, and none of the bundled \(.*mini"
    ):
        read_recipe(tmp_path / "nowhere.toml")
    with pytest.raises(RecipeError, match=r"small\.toml: not a TOML file .*line 1"):
        read_recipe(recipe_file(tmp_path, "name 7\n"))
    path = recipe_file(tmp_path)
    path.write_bytes(b'name = "caf\xe9"')
    with pytest.raises(RecipeError, match=r"small\.toml: not a TOML file in UTF-8"):
        read_recipe(path)
