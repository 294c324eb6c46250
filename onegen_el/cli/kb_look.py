"""`onegen-el kb info`: show what a knowledge base holds.

Knows what is shown; the work is `onegen_el.knowledge`'s.
"""

from __future__ import annotations

from typing import Annotated

import typer


def info(
    folder: Annotated[
        str | None, typer.Argument(metavar="DIR", help="Folder or hub id; default is the bundled one.")
    ] = None,
) -> None:
    """Show what a knowledge base holds and how large its parts are."""
    from onegen_el.knowledge import KnowledgeBase

    kb = KnowledgeBase.open(folder)
    manifest = kb.manifest
    rows = {
        "folder": kb.path,
        "entities": f"{manifest.count:,}",
        "vectors": f"{manifest.dims} x {manifest.dtype}",
        "search": manifest.index,
        "model": f"{manifest.model_name} ({manifest.fingerprint[:12]})",
        "entity text": manifest.template,
        "source": manifest.source,
        "format": manifest.format,
        **{name: _megabytes(record.size) for name, record in manifest.files.items()},
        "in all": _megabytes(sum(record.size for record in manifest.files.values())),
    }
    for name, value in rows.items():
        typer.echo(f"{name:<16} {value}")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
