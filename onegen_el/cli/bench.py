"""`onegen-el bench`: speed and memory on this machine, with any model, knowledge base and text."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from onegen_el import __version__
from onegen_el.cli.output import Output
from onegen_el.errors import InputError


def bench(
    text: Annotated[Path, typer.Argument(help="A long text to measure on.")],
    short: Annotated[Path, typer.Argument(help="A short text, to measure from process start.")],
    model: Annotated[str | None, typer.Option(help="Folder or hub id; default is the bundled one.")] = None,
    kb: Annotated[str | None, typer.Option(help="Folder or hub id; default is the bundled one.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows decoded together.")] = 16,
    out: Annotated[
        Path | None, typer.Option("--json", "--out", "-o", help="Also write the figures as JSON.")
    ] = None,
) -> None:
    """Print decoding speed by method and by pipe, time and memory from process start, and that of --help.

    Run it alone: the figures are those of the machine as busy as it is.
    """
    import spacy

    from onegen_el.evaluation.provenance import kb_checksum, machine, now
    from onegen_el.evaluation.speed import decoding_rates, help_seconds, pipe_seconds, process_start
    from onegen_el.inputs import decode
    from onegen_el.linker import load

    if out and not out.absolute().parent.is_dir():
        raise InputError(f"{out}: there is no such folder; make it first, or choose another file")
    options = [*(["--model", model] if model else []), *(["--kb", kb] if kb else [])]
    start = process_start(options, short)
    typer.echo(f"link of {short}, from process start  {start.seconds:.1f} s, peak {start.megabytes:,.0f} MB")
    help_took = help_seconds()
    typer.echo(f"--help  {help_took:.2f} s")
    linker = load(model, kb, device="cpu", batch_size=batch_size)
    long = decode(text.read_bytes(), str(text))
    rates = decoding_rates(linker, long, batch=batch_size)
    for rate in rates:
        typer.echo(f"{rate.name:<30} {rate.tokens:>7,.0f} source tokens/s  {rate.ratio:>5.1f} x")
    nlp = spacy.blank("en")
    nlp.add_pipe("onegen_el", config={"model": model, "kb": kb, "device": "cpu", "batch_size": batch_size})
    paragraphs = [line for line in long.splitlines() if line.strip()]
    seconds = pipe_seconds({"EntityLinker.pipe": linker.pipe, "nlp.pipe of spaCy": nlp.pipe}, paragraphs)
    first = next(iter(seconds.values()))
    for name, took in seconds.items():
        typer.echo(f"{name:<30} {len(paragraphs) / took:>7,.1f} texts/s  {first / took:>13.2f} x")
    if out:
        figures = {
            "model": linker.backbone.name,
            "fingerprint": linker.backbone.fingerprint,
            "kb_checksum": kb_checksum(linker.kb.manifest),
            "entities": len(linker.kb),
            "version": __version__,
            "date": now(),
            "machine": machine(),
            "start": {"text": short.name, "words": len(decode(short.read_bytes(), str(short)).split())}
            | asdict(start),
            "help_seconds": help_took,
            "decoding": [asdict(rate) for rate in rates],
            "pipes": [{"name": name, "texts": len(paragraphs) / took} for name, took in seconds.items()],
        }
        with Output(out) as output:
            output.stream.write((json.dumps(figures, indent=1) + "\n").encode())
            output.commit()
