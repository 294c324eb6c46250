"""`onegen-el eval`: how well a model and a knowledge base do on annotated documents.

Knows options and how the table looks; the scoring is `onegen_el.evaluation`'s.
"""

from __future__ import annotations

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onegen_el.errors import InputError

if TYPE_CHECKING:
    from onegen_el.gold import GoldDocument


class Half(StrEnum):
    """Which documents of a corpus, by position."""

    ALL = "all"
    EVEN = "even"
    ODD = "odd"


def read_gold(path: Path, half: Half = Half.ALL) -> list[GoldDocument]:
    """Documents of a gold file; raises InputError where there are none."""
    from onegen_el.gold import read_gold as read

    documents = list(read(path))
    chosen = {Half.ALL: documents, Half.EVEN: documents[::2], Half.ODD: documents[1::2]}[half]
    if not chosen:
        raise InputError(f"{path}: has no documents")
    return chosen


def evaluate(
    gold: Annotated[list[Path], typer.Option(help="Gold documents, in any format we read, plain or .gz.")],
    model: Annotated[str | None, typer.Option(help="Folder or hub id; default is the bundled one.")] = None,
    kb: Annotated[str | None, typer.Option(help="Folder or hub id; default is the bundled one.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps, ...")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Windows decoded together.")] = 16,
    min_score: Annotated[
        float | None, typer.Option(help="NIL below this score; default: the model's.")
    ] = None,
    half: Annotated[Half, typer.Option(help="Documents used: even, odd or all.")] = Half.ALL,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write the figures as JSON.")] = None,
) -> None:
    """Strong-match scores by GERBIL's InKB rule on gold documents.

    marks: spans alone. links: span and entity. coverage: linked gold whose entity the KB has.
    accuracy: of those with the right span, how many have the right entity as best candidate.
    """
    from onegen_el.evaluation.scores import resolver, score
    from onegen_el.linker import load

    corpora = {path: read_gold(path, half) for path in gold}
    linker = load(model, kb, device=device, min_score=min_score, batch_size=batch_size)
    resolve = resolver(linker.kb)
    heads = (
        "corpus",
        "documents",
        "marks P",
        "R",
        "F1",
        "links P",
        "R",
        "F1",
        "coverage",
        "accuracy",
        "documents/s",
    )
    lines: list[list[str]] = []
    figures: dict[str, Any] = {}
    for path, documents in corpora.items():
        started = time.perf_counter()
        linked = list(linker.annotate((document.id, document.text) for document in documents))
        speed = len(documents) / (time.perf_counter() - started)
        scores = score(zip(documents, linked, strict=True), resolve)
        name = path.name.removesuffix(".gz").removesuffix(".jsonl")
        name = str(path) if name in figures else name
        figures[name] = {**scores.to_dict(), "half": half.value}
        values = [
            *(scores.marks.precision, scores.marks.recall, scores.marks.f1),
            *(scores.links.precision, scores.links.recall, scores.links.f1),
            *(scores.coverage, scores.accuracy),
        ]
        lines.append([name, f"{scores.documents:,}", *(f"{value:.3f}" for value in values), f"{speed:.1f}"])
    widths = [max(len(row[column]) for row in [list(heads), *lines]) for column in range(len(heads))]
    for row in [list(heads), *lines]:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)),
        ]
        typer.echo("  ".join(cells))
    if out:
        text = json.dumps(
            {"model": linker.backbone.name, "entities": len(linker.kb), "corpora": figures}, indent=1
        )
        out.write_text(text + "\n", "utf-8")
