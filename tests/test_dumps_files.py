"""The readers of the dumps: true formats in all packings, and broken files named with their place."""

from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import dumps
import pytest

from onegen_el.errors import InputError
from onegen_el.knowledge.dumps import pages as pages_module
from onegen_el.knowledge.dumps import source as source_module
from onegen_el.knowledge.dumps.pages import Page, read_pages, site_of
from onegen_el.knowledge.dumps.source import Source
from onegen_el.knowledge.dumps.sql import read_table
from onegen_el.knowledge.dumps.wikidata import Item, read_items

XML = dumps.xml(
    [(1, "A & B", 0, "one <b>\n''two''"), (2, "C", 0, "#REDIRECT [[A & B#x]]"), (3, "Talk:C", 1, "")]
)


def written(folder: Path, data: bytes, name: str = "enwiki-pages-articles.xml.bz2") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("pack", [bytes, bz2.compress, dumps.streams, gzip.compress])
def test_pages_are_read_in_every_packing(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    seen: list[tuple[int, int]] = []
    path = written(tmp_path, pack(XML))
    assert list(read_pages(path, lambda done, total: seen.append((done, total)))) == [
        Page(1, "A & B", 0, None, "one <b>\n''two''"),
        Page(2, "C", 0, "A & B", "#REDIRECT [[A & B#x]]"),
        Page(3, "Talk:C", 1, None, ""),
    ]
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)
    assert site_of(path) == "enwiki"


def test_of_a_history_the_last_revision_counts(tmp_path: Path) -> None:
    revision = "<revision><id>4</id><text>{}</text></revision>"
    page = (
        "<page><title>A</title><ns>0</ns><id>1</id>"
        + revision.format("old")
        + revision.format("new")
        + "</page>"
    )
    (found,) = read_pages(written(tmp_path, f"<mediawiki>{page}</mediawiki>".encode()))
    assert (found.id, found.text) == (1, "new")
    assert site_of(written(tmp_path, b"<mediawiki></mediawiki>")) == ""


def test_a_page_too_long_is_passed_over(tmp_path: Path) -> None:
    long = "x " * (5 << 20)
    found = list(
        read_pages(written(tmp_path, gzip.compress(dumps.xml([(1, "A", 0, long), (2, "B", 0, "b")]))))
    )
    assert [(page.title, page.text) for page in found] == [("A", None), ("B", "b")]
    assert len(long) > 2 * pages_module.LONGEST_TEXT


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (bz2.compress(XML)[:-9], r"byte 0 .*cannot be unpacked .*end-of-stream.*fetch the file again"),
        (gzip.compress(XML)[:-9], "cannot be unpacked .*fetch the file again"),
        (bz2.compress(XML)[:60] + b"\0" * 20, "cannot be unpacked"),
        (XML[:-30], "byte .* is not XML .*fetch the file again"),
        (XML.replace(b"</title>", b"</titel>", 1), "is not XML .*mismatched"),
        (b"", "is not XML .*no element.*pages-articles.xml.bz2"),
        (
            dumps.sql("redirect", dumps.REDIRECT_COLUMNS, dumps.REDIRECTS),
            "is not XML.*give the file enwiki-.*pages",
        ),
        (b"<html><body/></html>", "begins with <html>, not <mediawiki>.*give the file"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><mediawiki/>', "DOCTYPE"),
        (
            b"<mediawiki><page><title>A</title><id>1</id></page></mediawiki>",
            r"page 'A'\).*without.*'ns'.*give",
        ),
        (b"<mediawiki><page><title>A</title><ns>0</ns><id>x</id></page></mediawiki>", "without title, id"),
    ],
)
def test_what_is_no_pages_dump_is_named(tmp_path: Path, data: bytes, says: str) -> None:
    path = written(tmp_path, data)
    with pytest.raises(InputError, match=rf"pages-articles\.xml\.bz2, .*{says}"):
        list(read_pages(path))


def test_a_cut_between_two_streams_is_noticed(tmp_path: Path) -> None:
    half = XML.index(b"  <page>")
    path = written(tmp_path, bz2.compress(XML[:half]))
    with pytest.raises(InputError, match=f"byte {half:,} .* is not XML"):
        list(read_pages(path))


def test_lines_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "LONGEST_LINE", 8)
    lines = Source(written(tmp_path, b"short\n" + b"x" * 9)).lines()
    assert next(lines) == (1, b"short\n")
    with pytest.raises(InputError, match="line 2: has more than 8 bytes"):
        next(lines)
    with pytest.raises(InputError, match="nothing: no such file"):
        Source(tmp_path / "nothing")


ROWS = [(1, "a'b\\c\nd", None, -1.5), (2, "(x),('y'", "", 3), (3, "é", "z", 0)]
COLUMNS = ("t_id", "t_name", "t_more", "t_number")
TABLE = dumps.sql("thing", COLUMNS, ROWS, rows_a_statement=2)
READ = [(b"1", b"a'b\\c\nd", None, b"-1.5"), (b"2", b"(x),('y'", b"", b"3"), (b"3", "é".encode(), b"z", b"0")]


def test_sql_is_read_as_it_was(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress(TABLE), "thing.sql.gz")
    assert list(read_table(path, "thing", COLUMNS)) == READ
    assert list(read_table(path, "thing", ("t_more", "t_id")))[2] == (b"z", b"3")


def test_sql_of_other_servers_is_read(tmp_path: Path) -> None:
    """Newer ones put each row on a line of its own; columns may be named; '' is a quote, too."""
    text = dumps.sql("thing", COLUMNS, ROWS, row_break="\n").replace(b"\\'", b"''")
    assert list(read_table(written(tmp_path, text), "thing", COLUMNS)) == READ
    named = b"INSERT INTO `thing` (`b`, `a`) VALUES (_binary 'x\\0',0x41),(NULL,1e3);\n"
    assert list(read_table(written(tmp_path, named), "thing", ("a", "b"))) == [(b"A", b"x\0"), (b"1e3", None)]


def test_an_empty_table_is_one(tmp_path: Path) -> None:
    assert list(read_table(written(tmp_path, dumps.sql("thing", COLUMNS, [])), "thing", COLUMNS)) == []


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (
            dumps.sql("page_props", dumps.PROPS_COLUMNS, dumps.PROPS),
            "line 9: .*table `page_props`.*-thing.sql.gz",
        ),
        (b"INSERT INTO `redirect` VALUES (1);\n", "line 1: is of the table `redirect`"),
        (dumps.sql("thing", COLUMNS[:2], [(1, "a")]), "has no column t_more, t_number; give"),
        (TABLE[: TABLE.index(b"(2,")], r"line \d+: ends within a statement.*fetch"),
        (TABLE[: TABLE.index(b"'(x)")], r"line \d+: column \d+ is no row of `thing`: b'\(2,'.*fetch"),
        (TABLE.replace(b"(3,", b"(3;"), "is no row of `thing`"),
        (TABLE.replace(b",3)", b",3,4)"), "is no row of `thing`"),
        (XML, r"line \d+: has no SQL of a table.*give the dump of the table `thing`"),
        (b"", "has no SQL"),
        (gzip.compress(TABLE)[:-20], "cannot be unpacked"),
    ],
)
def test_what_is_no_dump_of_the_table_is_named(tmp_path: Path, data: bytes, says: str) -> None:
    path = written(tmp_path, data, "x.sql.gz")
    with pytest.raises(InputError, match=rf"x\.sql\.gz, .*{says}"):
        list(read_table(path, "thing", COLUMNS))


def read(path: Path, wanted: Callable[[str], bool] = lambda title: True) -> list[Item]:
    return list(read_items(path, "enwiki", wanted))


@pytest.mark.parametrize("pack", [bytes, bz2.compress, gzip.compress])
def test_items_with_a_page_are_read(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = written(tmp_path, pack(dumps.wikidata(dumps.ITEMS)))
    asked: list[str] = []

    def wanted(title: str) -> bool:
        asked.append(title)
        return title in ("Velmar", "Ines Karo")

    assert read(path, wanted) == [
        Item("Q101", "Velmar", "not used: the page has its own", ("Q515", "Q5119", "Q123456789")),
        Item("Q103", "Ines Karo", "", ("Q5",)),
    ]
    assert "Elsewhere" not in asked and "Karo" in asked


def test_the_best_statements_of_an_item_count(tmp_path: Path) -> None:
    one = dumps.item("Q1", 'A "quoted" \u00e9')
    ranks = [
        ("Q2", "normal"),
        ("Q3", "preferred"),
        ("Q4", "deprecated"),
        (None, "preferred"),
        ("Q5", "preferred"),
    ]
    one["claims"] = {"P31": [dumps.statement(*rank) for rank in ranks]}
    other = dumps.item("Q2", "B", "b", ["Q6"])
    del other["claims"]["P31"][0]["mainsnak"]["datavalue"]["value"]["id"]  # as before 2017
    none = {**dumps.item("Q3", "C"), "claims": {"P31": [dumps.statement("Q7", "deprecated")]}}
    text = {**dumps.item("Q4", "D", site="frwiki"), "note": '"enwiki"'}
    pretty = json.dumps(one, ensure_ascii=False)  # with spaces, which our dumps are written without
    path = written(tmp_path, f"[\n{pretty},\n".encode() + dumps.wikidata([other, none, text])[2:])
    assert read(path) == [
        Item("Q1", 'A "quoted" é', "", ("Q3", "Q5")),
        Item("Q2", "B", "b", ("Q6",)),
        Item("Q3", "C", "", ()),
    ]


ITEMS = dumps.wikidata(dumps.ITEMS)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (XML, "line 1: is not the beginning of a dump of Wikidata.*give the file latest-all.json.gz"),
        (b"", "line 0: the file ends before"),
        (json.dumps(dumps.ITEMS).encode(), "line 1: is not the beginning"),
        (ITEMS[: ITEMS.index(b"Q103")], r"line 4: the file ends before the \]|line 4: is not an entity"),
        (ITEMS[: ITEMS.index(b'{"type":"item","id":"Q103"')], r"line 3: the file ends before the \] .*fetch"),
        (
            ITEMS.replace(b'"lastrevid"', b"lastrevid", 1),
            "line 2: is not an entity of Wikidata .*JSONDecodeError",
        ),
        (ITEMS.replace(b'"snaktype"', b'"snack"', 1), "line 2: is not an entity of Wikidata .*snaktype"),
        (bz2.compress(ITEMS)[:-5], "cannot be unpacked"),
    ],
)
def test_what_is_no_dump_of_wikidata_is_named(tmp_path: Path, data: bytes, says: str) -> None:
    path = written(tmp_path, data, "x.json.gz")
    with pytest.raises(InputError, match=rf"x\.json\.gz, .*(?:{says})"):
        read(path)


def test_nothing_is_evaluated(tmp_path: Path) -> None:
    """An XML bomb has nothing to go off with: entities cannot be defined without a DOCTYPE."""
    levels = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 9))
    bomb = f'<?xml version="1.0"?><!DOCTYPE m [<!ENTITY a0 "x">{levels}]><mediawiki>&a8;</mediawiki>'
    with pytest.raises(InputError, match="DOCTYPE"):
        list(read_pages(written(tmp_path, bomb.encode())))
