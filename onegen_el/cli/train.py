"""`onegen-el train` and `onegen-el calibrate`: make a model from a recipe, and set its thresholds.

Knows options and what is shown; the work is `onegen_el.training`'s and `onegen_el.evaluation`'s.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from onegen_el.cli.eval import Half, read_gold
from onegen_el.errors import OnegenError


def train(
    recipe: Annotated[Path, typer.Argument(help="TOML file; see onegen_el/training/recipes.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the trained model.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value over the recipe, e.g. optimiser.steps=50.")
    ] = None,
) -> None:
    """Train a model by a recipe; started again, it goes on from the last checkpoint.

    Needs the `train` extra: pip install 'onegen-el[train]'.
    """
    if find_spec("accelerate") is None:
        raise OnegenError("training needs further packages; pip install 'onegen-el[train]'")
    # Imported here because torch and transformers take seconds, which `--help` need not wait for.
    from onegen_el.training.recipe import read_recipe

    chosen = read_recipe(recipe, settings or [])
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("onegen_el").setLevel(logging.INFO)
    from onegen_el.training.run import train as run

    manifest = run(chosen, out)
    typer.echo(f"{out}: {manifest.name} ({manifest.fingerprint[:12]})", err=True)


def calibrate(
    model: Annotated[Path, typer.Option(help="Folder of the model; its manifest is changed.")],
    kb: Annotated[Path, typer.Option(help="Folder of the knowledge base it ships with.")],
    gold: Annotated[list[Path], typer.Option(help="Development corpora, ELEVANT JSONL or .gz.")],
    half: Annotated[Half, typer.Option(help="Documents used: even, odd or all.")] = Half.ALL,
) -> None:
    """Choose mark bias, score threshold and prior weight of a model on development corpora."""
    from onegen_el.evaluation.calibrate import calibrate as choose
    from onegen_el.linker import load
    from onegen_el.manifest import ModelManifest, write_manifest

    corpora = {str(path): read_gold(path, half) for path in gold}
    choice = choose(load(model, kb), corpora)
    write_manifest(model, replace(ModelManifest.read(model), calibration=choice.calibration))
    typer.echo(f"{choice.calibration}, mean InKB F1 {choice.f1:.3f} on {len(corpora)} corpora", err=True)
