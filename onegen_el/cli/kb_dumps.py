"""Entities of dumps on the command line: the options, `onegen-el kb dump-entities`, and what is shown.

Knows options and terminals; the work is `onegen_el.knowledge.dumps`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from onegen_el.knowledge.dumps import DumpFiles, Gathered

PANEL = "From dumps (docs/kb-from-dumps.md)"
Wikipedia = Annotated[
    list[Path] | None,
    typer.Option(
        rich_help_panel=PANEL, help="enwiki-...-pages-articles.xml.bz2; each part of it may be given."
    ),
]
Redirects = Annotated[
    Path | None, typer.Option(rich_help_panel=PANEL, help="enwiki-...-redirect.sql.gz, if there is one.")
]
PageProps = Annotated[
    Path | None,
    typer.Option(rich_help_panel=PANEL, help="enwiki-...-page_props.sql.gz: items of Wikidata."),
]
Wikidata = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel=PANEL, help="Wikidata's latest-all.json.gz or .bz2: items, descriptions, types."
    ),
]
DATE = re.compile(r"(?<!\d)(\d{4})(\d\d)(\d\d)(?!\d)")


def dump_entities(
    out: Annotated[Path, typer.Option("--out", "-o", help="File of entities: .jsonl or .jsonl.gz.")],
    wikipedia: Wikipedia = None,
    redirects: Redirects = None,
    page_props: PageProps = None,
    wikidata: Wikidata = None,
) -> None:
    """Gather the entities of dumps into a file, most linked first, for `onegen-el kb build`.

    Gathering that was stopped goes on with the stage it was in when the same command is given again.
    """
    from onegen_el.cli.console import count, say, stderr
    from onegen_el.knowledge.dumps.table import check_ending, write_table

    files = dump_files(wikipedia, redirects, page_props, wikidata)
    if files is None:
        raise typer.BadParameter("name the dump of the pages", param_hint="--wikipedia")
    check_ending(out)
    with gathered(files, out) as found:
        with _bars(of_bytes=False) as show:
            write_table(found, out, lambda done, total: show("writing entities", done, total))
        say(stderr(), f"{out}: {count(len(found), 'entity').replace('entitys', 'entities')}")


def dump_files(
    wikipedia: list[Path] | None, redirects: Path | None, page_props: Path | None, wikidata: Path | None
) -> DumpFiles | None:
    """The dumps that were named, None if none was; raises BadParameter where the pages are missing."""
    from onegen_el.knowledge.dumps import DumpFiles

    if wikipedia:
        return DumpFiles(tuple(wikipedia), redirects, page_props, wikidata)
    if redirects or page_props or wikidata:
        raise typer.BadParameter("the dump of the pages is needed, too", param_hint="--wikipedia")
    return None


def names_of(files: DumpFiles) -> str:
    """The names of the files, for people."""
    paths = (*files.pages, files.redirects, files.page_props, files.wikidata)
    return ", ".join(path.name for path in paths if path)


def date_of(files: DumpFiles) -> str:
    """The date in the name of the pages dump (`2024-08-01`), "" where it has none."""
    found = DATE.search(files.pages[0].name)
    return "-".join(found.groups()) if found else ""


@contextmanager
def gathered(files: DumpFiles, out: Path) -> Iterator[Gathered]:
    """Gathers with bars, says on stderr what was kept and left out, and gives the entities.

    The work file lies beside `out`; it is deleted when the block ends without an error, and kept otherwise.
    """
    from onegen_el.cli.console import say, stderr
    from onegen_el.knowledge.dumps import gather

    work_file = out.absolute().with_name(f".{out.absolute().name}.dumps.sqlite")
    with _bars(of_bytes=True) as show:
        found = gather(files, work_file, show)
    with found:
        for what, number in found.counts.items():
            if number:
                say(stderr(), f"{number:,} {what}")
        yield found
        found.discard()


@contextmanager
def _bars(of_bytes: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each stage; one that reads no file has no end."""
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    from onegen_el.cli.console import stderr

    done_column = DownloadColumn() if of_bytes else MofNCompleteColumn()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        done_column,
        Remaining(elapsed_when_finished=True),
    )
    tasks: dict[tuple[str, int], Any] = {}
    with Progress(*columns, console=stderr(), speed_estimate_period=120) as bar:

        def show(stage: str, done: int, total: int) -> None:
            # Parts of a dump are told apart by their sizes.
            if (stage, total) not in tasks:
                for task in bar.tasks:
                    bar.update(task.id, total=task.total or 1, completed=task.total or 1)
                tasks[stage, total] = bar.add_task(stage, total=total or None)
            bar.update(tasks[stage, total], completed=done)

        yield show
