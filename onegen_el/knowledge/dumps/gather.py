"""Entities from the dumps of a Wikipedia and of Wikidata: the order of the stages, and what comes out.

Knows which stage needs which file; dumps are read by `collect`, put together by `decide`. A call that was
stopped goes on with the stage that was not finished when it is made again with the same files.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from onegen_el.document import TITLE_PREFIX, Entity
from onegen_el.errors import InputError
from onegen_el.knowledge.dumps import collect, decide
from onegen_el.knowledge.dumps.pages import site_of
from onegen_el.knowledge.dumps.sql import read_table
from onegen_el.knowledge.dumps.wikidata import check_items
from onegen_el.knowledge.dumps.work import WorkFile

SITE = "enwiki"
MOST_ALIASES = 20
ROWS = """
SELECT articles.page, title, ranks.qid, description, types, inlinks
FROM ranks JOIN articles ON articles.page = ranks.page ORDER BY place
"""
NAMES = "SELECT surface, count FROM names WHERE page = ? AND surface <> ''"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class DumpFiles:
    """The dumps of one date, or of nearly one; only the pages are needed.

    `pages`: pages-articles.xml, in one file or in its parts; `redirects`, `page_props`: the SQL tables of
    these names; `wikidata`: the JSON dump. Each may be packed as .bz2 or .gz.
    """

    pages: tuple[Path, ...]
    redirects: Path | None = None
    page_props: Path | None = None
    wikidata: Path | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """An entity, the number of links to it, and how many of them use each of its aliases."""

    entity: Entity
    inlinks: int
    alias_counts: tuple[int, ...]


class Gathered:
    """What was gathered, in the work file; `counts` says what was read, kept and left out.

    Rows come most linked first, and every time the same. As a context manager it closes the file, and deletes
    it with `discard` only, when its rows are safe elsewhere.
    """

    def __init__(self, work: WorkFile, site: str) -> None:
        self.counts = work.counts()
        self._work, self._site = work, site

    def __enter__(self) -> Gathered:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._work.close()

    def __len__(self) -> int:
        return self.counts["entities"]

    def __iter__(self) -> Iterator[Entity]:
        return (row.entity for row in self.rows())

    def rows(self) -> Iterator[Row]:
        for page, title, qid, description, types, inlinks in self._work.rows(ROWS):
            aliases = _aliases(title, self._work.rows(NAMES, (page,)))
            entity = Entity(
                id=qid or f"{self._prefix}{title}",
                title=title,
                description=description,
                aliases=tuple(alias for alias, _ in aliases),
                types=tuple(json.loads(types)),
                prior=math.log1p(inlinks),
                qid=qid,
                wikipedia_title=title if self._site == SITE else None,
            )
            yield Row(entity, inlinks, tuple(count for _, count in aliases))

    def discard(self) -> None:
        """Deletes the work file."""
        self._work.discard()

    @property
    def _prefix(self) -> str:
        return TITLE_PREFIX if self._site == SITE else f"{self._site}:"


def gather(dumps: DumpFiles, work_file: Path, progress: Progress | None = None) -> Gathered:
    """Goes through the dumps, or what is left of it, and gives the entities.

    `work_file` is an SQLite file that is made, or gone on with. `progress` gets the name of a stage, and the
    bytes it has read and will read of a file (0 and 0 where it reads none).
    Raises InputError for files that are broken or something else, KBError for faults of the work file.
    """
    show = progress or (lambda stage, done, total: None)
    site = _checked(dumps)
    work = WorkFile(work_file)
    try:
        _collect(work, dumps, site, show)
        _decide(work, show)
        return Gathered(work, site)
    except BaseException:
        work.close()
        raise


def _collect(work: WorkFile, dumps: DumpFiles, site: str, show: Progress) -> None:
    def watch(stage: str) -> Callable[[int, int], None]:
        return lambda done, total: show(stage, done, total)

    def pages(counts: Counter[str]) -> None:
        collect.collect_pages(work, dumps.pages, watch("reading pages"), counts)

    def titles(counts: Counter[str]) -> None:
        show("sorting titles", 0, 0)
        collect.collect_titles(work, counts)

    def items(counts: Counter[str]) -> None:
        if dumps.wikidata:
            collect.collect_items(work, dumps.wikidata, site, watch("reading Wikidata"), counts)

    def properties(counts: Counter[str]) -> None:
        if dumps.page_props:
            collect.collect_properties(work, dumps.page_props, watch("reading page_props"), counts)

    def redirects(counts: Counter[str]) -> None:
        if dumps.redirects:
            collect.collect_redirects(work, dumps.redirects, watch("reading redirects"), counts)

    work.stage("pages", dumps.pages, collect.PAGES, pages)
    work.stage("titles", (), collect.TITLES, titles)
    # The longest stage comes early, so that other tables can be given anew without it.
    work.stage("items", _files(dumps.wikidata), collect.ITEMS, items)
    work.stage("properties", _files(dumps.page_props), collect.PROPERTIES, properties)
    work.stage("redirects", _files(dumps.redirects), collect.LISTED, redirects)


def _decide(work: WorkFile, show: Progress) -> None:
    for name, tables, do in (
        ("choosing articles", decide.ARTICLES, decide.decide_articles),
        ("following redirects", decide.TARGETS, decide.decide_targets),
        ("counting links", decide.NAMES, decide.decide_names),
        ("ranking entities", decide.RANKS, decide.decide_ranks),
    ):

        def stage(counts: Counter[str], name: str = name, do: decide.Stage = do) -> None:
            show(name, 0, 0)
            do(work, counts)

        work.stage(name, (), tables, stage)


def _files(path: Path | None) -> tuple[Path, ...]:
    return (path,) if path else ()


def _checked(dumps: DumpFiles) -> str:
    """The wiki the dumps are of; what begins as another file is noticed here, not after hours."""
    for path in (*dumps.pages, *_files(dumps.redirects), *_files(dumps.page_props), *_files(dumps.wikidata)):
        if not path.is_file():
            raise InputError(f"{path}: no such file; name a dump that was fetched whole")
    if dumps.page_props:
        next(read_table(dumps.page_props, *collect.PROPS), None)
    if dumps.redirects:
        next(read_table(dumps.redirects, *collect.REDIRECT), None)
    if dumps.wikidata:
        check_items(dumps.wikidata)
    sites = {site_of(path) or SITE: path for path in dumps.pages}
    if len(sites) != 1:
        raise InputError(
            f"dumps of {' and '.join(sorted(sites)) or 'no wiki'} were given; give those of one wiki"
        )
    return next(iter(sites))


def _aliases(title: str, names: Iterator[tuple[str, int]]) -> list[tuple[str, int]]:
    """The names besides the title, most used first; of names that differ in case only, the most used."""
    together: dict[str, int] = {}
    best: dict[str, tuple[int, str]] = {}
    for surface, count in names:
        folded = surface.casefold()
        together[folded] = together.get(folded, 0) + count
        best[folded] = min(best.get(folded, (1, "")), (-count, surface))
    together.pop(title.casefold(), None)
    ordered = sorted(together, key=lambda folded: (-together[folded], best[folded][1]))
    return [(best[folded][1], together[folded]) for folded in ordered[:MOST_ALIASES]]
