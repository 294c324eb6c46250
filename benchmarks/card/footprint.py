"""What the model is and costs: identity, sizes of files, speed, as tables.

Knows manifests and the figures of `onegen-el bench`; knows no scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from card.measured import Measured
from onegen_el.evaluation.tables import Rows
from onegen_el.grammar import DEFAULT_POLICY


def identity(measured: Measured) -> Rows:
    """What the manifests say of model and knowledge base."""
    model, kb, windows = measured.model, measured.kb, measured.model.windows
    rows = [
        ("model", model.name),
        ("fingerprint", model.fingerprint[:16]),
        ("parameters", f"{measured.parameters:,}"),
        ("trained from", next(iter(measured.recipes.values())).base),
        ("recipes", ", then ".join(measured.recipes)),
        ("last recipe", _last(measured.training)),
        ("marking policies", ", ".join((DEFAULT_POLICY, *model.grammar.policies))),
        ("window", f"{windows.own} tokens, {windows.before} more shown before and {windows.after} after"),
        ("query and entity vectors", f"{model.dims} dimensions"),
        ("bundled entities", f"{kb.count:,}, {kb.dims} dimensions, {kb.dtype}, {kb.index} search"),
        ("source of the entities", kb.source or "-"),
    ]
    return Rows("Model", ("what", "value"), tuple(rows), left=2)


def _last(training: Mapping[str, Any]) -> str:
    return f"{training['steps']:,} steps, {training['windows']:,} windows, {training['minutes']:.0f} minutes"


def sizes(measured: Measured) -> Rows:
    """Bytes of every file of model and knowledge base, and their sums."""
    kb = {name: record.size for name, record in measured.kb.files.items()}
    rows = []
    for title, files in (("model", measured.sizes), ("knowledge base", kb)):
        rows += [(title, name, f"{size / 1e6:,.2f}") for name, size in files.items()]
        rows.append((title, "together", f"{sum(files.values()) / 1e6:,.2f}"))
    return Rows("Sizes", ("part", "file", "MB"), tuple(rows), left=2)


def speed(measured: Measured) -> Rows:
    """What `onegen-el bench` measured."""
    bench = measured.bench
    start = bench["start"]
    rows = [
        (
            f"link of a text of {start['words']:,} words, from process start to the end",
            f"{start['seconds']:.1f} s, peak {start['megabytes']:,.0f} MB",
        )
    ]
    rows += [
        (f"decoding: {rate['name']}", f"{rate['tokens']:,.0f} source tokens/s ({rate['ratio']:.1f} x)")
        for rate in bench["decoding"]
    ]
    rows += [(f"paragraphs: {pipe['name']}", f"{pipe['texts']:,.1f} texts/s") for pipe in bench["pipes"]]
    return Rows("Speed", ("what", "value"), tuple(rows), left=2)


def conditions(measured: Measured) -> str:
    """On which machines and when it was measured, in a sentence."""
    quality, bench = measured.bundled.conditions, measured.bench
    return (
        f"Quality: onegen-el {quality.version}, {quality.date[:10]}, {quality.machine}, {quality.device}. "
        f"Speed: onegen-el {bench['version']}, {bench['date'][:10]}, {bench['machine']}."
    )
