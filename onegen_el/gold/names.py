"""From the ways corpora name an entity to our ids, and back: a QID, or `enwiki:` plus the title with spaces.

Knows Wikidata, English Wikipedia and DBpedia addresses; looks nothing up, redirects included.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from onegen_el.document import TITLE_PREFIX
from onegen_el.unicode import encodable

QID = re.compile(r"Q[1-9][0-9]*")
WIKIDATA = re.compile(r"https?://(?:www\.)?wikidata\.org/(?:entity|wiki)/(Q[1-9][0-9]*)")
WIKIPEDIA = re.compile(
    r"https?://(?:en\.(?:m\.)?wikipedia\.org/wiki|(?:(?:www|en)\.)?dbpedia\.org/resource)/([^?#]+)(?:[?#].*)?"
)


def titled(name: str) -> str:
    """`enwiki:` plus a title whose blanks are written `_`, as in addresses and YAGO names."""
    return TITLE_PREFIX + name.replace("_", " ").strip()


def from_address(address: str) -> str | None:
    """The id of a Wikidata item, a page of English Wikipedia or a DBpedia resource; None for others."""
    if item := WIKIDATA.fullmatch(address):
        return item[1]
    page = WIKIPEDIA.fullmatch(address)
    return titled(unquote(page[1])) if page else None


def address(entity: str) -> str | None:
    """The address of a QID at Wikidata or of a title at English Wikipedia; None for other ids."""
    if QID.fullmatch(entity):
        return f"http://www.wikidata.org/entity/{entity}"
    if not entity.startswith(TITLE_PREFIX):
        return None
    title = encodable(entity.removeprefix(TITLE_PREFIX)).replace(" ", "_")
    return "http://en.wikipedia.org/wiki/" + quote(title, safe="/:@!$&'()*+,;=-._~")
