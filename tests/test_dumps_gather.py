"""Entities from dumps: the whole way, on a small world that has a case of everything."""

from __future__ import annotations

import bz2
import gzip
import math
from dataclasses import replace
from pathlib import Path

import dumps
import pytest

from onegen_el.document import Entity
from onegen_el.errors import InputError
from onegen_el.knowledge.dumps import DumpFiles, Row, collect, gather, source


def gathered(folder: Path, files: DumpFiles) -> tuple[dict[str, Row], dict[str, int]]:
    with gather(files, folder / "work.sqlite") as found:
        rows = {row.entity.title: row for row in found.rows()}
        assert [row.entity for row in rows.values()] == list(found) and len(rows) == len(found)
        found.discard()
    return rows, found.counts


def test_all_dumps_together(tmp_path: Path) -> None:
    rows, counts = gathered(tmp_path, dumps.write_dumps(tmp_path))
    assert [(row.entity.id, row.inlinks) for row in rows.values()] == [
        ("Q101", 9),
        ("Q103", 4),
        ("Q102", 2),
        ("enwiki:Bus", 2),
        ("enwiki:Mercury (ship)", 0),
    ]
    assert rows["Velmar"].entity == Entity(
        id="Q101",
        title="Velmar",
        description="Port city in Ostrand",
        aliases=("White City", "Velmar harbour", "the White City", "the harbour town", "white town"),
        types=("LOC", "city", "capital"),
        prior=math.log(10),
        qid="Q101",
        wikipedia_title="Velmar",
    )
    assert rows["Velmar"].alias_counts == (2, 1, 1, 1, 1)
    assert rows["Ines Karo"].entity.description == (
        "explorer of the northern seas and later a very patient keeper"
    )
    assert rows["Ines Karo"].entity.types == ("PER", "human")
    # the redirect that the newer table leads here
    assert set(rows["Ostrand"].entity.aliases) == {"To nowhere"}
    assert rows["Ostrand"].entity.description == "island country"
    assert rows["Bus"].entity.description == "It's a \\ large 'car'"
    assert rows["Bus"].entity.aliases == ("buses",)
    ship = rows["Mercury (ship)"].entity
    assert (ship.aliases, ship.qid, ship.wikipedia_title) == (("Mercury",), None, "Mercury (ship)")
    assert counts == {
        "pages read": 19,
        "pages of other namespaces": 2,
        "pages whose title a later page has": 0,
        "items of Wikidata with a page": 6,
        "properties of pages": 4,
        "rows of the redirect table": 3,
        "rows of the redirect table for other pages": 1,
        "left out: disambiguation": 2,
        "left out: list": 2,
        "left out: meta": 1,
        "redirects followed": 4,
        "redirects in circles": 2,
        "redirects to pages that are left out": 1,
        "links to entities": 17,
        "links to other pages": 4,
        "entities": 5,
        "pages that share their item with a better known one": 1,
    }
    assert not list(tmp_path.glob("work.sqlite*"))


def test_the_pages_alone_are_enough(tmp_path: Path) -> None:
    rows, counts = gathered(
        tmp_path, replace(dumps.write_dumps(tmp_path), redirects=None, page_props=None, wikidata=None)
    )
    assert {row.entity.id for row in rows.values()} == {
        f"enwiki:{title}"
        for title in ("Velmar", "Ostrand", "Ines Karo", "Bus", "Mercury (ship)", "Ports", "Karo family")
    }
    assert all(row.entity.types == () and row.entity.qid is None for row in rows.values())
    assert rows["Ostrand"].entity.description == "country"
    assert rows["Bus"].entity.description == "large car"
    assert "To nowhere" not in rows["Ostrand"].entity.aliases
    assert counts["redirects to pages that are not in the dump"] == 1
    assert (counts["left out: disambiguation"], counts["left out: list"]) == (2, 1)


def small(folder: Path, *pages: tuple[int, str, str], **others: bytes) -> dict[str, Row]:
    path = folder / "pages.xml.bz2"
    path.write_bytes(bz2.compress(dumps.xml(dumps.articles(pages))))
    named = {}
    for name, data in others.items():
        named[name] = folder / name
        named[name].write_bytes(data)
    return gathered(folder, DumpFiles((path,), **named))[0]


def test_names_of_one_spelling_are_counted_together(tmp_path: Path) -> None:
    links = (
        "[[A|The Town]] [[A|the town]] [[A|the town]] [[A|a]] [[A|Burg]] [[A|Burg]] [[A|→]] [[A|"
        + "x" * 101
        + "]]"
    )
    rows = small(tmp_path, (1, "A", ""), (2, "B", links))
    assert rows["A"].entity.aliases == ("the town", "Burg") and rows["A"].alias_counts == (3, 2)
    assert rows["A"].inlinks == 8


def test_aliases_are_capped(tmp_path: Path) -> None:
    links = " ".join(f"[[A|name {n}]]" * (n + 1) for n in range(40))
    aliases = small(tmp_path, (1, "A", ""), (2, "B", links))["A"].entity.aliases
    assert aliases == tuple(f"name {n}" for n in range(39, 19, -1))


def test_held_links_are_summed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "HELD_LINKS", 1)
    rows = small(tmp_path, (1, "A", ""), (2, "B", "[[A]] [[A|x]]"), (3, "C", "[[A]] [[a|x]] [[A#s|x]]"))
    assert rows["A"].inlinks == 5 and rows["A"].alias_counts == (3,)


def test_of_two_pages_of_one_title_the_later_counts(tmp_path: Path) -> None:
    rows = small(tmp_path, (1, "A", "{{short description|old}}"), (5, "A", "{{short description|new}}"))
    assert rows["A"].entity.description == "new" and len(rows) == 1


def test_redirects_over_many_hops_and_to_titles_of_any_form(tmp_path: Path) -> None:
    hops = [(10 + n, f"H{n}", f"#REDIRECT [[h{n + 1}]]") for n in range(6)]
    pages = [
        (1, "H6", ""),
        (2, "K & L", "[[H0|x]] [[k_&amp;_L]] [[_other__name#s|y]]"),
        (3, "Other name", "#REDIRECT [[K_&amp;_L]]"),
    ]
    rows = small(tmp_path, *pages, *hops)
    assert rows["H6"].entity.aliases == ("x", "H0", "H1", "H2", "H3", "H4", "H5")
    assert rows["K & L"].inlinks == 2 and rows["K & L"].entity.aliases == ("y", "Other name")


def test_a_page_too_long_is_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "pages.xml.gz"
    path.write_bytes(
        gzip.compress(dumps.xml(dumps.articles([(1, "A", "x " * (5 << 20)), (2, "B", "[[A]]")])))
    )
    rows, counts = gathered(tmp_path, DumpFiles((path,)))
    assert list(rows) == ["B"]
    assert counts["left out: too long"] == 1 and counts["links to other pages"] == 1


def test_two_items_for_a_page_are_counted(tmp_path: Path) -> None:
    props = dumps.sql(
        "page_props", dumps.PROPS_COLUMNS, [(1, "wikibase_item", "Q1", None), (1, "disambiguation", "", None)]
    )
    one = dumps.sql("page_props", dumps.PROPS_COLUMNS, [(1, "wikibase_item", "Q1", None)])
    path = tmp_path / "pages.xml"
    path.write_bytes(dumps.xml(dumps.articles([(1, "A", ""), (2, "B", "")])))
    (tmp_path / "props").write_bytes(one)
    (tmp_path / "items").write_bytes(dumps.wikidata([dumps.item("Q2", "A")]))
    files = DumpFiles((path,), page_props=tmp_path / "props", wikidata=tmp_path / "items")
    rows, counts = gathered(tmp_path, files)
    assert rows["A"].entity.id == "Q1" and counts["pages with two items: that of page_props was taken"] == 1
    (tmp_path / "props").write_bytes(props)  # the mark of the table counts as the template does
    rows, counts = gathered(tmp_path, files)
    assert list(rows) == ["B"] and counts["left out: disambiguation"] == 1


def test_other_wikis_have_ids_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "simplewiki-pages-articles.xml"
    path.write_bytes(dumps.xml(dumps.articles([(1, "A", ""), (2, "B", "")]), site="simplewiki"))
    items = tmp_path / "items.json"
    items.write_bytes(dumps.wikidata([dumps.item("Q1", "A", site="simplewiki"), dumps.item("Q2", "B")]))
    rows, _ = gathered(tmp_path, DumpFiles((path,), wikidata=items))
    assert [(row.entity.id, row.entity.wikipedia_title) for row in rows.values()] == [
        ("Q1", None),
        ("simplewiki:B", None),
    ]


def test_parts_of_a_dump_are_one(tmp_path: Path) -> None:
    parts = []
    for number, page in enumerate([(1, "A", "[[B|b's]]"), (2, "B", "[[A]]")], 1):
        parts.append(tmp_path / f"pages-articles{number}.xml.bz2")
        parts[-1].write_bytes(bz2.compress(dumps.xml(dumps.articles([page]))))
    rows, _ = gathered(tmp_path, DumpFiles(tuple(parts)))
    assert {title: row.inlinks for title, row in rows.items()} == {"A": 1, "B": 1}
    with pytest.raises(InputError, match=r"page 1 \('A'\) was read before; give each dump file once"):
        gathered(tmp_path, DumpFiles((*parts, parts[0])))


def test_files_are_checked_before_hours_of_work(tmp_path: Path) -> None:
    files = dumps.write_dumps(tmp_path)
    with pytest.raises(InputError, match=r"missing\.json: no such file"):
        gather(replace(files, wikidata=tmp_path / "missing.json"), tmp_path / "work.sqlite")
    other = tmp_path / "other.xml"
    other.write_bytes(dumps.xml([], site="frwiki"))
    with pytest.raises(InputError, match="dumps of enwiki and frwiki were given"):
        gather(replace(files, pages=(*files.pages, other)), tmp_path / "work.sqlite")
    told: list[str] = []
    with pytest.raises(
        InputError, match=r"redirect\.sql\.gz, line 9: is of the table `redirect`.*-page_props"
    ):
        gather(
            replace(files, page_props=files.redirects), tmp_path / "work.sqlite", lambda *_: told.append("x")
        )
    with pytest.raises(InputError, match=r"bz2, line 1: is not the beginning of a dump of Wikidata"):
        gather(replace(files, wikidata=files.pages[0]), tmp_path / "work.sqlite", lambda *_: told.append("x"))
    assert not told and not (tmp_path / "work.sqlite").exists()
    other.write_bytes(dumps.xml([]))
    with pytest.raises(InputError, match="has no pages"):
        gather(DumpFiles((other,)), tmp_path / "work2.sqlite")


def test_progress_is_told_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK", 256)
    files = dumps.write_dumps(tmp_path)
    told: list[tuple[str, int, int]] = []
    gather(files, tmp_path / "work.sqlite", lambda *values: told.append(values)).discard()
    size = files.pages[0].stat().st_size
    pages = [(done, total) for stage, done, total in told if stage == "reading pages"]
    assert pages[-1] == (size, size) and len(pages) > 3 and pages == sorted(pages)
    assert [*dict.fromkeys(stage for stage, _, _ in told)] == [
        "reading pages",
        "sorting titles",
        "reading Wikidata",
        "reading page_props",
        "reading redirects",
        "choosing articles",
        "following redirects",
        "counting links",
        "ranking entities",
    ]
