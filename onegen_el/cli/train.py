"""`onegen-el train`: make a model from a recipe; `train check`, `merge` and `bench` are its helpers.

Knows options and what is shown; the work is `onegen_el.training`'s.
"""

from __future__ import annotations

import json
import logging
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from onegen_el.cli.check import check
from onegen_el.cli.merge import merge
from onegen_el.cli.train_bench import bench
from onegen_el.errors import OnegenError

DEFAULT = "run"


class TrainGroup(TyperGroup):
    """`train RECIPE` is `train run RECIPE`: what is no command of the group is a recipe."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            args = [DEFAULT, *args]
        return super().resolve_command(ctx, args)


train_app = typer.Typer(
    cls=TrainGroup,
    no_args_is_help=True,
    help="Train a model by a recipe (`train RECIPE -o FOLDER`), look at data, merge adapters, measure.",
)
train_app.command()(check)
train_app.command()(bench)
train_app.command()(merge)


@train_app.command(DEFAULT)
def train(
    recipe: Annotated[str, typer.Argument(help="TOML file, or the name of a recipe that comes with us.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the trained model.")],
    data: Annotated[
        list[Path] | None, typer.Option(help="Annotated texts instead of the recipe's (may be repeated).")
    ] = None,
    marks: Annotated[
        Literal["all", "partial", "none"],
        typer.Option(help="How completely the mentions of --data are annotated."),
    ] = "all",
    dev: Annotated[
        list[Path] | None, typer.Option(help="Annotated texts to measure on while training.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value over the recipe, e.g. optimiser.steps=50.")
    ] = None,
) -> None:
    """Train a model by a recipe; started again, it goes on from the last checkpoint.

    Needs the `train` extra: pip install 'onegen-el[train]'. Several GPUs: torchrun -m onegen_el train ...
    """
    missing = [name for name in ("accelerate", "peft") if find_spec(name) is None]
    if missing:
        raise OnegenError(f"training needs {' and '.join(missing)}; pip install 'onegen-el[train]'")
    # Imported here because torch and transformers take seconds, which `--help` need not wait for.
    from onegen_el.training.recipe_file import read_recipe

    chosen = read_recipe(recipe, [*_settings(data, marks, dev), *(settings or [])])
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun starts, one speaks
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("onegen_el").setLevel(logging.INFO if first else logging.ERROR)
    from torch import distributed

    from onegen_el.training.run import train as run

    manifest = run(chosen, out)
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
    if first:
        typer.echo(f"{out}: {manifest.name} ({manifest.fingerprint[:12]})", err=True)


def _settings(data: list[Path] | None, marks: str, dev: list[Path] | None) -> list[str]:
    """`--data` and `--dev` as settings; their paths are the user's, not relative to the recipe's root."""
    settings = []
    if data:
        corpora = [{"path": str(path.absolute()), "marks": marks} for path in data]
        settings.append(f"data.corpora={json.dumps(corpora)}")
    if dev:
        settings.append(f"dev.corpora={json.dumps([{'path': str(path.absolute())} for path in dev])}")
    return settings
