"""Small dumps in the true formats, of a world that does not exist.

Knows what Wikimedia's files look like: the XML export, SQL of mysqldump, the JSON array of Wikidata.
"""

from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from onegen_el.knowledge.dumps import DumpFiles

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:schemaLocation="http://www.mediawiki.org/xml/export-0.11/ http://www.mediawiki.org/xml/export-0.11.xsd" \
version="0.11" xml:lang="en">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <dbname>{site}</dbname>
    <generator>MediaWiki 1.43.0-wmf.20</generator>
    <case>first-letter</case>
    <namespaces>
      <namespace key="0" case="first-letter" />
      <namespace key="14" case="first-letter">Category</namespace>
    </namespaces>
  </siteinfo>
"""
PAGE = """  <page>
    <title>{title}</title>
    <ns>{namespace}</ns>
    <id>{id}</id>
{redirect}    <revision>
      <id>{revision}</id>
      <timestamp>2024-08-01T12:00:00Z</timestamp>
      <contributor>
        <username>Somebody</username>
        <id>7</id>
      </contributor>
      <comment>a &lt;title&gt; in a comment</comment>
      <model>wikitext</model>
      <format>text/x-wiki</format>
      <text bytes="{bytes}" sha1="x" xml:space="preserve">{text}</text>
      <sha1>x</sha1>
    </revision>
  </page>
"""
SQL = """-- MySQL dump 10.19  Distrib 10.5.23-MariaDB, for debian-linux-gnu (x86_64)
--
-- Host: db.example    Database: enwiki
-- ------------------------------------------------------
/*!40101 SET NAMES utf8mb4 */;

DROP TABLE IF EXISTS `{table}`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `{table}` (
{columns}  PRIMARY KEY (`{first}`),
  KEY `other` (`{first}`)
) ENGINE=InnoDB DEFAULT CHARSET=binary;

/*!40000 ALTER TABLE `{table}` DISABLE KEYS */;
{inserts}/*!40000 ALTER TABLE `{table}` ENABLE KEYS */;

-- Dump completed on 2024-08-02  3:04:05
"""
REDIRECT_COLUMNS = ("rd_from", "rd_namespace", "rd_title", "rd_interwiki", "rd_fragment")
PROPS_COLUMNS = ("pp_page", "pp_propname", "pp_value", "pp_sortkey")

# id, title, text; what is a redirect says so in its text, as in the wiki.
PAGES: list[tuple[int, str, str]] = [
    (
        1,
        "Velmar",
        """{{Short description|Port city in Ostrand}}
{{Infobox settlement|name=Velmar|country=[[Ostrand]]|leader=[[Ines Karo|Karo]]}}
'''Velmar''' ({{IPA|en|v}}) is a [[port|port city]] in [[ostrand]].
It is<!-- [[Hidden]] --> old.<ref>[[The Velmar Post]]</ref>
[[File:Harbour.jpg|thumb|The harbour, seen by [[Ines Karo]]]]

== History ==
It was founded by [[Ines_Karo#Youth|Captain ''Karo'']]; see [[List of ports in Ostrand]] and [[Nowhere]].
[[Category:Cities]] [[fr:Velmar]]
""",
    ),
    (
        2,
        "Ostrand",
        "'''Ostrand''' is a country. Its largest towns are [[Velmar]] and [[Velmar|the White City]], "
        "whose [[Velmar|White City]] square the people of [[The White City|White City]] like.",
    ),
    (
        3,
        "Ines Karo",
        "'''Captain Ines Q. Karo''' (born 1801; [[Velmar]]) was an explorer of the northern seas and "
        "later a very patient keeper of many lighthouses. She died at sea, near [[Velmar]].",
    ),
    (4, "The White City", "#REDIRECT [[Velmar]] {{R from nickname}}"),
    (5, "White town", "#redirect [[the_White_City]]"),  # a double one
    (6, "Velmar harbour", "#REDIRECT [[Velmar#Harbour]]"),
    (7, "Velmar (disambiguation)", "'''Velmar''' may be\n* [[Velmar]]\n* [[Ines Karo]]\n{{disambig}}"),
    (8, "Karo", "'''Karo''' may be:\n* [[Ines Karo|Ines]]\n{{Hndis|Karo}}"),
    (9, "List of ports in Ostrand", "* [[Velmar|the harbour town]]\n* [[Bus]]"),
    (10, "Round one", "#REDIRECT [[Round two]]"),
    (11, "Round two", "#REDIRECT [[Round one]]"),
    (12, "To nowhere", "#REDIRECT [[Nowhere]]"),
    (13, "Bus", "A '''bus''' is a large car. Old [[bus]]es ran in [[white town]] and [[Velmar harbour]]."),
    (14, "Mercury (ship)", "The '''''Mercury''''' was a ship of [[Ines Karo|Karo]] &amp; sons."),
    (15, "Ports", "A page of the wiki itself, its item says."),
    (16, "Karo family", "Several people; a list, says its item."),
    (17, "Old name", "#REDIRECT [[Karo]]"),
]
OTHER_NAMESPACES = [
    (20, "Category:Cities", 14, "[[Velmar]]"),
    (21, "Talk:Velmar", 1, "[[Velmar|Talk of it]]"),
]

PROPS = [
    (1, "wikibase_item", "Q101", None),
    (1, "page_image_free", "Harbour.jpg", None),
    (3, "wikibase_item", "q103", None),
    (13, "wikibase-shortdesc", "It's a \\ large 'car'", None),
    (14, "wikibase_item", "Q103", None),  # of two pages of one item
    (99, "wikibase_item", "Q199", None),
    (3, "unexpectedUnconnectedPage", "-1", -1.5),
]
REDIRECTS = [
    (4, 0, "Velmar", "", ""),
    (6, 0, "Velmar", "", "Harbour"),
    (12, 0, "Ostrand", "", ""),  # the pages dump has it lead nowhere
    (20, 14, "Towns", "", ""),
]


def item(
    qid: str, title: str, description: str = "", classes: Sequence[str] = (), site: str = "enwiki"
) -> dict[str, Any]:
    """An entity as the JSON dump has it; empty objects are [] there."""
    return {
        "type": "item",
        "id": qid,
        "labels": {"en": {"language": "en", "value": title}},
        "descriptions": {"en": {"language": "en", "value": description}} if description else [],
        "aliases": [],
        "claims": {"P31": [statement(name) for name in classes]} if classes else [],
        "sitelinks": {
            "dewiki": {"site": "dewiki", "title": f"{title} (Ort)", "badges": []},
            site: {"site": site, "title": title, "badges": []},
        },
        "lastrevid": 1,
    }


def statement(qid: str | None, rank: str = "normal") -> dict[str, Any]:
    snak: dict[str, Any] = {"snaktype": "value" if qid else "somevalue", "property": "P31"}
    if qid:
        value = {"entity-type": "item", "numeric-id": int(qid[1:]), "id": qid}
        snak["datavalue"] = {"value": value, "type": "wikibase-entityid"}
    return {"mainsnak": snak, "type": "statement", "id": "x", "rank": rank}


ITEMS = [
    item("Q101", "Velmar", "not used: the page has its own", ["Q515", "Q5119", "Q123456789"]),
    item("Q102", "Ostrand", "island country", ["Q6256"]),
    item("Q103", "Ines Karo", "", ["Q5"]),
    item("Q108", "Karo", "", ["Q4167410"]),
    item("Q115", "Ports", "Wikimedia project page", ["Q14204246"]),
    item("Q116", "Karo family", "Wikimedia list article", ["Q13406463"]),
    item("Q120", "Category:Cities", "Wikimedia category", ["Q4167836"]),
    item("Q900", "Elsewhere", "of another wiki", ["Q515"], site="frwiki"),
]


def xml(pages: Iterable[tuple[int, str, int, str]], site: str = "enwiki") -> bytes:
    """A pages dump of (id, title, namespace, text)."""
    written = [HEAD.format(site=site)]
    for number, title, namespace, text in pages:
        target = text.partition("[[")[2].partition("]]")[0].partition("#")[0]
        element = (
            f"    <redirect title={quoteattr(target)} />\n" if text.lower().startswith("#redirect") else ""
        )
        written.append(
            PAGE.format(
                title=escape(title),
                namespace=namespace,
                id=number,
                redirect=element,
                revision=1000 + number,
                bytes=len(text.encode()),
                text=escape(text),
            )
        )
    return "".join([*written, "</mediawiki>\n"]).encode()


def articles(pages: Iterable[tuple[int, str, str]]) -> list[tuple[int, str, int, str]]:
    return [(number, title, 0, text) for number, title, text in pages]


def sql(
    table: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    rows_a_statement: int = 3,
    row_break: str = "",
) -> bytes:
    """A dump of a table with several INSERT statements."""
    inserts = "".join(
        f"INSERT INTO `{table}` VALUES {row_break}"
        + f",{row_break}".join(map(_sql_row, rows[start : start + rows_a_statement]))
        + ";\n"
        for start in range(0, len(rows), rows_a_statement)
    )
    defined = "".join(f"  `{column}` varbinary(255) NOT NULL DEFAULT '',\n" for column in columns)
    return SQL.format(table=table, columns=defined, first=columns[0], inserts=inserts).encode()


def _sql_row(row: Sequence[Any]) -> str:
    return "(" + ",".join(map(_sql_value, row)) + ")"


def _sql_value(value: Any) -> str:
    if value is None:
        return "NULL"
    if not isinstance(value, str):
        return str(value)
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def wikidata(items: Iterable[dict[str, Any]]) -> bytes:
    return (
        "[\n" + ",\n".join(json.dumps(value, separators=(",", ":")) for value in items) + "\n]\n"
    ).encode()


def streams(data: bytes, parts: int = 3) -> bytes:
    """bzip2 in several streams, one after the other, as the multistream dumps are."""
    size = len(data) // parts + 1
    return b"".join(bz2.compress(data[start : start + size]) for start in range(0, len(data), size))


def write_dumps(folder: Path) -> DumpFiles:
    """All four files of the world above."""
    files = {
        "enwiki-20240801-pages-articles.xml.bz2": streams(xml([*articles(PAGES), *OTHER_NAMESPACES])),
        "enwiki-20240801-redirect.sql.gz": gzip.compress(sql("redirect", REDIRECT_COLUMNS, REDIRECTS)),
        "enwiki-20240801-page_props.sql.gz": gzip.compress(sql("page_props", PROPS_COLUMNS, PROPS)),
        "wikidata-20240805-all.json.gz": gzip.compress(wikidata(ITEMS)),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    pages, redirects, props, items = (folder / name for name in files)
    return DumpFiles((pages,), redirects, props, items)
