"""`onegen-el train check`: what annotated texts would teach, before a model is trained on them.

Knows options and how the answer looks; the counting is `onegen_el.training.check`'s.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from onegen_el.cli.console import count, stderr
from onegen_el.errors import InputError
from onegen_el.unicode import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from onegen_el.backbone import Backbone
    from onegen_el.gold import GoldDocument
    from onegen_el.training.catalog import Catalog
    from onegen_el.training.check import CorpusCheck, Overlap
    from onegen_el.training.examples import Example

NOTHING_TO_LEARN = 1
WIDTH = 100  # where no terminal sets one
NAMED = 3  # of what a warning counts, so many are named
CONTEXT, LEARNED, QUERY, NO_LOSS = "dim", "green", "bold magenta", "bright_black"
BREAKS = str.maketrans({"\n": "↵ ", "\r": "␍", "\t": "␉"})

Marks = Literal["all", "partial", "none"]


def check(
    data: Annotated[list[Path], typer.Argument(metavar="DATA...", help="Annotated texts, a corpus each.")],
    format_: Annotated[str, typer.Option("--format", help="Of DATA and --against; auto tells.")] = "auto",
    marks: Annotated[
        Marks,
        typer.Option(help="all: every mention is annotated; partial: some are; none: learn only entities."),
    ] = "all",
    model: Annotated[
        str | None,
        typer.Option(help="Folder or hub id of the model to train on; default is the bundled one."),
    ] = None,
    kb: Annotated[str | None, typer.Option(help="Folder or hub id; default is the bundled one.")] = None,
    entities: Annotated[Path | None, typer.Option(help="A table of entities instead of --kb.")] = None,
    links: Annotated[Path | None, typer.Option(help="Further names of --entities: name, id.")] = None,
    against: Annotated[
        list[Path] | None, typer.Option(help="Evaluation sets that must share no text with DATA.")
    ] = None,
    examples: Annotated[int, typer.Option(min=0, help="Windows shown of each corpus.")] = 5,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the figures as JSON.")
    ] = None,
) -> None:
    """Show what a model can learn from annotated texts, what it cannot, and what the windows look like.

    Exit code 1 if nothing can be learned, 2 for errors.
    """
    if entities and kb:
        raise InputError("--kb and --entities both say which entities there are; give one of them")
    if links and not entities:
        raise InputError("--links names the entities of a table; give the table with --entities")
    console = _stdout()
    with stderr().status("loading"):
        # Imported here because torch and transformers take seconds, which `--help` need not wait for.
        from onegen_el.backbone import load_backbone
        from onegen_el.knowledge import KnowledgeBase
        from onegen_el.training.catalog import catalog_of_kb, read_catalog
        from onegen_el.training.check import check_corpus, overlap
        from onegen_el.training.examples import corpus_documents
        from onegen_el.training.recipe import Corpus

        backbone = load_backbone(model, "cpu")
        template = backbone.grammar.entity_template
        if entities:
            catalog, source = read_catalog(entities, links or "", template), f"the table {entities}"
        else:
            catalog, source = catalog_of_kb(KnowledgeBase.open(kb), template), "the knowledge base"
    console.print(_heading(backbone, catalog, source))
    if examples:
        console.print(_legend(console, backbone))
    report: list[dict[str, Any]] = []
    windows = 0
    for path in data:
        corpus = Corpus(path=str(path), format=format_, marks=marks)
        settings = backbone.manifest.windows
        with stderr().status(f"reading {visible(str(path))}"):
            found = check_corpus(corpus_documents(corpus), corpus, backbone, settings, catalog, examples)
            others = _evaluation(against or [], format_)
            shared = overlap(corpus_documents(corpus), others) if against else None
        windows += found.windows
        _show_corpus(console, path, marks, found, shared, source)
        _show_examples(console, found, backbone, catalog)
        figures = {"path": str(path), "marks": marks, **found.to_dict()}
        report.append(figures | {"overlap": shared.to_dict() if shared else None})
    console.print(_verdict(len(data), windows))
    if json_file:
        _write_json(json_file, {"model": backbone.name, "entities": len(catalog), "corpora": report})
    if not windows:
        raise typer.Exit(NOTHING_TO_LEARN)


def _stdout() -> Console:
    """A console as wide as the terminal, or WIDTH in a file or pipe."""
    from rich.console import Console

    # What a terminal's encoding lacks is shown as `?` there instead of ending the program.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else WIDTH)


def _evaluation(paths: Sequence[Path], format_: str) -> Iterator[GoldDocument]:
    """The documents of all evaluation sets; where there are several, the ids say of which."""
    from onegen_el.gold import read_gold

    for path in paths:
        for document in read_gold(path, format_):
            yield replace(document, id=f"{path.name}: {document.id}") if len(paths) > 1 else document


def _write_json(path: Path, report: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another --json") from error


def _heading(backbone: Backbone, catalog: Catalog, source: str) -> Text:
    from rich.text import Text

    sizes = f"windows of {backbone.manifest.windows.own} tokens, {len(catalog):,} entities in {source}"
    return Text(_line(f"{backbone.name}: {sizes}"), style="dim")


def _verdict(corpora: int, windows: int) -> Text:
    from rich.text import Text

    them = "it" if corpora == 1 else "them"
    if windows:
        return Text(f"\n{count(windows, 'window')} to train on.", style="bold green")
    return Text(f"\nNothing can be learned from {them}: there is no window to train on.", style="bold red")


def _show_corpus(
    console: Console, path: Path, marks: str, found: CorpusCheck, shared: Overlap | None, source: str
) -> None:
    from rich.padding import Padding
    from rich.text import Text

    console.print()
    title = Text.assemble((_line(str(path)), "bold"), (f"  marks: {marks}", "dim"))
    console.rule(title, align="left", style="dim")
    console.print(Padding(_counts(found), (1, 0, 1, 1)))
    warnings = list(_warnings(found, marks, source))
    if shared is not None:
        warnings += list(_overlap_warning(shared))
    for warning in warnings:
        console.print(Padding(_bullet("!", _line(warning), "yellow"), (0, 0, 0, 1)))
    if not warnings:
        console.print(Padding(_bullet("✓", "nothing to warn of", "green"), (0, 0, 0, 1)))


def _bullet(mark: str, message: str, style: str) -> Table:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    grid.add_row(Text(mark, style=f"bold {style}"), Text(message, style=style))
    return grid


def _counts(found: CorpusCheck) -> Table:
    """Three lists side by side: the texts, what is annotated, what of that is not learned."""
    from rich.table import Table
    from rich.text import Text

    reach = found.reach
    left = {
        "documents": found.documents,
        "characters": found.characters,
        "source tokens": found.tokens,
        "windows": found.windows,
    }
    middle = {
        "mentions": found.mentions,
        "linked": found.linked,
        "NIL": found.nil,
        "entities": found.entities,
    }
    right = {
        "off token borders": reach.unreachable,
        "nested": reach.nested,
        "across windows": reach.crossing,
        "in windows left out": reach.unused,
        "entity not known": reach.unknown,
    }
    table = Table(box=None, pad_edge=False, padding=(0, 2), header_style="dim italic")
    for name, wide in (("texts", 13), ("annotation", 10), ("not learned", 19)):
        table.add_column(name, min_width=wide, no_wrap=True)
        table.add_column("", justify="right", min_width=9, no_wrap=True)
    for row in range(len(right)):
        cells: list[Text] = []
        for counts, zero, more in ((left, "dim", "bold"), (middle, "dim", "bold"), (right, "dim", "yellow")):
            name, value = list(counts.items())[row] if row < len(counts) else ("", None)
            style = more if value else zero
            cells += [Text(name), Text("" if value is None else f"{value:,}", style=style)]
        table.add_row(*cells)
    return table


def _warnings(found: CorpusCheck, marks: str, source: str) -> Iterator[str]:
    """What should be looked at before training, each with what to do."""
    reach = found.reach
    names: Iterator[str]
    if not found.windows:
        yield _why_nothing(found, marks, source)
    elif not found.mentions:
        yield (
            "nothing is annotated, so it teaches to mark nothing; right for texts without names, else look "
            "at the file and its --format"
        )
    elif not found.linked:
        yield "no mention has an entity, so only the marks are learned from it"
    if found.missing:
        names = (f"{item.id} “{item.surface}” ({item.count:,}×)" for item in found.missing_first)
        yield (
            f"{found.missing:,} of {found.entities:,} entities ({_percent(found.missing, found.entities)}) "
            f"are not in {source}: {_some(names, found.missing)}; add them with `onegen-el kb build`, or "
            "train the marks only (links = false in the recipe)"
        )
    unmarked = ", else their words are learned as not marked" if marks == "all" else ""
    if reach.unreachable:
        names = (f"{item.document} “{item.surface}” at {item.start:,}" for item in found.unreachable_first)
        yield (
            f"{count(reach.unreachable, 'mention')} ({_percent(reach.unreachable, found.mentions)}) with a "
            f"border inside of a token or at white space: {_some(names, reach.unreachable)}; correct the "
            f"spans{unmarked}"
        )
    if reach.nested:
        yield (
            f"{count(reach.nested, 'mention')} overlapping another: the first and longest is learned; remove "
            "it where the inner one is meant"
        )
    if reach.crossing:
        yield (
            f"{count(reach.crossing, 'mention')} cut by the border of a window; longer windows (windows.own "
            "in the recipe) cut fewer"
        )
    if reach.unused:
        why = " or without an entity to learn" if marks == "none" else ""
        yield (
            f"{count(reach.unused, 'mention')} only in windows that are left out: those beyond the annotated "
            f"part of a document{why}"
        )
    if found.empty:
        names = iter(found.empty_first)
        yield f"{count(found.empty, 'document')} without text: {_some(names, found.empty)}; remove them"
    if found.duplicates:
        names = (f"{one} is {other}" for one, other in found.duplicates_first)
        yield (
            f"{count(found.duplicates, 'document')} with the text of an earlier one: "
            f"{_some(names, found.duplicates)}; remove them, or the text counts that often"
        )


def _why_nothing(found: CorpusCheck, marks: str, source: str) -> str:
    if not found.documents:
        return "there is no document in it; look at the file and its --format"
    if not found.tokens:
        return "its documents have no text; look at the file and its --format"
    if marks != "all" and not found.mentions:
        return f"nothing is annotated, and --marks {marks} learns from mentions only; look at its --format"
    if marks == "none" and not found.linked:
        return "no mention has an entity, and --marks none learns nothing else; take all or partial"
    if marks == "none":
        return f"no mention has an entity that is in {source}, and --marks none learns nothing else"
    return "no window can be used: the annotated part of the documents is shorter than the windows"


def _overlap_warning(shared: Overlap) -> Iterator[str]:
    found = shared.same + shared.shared
    if found:
        names = (
            f"{pair.document} and {pair.other} (" + (f"“{pair.words}”)" if pair.words else "the same text)")
            for pair in shared.first
        )
        yield (
            f"{found:,} of {count(shared.documents, 'document')} ({_percent(found, shared.documents)}) in "
            f"evaluation sets, {shared.same:,} as a whole, {shared.shared:,} in part: {_some(names, found)}; "
            "take them out, or the scores mean nothing"
        )


def _some(names: Iterator[str], number: int) -> str:
    listed = [name for name, _ in zip(names, range(NAMED), strict=False)]
    return ", ".join(listed) + (", ..." if number > len(listed) else "")


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    return f"{share:.0f} %" if share >= 1 else "<1 %"


def _legend(console: Console, backbone: Backbone) -> Text:
    from rich.text import Text

    unlearned = ("grey", NO_LOSS) if _colored(console) else ("‹so›", "")
    return Text.assemble(
        *("examples  ", ("prompt", CONTEXT), ": read (CTX)   ", ("output", LEARNED), ": learned (GEN)   "),
        *((backbone.grammar.query, QUERY), ": finds its entity (RET)   ", unlearned, ": no loss"),
    )


def _colored(console: Console) -> bool:
    return console.color_system is not None and not console.no_color


def _show_examples(console: Console, found: CorpusCheck, backbone: Backbone, catalog: Catalog) -> None:
    from rich.padding import Padding
    from rich.text import Text

    if not found.examples:
        return
    colored = _colored(console)
    for number, (name, example) in enumerate(found.examples, 1):
        where = f"{example.window.start:,} to {example.window.end:,} of {len(example.tokens):,}"
        title = (f"example {number} of {len(found.examples)}: document ", "dim"), (_line(name), "bold")
        console.print(Text.assemble("\n ", *title, (f", tokens {where}", "dim")))
        console.print(Padding(_example(example, backbone, catalog, colored), (0, 0, 0, 1)))


def _example(example: Example, backbone: Backbone, catalog: Catalog, colored: bool) -> Table:
    """Prompt, output and entities of a window, one below the other."""
    from rich.table import Table
    from rich.text import Text

    from onegen_el.grammar import Role
    from onegen_el.training.check import rendered

    prompt, output, entities = Text(), Text(), Text()
    for piece, role, loss in rendered(example, backbone):
        string = visible(piece).translate(BREAKS)
        if role != Role.CTX and not output:
            string = string.lstrip()
        if role == Role.CTX:
            prompt.append(string, style=CONTEXT)
        elif loss or colored:
            output.append(string, style=NO_LOSS if not loss else QUERY if role == Role.RET else LEARNED)
        else:
            bare = string.strip()
            output.append(string.replace(bare, f"‹{bare}›", 1) if bare else string)
    for first, last, entity in example.mentions:
        start, end = example.tokens.span(first, last)
        entities.append(_line(example.tokens.text[start:end]), style="" if entity >= 0 else NO_LOSS)
        meant = _line(catalog.texts[entity]) if entity >= 0 else "no entity to learn"
        entities.append(f" → {meant}\n", style="" if entity >= 0 else NO_LOSS)
    for text in (prompt, output, entities):
        text.rstrip()
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("prompt", prompt)
    table.add_row("output", output)
    if example.mentions:
        table.add_row("entities", entities)
    return table


def _line(text: str) -> str:
    return " ".join(visible(text).split())
