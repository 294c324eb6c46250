"""`onegen-el train merge`: an adapter and its base made one whole model.

Knows options and what is shown; the work is `onegen_el.merging`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def merge(
    adapter: Annotated[Path, typer.Argument(help="Folder of the adapter.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the whole model; new or empty.")],
    base: Annotated[
        str | None,
        typer.Option(
            help="Folder or hub id of the base; default is ONEGEN_EL_BASE, else what ADAPTER names."
        ),
    ] = None,
    dtype: Annotated[
        Literal["float16", "bfloat16", "float32"], typer.Option(help="Type of the stored weights.")
    ] = "float16",
) -> None:
    """Merge an adapter into its base: one model folder that needs neither.

    A knowledge base that was built with the adapter goes on serving.
    """
    # Imported here because torch and transformers take seconds, which `--help` need not wait for.
    import torch

    from onegen_el.merging import merge_adapter

    types = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
    manifest = merge_adapter(adapter, out, types[dtype], base)
    typer.echo(f"{out}: {manifest.name} ({manifest.fingerprint[:12]})", err=True)
