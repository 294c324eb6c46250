"""The stages that read the dumps: one table each of what pages, items, properties and redirects say.

Knows which facts are kept of each dump; what they mean together is decided in `decide`.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from onegen_el.errors import InputError
from onegen_el.knowledge.dumps.kinds import kind_of, redirect_of
from onegen_el.knowledge.dumps.lead import description_of, first_paragraph, lead_of, short_description
from onegen_el.knowledge.dumps.pages import Page, read_pages
from onegen_el.knowledge.dumps.source import Watch
from onegen_el.knowledge.dumps.sql import read_table
from onegen_el.knowledge.dumps.titles import has_section, normal_title
from onegen_el.knowledge.dumps.wikidata import read_items
from onegen_el.knowledge.dumps.wikitext import links, without_unshown
from onegen_el.knowledge.dumps.work import WorkFile

PAGES = {
    "pages": "(id INTEGER PRIMARY KEY, title TEXT NOT NULL, kind TEXT NOT NULL, short TEXT, sentence TEXT)",
    "redirects": "(page INTEGER PRIMARY KEY, target TEXT NOT NULL, section INTEGER NOT NULL)",
    "links": "(target TEXT NOT NULL, surface TEXT NOT NULL, count INTEGER NOT NULL)",
}
TITLES = {"titles": "(title TEXT PRIMARY KEY, page INTEGER NOT NULL) WITHOUT ROWID"}
ITEMS = {"items": "(page INTEGER PRIMARY KEY, qid TEXT NOT NULL, description TEXT, classes TEXT)"}
PROPERTIES = {"properties": "(page INTEGER PRIMARY KEY, qid TEXT, short TEXT, disambiguation TEXT)"}
LISTED = {"listed": "(page INTEGER PRIMARY KEY, target TEXT NOT NULL, section INTEGER NOT NULL)"}
# Tables of the SQL dumps and the columns that are read.
PROPS = ("page_props", ("pp_page", "pp_propname", "pp_value"))
REDIRECT = ("redirect", ("rd_from", "rd_namespace", "rd_title", "rd_interwiki", "rd_fragment"))

HELD_LINKS = 500_000  # pairs of target and surface that are counted in memory before they go to the file
LONGEST_NAME = 100  # characters of a surface that may be a name
KINDS_WITH_LINKS = ("article", "list")
COLUMN_OF = {b"wikibase_item": "qid", b"wikibase-shortdesc": "short", b"disambiguation": "disambiguation"}


def collect_pages(work: WorkFile, paths: Iterable[Path], watch: Watch, counts: Counter[str]) -> None:
    """Pages of the main namespace, their redirects, and how often each surface links to each title."""
    held: Counter[tuple[str, str]] = Counter()
    for path in paths:
        for page in read_pages(path, watch):
            counts["pages read"] += 1
            if page.namespace:
                counts["pages of other namespaces"] += 1
                continue
            try:
                held.update(_keep_page(work, page))
            except sqlite3.IntegrityError as error:
                raise InputError(
                    f"{path}: page {page.id} ({page.title!r}) was read before; give each dump file once"
                ) from error
            if len(held) >= HELD_LINKS:
                _write_links(work, held)
    _write_links(work, held)
    if not counts["pages read"]:
        raise InputError("the dump has no pages; give the file enwiki-...-pages-articles.xml.bz2")


def _keep_page(work: WorkFile, page: Page) -> list[tuple[str, str]]:
    """Writes what is kept of a page and gives its links."""
    insert = "INSERT INTO pages VALUES (?, ?, ?, ?, ?)"
    if page.text is None:
        work.write(insert, (page.id, page.title, "too long", None, None))
        return []
    target = redirect_of(page.redirect, page.text)
    if target is not None:
        work.write(insert, (page.id, page.title, "redirect", None, None))
        work.write(
            "INSERT INTO redirects VALUES (?, ?, ?)", (page.id, normal_title(target), has_section(target))
        )
        return []
    text = without_unshown(page.text)
    kind = kind_of(page.title, text)
    short = sentence = None
    if kind == "article":
        lead = lead_of(text)
        short = short_description(lead)
        sentence = description_of(first_paragraph(lead))
    work.write(insert, (page.id, page.title, kind, short, sentence))
    return list(links(text)) if kind in KINDS_WITH_LINKS else []


def _write_links(work: WorkFile, held: Counter[tuple[str, str]]) -> None:
    rows = [(target, _name(surface), count) for (target, surface), count in held.items()]
    work.write_many("INSERT INTO links VALUES (?, ?, ?)", rows)
    held.clear()


def _name(surface: str) -> str:
    """The surface if it may be a name, else ""."""
    usable = len(surface) <= LONGEST_NAME and "|" not in surface and any(map(str.isalnum, surface))
    return surface if usable else ""


def collect_titles(work: WorkFile, counts: Counter[str]) -> None:
    """Pages by title; of two pages of one title, which a move during the dump may leave, the later one."""
    kept = work.write("INSERT OR IGNORE INTO titles SELECT title, id FROM pages ORDER BY title, id DESC")
    pages = work.first("SELECT count(*) FROM pages")
    counts["pages whose title a later page has"] = (pages[0] if pages else 0) - kept


def collect_items(work: WorkFile, path: Path, site: str, watch: Watch, counts: Counter[str]) -> None:
    """Items of Wikidata that have a page here."""

    def page_of(title: str) -> int | None:
        row = work.first("SELECT page FROM titles WHERE title = ?", (title,))
        return row[0] if row else None

    for item in read_items(path, site, lambda title: page_of(title) is not None, watch):
        row = (page_of(item.title), item.qid, item.description, " ".join(item.classes))
        work.write("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?)", row)
        counts["items of Wikidata with a page"] += 1


def collect_properties(work: WorkFile, path: Path, watch: Watch, counts: Counter[str]) -> None:
    """Item, short description and disambiguation mark of each page, from the table `page_props`."""
    for page, name, value in read_table(path, *PROPS, watch):
        column = COLUMN_OF.get(name or b"")
        if column and page and work.first("SELECT 1 FROM pages WHERE id = ?", (int(page),)):
            said = (value or b"").decode("utf-8", "replace")
            work.write(
                f"INSERT INTO properties (page, {column}) VALUES (?, ?) "
                f"ON CONFLICT (page) DO UPDATE SET {column} = excluded.{column}",
                (int(page), said.upper() if column == "qid" else said),
            )
            counts["properties of pages"] += 1


def collect_redirects(work: WorkFile, path: Path, watch: Watch, counts: Counter[str]) -> None:
    """Targets of redirects from the table `redirect`; those of other namespaces are passed over."""
    for page, namespace, title, interwiki, fragment in read_table(path, *REDIRECT, watch):
        if not page or not work.first("SELECT 1 FROM pages WHERE id = ?", (int(page),)):
            counts["rows of the redirect table for other pages"] += 1
            continue
        here = namespace == b"0" and not interwiki
        target = normal_title((title or b"").decode("utf-8", "replace")) if here else ""
        work.write("INSERT OR REPLACE INTO listed VALUES (?, ?, ?)", (int(page), target, bool(fragment)))
        counts["rows of the redirect table"] += 1
