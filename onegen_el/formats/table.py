"""One CSV row a mention, comma separated, UTF-8, with a header.

Cells hold what the text holds: a surface that begins with `=` is a formula to a spreadsheet, so import
columns as text where the texts are not trusted. A document without mentions has no row.
"""

from __future__ import annotations

import csv
import io
from typing import BinaryIO

from onegen_el.document import LinkedDocument
from onegen_el.formats.jsonl import DIGITS
from onegen_el.unicode import encodable

COLUMNS = ("id", "start", "end", "surface", "entity", "title", "url", "score", "detection_score")


class CsvWriter:
    """Writes the header at once and the rows of each document as they come."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._rows([COLUMNS])

    def write(self, document: LinkedDocument) -> None:
        self._rows(
            [
                (
                    document.id,
                    mention.start,
                    mention.end,
                    mention.surface,
                    mention.entity,
                    mention.title,
                    mention.url,
                    round(mention.score, DIGITS),
                    round(mention.detection_score, DIGITS),
                )
                for mention in document.mentions
            ]
        )

    def close(self) -> None:
        self._stream.flush()

    def _rows(self, rows: list[tuple[object, ...]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        self._stream.write(encodable(text.getvalue()).encode())


open_writer = CsvWriter
