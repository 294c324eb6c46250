"""The files of which the model card is made, read and checked against one another.

Knows where figures lie and what they must have been measured with; knows nothing of how they are told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

from card.plan import SAMPLE_FILE, planned
from onegen_el.errors import InputError
from onegen_el.evaluation.outcome import Conditions, Evaluation, Outcome, read_figures
from onegen_el.evaluation.provenance import kb_checksum
from onegen_el.knowledge.manifest import KBManifest
from onegen_el.manifest import ModelManifest
from onegen_el.training.recipe import Recipe
from onegen_el.training.recipe_file import read_recipe

WEIGHTS = "*.safetensors"
BUNDLED = "bundled"  # as a recipe's base: whatever model ships, which tells nothing
Runs = Mapping[tuple[str, str], Outcome]  # by corpus and policy


@dataclass(frozen=True, slots=True)
class Figures:
    """Outcomes with one knowledge base, by corpus and policy, and under what they came about."""

    conditions: Conditions
    runs: Runs


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything a card is made of.

    `sizes` are bytes of the model's files by name, `parameters` what the weights hold; `recipes` made the
    weights, in this order, by the names of their files. `full` has the figures with a larger knowledge base
    and `before` the speed of an earlier model in the same place, where there are any.
    """

    model: ModelManifest
    sizes: Mapping[str, int]
    parameters: int
    training: Mapping[str, Any]
    recipes: Mapping[str, Recipe]
    kb: KBManifest
    bundled: Figures
    samples: Evaluation
    bench: Mapping[str, Any]
    full: Figures | None = None
    before: Mapping[str, Any] | None = None


def outdated(conditions: Conditions, model: ModelManifest, kb: KBManifest | None) -> str:
    """Why figures are not those of this model and knowledge base (None: any), "" if they are."""
    if conditions.fingerprint != model.fingerprint:
        return "they are another model's"
    policy = conditions.policy or None
    if conditions.calibration != asdict(model.calibration_of(policy)):
        return "the model had other thresholds"
    if kb is not None and conditions.kb_checksum != kb_checksum(kb):
        return "the knowledge base was another"
    return ""


def read_runs(
    folder: Path, model: ModelManifest, kb: KBManifest | None, command: str, whole: bool = True
) -> Figures:
    """The planned figures of a folder, where it need not be `whole` those that are there.

    Raises InputError naming what is missing or old, and `command`.
    """
    runs: dict[tuple[str, str], Outcome] = {}
    conditions: Conditions | None = None
    for run in planned(model.grammar.policies):
        if not whole and not (folder / run.file).is_file():
            continue
        evaluation = _figures(folder / run.file, model, kb, command)
        if [outcome.name for outcome in evaluation.outcomes] != [run.corpus]:
            raise InputError(f"{folder / run.file}: has not the figures of {run.corpus} alone; `{command}`")
        if conditions and evaluation.conditions.kb_checksum != conditions.kb_checksum:
            raise InputError(
                f"{folder}: its files were measured with different knowledge bases; delete them, then "
                f"`{command}`"
            )
        conditions = evaluation.conditions
        runs[run.corpus, run.policy] = evaluation.outcomes[0]
    if conditions is None:
        raise InputError(f"{folder}: has no figures; `{command}`")
    return Figures(conditions, runs)


def _figures(path: Path, model: ModelManifest, kb: KBManifest | None, command: str) -> Evaluation:
    _demand(path, command)
    evaluation = read_figures(path)
    if why := outdated(evaluation.conditions, model, kb):
        raise InputError(f"{path}: these figures are of before, {why}; measure again: `{command}`")
    return evaluation


def read_samples(folder: Path, model: ModelManifest, kb: KBManifest, command: str) -> Evaluation:
    """The figures of our own texts, with examples; raises InputError as `read_runs` does."""
    return _figures(folder / SAMPLE_FILE, model, kb, command)


def read_bench(path: Path, fingerprint: str | None, command: str) -> Mapping[str, Any]:
    """The speed of the model with this fingerprint (None: of any); raises InputError naming `command`."""
    _demand(path, command)
    row = read_json(path, command)
    if not {"start", "decoding", "pipes", "machine", "fingerprint"} <= set(row):
        raise InputError(f"{path}: not the figures of `onegen-el bench --json`; `{command}`")
    if fingerprint is not None and row["fingerprint"] != fingerprint:
        raise InputError(f"{path}: these figures are another model's; measure again: `{command}`")
    return row


def read_json(path: Path, command: str) -> Mapping[str, Any]:
    """An object of a JSON file; raises InputError naming `command`."""
    _demand(path, command)
    try:
        row = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); `{command}`") from error
    if not isinstance(row, dict):
        raise InputError(f"{path}: is not an object of JSON; `{command}`")
    return row


def _demand(path: Path, command: str) -> None:
    if not path.is_file():
        raise InputError(f"{path}: is not there; `{command}` writes it")


def read_recipes(paths: Sequence[Path], model: ModelManifest) -> dict[str, Recipe]:
    """The recipes that made the weights, in their order, by name of file.

    Raises InputError without any, if the last is not the model's, or the first begins with a trained model.
    """
    if not paths:
        raise InputError("no recipe is named; name those that made the weights with --recipe")
    recipes = {path.stem: read_recipe(path) for path in paths}
    of = list(recipes.values())
    if of[0].base == BUNDLED:
        raise InputError(f"{paths[0]}: trains the bundled model on; name the recipes before it first")
    if [corpus.path for corpus in of[-1].data.corpora] != model.training.get("corpora"):
        raise InputError(
            f"{paths[-1]}: the model was trained on other corpora than these; name the recipes that made it, "
            'in their order: `make model-card RECIPES="FIRST LAST"`'
        )
    return recipes


def sizes_of(folder: Path) -> dict[str, int]:
    """Bytes of the files of a folder, by name."""
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}


def parameters_of(folder: Path) -> int:
    """How many numbers the weights of a model folder hold."""
    from safetensors import safe_open

    total = 0
    for path in folder.glob(WEIGHTS):
        with safe_open(path, "numpy") as weights:
            total += sum(prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return total
