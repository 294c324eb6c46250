"""What the commands that change knowledge bases have in common: the model, the progress, the last line.

Knows terminals and models' options; the work is `onegen_el.knowledge`'s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from onegen_el.errors import ModelError

if TYPE_CHECKING:
    import torch

    from onegen_el.backbone import Backbone
    from onegen_el.knowledge import Built

DOING = {
    "check": "checking vectors",
    "learn": "learning a projection",
    "read": "reading entities",
    "embed": "embedding entities",
    "store": "storing vectors",
    "graph": "building the graph",
}


def embedder(
    model: str | None, device: str, threads: int | None, dtype: torch.dtype | None = None
) -> Backbone:
    """The model that embeds entities, its weights of `dtype` or, for None, of the type that suits the device.

    Raises ModelError for one that was tuned to vectors of another.
    """
    from onegen_el.backbone import load_backbone

    if threads:
        import torch

        torch.set_num_threads(threads)
    backbone = load_backbone(model, device=device, dtype=dtype)
    if not backbone.manifest.builds:
        raise ModelError(
            f"{model}: was tuned for the entity vectors of model {backbone.manifest.entity_fingerprint[:12]} "
            "and makes none of its own; build with that model, its knowledge bases serve this one too"
        )
    return backbone


@contextmanager
def shown_stages() -> Iterator[Callable[[str, int, int], None]]:
    """Shows each stage with the numbers done, their rate and the time that is left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed:,.0f}/s" if task.speed else "")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        Remaining(elapsed_when_finished=True),
    )
    tasks: dict[str, Any] = {}
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=120) as bar:

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(DOING[stage], total=None)
            bar.update(tasks[stage], completed=done, total=total or None)

        yield show


def tell(out: Path, built: Built, as_json: bool, precision: str = "") -> None:
    """One line on stderr about what a knowledge base is now; with `as_json` also an object on stdout.

    `precision` is the type that its vectors were computed in, "" where that is not to be said.
    """
    from onegen_el.cli.console import count, say, stderr

    says = built.manifest
    seconds = {stage: round(taken, 2) for stage, taken in built.seconds.items()}
    took = ", ".join(f"{stage} {taken:,.1f} s" for stage, taken in seconds.items())
    entities = count(says.count, "entity").replace("entitys", "entities")
    parts = f" in {count(len(says.segments), 'segment')}" if len(says.segments) > 1 else ""
    embedded = f", embedded in {precision}" if precision else ""
    version = f"version {says.version}"
    say(stderr(), f"{out}: {entities}{parts}, {version}{embedded}" + (f" ({took})" if took else ""))
    if as_json:
        row = {
            "folder": str(out),
            "version": says.version,
            "entities": says.count,
            "segments": len(says.segments),
            "vectors": sum(segment.vectors for segment in says.segments),
            "index": says.index,
            "seconds": seconds,
            **({"precision": precision} if precision else {}),
        }
        typer.echo(json.dumps(row))
