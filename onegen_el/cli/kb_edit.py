"""`onegen-el kb add`, `update`, `remove` and `compact`: change a knowledge base that is there.

Knows options and which entities they mean; the work is `onegen_el.knowledge`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from onegen_el.errors import InputError, KBError

if TYPE_CHECKING:
    from onegen_el.document import Entity

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the knowledge base.")]
Sources = Annotated[
    list[Path] | None,
    typer.Argument(metavar="ENTITIES...", help="Files of entities: .jsonl, .jsonl.gz, .csv or .parquet."),
]
Id = Annotated[str | None, typer.Option("--id", help="One entity instead of a file: its id, such as Q42.")]
Title = Annotated[str | None, typer.Option(help="Its name.")]
Description = Annotated[str | None, typer.Option(help="What it is, in a few words.")]
Alias = Annotated[list[str] | None, typer.Option(help="Another name; may be given again.")]
Type = Annotated[
    list[str] | None,
    typer.Option("--type", help="PER, ORG, LOC or MISC first, then finer ones; may be given again."),
]
Model = Annotated[
    str | None, typer.Option(help="The model the knowledge base was built with; default is the bundled one.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps, ...")]
Threads = Annotated[int | None, typer.Option(min=1, help="Of the model and of a graph.")]
AsJson = Annotated[bool, typer.Option("--json", help="Say on stdout what the knowledge base is now.")]


def add(
    folder: Folder,
    entities: Sources = None,
    id_: Id = None,
    title: Title = None,
    description: Description = None,
    alias: Alias = None,
    type_: Type = None,
    model: Model = None,
    device: Device = "auto",
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Add entities, of files or one by its fields; the next `link` finds them.

    What is there is not written again: they become a segment that is searched together with the others.
    """
    fields = _fields(title, description, alias, type_)
    _add(folder, _given(entities, id_, fields), False, model, device, threads, as_json)


def update(
    folder: Folder,
    entities: Sources = None,
    id_: Id = None,
    title: Title = None,
    description: Description = None,
    alias: Alias = None,
    type_: Type = None,
    model: Model = None,
    device: Device = "auto",
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Put entities in the place of those with the same ids; with --id, fields that are not given stay."""
    fields = _fields(title, description, alias, type_)
    _add(folder, _given(entities, id_, fields, folder), True, model, device, threads, as_json)


def remove(
    folder: Folder,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Ids of entities.")] = None,
    file: Annotated[Path | None, typer.Option(help="Text file of ids, one a line.")] = None,
    as_json: AsJson = False,
) -> None:
    """Remove entities: they are never found again. `kb compact` gives the disk space back."""
    from onegen_el.cli.kb_shown import tell
    from onegen_el.knowledge import Built, remove_entities

    wanted = [*(ids or ()), *(_lines(file) if file else ())]
    if not wanted:
        raise InputError("say what to remove: ids, or --file with one id a line")
    tell(folder, Built(remove_entities(folder, wanted)), as_json)


def compact(
    folder: Folder,
    index: Annotated[
        Literal["auto", "exact", "hnsw"],
        typer.Option(help="Search; auto keeps a graph, else it is exact below 500,000 vectors."),
    ] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="Of a graph; its bytes repeat with one.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Make one segment of all and forget what was removed; nothing is embedded again."""
    from onegen_el.cli.kb_shown import shown_stages, tell
    from onegen_el.knowledge import compact_kb

    with shown_stages() as show:
        built = compact_kb(folder, index=index, threads=threads, progress=show)
    tell(folder, built, as_json)


def _add(
    folder: Path,
    entities: Iterator[Entity],
    update: bool,
    model: str | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    # Imported here because torch and transformers take seconds, which `--help` need not wait for.
    from onegen_el.cli.kb_shown import embedder, shown_stages, tell
    from onegen_el.knowledge import add_entities

    backbone = embedder(model, device, threads)
    with shown_stages() as show:
        built = add_entities(
            folder,
            entities,
            backbone.embed_entities,
            fingerprint=backbone.manifest.serves,
            model_name=backbone.name,
            update=update,
            threads=threads or 1,
            progress=show,
        )
    tell(folder, built, as_json)


def _fields(
    title: str | None, description: str | None, aliases: list[str] | None, types: list[str] | None
) -> dict[str, Any]:
    given = {"title": title, "description": description, "aliases": aliases, "types": types}
    return {name: value for name, value in given.items() if value}


def _given(
    sources: list[Path] | None,
    id_: str | None,
    fields: dict[str, Any],
    updated: Path | None = None,
) -> Iterator[Entity]:
    """Entities of files, or the one of the options; of `updated` are the fields that are not given."""
    from onegen_el.knowledge import KnowledgeBase, entity_of, read_entities

    if bool(sources) == bool(id_):
        raise InputError("give either files of entities, or one entity by --id and its other fields")
    if sources:
        if fields:
            raise InputError(f"--{next(iter(fields))} belongs to an entity given by --id, not to files")
        return chain.from_iterable([read_entities(source) for source in sources])
    if updated is None:
        return iter([entity_of({"id": id_, **fields}, "the options")])
    old = KnowledgeBase.open(updated).get(id_ or "")
    if old is None:
        raise KBError(f"{updated}: has no entity {id_!r} to update; add it with `onegen-el kb add`")
    changes: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    return iter([replace(old, **changes)])


def _lines(file: Path) -> list[str]:
    try:
        return [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as a list of ids ({error})") from error
