"""Characters a text may hold that a file or a terminal must not be given.

Knows code points only. Every replacement is one character for one character, so offsets stay true.
"""

from __future__ import annotations

import re

SURROGATE = re.compile("[\ud800-\udfff]")
CONTROLS = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
CONTROLS |= dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
CONTROLS = {code: shown for code, shown in CONTROLS.items() if chr(code) not in "\t\n\r"}


def encodable(text: str) -> str:
    """The text with lone surrogates, which UTF-8 cannot hold, as U+FFFD."""
    return SURROGATE.sub("\ufffd", text)


def visible(text: str) -> str:
    """The text with control characters (escape sequences begin with one) as harmless pictures of them.

    Tabs, line feeds and carriage returns stay.
    """
    return encodable(text).translate(CONTROLS)
