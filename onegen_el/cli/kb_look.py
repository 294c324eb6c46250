"""`onegen-el kb info`, `show` and `export`: what a knowledge base holds, as a whole, of an entity, in a file.

Knows what is shown; the work is `onegen_el.knowledge`'s.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onegen_el.cli.console import count, say, stderr

if TYPE_CHECKING:
    from onegen_el.knowledge import KnowledgeBase
    from onegen_el.knowledge.detail import EntityDetail

Folder = Annotated[
    str | None, typer.Argument(metavar="DIR", help="Folder or hub id; default is the bundled one.")
]
Kb = Annotated[str | None, typer.Option(help="Knowledge base folder or hub id; the bundled one if left out.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout instead.")]


def info(folder: Folder = None, as_json: AsJson = False) -> None:
    """Show what a knowledge base holds and how large its parts are."""
    from onegen_el.knowledge import KnowledgeBase

    kb = KnowledgeBase.open(folder)
    if as_json:
        typer.echo(json.dumps({"folder": str(kb.path), "entities": len(kb), **kb.manifest.to_dict()}))
        return
    for name, value in _facts(kb).items():
        typer.echo(f"{name:<16} {value}")


def _facts(kb: KnowledgeBase) -> dict[str, Any]:
    says = kb.manifest
    removed = sum(segment.removed_count for segment in says.segments)
    vectors = sum(segment.vectors for segment in says.segments)
    facts = {
        "folder": kb.path,
        "version": says.version,
        "entities": f"{says.count:,}",
        "removed": f"{removed:,}, until `onegen-el kb compact`" if removed else "",
        "segments": f"{len(says.segments)}" if len(says.segments) > 1 else "",
        "vectors": f"{says.dims} x {says.dtype}",
        "of aliases": f"{vectors - removed - says.count:,}" if says.alias_vectors else "",
        "shortened from": f"{len(kb.projection)} dimensions" if kb.projection is not None else "",
        "search": says.index,
        "model": f"{says.model_name} ({says.fingerprint[:12]})",
        "entity text": says.template,
        "source": says.source,
        "date": says.date,
        "format": says.format,
        **{name: _megabytes(record.size) for name, record in says.files.items()},
        "in all": _megabytes(sum(record.size for record in says.files.values())),
    }
    return {name: value for name, value in facts.items() if value != ""}


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def show(
    entities: Annotated[
        list[str],
        typer.Argument(metavar="ENTITY...", help="Ids (Q90, enwiki:Paris), addresses or titles."),
    ],
    kb: Kb = None,
    near: Annotated[int, typer.Option(min=0, help="Show so many of the nearest other entities.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Show all that a knowledge base knows of entities."""
    from onegen_el.knowledge import KnowledgeBase
    from onegen_el.knowledge.detail import detail

    opened = KnowledgeBase.open(kb)
    for number, entity in enumerate(entities):
        found = detail(opened, entity, near)
        if as_json:
            typer.echo(json.dumps(found.to_dict(), ensure_ascii=False))
            continue
        if number:
            typer.echo("")
        for line in _lines(found):
            typer.echo(line)


def _lines(found: EntityDetail) -> list[str]:
    entity = found.entity
    vectors = f" and {found.vectors - 1:,} of aliases" if found.vectors > 1 else ""
    rows = {
        "id": entity.id,
        "title": entity.title,
        "description": entity.description,
        "types": ", ".join(entity.types),
        "aliases": "; ".join(entity.aliases),
        "prior": f"{entity.prior:g}" if entity.prior else "",
        "item": entity.qid or "",
        "page": entity.wikipedia_title or "",
        "text": found.text,
        "vector": f"length {found.norm:.4f}{vectors}",
        "stored": f"row {found.row:,} of {found.segment or 'the first segment'}",
    }
    lines = [f"{name:<12} {' '.join(value.split())}" for name, value in rows.items() if value]
    lines += [f"{'iri':<12} {iri}" for iri in found.iris]
    lines += [
        f"{f'near {near.score:.3f}':<12} {near.entity.id}  {near.entity.title}"
        + (f", {near.entity.description}" if near.entity.description else "")
        for near in found.nearest
    ]
    return lines


def export(
    out: Annotated[Path, typer.Option("--out", "-o", help="File: .jsonl, .jsonl.gz, .csv or .parquet.")],
    folder: Folder = None,
    vectors: Annotated[
        Path | None, typer.Option(help="Also write the entities' unit vectors here, a float32 .npy file.")
    ] = None,
) -> None:
    """Write the entities of a knowledge base to a file, which `kb build` reads back."""
    from onegen_el.errors import InputError
    from onegen_el.knowledge import KnowledgeBase
    from onegen_el.knowledge.export import export_entities, export_vectors

    if vectors is not None and vectors.suffix != ".npy":
        raise InputError(f"{vectors}: vectors are written as .npy; name the file so")
    kb = KnowledgeBase.open(folder)
    written = export_entities(kb, out)
    if vectors is not None:
        export_vectors(kb, vectors)
    say(stderr(), f"{out}: {count(written, 'entity')}")
