"""Titles of pages as links, redirects and tables write them, in the one form MediaWiki gives them.

Knows the rules of titles; knows no wikitext around them.
"""

from __future__ import annotations

import html
import re
from urllib.parse import unquote

# Left-to-right marks and the like, which MediaWiki drops from titles.
DIRECTIONS = dict.fromkeys((0x200E, 0x200F, *range(0x202A, 0x202F)))
# Titles that are written as they are, which most are: the rules need not be gone through.
WRITTEN = re.compile(r"[A-Z0-9][A-Za-z0-9,.'()!-]*+(?: [A-Za-z0-9,.'()!-]++)*+")
BRACKET = re.compile(r"\s+\([^()]*\)$")
# Prefixes of pages that are no articles, in English.
ELSEWHERE = re.compile(
    r"(?:(?:user|wikipedia|project|file|image|mediawiki|template|help|category|portal|draft|module|timedtext)"
    r"(?: talk)?|special|media|talk|wp|wt) ?:",
    re.IGNORECASE,
)


def normal_title(written: str) -> str:
    """The title a link goes to, without its section: `_Ada  lovelace#Life` is `Ada lovelace`.

    "" where only a section is named.
    """
    if WRITTEN.fullmatch(written):
        return written
    title = html.unescape(written) if "&" in written else written
    title = title.partition("#")[0]
    if "%" in title:
        title = unquote(title)
    if not title.isascii():
        title = title.translate(DIRECTIONS)
    title = " ".join(title.replace("_", " ").split()).removeprefix(":").lstrip()
    first = title[:1].upper()
    # A few letters are two when capital ("ß"); MediaWiki leaves those.
    return first + title[1:] if len(first) == 1 else title


def has_section(written: str) -> bool:
    """Whether a link goes to a part of a page: a `#` that is not one of `&#39;`."""
    return "#" in (html.unescape(written) if "&" in written else written)


def is_elsewhere(title: str) -> bool:
    """Whether the prefix of a title says that its page is no article."""
    return ":" in title and ELSEWHERE.match(title) is not None


def bare_name(title: str) -> str:
    """The title without its closing bracket: `Mercury (planet)` is `Mercury`."""
    return BRACKET.sub("", title)
