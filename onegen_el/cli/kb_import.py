"""`onegen-el kb import-onegen`: the public knowledge base of the reference as one of ours.

Knows options and what is shown; the work is `onegen_el.knowledge.reference`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from onegen_el.cli.console import say, stderr

if TYPE_CHECKING:
    from onegen_el.knowledge import Built
    from onegen_el.knowledge.embedding import Progress
    from onegen_el.knowledge.reference import LeftOut


def import_onegen(
    texts: Annotated[Path, typer.Argument(metavar="DB_JSONL", help="Rows of uid and messages: db.jsonl.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the knowledge base.")],
    embeddings: Annotated[
        Path | None,
        typer.Option(help="The vectors, one pickle of (tensor, uids); if left out, the model makes them."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="The model that made the vectors, or is to make them: folder or hub id."),
    ] = None,
    dims: Annotated[
        int | None,
        typer.Option(
            min=0, help="Shorten vectors to so many dimensions; 256 if they are longer, 0: as they are."
        ),
    ] = None,
    index: Annotated[
        Literal["auto", "exact", "hnsw"],
        typer.Option(help="Search; auto is exact below 500,000 vectors, else hnsw."),
    ] = "auto",
    dtype: Annotated[Literal["int8", "float16"], typer.Option(help="Type of the stored vectors.")] = "int8",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps, ...")] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Of model and graph; the bytes of a graph repeat with one, the default."),
    ] = None,
    note: Annotated[
        str | None, typer.Option(help="Where the entities come from; default is the file's name.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say on stdout what was built and the seconds of each stage.")
    ] = False,
) -> None:
    """Build OUT of the reference's db.jsonl, with its embedding file or with vectors of our own.

    The embedding file is mapped and read as data: whatever else a pickle may hold is refused, and nothing of
    it is executed. An import that was stopped goes on where it was when the same command is given again.
    """
    from onegen_el.cli.kb_shown import shown_stages, tell

    with shown_stages() as show:
        if embeddings is not None:
            built, left_out = _given(
                texts, out, embeddings, model, dims, dtype, index, note or texts.name, threads or 1, show
            )
        else:
            built, left_out = _made(
                texts, out, model, dims, dtype, index, note or texts.name, threads, device, show
            )
    for line in left_out.lines():
        say(stderr(), f"left out: {line}")
    tell(out, built, as_json)


def _given(
    texts: Path,
    out: Path,
    embeddings: Path,
    model: str | None,
    dims: int | None,
    dtype: Literal["int8", "float16"],
    index: Literal["auto", "exact", "hnsw"],
    source: str,
    threads: int,
    show: Progress,
) -> tuple[Built, LeftOut]:
    """With the vectors of the embedding file; of the model only the manifest is read."""
    from onegen_el.knowledge.reference import import_reference, open_embeddings
    from onegen_el.manifest import ModelManifest
    from onegen_el.resources import resolve

    says = ModelManifest.read(resolve(model, "model"))
    return import_reference(
        texts,
        out,
        open_embeddings(embeddings),
        fingerprint=says.serves,
        model_name=says.name,
        model_dims=says.dims,
        template=says.grammar.entity_template,
        dims=dims,
        dtype=dtype,
        index=index,
        source=source,
        threads=threads,
        progress=show,
    )


def _made(
    texts: Path,
    out: Path,
    model: str | None,
    dims: int | None,
    dtype: Literal["int8", "float16"],
    index: Literal["auto", "exact", "hnsw"],
    source: str,
    threads: int | None,
    device: str,
    show: Progress,
) -> tuple[Built, LeftOut]:
    """With vectors that the model makes of the texts."""
    from onegen_el.cli.kb_shown import embedder
    from onegen_el.knowledge import build_kb, read_entities
    from onegen_el.knowledge.reference import SHORT, LeftOut, distinct

    entities = read_entities(texts)
    backbone = embedder(model, device, threads)
    if dims is None:
        dims = SHORT if backbone.dims > SHORT else 0
    left_out = LeftOut()
    built = build_kb(
        distinct(entities, left_out),
        backbone.embed_entities,
        out,
        fingerprint=backbone.fingerprint,
        model_name=backbone.name,
        template=backbone.grammar.entity_template,
        dims=dims,
        dtype=dtype,
        index=index,
        source=source,
        threads=threads or 1,
        progress=show,
    )
    return built, left_out
