"""The names of documents and entities as IRIs: Wikidata, Wikipedia, notInWiki, and names of our own.

Knows ids and their escapes; knows no format. Confidences are positive, because evaluators (GERBIL) read 0 as
"never counted".
"""

from __future__ import annotations

import re
from urllib.parse import quote

from onegen_el.document import TITLE_PREFIX, Entity, Mention
from onegen_el.unicode import encodable

WIKIDATA_ENTITY = "http://www.wikidata.org/entity/"
WIKIPEDIA_PAGE = "http://en.wikipedia.org/wiki/"
DBPEDIA_RESOURCE = "http://dbpedia.org/resource/"
NOT_IN_WIKI = "http://aksw.org/notInWiki/"
OWN = "urn:onegen-el:"
LEAST_CONFIDENCE = 1e-6
QID = re.compile(r"Q[1-9][0-9]*")
WEB = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?(/([\w/:@!$&'()*+,;=~.-]|%[0-9A-Fa-f]{2})*)?")


def document_iri(identity: str) -> str:
    """A plain web address as it is, any other id as a name of our own; never with query or fragment."""
    return identity if WEB.fullmatch(identity) else OWN + _segment(encodable(identity))


def entity_iri(mention: Mention) -> str:
    """The IRI of the mention's entity; one outside every knowledge base where it is not linked."""
    entity = encodable(mention.entity or "")
    if not entity:
        return NOT_IN_WIKI + _segment(encodable(mention.surface).replace(" ", "_"))
    if QID.fullmatch(entity):
        return WIKIDATA_ENTITY + entity
    if entity.startswith(TITLE_PREFIX):
        return WIKIPEDIA_PAGE + _segment(entity.removeprefix(TITLE_PREFIX).replace(" ", "_"))
    return entity if WEB.fullmatch(entity) else f"{OWN}entity/{_segment(entity)}"


def known_iris(entity: Entity) -> tuple[str, ...]:
    """The IRIs by which others name an entity: Wikidata, Wikipedia and DBpedia, as far as they are known."""
    iris = [WIKIDATA_ENTITY + entity.qid] if entity.qid else []
    if entity.wikipedia_title:
        page = _segment(encodable(entity.wikipedia_title).replace(" ", "_"))
        iris += [WIKIPEDIA_PAGE + page, DBPEDIA_RESOURCE + page]
    return tuple(iris)


def _segment(name: str) -> str:
    return quote(name, safe="/:@!$&'()*+,;=-._~")
