"""`onegen-el corpora`: what corpora there are, fetch them, convert files, and tell where they lie.

Knows options and what is shown; the work is `onegen_el.corpora`'s.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onegen_el.cli import console
from onegen_el.errors import InputError

if TYPE_CHECKING:
    from onegen_el.corpora import Entry, Fetched

corpora_app = typer.Typer(no_args_is_help=True, help="Corpora to evaluate on: list, fetch, convert.")
FAILED = 2


@corpora_app.command("list")
def show(
    as_json: Annotated[bool, typer.Option("--json", help="Everything that is known, as JSON.")] = False,
) -> None:
    """Show the corpora of the registry and which are here."""
    from onegen_el.corpora import cache_folder, located, read_registry

    entries = read_registry().values()
    here = {entry.name: located(entry) for entry in entries}
    if as_json:
        rows = [{**entry.to_dict(), "path": _text(here[entry.name])} for entry in entries]
        typer.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("documents", justify="right")
    table.add_column("mentions", justify="right")
    table.add_column("licence", overflow="fold")
    table.add_column("here?", no_wrap=True)
    for entry in entries:
        state = "yes" if here[entry.name] else "fetch" if entry.url else "--from DIR"
        table.add_row(entry.name, _number(entry.documents), _number(entry.mentions), entry.licence, state)
    # Without a terminal to fit, a row stays a line.
    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(table)
    typer.echo(f"folder: {cache_folder()}")
    typer.echo("--from DIR: its licence forbids to fetch it for you; `corpora fetch NAME` says how to get it")


@corpora_app.command("fetch")
def fetch_them(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of `corpora list`.")],
    source: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="Copy from this folder, do not download.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also what is here; it must be the same.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
) -> None:
    """Download corpora into the cache folder, or copy them there.

    An interrupted download goes on where it was. If some cannot be had, the others are fetched all the
    same, and the exit code is 2.
    """
    from onegen_el.corpora import find

    entries = [find(name) for name in dict.fromkeys(names)]
    failed = False
    for entry in entries:
        try:
            fetched = _fetch(entry, source, again, quiet)
        except InputError as error:
            console.say_error(str(error))
            failed = True
            continue
        if not quiet:
            _tell(entry, fetched)
    if failed:
        raise typer.Exit(FAILED)


@corpora_app.command("convert")
def convert_file(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A corpus, plain or .gz.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write; gzipped if named .gz.")],
    format: Annotated[
        str, typer.Option(help="Format of FILE, of docs/data-formats.md; auto tells by name and content.")
    ] = "auto",
    to: Annotated[
        str, typer.Option(help="Format to write: linked, elevant, aida, nif, conllu, hipe or fishing.")
    ] = "linked",
) -> None:
    """Write a corpus in another format; what that format cannot hold is counted (docs/data-formats.md)."""
    from onegen_el.corpora import convert

    counts = convert(source, out, format, to=to)
    typer.echo(
        f"{out}: {console.count(counts.documents, 'document')}, {console.count(counts.mentions, 'mention')}, "
        f"{counts.linked:,} linked, {counts.nil:,} NIL"
    )
    if counts.dropped:
        lost = ", ".join(f"{name} {count:,}" for name, count in counts.dropped.counts().items())
        console.say(console.stderr(), f"not held by {to}: {lost}", "yellow")


@corpora_app.command("path")
def tell_path(name: Annotated[str, typer.Argument(help="A name of `corpora list`.")]) -> None:
    """Print where a fetched corpus lies: its file, or the folder of an archive."""
    from onegen_el.corpora import find, located

    entry = find(name)
    path = located(entry)
    if path is None:
        raise InputError(f"{entry.name}: is not here; run `onegen-el corpora fetch {entry.name}`")
    typer.echo(str(path))


def _fetch(entry: Entry, source: Path | None, again: bool, quiet: bool) -> Fetched:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from onegen_el.corpora import fetch

    errors = console.stderr()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    hidden = quiet or not errors.is_terminal
    with Progress(*columns, console=errors, transient=True, disable=hidden) as bar:
        task = bar.add_task(entry.name, total=entry.size)

        def progress(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total or entry.size)

        return fetch(entry, source=source, again=again, progress=progress)


def _tell(entry: Entry, fetched: Fetched) -> None:
    errors = console.stderr()
    if fetched.was_here:
        console.say(errors, f"{entry.name}: is here and unchanged")
    elif fetched.first:
        console.say(
            errors,
            f"{entry.name}: {fetched.size:,} bytes. No checksum of it is published: this copy is trusted, "
            f"later ones must have the same SHA-256, {fetched.sha256}",
        )
    else:
        console.say(errors, f"{entry.name}: {fetched.size:,} bytes, checksum as expected")
    if not entry.readable:
        console.say(
            errors, f"{entry.name}: its format, {entry.format}, is not read by onegen-el. {entry.notes}"
        )
    typer.echo(str(fetched.path))


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
