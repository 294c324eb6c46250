"""`onegen-el link`: documents in, linked documents out, one after another.

Knows inputs, formats and the order of things; the linking itself is `onegen_el.load(...).annotate`.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onegen_el.cli import console
from onegen_el.cli.output import SIGPIPE_EXIT, Output, abandon_stdout
from onegen_el.document import LinkedDocument
from onegen_el.errors import InputError
from onegen_el.formats import Format, Writer, format_of, open_writer
from onegen_el.inputs import ROWS_SUFFIX, STDIN, Document, expand, read

if TYPE_CHECKING:
    from rich.console import Console

SOME_FAILED, STOPPED, INTERRUPTED = 1, 2, 130


def link(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Texts, directories of *.txt and *.md, *.jsonl rows of id and text, - for stdin."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write; stdout if left out.")
    ] = None,
    format: Annotated[
        Format | None,
        typer.Option(help="Output format; else by the suffix of -o, else text.", show_default=False),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model folder or hub id; the bundled one if left out.")
    ] = None,
    kb: Annotated[
        str | None, typer.Option(help="Knowledge base folder or hub id; the bundled one if left out.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Windows of text that are decoded together.")] = 16,
    top_k: Annotated[int, typer.Option(min=1, help="Candidates kept for each mention.")] = 5,
    min_score: Annotated[
        float | None, typer.Option(help="Do not link below this score; the model's own if left out.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="What is marked: one of the model's policies (`onegen-el info`); else its default."
        ),
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Report inputs that cannot be read and go on; exit code 1.")
    ] = False,
    color: Annotated[
        bool | None,
        typer.Option("--color/--no-color", help="Colours; on a terminal if left out.", show_default=False),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Errors only: no progress, no summary.")
    ] = False,
) -> None:
    """Find the entities in texts and link them to a knowledge base."""
    if not paths:
        if sys.stdin.isatty():
            raise typer.BadParameter("name a text or a directory, or pipe a text in", param_hint="PATHS")
        paths = [STDIN]
    errors = console.stderr(color)
    names = _expand(paths, errors, quiet)
    if output is not None and any(_is_same(output, name) for name in names):
        raise typer.BadParameter(f"{output} is one of the texts and would be overwritten", param_hint="-o")
    if format is None:
        format = Format.TEXT if output is None else format_of(output)
    failures: list[InputError] = []
    documents = _documents(names, keep_going, failures, errors)
    # The first text is read before the model is loaded: a mistyped path is told at once.
    first = next(documents, None)
    if first is None and failures and not keep_going:
        raise typer.Exit(STOPPED)
    target = Output(output)
    if format is Format.SPACY and target.is_terminal:
        raise typer.BadParameter(
            "spacy is binary and stdout is a terminal; add -o FILE.spacy", param_hint="--format"
        )
    tally, code = Tally(), STOPPED
    try:
        with target:
            with (
                closing(_writer(format, target, color)) as writer,
                console.progress(errors, _total(names), _bar_fits(errors, target, quiet)) as show,
            ):
                if first is not None:
                    import onegen_el

                    linker = onegen_el.load(model, kb, device, top_k, min_score, batch_size, policy)
                    tally.start()
                    for document in linker.annotate(chain([first], documents)):
                        writer.write(document)
                        target.worth_keeping = True
                        tally.add(document)
                        target.stream.flush()
                        show(tally.documents, tally.rate)
            if keep_going or not failures:
                target.commit()
                code = SOME_FAILED if failures else 0
    except BrokenPipeError:
        abandon_stdout()
        raise typer.Exit(SIGPIPE_EXIT) from None
    except KeyboardInterrupt:
        console.say(errors, "interrupted", "red")
        code = INTERRUPTED
    finally:
        if target.kept:
            console.say(errors, f"{output} is not complete; what was finished is kept in {target.kept}")
    if not quiet:
        failed = f", {console.count(len(failures), 'input')} failed" if failures else ""
        console.say(errors, tally.summary() + failed)
    raise typer.Exit(code)


@dataclass
class Tally:
    """Counts of a run; the clock starts when the model is loaded."""

    documents: int = 0
    mentions: int = 0
    linked: int = 0
    begin: float = 0.0

    def start(self) -> None:
        self.begin = time.perf_counter()

    def add(self, document: LinkedDocument) -> None:
        self.documents += 1
        self.mentions += len(document.mentions)
        self.linked += sum(mention.entity is not None for mention in document.mentions)

    @property
    def rate(self) -> float:
        """Documents per second."""
        return self.documents / max(time.perf_counter() - self.begin, 1e-6)

    def summary(self) -> str:
        counts = (console.count(self.documents, "document"), console.count(self.mentions, "mention"))
        return f"{', '.join(counts)}, {self.linked:,} linked, {self.rate:.1f} documents/s"


def _expand(paths: Sequence[str], errors: Console, quiet: bool) -> list[str]:
    """The files to read, telling how many were found in each directory."""
    if paths.count(STDIN) > 1:
        raise typer.BadParameter("stdin (-) can be read only once", param_hint="PATHS")
    names: list[str] = []
    for path in paths:
        found = expand(path)
        names += found
        if found != [path] and not quiet:
            console.say(errors, f"{path}: {console.count(len(found), 'text')}")
    return names


def _documents(
    names: Sequence[str], keep_going: bool, failures: list[InputError], errors: Console
) -> Iterator[Document]:
    """The texts in order; errors are told and noted in `failures`, the first ends it unless `keep_going`."""
    for item in chain.from_iterable(read(name, sys.stdin.buffer) for name in names):
        if not isinstance(item, InputError):
            yield item
            continue
        failures.append(item)
        console.say_error(str(item), errors)
        if not keep_going:
            return


def _writer(format: Format, target: Output, color: bool | None) -> Writer:
    if color is None:
        color = target.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    width = shutil.get_terminal_size().columns if target.is_terminal else None
    return open_writer(format, target.stream, color=color, width=width)


def _total(names: Sequence[str]) -> int | None:
    """Number of documents, None where only reading tells."""
    return None if any(name.endswith(ROWS_SUFFIX) for name in names) else len(names)


def _bar_fits(errors: Console, target: Output, quiet: bool) -> bool:
    # A bar would be torn apart by results that scroll through the same terminal.
    return errors.is_terminal and not target.is_terminal and not quiet


def _is_same(output: Path, name: str) -> bool:
    return output.exists() and Path(name).exists() and output.samefile(name)
