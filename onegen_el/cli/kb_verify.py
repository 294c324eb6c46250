"""`onegen-el kb verify`: look for what is wrong with a knowledge base; exit code 1 if anything is.

Knows options and what is shown; what is looked at is `onegen_el.knowledge.verify`'s.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onegen_el.cli.console import count, say, stderr
from onegen_el.cli.kb_look import AsJson, Folder

if TYPE_CHECKING:
    import numpy as np

WRONG = 1


def verify(
    folder: Folder = None,
    queries: Annotated[
        Path | None,
        typer.Option(
            help="Real queries: float [n, dims] in a .npy file, or texts of which the model makes them."
        ),
    ] = None,
    sample: Annotated[
        int, typer.Option(min=0, help="Entities whose own vectors, perturbed, are searched; 0: none.")
    ] = 1000,
    model: Annotated[
        str | None, typer.Option(help="Model for texts of --queries; the bundled one if left out.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Check files, rows and vectors, and what the search misses; each fault is told with its remedy."""
    from onegen_el.knowledge.verify import verify_kb

    given = None if queries is None else _queries(queries, folder, model, device)
    console = stderr()
    with console.status("") as status:
        report = verify_kb(folder, given, sample, lambda what: status.update(f"looking at {what}"))
    if as_json:
        typer.echo(json.dumps(report.to_dict(), ensure_ascii=False))
    else:
        typer.echo(
            f"{report.folder}: {count(report.files, 'file')}, {count(report.entities, 'entity')}, "
            f"{count(report.vectors, 'vector')}"
        )
        for name, recall in report.recalls.items():
            typer.echo(
                f"recall@1 {recall.at_1:.4f}, recall@10 {recall.at_10:.4f} of an exact search, "
                f"{recall.queries:,} {'real queries' if name == 'queries' else 'perturbed vectors'}"
            )
    for finding in report.findings:
        say(console, f"{finding.what}; {finding.remedy}", "red")
    if report.findings:
        raise typer.Exit(WRONG)
    say(console, "nothing wrong was found")


def _queries(path: Path, kb: str | None, model: str | None, device: str) -> np.ndarray:
    """Query vectors float32 `[n, dims]`: as they are, or of the mentions that the model marks in texts."""
    import numpy as np

    from onegen_el.errors import InputError

    if path.suffix == ".npy":
        try:
            given: np.ndarray = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read as an array ({error})") from error
        if given.ndim != 2 or given.dtype.kind != "f" or not np.isfinite(given).all():
            raise InputError(
                f"{path}: must hold finite float [n, dims], has {given.dtype} {list(given.shape)}"
            )
        return given.astype(np.float32)
    from onegen_el import load
    from onegen_el.gold import read_gold

    documents = [(document.id, document.text) for document in read_gold(path)]
    marked = load(model, kb, device).mark(documents)
    return np.concatenate([document.queries for document in marked]) if documents else np.empty((0, 0), "f")
