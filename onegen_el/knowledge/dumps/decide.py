"""The stages that put the facts together: the entities, where every title leads, who is named how.

Knows the tables that `collect` left; reads no dump.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from onegen_el.knowledge.dumps.classes import types_of
from onegen_el.knowledge.dumps.kinds import kind_by_classes
from onegen_el.knowledge.dumps.titles import bare_name
from onegen_el.knowledge.dumps.work import WorkFile

ARTICLES = {
    "articles": "(page INTEGER PRIMARY KEY, title TEXT, qid TEXT, description TEXT, types TEXT NOT NULL)",
}
TARGETS = {
    "targets": "(title TEXT PRIMARY KEY, page INTEGER NOT NULL, is_name INTEGER NOT NULL) WITHOUT ROWID"
}
NAMES = {
    "names": "(page INTEGER, surface TEXT, count INTEGER, PRIMARY KEY (page, surface)) WITHOUT ROWID",
    "inlinks": "(page INTEGER PRIMARY KEY, count INTEGER NOT NULL)",
}
RANKS = {"ranks": "(place INTEGER PRIMARY KEY, page INTEGER NOT NULL, inlinks INTEGER NOT NULL, qid TEXT)"}

Stage = Callable[[WorkFile, Counter[str]], None]

MOST_HOPS = 8  # redirects to redirects that are followed
FACTS = """
SELECT pages.id, pages.title, pages.kind, pages.short, pages.sentence,
    properties.qid, properties.short, properties.disambiguation, items.qid, items.description, items.classes
FROM titles JOIN pages ON pages.id = titles.page
LEFT JOIN properties ON properties.page = pages.id LEFT JOIN items ON items.page = pages.id
WHERE pages.kind <> 'redirect'
"""
REDIRECT = """
SELECT coalesce(listed.target, redirects.target), coalesce(listed.section, redirects.section)
FROM pages LEFT JOIN redirects ON redirects.page = pages.id LEFT JOIN listed ON listed.page = pages.id
WHERE pages.id = ? AND pages.kind = 'redirect'
"""
LINKED = """
INSERT INTO names SELECT page, surface, sum(count) FROM (
    SELECT targets.page AS page, links.surface AS surface, links.count AS count
    FROM links JOIN targets ON targets.title = links.target
    UNION ALL SELECT page, bare_name(title), 0 FROM targets WHERE is_name
) GROUP BY page, surface ORDER BY page, surface
"""
RANKED = """
INSERT INTO ranks (page, inlinks, qid) SELECT articles.page, coalesce(inlinks.count, 0), articles.qid
FROM articles LEFT JOIN inlinks ON inlinks.page = articles.page ORDER BY 2 DESC, 1
"""
# Two pages of one item: an old table may say so after a merge. The better known one is the item.
ONE_PAGE_AN_ITEM = """
UPDATE ranks SET qid = NULL WHERE place IN (
    SELECT place FROM (
        SELECT place, row_number() OVER (PARTITION BY qid ORDER BY place) AS number
        FROM ranks WHERE qid IS NOT NULL
    ) WHERE number > 1
)
"""


def decide_articles(work: WorkFile, counts: Counter[str]) -> None:
    """The pages that are entities, with item, description and types; the others are counted by their kind."""

    def kept() -> Iterator[tuple[Any, ...]]:
        for page, title, kind, short, sentence, *facts in work.rows(FACTS):
            qid, listed_short, disambiguation, item, item_description, classes = facts
            if kind == "article" and disambiguation is not None:
                kind = "disambiguation"
            known = (classes or "").split()
            if kind == "article":
                kind = kind_by_classes(known)
            if kind != "article":
                counts[f"left out: {kind}"] += 1
                continue
            if qid and item and qid != item:
                counts["pages with two items: that of page_props was taken"] += 1
            description = short or listed_short or item_description or sentence or ""
            yield page, title, qid or item, description, json.dumps(types_of(known))

    work.write_many("INSERT INTO articles VALUES (?, ?, ?, ?, ?)", kept())


def decide_targets(work: WorkFile, counts: Counter[str]) -> None:
    """The article to which each title leads, through redirects; what leads nowhere is counted."""
    work.write("INSERT INTO targets SELECT title, page, 1 FROM articles ORDER BY title")

    def followed() -> Iterator[tuple[str, int, bool]]:
        redirects = (
            "SELECT titles.title, pages.id FROM titles JOIN pages ON pages.id = titles.page WHERE kind = ?"
        )
        for title, page in work.rows(redirects, ("redirect",)):
            end, whole = _follow(work, page)
            if isinstance(end, str):
                counts[f"redirects {end}"] += 1
            else:
                counts["redirects followed"] += 1
                yield title, end, whole

    work.write_many("INSERT INTO targets VALUES (?, ?, ?)", followed())


def _follow(work: WorkFile, page: int) -> tuple[int | str, bool]:
    """The article at the end of a redirect, or why there is none; and whether it leads to all of it."""
    whole = True
    for _ in range(MOST_HOPS):
        redirect = work.first(REDIRECT, (page,))
        if redirect is None:  # a page of its own, then
            is_article = work.first("SELECT 1 FROM articles WHERE page = ?", (page,))
            return (page if is_article else "to pages that are left out"), whole
        target, section = redirect
        whole = whole and not section
        found = work.first("SELECT page FROM titles WHERE title = ?", (target,))
        if found is None:
            return "to pages that are not in the dump", whole
        page = found[0]
    return "in circles", whole


def decide_names(work: WorkFile, counts: Counter[str]) -> None:
    """How often each article is linked under each surface; titles and whole redirects are names, too."""
    work.function("bare_name", bare_name)
    work.write(LINKED)
    work.write("INSERT INTO inlinks SELECT page, sum(count) FROM names GROUP BY page")
    links = work.first("SELECT coalesce(sum(count), 0) FROM links") or (0,)
    resolved = work.first("SELECT coalesce(sum(count), 0) FROM inlinks") or (0,)
    counts["links to entities"] = resolved[0]
    counts["links to other pages"] = links[0] - resolved[0]


def decide_ranks(work: WorkFile, counts: Counter[str]) -> None:
    """The order of the entities: the most linked ones first, then by page; an item goes to one page."""
    counts["entities"] = work.write(RANKED)
    counts["pages that share their item with a better known one"] = work.write(ONE_PAGE_AN_ITEM)
