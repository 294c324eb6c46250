"""One JSON object a line, the schema of `LinkedDocument.to_dict`.

Nothing is lost: a lone surrogate is written as its JSON escape. Scores are rounded to 6 digits.
"""

from __future__ import annotations

import json
from typing import Any, BinaryIO

from onegen_el.document import LinkedDocument

DIGITS = 6


class JsonlWriter:
    """Writes a line a document; no line holds a raw line feed or carriage return."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, document: LinkedDocument) -> None:
        line = json.dumps(rounded(document.to_dict()), ensure_ascii=False, allow_nan=False) + "\n"
        # In a JSON string `backslashreplace` is the right escape: \ud800 reads back as U+D800.
        self._stream.write(line.encode("utf-8", "backslashreplace"))

    def close(self) -> None:
        self._stream.flush()


def rounded(value: Any) -> Any:
    """The same nested value with every float rounded to DIGITS."""
    if isinstance(value, float):
        return round(float(value), DIGITS)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return value


open_writer = JsonlWriter
