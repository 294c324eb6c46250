"""Linked documents for reading: a heading, the text with its links in brackets, a table of mentions.

Knows `rich`; the text is data to it, so markup and terminal escapes in a text are shown, not obeyed.
"""

from __future__ import annotations

import io
from typing import BinaryIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from onegen_el.document import LinkedDocument, Mention
from onegen_el.unicode import visible

COLORS = {"PER": "magenta", "ORG": "cyan", "LOC": "green", "MISC": "yellow", "": "blue"}
TEXT_WIDTH, TABLE_WIDTH = 100, 10_000  # where no terminal sets them: a table as wide as its longest URL


class TextWriter:
    """Writes plain text, or ANSI colours with `color`; `width` is the terminal's columns, None in a file."""

    def __init__(self, stream: BinaryIO, *, color: bool = False, width: int | None = None) -> None:
        self._stream = stream
        self._text_width = width or TEXT_WIDTH
        self._table_width = width or TABLE_WIDTH
        self._page = io.StringIO()
        self._console = Console(
            file=self._page,
            width=self._table_width,
            force_terminal=color,
            color_system="standard" if color else None,
            no_color=not color,
            legacy_windows=False,
            highlight=False,
            markup=False,
            emoji=False,
        )

    def write(self, document: LinkedDocument) -> None:
        self._console.print(_heading(document), width=self._text_width)
        self._console.print()
        self._console.print(_annotated(document), width=self._text_width)
        if document.mentions:
            self._console.print(_table(document))
        else:
            self._console.print("\n(no mentions)\n", style="dim")
        lines = self._page.getvalue().removesuffix("\n").split("\n")
        self._stream.write("".join(line.rstrip(" ") + "\n" for line in lines).encode())
        self._page.seek(0)
        self._page.truncate()

    def close(self) -> None:
        self._stream.flush()


def _heading(document: LinkedDocument) -> Text:
    linked = sum(mention.entity is not None for mention in document.mentions)
    name = " ".join(visible(document.id).split())
    return Text.assemble((f"== {name}", "bold"), (f" ({linked} of {len(document.mentions)} linked)", "dim"))


def _annotated(document: LinkedDocument) -> Text:
    """The whole text, every mention as `[surface → entity]`."""
    text, end = Text(), 0
    for mention in document.mentions:
        text.append(_shown(document.text[end : mention.start]))
        color = _color(mention)
        text.append("[", style="dim")
        text.append(_shown(document.text[mention.start : mention.end]), style=f"underline {color}")
        text.append(f" → {visible(mention.entity or 'NIL')}", style=f"bold {color}")
        text.append("]", style="dim")
        end = mention.end
    text.append(_shown(document.text[end:]))
    text.rstrip()
    return text


def _table(document: LinkedDocument) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name, justify in (("mention", "left"), ("entity", "left"), ("title", "left"), ("score", "right")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    table.add_column("url", overflow="fold", style="dim")
    for mention in document.mentions:
        table.add_row(
            Text(_cell(mention.surface), style=_color(mention)),
            Text(_cell(mention.entity or "NIL"), style="bold" if mention.entity else "dim"),
            Text(_cell(mention.title or ("" if mention.entity else "(not linked)"))),
            f"{mention.score:.3f}",
            Text(_cell(mention.url or "")),
        )
    return table


def _color(mention: Mention) -> str:
    return COLORS.get(mention.label, COLORS[""]) if mention.entity else "red"


def _shown(text: str) -> str:
    return visible(text.replace("\r\n", "\n")).replace("\r", "␍")


def _cell(text: str) -> str:
    return " ".join(visible(text).split())


open_writer = TextWriter
