"""Which pages are entities: by title and templates, and by the classes of their Wikidata items.

Knows the conventions of the English Wikipedia; decides one page at a time and keeps nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

Kind = Literal["article", "redirect", "disambiguation", "list", "meta", "too long"]

REDIRECT = re.compile(r"\s*#redirect\s*:?\s*\[\[([^\[\]|{}<>\n]+)", re.IGNORECASE)
TEMPLATE = re.compile(r"\{\{\s*+([^|{}<>\n]{1,60}+)")
# Names of templates, in small letters, that say what a page is; " disambiguation" as an ending says it, too.
TEMPLATES: dict[str, Kind] = {
    **dict.fromkeys(
        ("disambiguation", "disambig", "disamb", "disam", "dab", "hndis", "hndab"), "disambiguation"
    ),
    **dict.fromkeys(
        ("disambiguation page", "disambiguation cleanup", "geodis", "numberdis"), "disambiguation"
    ),
    **dict.fromkeys(("roaddis", "schooldis", "hospitaldis", "mathdab", "mil-unit-dis"), "disambiguation"),
    **dict.fromkeys(("set index article", "set index", "sia", "shipindex", "mountainindex"), "list"),
    **dict.fromkeys(("lakeindex", "roadindex", "sportindex"), "list"),
    **dict.fromkeys(("wiktionary redirect", "wi", "soft redirect", "wikipedia main page"), "meta"),
}
DISAMBIGUATION = (" disambiguation", " disambig")
MAGIC_WORD = "__DISAMBIG__"
# Classes (P31) of items that stand for pages, not for things.
CLASSES: dict[str, Kind] = {
    "Q4167410": "disambiguation",  # Wikimedia disambiguation page
    "Q22808320": "disambiguation",  # Wikimedia human name disambiguation page
    "Q13406463": "list",  # Wikimedia list article
    "Q15623926": "list",  # set index article
    "Q4167836": "meta",  # Wikimedia category
    "Q11266439": "meta",  # Wikimedia template
    "Q14204246": "meta",  # Wikimedia project page
    "Q15184295": "meta",  # Wikimedia module
    "Q17442446": "meta",  # Wikimedia internal item
    "Q17362920": "meta",  # Wikimedia duplicated page
}


def redirect_of(element: str | None, text: str) -> str | None:
    """Where a page redirects to, with the section where it names one; None for a page that does not.

    `element` is the title in the dump's `<redirect>`, which leaves the section out.
    """
    written = REDIRECT.match(text)
    return written[1] if written else element


def kind_of(title: str, text: str) -> Kind:
    """What a page of the main namespace is that is no redirect."""
    if title.endswith("(disambiguation)"):
        return "disambiguation"
    if title.startswith(("List of ", "Lists of ")):
        return "list"
    if title == "Main Page":
        return "meta"
    for written in TEMPLATE.findall(text):
        name = written.strip().replace("_", " ").lower()
        if name in TEMPLATES:
            return TEMPLATES[name]
        if name.endswith(DISAMBIGUATION):
            return "disambiguation"
    return "disambiguation" if MAGIC_WORD in text else "article"


def kind_by_classes(classes: Iterable[str]) -> Kind:
    """What the page of an item of these classes is; an article unless one of them says otherwise."""
    return next((CLASSES[name] for name in classes if name in CLASSES), "article")
