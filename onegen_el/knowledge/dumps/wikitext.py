"""Takes wikitext apart: what is not shown, templates, links with their targets and surfaces.

Knows markup; knows neither pages nor what a link is for. Every function takes time linear in the text
whatever is in it, since among millions of pages some are always broken.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from onegen_el.knowledge.dumps.titles import bare_name, is_elsewhere, normal_title

UNSHOWN = (
    "nowiki|ref|references|math|chem|ce|pre|syntaxhighlight|source|timeline|score|graph|mapframe|templatedata"
)
OPENING = re.compile(rf"<!--|<({UNSHOWN})(?=[\s/>])[^<>]*>", re.IGNORECASE)
CLOSING = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in UNSHOWN.split("|")}
BRACES = re.compile(r"\{\{|\}\}|^[ \t:]*+\{\||^[ \t]*+\|\}(?!\})", re.MULTILINE)
# Templates that show one of their parameters as it is.
SHOWING = re.compile(
    r"\{\{\s*+(?:nowrap|nobr|small|em|abbr|(?:lang|transliteration|transl)\s*+\|[^{}|]*+)\|(?:1=)?([^{}|]*+)"
    r"(?:\|[^{}]*+)?\}\}",
    re.IGNORECASE,
)
LINK = re.compile(r"\[\[([^\[\]|{}<>\n]++)(\|[^\[\]]*+)?\]\]([a-z]*+)")
WEB_LINK = re.compile(r"\[(?:https?:|ftp:)?//[^\s\[\]]++\s*+([^\[\]]*+)\]")
BREAK = re.compile(r"<(?:br|p|div|li)\b[^<>]*+>", re.IGNORECASE)
TAG = re.compile(r"</?[A-Za-z][^<>]*+>")
QUOTES = re.compile(r"'{5}|'{2,3}")
MAGIC_WORD = re.compile(r"__[A-Z]++__")
MARKUP = re.compile(r"[<{&]|''")
NESTED = 5  # links within captions of pictures within captions


def without_unshown(text: str) -> str:
    """The text without comments, references, formulas and what else is no wikitext."""
    kept: list[str] = []
    start = place = 0
    unclosed: set[str] = set()
    while opening := OPENING.search(text, place):
        name = (opening[1] or "").lower()
        closed = name not in unclosed or opening[0].endswith("/>")
        end = _end_of_unshown(text, opening, name) if closed else -1
        if end < 0:
            unclosed.add(name)  # is text then, as are all others of that name
            place = opening.end()
            continue
        kept.append(text[start : opening.start()])
        start = place = end
    kept.append(text[start:])
    return "".join(kept)


def _end_of_unshown(text: str, opening: re.Match[str], name: str) -> int:
    if not name:
        closing = text.find("-->", opening.end())
        return len(text) if closing < 0 else closing + 3
    if opening[0].endswith("/>"):
        return opening.end()
    found = CLOSING[name].search(text, opening.end())
    return found.end() if found else -1


def without_templates(text: str) -> str:
    """The text without templates and tables; of those that are never closed only the braces stay as text."""
    text = SHOWING.sub(r"\1", SHOWING.sub(r"\1", text))
    opened: list[tuple[str, int]] = []
    waiting = {"}}": 0, "|}": 0}
    spans: list[tuple[int, int]] = []
    for found in BRACES.finditer(text):
        token = found[0].strip(" \t:")
        if token in ("{{", "{|"):
            closing = "}}" if token == "{{" else "|}"
            opened.append((closing, found.start()))
            waiting[closing] += 1
        elif waiting[token]:
            while True:
                closing, start = opened.pop()
                waiting[closing] -= 1
                if closing == token:
                    break
            while spans and spans[-1][0] > start:
                spans.pop()
            spans.append((start, found.end()))
    kept, place = [], 0
    for start, end in spans:
        kept.append(text[place:start])
        place = end
    return "".join([*kept, text[place:]])


def plain(text: str) -> str:
    """A piece of wikitext without links as it is shown, on one line."""
    if MARKUP.search(text):
        text = html.unescape(without_tags(without_templates(text)))
    return " ".join(text.split())


def without_tags(text: str) -> str:
    """The text without HTML tags, bold and italics."""
    return QUOTES.sub("", TAG.sub("", BREAK.sub(" ", text)))


def links(text: str) -> Iterator[tuple[str, str]]:
    """Target and surface of every link to what may be an article, in a text without what is unshown.

    Targets are titles in normal form; a surface is what is shown, with the letters that follow the link
    (`[[bus]]es`), "" where nothing is left of it. Pictures, categories and other namespaces are passed over,
    the links in the captions of pictures are not.
    """
    for target, shown, trail in LINK.findall(text):
        title = normal_title(target)
        if title and not is_elsewhere(title):
            yield title, _surface(target, shown, trail)


def without_links(text: str) -> str:
    """The text with the surfaces of its links in their places; pictures and categories are gone."""
    for _ in range(NESTED):
        shown = LINK.sub(_shown, text)
        if shown == text:
            break
        text = shown
    return WEB_LINK.sub(r"\1", text)


def _shown(link: re.Match[str]) -> str:
    target, shown, trail = link.groups(default="")
    if is_elsewhere(normal_title(target)) and not target.lstrip().startswith(":"):
        return ""
    return _surface(target, shown, trail)


def _surface(target: str, shown: str, trail: str) -> str:
    if shown == "|":  # the "pipe trick", which saving a page should have resolved
        shown = f"|{bare_name(target)}"
    words = plain(
        shown[1:] if shown else target.partition("#")[0].replace("_", " ").strip().removeprefix(":")
    )
    return words + trail if words else ""
