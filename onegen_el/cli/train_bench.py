"""`onegen-el train bench`: what an update of a recipe costs on this machine, for models of some shapes.

Knows options and how the answer looks; the measuring is `onegen_el.training.speed`'s.
"""

from __future__ import annotations

import io
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onegen_el.cli.console import say, stderr
from onegen_el.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from onegen_el.training.recipe import Recipe
    from onegen_el.training.speed import StepCost

# Rows are printed as they come, each a table of its own: fixed widths keep them below one another.
COLUMNS = {
    "shape": 12,
    "weights, M": 10,
    "trained, M": 10,
    "windows": 7,
    "tokens": 8,
    "entity tokens": 13,
    "s/step": 8,
    "tokens/s": 8,
    "peak GB": 7,
}


def bench(
    recipe: Annotated[str, typer.Argument(help="TOML file, or the name of a recipe that comes with us.")],
    shape: Annotated[
        list[str],
        typer.Option(
            help="llama2-7b, llama3-8b, qwen2.5-1.5b, qwen2.5-0.5b, tiny, minilm (may be repeated)."
        ),
    ],
    length: Annotated[
        int, typer.Option(min=0, help="Tokens of a sequence, prompt and output; 0: by the recipe's windows.")
    ] = 1300,
    mentions: Annotated[int, typer.Option(min=1, help="Linked mentions of a sequence.")] = 40,
    steps: Annotated[int, typer.Option(min=1, help="Updates that are timed, after one that is not.")] = 5,
    windows: Annotated[
        int, typer.Option(min=0, help="Sequences of a batch; 0: as many as optimiser.step_tokens holds.")
    ] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value over the recipe, e.g. lora.rank=16.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the figures as JSON.")
    ] = None,
) -> None:
    """Print time, tokens/s and peak memory of an update by a recipe, for random models of some shapes.

    Nothing is downloaded; the recipe's base and corpora are not needed. Run it alone: the figures are those
    of the machine as busy as it is.
    """
    from rich.console import Console

    with stderr().status("loading"):
        # Imported here because torch and transformers take seconds, which `--help` need not wait for.
        from onegen_el.backbone import pick_device
        from onegen_el.training.recipe_file import read_recipe
        from onegen_el.training.shapes import find_shape
        from onegen_el.training.speed import measure

        chosen = read_recipe(recipe, settings or [])
        shapes = [find_shape(name) for name in shape]
        target = pick_device(device)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    wide = sum(COLUMNS.values()) + 2 * len(COLUMNS)
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else wide)
    costs: list[StepCost] = []
    for one in shapes:
        with stderr().status(f"measuring {one.name}"):
            cost = measure(chosen, one, steps, length, mentions, target, windows)
        costs.append(cost)
        console.print(_row(cost, header=len(costs) == 1))
        if not cost.finite:
            say(stderr(), f"{one.name}: a loss was not finite; the cost is the same", "yellow")
        if json_file:
            _write_json(json_file, chosen, length, costs)
    last = costs[-1]
    console.print(
        f"{chosen.name} on {last.device}, weights {last.weights}, computes in {last.computes}, AdamW; "
        f"a step is {last.accumulate} x windows; memory: {last.memory or 'not known here'}",
        style="dim",
    )


def _row(cost: StepCost, header: bool) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=header, header_style="bold")
    for name, wide in COLUMNS.items():
        table.add_column(name, width=wide, no_wrap=True, justify="left" if name == "shape" else "right")
    table.add_row(
        cost.shape,
        f"{cost.parameters / 1e6:,.1f}",
        f"{cost.trainable / 1e6:,.1f}",
        str(cost.windows),
        f"{cost.window_tokens:,}",
        f"{cost.entity_tokens:,}",
        f"{cost.seconds:.3f}",
        f"{cost.tokens_per_second:,.0f}",
        "-" if cost.peak_memory is None else f"{cost.peak_memory / 1e9:.2f}",
    )
    return table


def _write_json(path: Path, recipe: Recipe, length: int, costs: list[StepCost]) -> None:
    report = {"recipe": asdict(recipe), "length": length, "costs": [cost.to_dict() for cost in costs]}
    try:
        path.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another --json") from error
