"""`onegen-el kb search`: entities by what is typed, and by what a sentence makes of it.

Knows options and what is shown; names are `onegen_el.knowledge.names`', queries the linker's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onegen_el.cli.kb_look import AsJson, Kb

if TYPE_CHECKING:
    from onegen_el.document import Entity
    from onegen_el.knowledge import KnowledgeBase
    from onegen_el.knowledge.name_table import Progress
    from onegen_el.knowledge.names import NameHit

SHOWN_FROM = 50_000  # entities whose names take long enough for a bar


@dataclass(frozen=True, slots=True)
class Line:
    """What is shown of an entity: the name that matched, if one did, and its cosine in a context, if any."""

    entity: Entity
    hit: NameHit | None = None
    cosine: float | None = None

    def to_dict(self) -> dict[str, Any]:
        entity = self.entity
        row = {
            "id": entity.id,
            "title": entity.title,
            "description": entity.description,
            "types": list(entity.types),
            "prior": entity.prior,
        }
        if self.hit:
            row |= {"name": self.hit.name, "match": self.hit.match, "score": round(self.hit.score, 4)}
        if self.cosine is not None:
            row["cosine"] = round(self.cosine, 6)
        return row


def search(
    text: Annotated[str, typer.Argument(help="A name, or its beginning; Pari* asks for beginnings alone.")],
    kb: Kb = None,
    k: Annotated[int, typer.Option("-k", "--top-k", min=1, help="So many entities.")] = 10,
    type_: Annotated[
        list[str] | None,
        typer.Option("--type", help="PER, ORG, LOC, MISC or a finer type; any of them, if given again."),
    ] = None,
    context: Annotated[
        str | None, typer.Option(help="A sentence with the name in it: search by its meaning there too.")
    ] = None,
    mention: Annotated[
        str | None, typer.Option(help="The words in the sentence that are meant; TEXT if left out.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model for --context: folder or hub id; the bundled one if left out.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Find entities by name, also misspelt; with --context the model says how well each fits the sentence.

    The names of a knowledge base are indexed in the cache when it is searched for the first time.
    """
    from onegen_el.errors import InputError
    from onegen_el.knowledge import KnowledgeBase
    from onegen_el.knowledge.names import NameIndex

    if mention is not None and context is None:
        raise InputError("--mention says which words of a --context are meant; give one")
    opened = KnowledgeBase.open(kb)
    with _bar(len(opened)) as show:
        index = NameIndex.open(opened, show)
    hits = index.search(text, k, type_)
    if context is None:
        lines = [Line(hit.entity, hit) for hit in hits]
    else:
        query = _query(opened, context, mention or text.rstrip("*"), model, device)
        lines = _in_context(opened, query, hits, k, type_)
    for line in lines:
        typer.echo(json.dumps(line.to_dict(), ensure_ascii=False) if as_json else _shown(line))
    if not lines and not as_json:
        from onegen_el.cli.console import say, stderr

        say(stderr(), f"{opened.path}: has nothing like {text!r}")


def _query(kb: KnowledgeBase, context: str, mention: str, model: str | None, device: str) -> Any:
    """The query vector float32 `[1, dims]` that the model makes of the mention in its sentence."""
    from onegen_el.backbone import load_backbone
    from onegen_el.errors import InputError
    from onegen_el.linker import EntityLinker

    start = context.find(mention)
    if start < 0:
        start = context.casefold().find(mention.casefold())
    if start < 0:
        raise InputError(
            f"{mention!r} is not in the --context; say with --mention which of its words are meant"
        )
    linker = EntityLinker(load_backbone(model, device), kb)
    marked = linker.mark_given(context, [(start, start + len(mention))])
    return kb.shortened(marked.queries)


def _in_context(
    kb: KnowledgeBase, query: Any, hits: Sequence[NameHit], k: int, types: Sequence[str] | None
) -> list[Line]:
    """The entities found by name and the nearest of all, by their cosines in context."""
    from onegen_el.knowledge.detail import cosines

    by_name = {hit.key: hit for hit in hits}
    nearest = [int(key) for key in kb.search_short(query, k).keys[0] if key >= 0]
    keys = list(dict.fromkeys([*by_name, *nearest]))
    wanted = {name.casefold() for name in types or ()}
    rows = zip(keys, kb.entities(keys), cosines(kb, query[0], keys).tolist(), strict=True)
    lines = [
        Line(entity, by_name.get(key), cosine)
        for key, entity, cosine in rows
        if not wanted or wanted & {name.casefold() for name in entity.types}
    ]
    return sorted(lines, key=lambda line: -(line.cosine or 0.0))


def _shown(line: Line) -> str:
    entity = line.entity
    parts = [] if line.cosine is None else [f"{line.cosine:.3f}"]
    parts += [f"{entity.id:<12}", entity.title]
    if line.hit and line.hit.name != entity.title:
        parts.append(f"[{line.hit.name}]")
    if line.hit and line.hit.match == "similar":
        parts.append("~")
    about = " ".join((entity.description or ", ".join(entity.types)).split())
    return "  ".join(parts) + (f"  {about}" if about else "")


@contextmanager
def _bar(entities: int) -> Iterator[Progress]:
    """A bar for the names of large knowledge bases."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("indexing names"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = None

        def show(done: int, total: int) -> None:
            nonlocal task
            if entities >= SHOWN_FROM:
                task = bar.add_task("", total=total) if task is None else task
                bar.update(task, completed=done)

        yield show
