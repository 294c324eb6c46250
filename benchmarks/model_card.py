"""`make model-card`: docs/model-card.md and its picture, from measured files and a template of prose.

Knows which files make which part of the card; every number comes from one of them, and a file that is missing
or outdated is named with the command that writes it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from string import Template

from card import data_tables, failures, footprint, quality
from card.facts import Facts, facts_of, read_facts
from card.measured import (
    Figures,
    Measured,
    parameters_of,
    read_bench,
    read_json,
    read_recipes,
    read_runs,
    read_samples,
    sizes_of,
)
from card.picture import draw
from card.plan import RUNS
from card.targets import FULL_COMMAND, targets

from onegen_el.cli.console import say_error
from onegen_el.cli.output import Output
from onegen_el.errors import InputError, OnegenError
from onegen_el.evaluation.tables import Rows, markdown_table
from onegen_el.grammar import DEFAULT_POLICY
from onegen_el.knowledge.manifest import KBManifest
from onegen_el.manifest import ModelManifest
from onegen_el.resources import resolve

TEMPLATE = Path(__file__).with_name("card") / "template.md"
MODEL_COMMAND, DEV_COMMAND, BENCH_COMMAND = "make model", "make eval-dev", "make bench"


def read(given: argparse.Namespace) -> Measured:
    """All files of the card; raises InputError or another OnegenError naming the one that is not right."""
    folder, kb_folder = resolve(given.model or None, "model"), resolve(given.kb or None, "kb")
    model, kb = ModelManifest.read(folder), KBManifest.read(kb_folder)
    before = given.bench.with_name("bench-before.json")
    return Measured(
        model=model,
        sizes=sizes_of(folder),
        parameters=parameters_of(folder),
        training=read_json(folder / "training.json", MODEL_COMMAND),
        recipes=read_recipes(given.recipe, model),
        kb=kb,
        bundled=read_runs(given.dev, model, kb, DEV_COMMAND),
        samples=read_samples(given.dev, model, kb, DEV_COMMAND),
        bench=read_bench(given.bench, model.fingerprint, BENCH_COMMAND),
        full=read_runs(given.full, model, None, FULL_COMMAND, whole=False) if given.full.is_dir() else None,
        before=read_bench(before, None, BENCH_COMMAND) if before.is_file() else None,
    )


def card(measured: Measured, facts: dict[str, Facts], picture: str) -> str:
    """The card in Markdown; `picture` is its picture's address as seen from the card."""
    table = {
        "identity": footprint.identity(measured),
        "policies": quality.policies(measured),
        "training": data_tables.training(measured, facts),
        "sources": data_tables.sources(measured, facts),
        "development": data_tables.development(measured, facts),
        "quality": quality.scores(measured.bundled, facts),
        "accuracy": quality.entities(measured.bundled, facts),
        "targets": targets(measured),
        "nil": quality.nil(measured.bundled, facts),
        "thresholds": quality.thresholds(measured.bundled),
        "classes": failures.classes(measured, facts),
        "sizes": footprint.sizes(measured),
        "speed": footprint.speed(measured),
    }
    return Template(TEMPLATE.read_text("utf-8")).substitute(
        {name: markdown_table(rows) for name, rows in table.items()},
        name=measured.model.name,
        entities=f"{measured.kb.count:,}",
        full=_full(measured.full, facts),
        seen=_seen(measured, facts),
        examples=failures.examples(measured),
        conditions=footprint.conditions(measured),
        picture=picture,
    )


def _full(figures: Figures | None, facts: dict[str, Facts]) -> str:
    if figures is None:
        return f"The full knowledge base was not measured (`{FULL_COMMAND}`).\n"
    parts: list[Rows] = [quality.scores(figures, facts), quality.entities(figures, facts)]
    title = f"### With the full knowledge base ({figures.conditions.entities:,} entities), same thresholds"
    note = (
        "Its rows come from, among others, lists of the development sets' own entities, so their coverage is "
        "flattered."
    )
    return "\n\n".join([title, note, *map(markdown_table, parts)]) + "\n"


def _seen(measured: Measured, facts: dict[str, Facts]) -> str:
    """A warning for every set of which a recipe may have seen what is measured."""
    lines = []
    for name in dict.fromkeys(run.corpus for run in RUNS):
        recipes = " and ".join(data_tables.seen(measured, name, facts))
        if recipes:
            title = facts_of(facts, name).title
            lines.append(
                f"* {title}: {recipes} did not keep the measured documents apart, "
                "so its figures are flattered.\n"
            )
    return "\n" + "".join(lines) if lines else ""


def write(measured: Measured, out: Path, picture: Path) -> None:
    """Writes card and picture."""
    facts = read_facts()
    address = Path(os.path.relpath(picture.absolute(), out.absolute().parent)).as_posix()
    text = card(measured, facts, address)
    curves = [
        (facts_of(facts, corpus).title, outcome.curve)
        for (corpus, policy), outcome in measured.bundled.runs.items()
        if policy == DEFAULT_POLICY and outcome.curve is not None
    ]
    if not curves:
        raise InputError(f"no figures have a curve of thresholds; measure again: `{DEV_COMMAND}`")
    picture.parent.mkdir(parents=True, exist_ok=True)
    draw(curves, picture)
    with Output(out) as output:
        output.stream.write(text.encode())
        output.commit()


def main(arguments: Sequence[str] | None = None) -> int:
    runs = Path("runs")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="folder or hub id; default is the bundled one")
    parser.add_argument("--kb", help="folder or hub id; default is the bundled one")
    parser.add_argument(
        "--recipe", type=Path, action="append", required=True, help="of the weights, in order"
    )
    parser.add_argument("--dev", type=Path, default=runs / "dev", help="folder that eval-dev filled")
    parser.add_argument("--full", type=Path, default=runs / "dev-full", help="the same, full knowledge base")
    parser.add_argument("--bench", type=Path, default=runs / "bench.json", help="what bench --json wrote")
    parser.add_argument("-o", "--out", type=Path, default=Path("docs/model-card.md"))
    parser.add_argument("--picture", type=Path, default=Path("docs/images/nil-curve.png"))
    given = parser.parse_args(arguments)
    try:
        write(read(given), given.out, given.picture)
    except OnegenError as error:
        say_error(str(error))
        return 2
    print(f"{given.out} and {given.picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
