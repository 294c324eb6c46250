"""`onegen-el kb build`: make a knowledge base of a file of entities, of another one, or of dumps.

Knows options and what is shown; the work is `onegen_el.knowledge`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from onegen_el.cli.kb_dumps import (
    PageProps,
    Redirects,
    Wikidata,
    Wikipedia,
    date_of,
    dump_files,
    gathered,
    names_of,
)

if TYPE_CHECKING:
    from onegen_el.document import Entity


def build(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the knowledge base.")],
    source: Annotated[
        Path | None,
        typer.Argument(
            help="Entities: .jsonl, .jsonl.gz, .csv, .parquet, or the folder of a knowledge base."
        ),
    ] = None,
    wikipedia: Wikipedia = None,
    redirects: Redirects = None,
    page_props: PageProps = None,
    wikidata: Wikidata = None,
    model: Annotated[
        str | None, typer.Option(help="Folder or hub id of the model; default is the bundled one.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many entities.")] = None,
    template: Annotated[
        str, typer.Option(help="Text of an entity, of {title} and {description}.")
    ] = "{title}: {description}",
    alias_vectors: Annotated[
        int, typer.Option(min=0, help="Vectors for up to so many aliases of each entity, beside its own.")
    ] = 0,
    dims: Annotated[
        int, typer.Option(min=0, help="Shorten the model's vectors to so many dimensions; 0: as they are.")
    ] = 0,
    index: Annotated[
        Literal["auto", "exact", "hnsw"],
        typer.Option(help="Search; auto is exact below 500,000 vectors, else hnsw."),
    ] = "auto",
    dtype: Annotated[Literal["int8", "float16"], typer.Option(help="Type of the stored vectors.")] = "int8",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps, ...")] = "auto",
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        typer.Option(help="Type the model computes in; auto is bfloat16 where the device has units for it."),
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Of model and graph; the bytes of a graph repeat with one, the default."),
    ] = None,
    note: Annotated[
        str | None, typer.Option(help="Where the entities come from; default is the source's name.")
    ] = None,
    date: Annotated[str, typer.Option(help="Of when the entities are, such as 2024-05-01.")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Say on stdout what was built and the seconds of each stage.")
    ] = False,
) -> None:
    """Embed the entities of SOURCE, or of dumps, and write the folder OUT.

    A build that was stopped goes on where it was when the same command is given again. Where OUT is a
    knowledge base already, it is replaced when the new one is whole.
    """
    # Imported here because torch and transformers take seconds, which `--help` need not wait for.
    import torch

    from onegen_el.cli.kb_shown import embedder, shown_stages, tell
    from onegen_el.errors import KBError
    from onegen_el.knowledge import build_kb
    from onegen_el.precision import computing_type

    dumps = dump_files(wikipedia, redirects, page_props, wikidata)
    if (source is None) == (dumps is None):
        raise typer.BadParameter("name SOURCE, or a dump with --wikipedia, and not both", param_hint="SOURCE")
    # Faults of the source are told before the model is loaded; those of the model before hours of gathering.
    given = _entities(source) if source else iter(())
    backbone = embedder(model, device, threads, torch.float32 if precision == "float32" else None)
    computing = computing_type(precision, backbone.dtype, backbone.device)
    computed = str(computing).removeprefix("torch.")
    if dims and dims >= backbone.dims:
        raise KBError(
            f"the vectors of model {backbone.name} have {backbone.dims} dimensions; --dims must be less, "
            "or be left out"
        )
    opened: AbstractContextManager[Iterable[Entity]] = gathered(dumps, out) if dumps else nullcontext(given)
    with opened as entities, shown_stages() as show:
        built = build_kb(
            islice(entities, limit),
            partial(backbone.embed_entities, dtype=computing),
            out,
            fingerprint=backbone.manifest.serves,
            model_name=backbone.name,
            template=template,
            dtype=dtype,
            index=index,
            dims=dims,
            alias_vectors=alias_vectors,
            source=note or (names_of(dumps) if dumps else source.name if source else ""),
            date=date or (date_of(dumps) if dumps else ""),
            threads=threads or 1,
            vectors_digest=computed,
            progress=show,
        )
    tell(out, built, as_json, computed)


def _entities(source: Path) -> Iterator[Entity]:
    from onegen_el.knowledge import KnowledgeBase, read_entities

    return iter(KnowledgeBase.open(source)) if source.is_dir() else read_entities(source)
