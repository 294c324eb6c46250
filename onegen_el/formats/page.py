"""One self-contained HTML page: every text with its mentions as coloured links, a table below each.

Knows HTML and CSS; no script, no font, no image, nothing is fetched. Texts and titles are escaped and
only http(s) addresses become links.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import BinaryIO

from onegen_el.document import LinkedDocument, Mention
from onegen_el.unicode import visible

STYLE = """\
:root { color-scheme: light dark; --paper: #fdfcfa; --ink: #22252a; --soft: #6b7078; --line: #e3e0da;
  --per: #a2377f; --org: #1c6ea4; --loc: #2b7a3e; --misc: #8f6400; --ent: #5550b8; --nil: #8b8f96; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181c; --ink: #dfe1e5; --soft: #969ba5;
  --line: #2c3038; --per: #ef94cb; --org: #7cc4f2; --loc: #86d39a; --misc: #e6be62; --ent: #b3aefb;
  --nil: #8b8f96; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 5rem; max-width: 50rem; background: var(--paper);
  color: var(--ink); font: 1.05rem/1.75 Georgia, "Times New Roman", serif; }
header, h2, table, summary { font-family: system-ui, sans-serif; }
header { color: var(--soft); font-size: .85rem; line-height: 1.6; }
h1 { margin: 0; color: var(--ink); font-size: 1.35rem; }
article { margin-top: 2.5rem; padding-top: 1.25rem; border-top: 1px solid var(--line); }
h2 { margin: 0 0 .75rem; font-size: 1rem; overflow-wrap: anywhere; }
h2 small { color: var(--soft); font-weight: normal; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; }
.m { color: var(--c); text-decoration: none; border-bottom: 2px solid var(--c); border-radius: .2em .2em 0 0;
  background: color-mix(in srgb, var(--c) 12%, transparent); padding: .05em .15em; }
a.m:hover, a.m:focus-visible { background: color-mix(in srgb, var(--c) 26%, transparent); }
.PER { --c: var(--per); } .ORG { --c: var(--org); } .LOC { --c: var(--loc); } .MISC { --c: var(--misc); }
.ENT { --c: var(--ent); } .NIL { --c: var(--nil); border-bottom-style: dotted; }
details { margin-top: 1rem; overflow-x: auto; }
summary { cursor: pointer; color: var(--soft); font-size: .85rem; }
table { width: 100%; margin-top: .5rem; border-collapse: collapse; font-size: .85rem; line-height: 1.5; }
th, td { padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; }
td:last-child, th:last-child { padding-right: 0; text-align: right; font-variant-numeric: tabular-nums; }
td a { color: inherit; }
"""
LEGEND = (("PER", "person"), ("ORG", "organisation"), ("LOC", "place"), ("MISC", "other"), ("ENT", "untyped"))
HEAD = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Linked entities</title>
<style>
{STYLE}</style>
</head>
<body>
<header><h1>Linked entities</h1>
{" ".join(f'<span class="m {label}">{name}</span>' for label, name in LEGEND)}
<span class="m NIL">not linked</span></header>
"""
FOOT = "</body>\n</html>\n"


class HtmlWriter:
    """Writes the head at once, an `<article>` a document, and the foot when closed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._stream.write(HEAD.encode())

    def write(self, document: LinkedDocument) -> None:
        self._stream.write("".join(_article(document)).encode())

    def close(self) -> None:
        self._stream.write(FOOT.encode())
        self._stream.flush()


def _article(document: LinkedDocument) -> Iterator[str]:
    linked = sum(mention.entity is not None for mention in document.mentions)
    counts = f"{linked} of {len(document.mentions)} linked"
    yield f"<article>\n<h2>{_escape(document.id)} <small>{counts}</small></h2>\n"
    yield '<div class="text" dir="auto">'
    end = 0
    for mention in document.mentions:
        yield _escape(document.text[end : mention.start])
        yield _link(mention, document.text[mention.start : mention.end])
        end = mention.end
    yield _escape(document.text[end:]) + "</div>\n"
    if document.mentions:
        yield "<details><summary>all mentions</summary>\n<table>\n"
        yield "<tr><th>mention</th><th>entity</th><th>title</th><th>score</th></tr>\n"
        yield from map(_row, document.mentions)
        yield "</table></details>\n"
    yield "</article>\n"


def _link(mention: Mention, surface: str) -> str:
    tip = f"{mention.title or mention.entity} · {mention.entity} · score {mention.score:.3f}"
    kind = mention.label if mention.label in dict(LEGEND) else "ENT"
    if mention.entity is None:
        tip, kind = f"not linked · score {mention.score:.3f}", "NIL"
    attributes = f'class="m {kind}" title="{_escape(tip)}"'
    if mention.entity is not None and _is_web(mention.url):
        return f'<a {attributes} href="{_escape(mention.url or "")}">{_escape(surface)}</a>'
    return f"<span {attributes}>{_escape(surface)}</span>"


def _row(mention: Mention) -> str:
    entity = _escape(mention.entity or "NIL")
    if mention.entity is not None and _is_web(mention.url):
        entity = f'<a href="{_escape(mention.url or "")}">{entity}</a>'
    cells = (_escape(mention.surface), entity, _escape(mention.title or ""), f"{mention.score:.3f}")
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>\n"


def _is_web(url: str | None) -> bool:
    return url is not None and url.startswith(("https://", "http://"))


def _escape(text: str) -> str:
    return escape(visible(text))


open_writer = HtmlWriter
