"""`onegen-el calibrate`: set the thresholds of a model on development corpora.

Knows options and what is shown; the choice is `onegen_el.evaluation.calibrate`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onegen_el.cli.eval import Half, Part, read_gold


def calibrate(
    model: Annotated[Path, typer.Option(help="Folder of the model; its manifest is changed.")],
    gold: Annotated[list[Path], typer.Option(help="Development corpora, in any format that is read.")],
    kb: Annotated[
        str | None, typer.Option(help="Folder or hub id of the knowledge base; default is the bundled one.")
    ] = None,
    half: Annotated[Half, typer.Option(help="Documents used: even, odd or all.")] = Half.ALL,
    skip: Annotated[int, typer.Option(min=0, help="Not the first so many of each corpus, after --half.")] = 0,
    documents: Annotated[
        int | None, typer.Option(min=1, help="Only so many of each corpus, after --skip.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option(help="Marking policy whose thresholds are set; the default one if left out.")
    ] = None,
) -> None:
    """Choose mark bias, score threshold and prior weight of a model on development corpora."""
    from onegen_el.evaluation.calibrate import calibrate as choose
    from onegen_el.linker import load
    from onegen_el.manifest import ModelManifest, write_manifest

    part = Part(half, documents, skip)
    corpora = {str(path): read_gold(path, part) for path in gold}
    choice = choose(load(model, kb, policy=policy), corpora)
    write_manifest(model, ModelManifest.read(model).calibrated(policy, choice.calibration))
    typer.echo(f"{choice.calibration}, mean InKB F1 {choice.f1:.3f} on {len(corpora)} corpora", err=True)
