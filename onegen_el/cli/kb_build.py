"""`onegen-el kb build`: make a knowledge base of a file of entities.

Knows options and what is shown; the work is `onegen_el.knowledge`'s.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import typer


def build(
    source: Annotated[Path, typer.Argument(help="Entities: .jsonl, .jsonl.gz, .csv or .parquet.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the knowledge base.")],
    model: Annotated[
        str | None, typer.Option(help="Folder or hub id of the model; default is the bundled one.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many entities.")] = None,
    template: Annotated[
        str, typer.Option(help="Text of an entity, of {title} and {description}.")
    ] = "{title}: {description}",
    index: Annotated[
        Literal["auto", "exact", "hnsw"],
        typer.Option(help="Search; auto is exact below 500,000 entities, else hnsw."),
    ] = "auto",
    dtype: Annotated[Literal["int8", "float16"], typer.Option(help="Type of the stored vectors.")] = "int8",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps, ...")] = "auto",
    note: Annotated[
        str | None, typer.Option(help="Where and when the entities come from; default is the file's name.")
    ] = None,
) -> None:
    """Embed the entities of SOURCE and write the folder OUT.

    A build that was stopped goes on where it was when the same command is given again.
    """
    # Imported here because torch and transformers take seconds, which `--help` need not wait for.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from onegen_el.backbone import load_backbone
    from onegen_el.errors import ModelError
    from onegen_el.knowledge import build_kb, read_entities

    entities = islice(read_entities(source), limit)
    backbone = load_backbone(model, device=device)
    if backbone.manifest.entity_fingerprint:
        raise ModelError(
            f"{model}: was tuned for the entity vectors of model {backbone.manifest.entity_fingerprint[:12]} "
            "and makes none of its own; build with that model, its knowledge bases serve this one too"
        )
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("reading entities", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, description="embedding entities", completed=done, total=total)

        manifest = build_kb(
            entities,
            backbone.embed_entities,
            out,
            fingerprint=backbone.fingerprint,
            model_name=backbone.name,
            template=template,
            dtype=dtype,
            index=index,
            source=note or source.name,
            progress=show,
        )
    console.print(f"{out}: {manifest.count:,} entities")
