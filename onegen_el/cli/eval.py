"""`onegen-el eval`: how well a model and a knowledge base do on annotated documents; `eval compare`.

Knows options, which corpora were asked for, and where reports go; measuring and showing is
`onegen_el.evaluation`'s.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer
from typer.core import TyperGroup

from onegen_el import __version__
from onegen_el.cli import console
from onegen_el.cli.output import Output
from onegen_el.errors import InputError
from onegen_el.grammar import DEFAULT_POLICY

if TYPE_CHECKING:
    from onegen_el.evaluation.answers import Answers, Predictions
    from onegen_el.evaluation.elevant_scores import LabelledDocument
    from onegen_el.evaluation.outcome import Conditions, Evaluation, Missing, Outcome
    from onegen_el.gold import GoldDocument
    from onegen_el.knowledge import KnowledgeBase
    from onegen_el.linker import EntityLinker

DEFAULT = "run"
T = TypeVar("T")


class EvalGroup(TyperGroup):
    """`eval --gold FILE` is `eval run --gold FILE`: what does not begin with a command are its options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


eval_app = typer.Typer(cls=EvalGroup, help="Measure on annotated documents; compare two measurements.")


class Half(StrEnum):
    """Which documents of a corpus, by position."""

    ALL = "all"
    EVEN = "even"
    ODD = "odd"


@dataclass(frozen=True, slots=True)
class Part:
    """Which documents of a corpus are used: a half of them, of that not the `skipped` ones in front, and of
    the rest the `first` so many (None: all)."""

    half: Half = Half.ALL
    first: int | None = None
    skipped: int = 0

    def of(self, documents: list[T]) -> list[T]:
        halves = {Half.ALL: documents, Half.EVEN: documents[::2], Half.ODD: documents[1::2]}
        return halves[self.half][self.skipped :][: self.first]


WHOLE = Part()


def read_gold(path: Path, part: Part, format: str = "auto") -> list[GoldDocument]:
    """Documents of a gold file; raises InputError where there are none."""
    from onegen_el.gold import read_gold as read

    chosen = part.of(list(read(path, format)))
    if not chosen:
        raise InputError(f"{path}: has no documents")
    return chosen


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents to measure on; `labels` are ELEVANT's own, if the file has them."""

    name: str
    documents: list[GoldDocument]
    labels: list[LabelledDocument] | None


@eval_app.command(DEFAULT)
def evaluate(
    gold: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]FILE", help="Gold documents, in any format we read, plain or .gz."),
    ] = None,
    corpus: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A corpus of `onegen-el corpora list`.")
    ] = None,
    system: Annotated[
        Path | None, typer.Option(help="Score these predictions (any gold format) and run no model.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Folder or hub id; default is the bundled one.")] = None,
    kb: Annotated[str | None, typer.Option(help="Folder or hub id; default is the bundled one.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps, ...")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Windows decoded together.")] = 16,
    min_score: Annotated[
        float | None, typer.Option(help="NIL below this score; default: the model's.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="What is marked: one of the model's policies (`onegen-el info`); else its default."
        ),
    ] = None,
    half: Annotated[Half, typer.Option(help="Documents used: even, odd or all.")] = Half.ALL,
    documents: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many of each corpus, after --half.")
    ] = None,
    experiment: Annotated[
        Literal["a2kb", "d2kb", "c2kb", "erec"],
        typer.Option(help="GERBIL's: find and link, link given spans, name the text's entities, find."),
    ] = "a2kb",
    match: Annotated[
        Literal["strong", "weak"], typer.Option(help="Spans are equal, or overlap, in GERBIL's experiment.")
    ] = "strong",
    oddities: Annotated[
        bool, typer.Option("--oddities/--no-oddities", help="Count as GERBIL does where that is odd.")
    ] = True,
    details: Annotated[
        bool, typer.Option("--details", help="Also print the other scorings, classes, GERBIL's tables.")
    ] = False,
    examples: Annotated[int, typer.Option(min=0, help="Examples kept of each class of mentions.")] = 20,
    out: Annotated[
        Path | None, typer.Option("--json", "--out", "-o", help="Also write the figures as JSON.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write the tables as Markdown.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write a page with plots and examples.")] = None,
) -> None:
    """Score gold documents; `eval compare A.json B.json` tells whether two of the figures differ.

    marks: spans alone. links: span and entity, by GERBIL's InKB rule, strong match, micro. coverage: linked
    gold whose entity the KB has. accuracy: of those with the right span, how many have the right entity as
    best candidate. --experiment and --match are for GERBIL's tables (printed then, and with --details); in
    d2kb the linker is given the spans of gold.
    """
    from onegen_el.evaluation import page, tables
    from onegen_el.evaluation.outcome import Evaluation

    for path in filter(None, (out, markdown, html)):
        if not path.absolute().parent.is_dir():
            raise InputError(f"{path}: there is no such folder; make it first, or choose another file")
    if system and (model or policy or min_score is not None):
        raise InputError("--system scores a file of answers: leave out --model, --policy and --min-score")
    part = Part(half, documents)
    corpora, missing = _corpora(gold or [], corpus or [], part)
    if not corpora:
        _tell_missing(missing)
        raise InputError(
            "none of the corpora is here; get one as told above, or give --gold FILE"
            if missing
            else "nothing to measure on; give --gold FILE or --corpus NAME"
        )
    settings = {"experiment": experiment, "match": match, "oddities": oddities, "examples": examples}
    if system:
        outcomes, conditions = _score_file(system, corpora, part, kb, settings)
    else:
        started = time.perf_counter()
        from onegen_el.linker import load

        linker = load(model, kb, device=device, min_score=min_score, batch_size=batch_size, policy=policy)
        loaded = time.perf_counter() - started
        outcomes = _run(linker, corpora, half, settings)
        conditions = _conditions(linker, kb, loaded)
    evaluation = Evaluation(conditions, tuple(outcomes), tuple(missing))
    asked = details or (experiment, match, oddities) != ("a2kb", "strong", True)
    _show(evaluation, asked)
    if out:
        _write(out, evaluation.to_json())
    if markdown:
        _write(markdown, tables.markdown(evaluation))
    if html:
        _write(html, page.html(evaluation))


def _corpora(gold: list[str], names: list[str], part: Part) -> tuple[list[Corpus], list[Missing]]:
    """Corpora that are here and those that are not; raises InputError for one that nobody knows."""
    from onegen_el.corpora import find, located
    from onegen_el.evaluation.outcome import Missing

    files: list[tuple[str, Path, str]] = []
    missing: list[Missing] = []
    for given in gold:
        name, found, file = given.partition("=")
        if not found or Path(given).exists():
            name, file = Path(given).name.removesuffix(".gz").removesuffix(".jsonl"), given
        files.append((str(Path(file)) if name in [n for n, *_ in files] else name, Path(file), "auto"))
    for entry in map(find, dict.fromkeys(names)):
        path = located(entry)
        if path is None:
            how = f"onegen-el corpora fetch {entry.name}"
            if entry.how:
                how = f"{entry.how} Then: {how} --from DIR"
            missing.append(Missing(entry.name, entry.title, how))
        elif not entry.readable or path.is_dir():
            how = f"it is in {path.name}, but its format, {entry.format}, is not read. {entry.notes}".strip()
            missing.append(Missing(entry.name, entry.title, how))
        else:
            # What is a part of a file was converted when it was fetched.
            files.append((entry.name, path, "auto" if entry.part else entry.format))
    taken: dict[str, Path] = {}
    for name, path, *_ in files:
        if name in taken:
            raise InputError(f"{name}: is named twice, {taken[name]} and {path}; give one as NAME=FILE")
        taken[name] = path
    corpora = []
    for name, path, format in files:
        documents = read_gold(path, part, format)
        corpora.append(Corpus(name, documents, _labels(path, part, len(documents))))
    return corpora, missing


def _labels(path: Path, part: Part, count: int) -> list[LabelledDocument] | None:
    """ELEVANT's labels with their alternatives; None where the file has not all of their fields."""
    from onegen_el.evaluation.elevant_scores import read_labels
    from onegen_el.gold.formats import told

    if told(path) != "elevant":
        return None
    try:
        labels = part.of(list(read_labels(path)))
    except InputError:
        return None
    return labels if len(labels) == count else None


def _run(
    linker: EntityLinker, corpora: Iterable[Corpus], half: Half, settings: dict[str, Any]
) -> list[Outcome]:
    from onegen_el.evaluation.answers import ask
    from onegen_el.evaluation.gerbil import Experiment

    errors = console.stderr()

    def answers(corpus: Corpus) -> Answers:
        with console.progress(errors, len(corpus.documents), errors.is_terminal) as progress:
            return ask(linker, corpus.documents, Experiment(settings["experiment"]), progress)

    return _measured(((corpus, answers(corpus)) for corpus in corpora), linker.kb, half, settings)


def _score_file(
    path: Path, corpora: Iterable[Corpus], part: Part, kb: str | None, settings: dict[str, Any]
) -> tuple[list[Outcome], Conditions]:
    from onegen_el.evaluation.answers import Predictions
    from onegen_el.knowledge import KnowledgeBase

    predictions: Predictions = Predictions.read(path)
    names = KnowledgeBase.open(kb)
    pairs = ((corpus, predictions.answers(corpus.documents)) for corpus in corpora)
    outcomes = _measured(pairs, names, part.half, settings)
    if predictions.unused and part == WHOLE:
        console.say(
            console.stderr(),
            f"{path}: {console.count(predictions.unused, 'document')} of it are in none of the corpora",
        )
    return outcomes, _conditions_of(path.name, "", None, names, kb, "", None)


def _measured(
    pairs: Iterable[tuple[Corpus, Answers]], kb: KnowledgeBase, half: Half, settings: dict[str, Any]
) -> list[Outcome]:
    from onegen_el.evaluation.gerbil import Experiment
    from onegen_el.evaluation.matching import SpanMatch
    from onegen_el.evaluation.measuring import Meter, Settings

    meter = Meter(
        kb,
        Settings(
            Experiment(settings["experiment"]),
            SpanMatch(settings["match"]),
            settings["oddities"],
            settings["examples"],
        ),
    )
    return [
        meter.measure(corpus.name, corpus.documents, answers, labels=corpus.labels, half=half.value)
        for corpus, answers in pairs
    ]


def _conditions(linker: EntityLinker, kb: str | None, loaded: float) -> Conditions:
    backbone = linker.backbone
    device = f"{backbone.device}, {str(backbone.dtype).removeprefix('torch.')}"
    known = _conditions_of(
        backbone.name, backbone.fingerprint, linker.min_score, linker.kb, kb, device, loaded
    )
    return replace(known, policy=linker.policy or DEFAULT_POLICY, calibration=asdict(linker.calibration))


def _conditions_of(
    model: str,
    fingerprint: str,
    threshold: float | None,
    kb: KnowledgeBase,
    name: str | None,
    device: str,
    loaded: float | None,
) -> Conditions:
    from onegen_el.evaluation.outcome import Conditions
    from onegen_el.evaluation.provenance import kb_checksum, machine, now

    return Conditions(
        model=model,
        kb=Path(name).name if name else "bundled",
        entities=len(kb),
        fingerprint=fingerprint,
        threshold=threshold,
        version=__version__,
        date=now(),
        machine=machine(),
        device=device,
        load_seconds=loaded,
        kb_checksum=kb_checksum(kb.manifest),
    )


def _show(evaluation: Evaluation, details: bool) -> None:
    from onegen_el.evaluation import tables

    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    text = tables.terminal(tables.summary(evaluation.outcomes), color=color, title=False)
    for table in tables.detailed(evaluation) if details else ():
        text += "\n" + tables.terminal(table, color=color)
    typer.echo(text, nl=False)
    _tell_missing(evaluation.missing)
    errors = console.stderr()
    for outcome in evaluation.outcomes:
        for note in tables.notes(outcome):
            console.say(errors, note)


def _tell_missing(missing: Iterable[Missing]) -> None:
    for one in missing:
        typer.echo(f"{one.name}: not here: {one.how}")


def _write(path: Path, text: str) -> None:
    with Output(path) as output:
        output.stream.write(text.encode())
        output.commit()


@eval_app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="A.json", help="Figures that `eval --json` wrote.")],
    second: Annotated[Path, typer.Argument(metavar="B.json", help="Others, on the same corpora.")],
    resamples: Annotated[int, typer.Option(min=1, help="How often documents are drawn anew.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the drawing.")] = 0,
    out: Annotated[Path | None, typer.Option("--json", "--out", "-o", help="Also write it as JSON.")] = None,
) -> None:
    """Tell whether two measurements differ: difference of micro F1, its 95 % interval, and p.

    Documents are drawn anew in pairs (bootstrap) for the interval, and swapped at random for p.
    """
    from onegen_el.evaluation import tables
    from onegen_el.evaluation.outcome import common, read_figures
    from onegen_el.evaluation.significance import compare as compared

    a, b = read_figures(first), read_figures(second)
    results = []
    for one, two in common(a, b):
        for tally in one.tallies:
            other = two.tally(tally.name)
            if other:
                # B first: what is told is what B gains.
                found = compared(other.counts, tally.counts, resamples=resamples, seed=seed)
                results.append((one.name, tally.name, found))
    typer.echo(f"A: {a.conditions.model}, {first.name}\nB: {b.conditions.model}, {second.name}\n")
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    typer.echo(tables.terminal(tables.comparisons(results), color=color, title=False), nl=False)
    names = [{outcome.name for outcome in one.outcomes} for one in (a, b)]
    for name in sorted(names[0] ^ names[1]):
        typer.echo(f"{name}: only in {first.name if name in names[0] else second.name}")
    if out:
        rows = [{"corpus": name, "figure": what, **found.to_dict()} for name, what, found in results]
        _write(out, json.dumps(rows, indent=1) + "\n")
