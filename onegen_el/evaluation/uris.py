"""Which URIs GERBIL takes for the same, and which for entities of a knowledge base.

Knows the sources that work without a network: the wrong DBpedia host, percent encoding, Wikipedia and DBpedia
of 18 languages. What GERBIL finds in an index (DBpedia with Wikidata, redirects) can be handed in as `Links`.
Nothing else is normalised: not the first letter's case, underscores, anchors, final slashes, Unicode forms,
nor `https` of Wikidata. GERBIL's check whether gold entities exist needs the web and is left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote_plus, unquote

from onegen_el.document import TITLE_PREFIX, Entity, Mention
from onegen_el.gold.names import QID
from onegen_el.iris import WIKIDATA_ENTITY, entity_iri

if TYPE_CHECKING:
    from onegen_el.knowledge import KnowledgeBase

# Other names of a URI that an index knows.
Links = Callable[[str], Iterable[str]]

# `gerbil.properties`: the prefixes of well-known knowledge bases.
KB_PREFIXES = (
    "http://dbpedia.org/resource/",
    "http://dbpedia.org/ontology/",
    "http://www.ontologydesignpatterns.org/ont/dul/",
    "http://ontologydesignpatterns.org/ont/dul/",
    "http://www.ontologydesignpatterns.org/ont/d0.owl",
    "http://www.wikidata.org/entity/",
    "http://d-nb.info/",
)
DBPEDIA_RESOURCE = "http://dbpedia.org/resource/"
LANGUAGES = (
    "bg", "ca", "cs", "de", "es", "eu", "fr", "hu", "id", "it", "ja", "ko", "nl", "pl", "pt", "ru", "tr",
)  # fmt: skip
WIKIPEDIAS = {"dbpedia.org": "en.wikipedia.org"} | {
    f"{language}.dbpedia.org": f"{language}.wikipedia.org" for language in LANGUAGES
}
BRIDGES = {
    **{dbpedia: ("/resource/", wikipedia, "/wiki/") for dbpedia, wikipedia in WIKIPEDIAS.items()},
    **{wikipedia: ("/wiki/", dbpedia, "/resource/") for dbpedia, wikipedia in WIKIPEDIAS.items()},
}
REFUSED_DOMAINS = frozenset({"data.nytimes.com"})

ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}")
# A URI as java.net.URI takes it; other visible characters than ASCII stand for "é" here.
_PLAIN = r"(?:[A-Za-z0-9\-_.!~*'()é:@&=+$,;]|%[0-9A-Fa-f]{2})"
_ANY = rf"(?:{_PLAIN}|[/?\[\]])"
_PATH = rf"(?://(?:{_PLAIN}+|(?=[/?#]))|(?!//))(?:{_PLAIN}|/)*(?:\?{_ANY}*)?"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.\-]*:"
JAVA_URI = re.compile(
    rf"(?:{_SCHEME}(?=/){_PATH}|{_SCHEME}(?!/){_ANY}+|(?![^/?#]*:){_PATH})(?:#{_ANY}*)?", re.DOTALL
)


def in_kb(uris: Iterable[str], prefixes: tuple[str, ...] = KB_PREFIXES) -> bool:
    """Whether any of an item's URIs begins with one of the prefixes, case and scheme included.

    What has no such URI is EE (emerging entity), NIL or not (AbstractWhiteListBasedUriKBClassifier).
    """
    return any(uri.startswith(prefixes) for uri in uris)


class SameAs:
    """Adds to a set of URIs all that GERBIL takes for the same entity (CrawlingSameAsRetrieverDecorator).

    `links` stands in for GERBIL's index; without it Wikidata never meets DBpedia or Wikipedia. `pairs` are
    the `owl:sameAs` and redirects of a data set's own file: they are followed among themselves, in both
    directions, but what they lead to is not followed by the other sources, nor the other way round.
    """

    def __init__(self, links: Links | None = None, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._links = links
        self._pairs: dict[str, set[str]] = {}
        for one, other in pairs:
            self._pairs.setdefault(one, set()).add(other)
            self._pairs.setdefault(other, set()).add(one)
        self._known: dict[str, frozenset[str]] = {}

    def __call__(self, uris: frozenset[str]) -> frozenset[str]:
        """The URIs and their other names; the result for each URI is remembered."""
        for uri in uris:
            if uri not in self._known:
                crawled = _reachable(uri, self._sources)
                self._known[uri] = crawled | _reachable(uri, lambda other: self._pairs.get(other, ()))
        return uris.union(*(self._known[uri] for uri in uris))

    def _sources(self, uri: str) -> Iterable[str]:
        found = [fixed(uri), recoded(uri), bridged(uri)]
        linked = (
            [other for other in self._links(uri) if domain(other) not in REFUSED_DOMAINS]
            if self._links
            else []
        )
        return [other for other in (*found, *linked) if other is not None and is_java_uri(other)]


def _reachable(uri: str, sources: Callable[[str], Iterable[str]]) -> frozenset[str]:
    known, queue = {uri}, deque([uri])
    while queue:
        for other in sources(queue.popleft()):
            if other not in known:
                known.add(other)
                queue.append(other)
    return frozenset(known)


def domain(uri: str) -> str:
    """What stands between `://`, or else the beginning, and the next `/` or `:` (SimpleDomainExtractor)."""
    _, found, rest = uri.partition("://")
    return re.split("[/:]", rest if found else uri, maxsplit=1)[0]


def fixed(uri: str) -> str | None:
    """`en.dbpedia.org`, which does not exist, as `dbpedia.org` (ErrorFixingSameAsRetriever)."""
    return uri.replace("en.dbpedia.org", "dbpedia.org") if domain(uri) == "en.dbpedia.org" else None


def recoded(uri: str) -> str | None:
    """The other encoding of what follows the last `/` or `#` (UriEncodingHandlingSameAsRetriever).

    Decoded if it holds any `%XX`, encoded otherwise, both as in web forms: `+` is a space. None if that
    changes nothing, or where a lone `%` makes it impossible.
    """
    at = max(uri.rfind("/"), uri.rfind("#")) + 1
    if at == 0:
        return None
    head, last = uri[:at], uri[at:]
    if not ESCAPED.search(last):
        # Java's encoder leaves "*" and not "~", Python's the other way round.
        other = quote_plus(last, safe="*", errors="replace").replace("~", "%7E")
    elif "%" in ESCAPED.sub("", last):
        return None
    else:
        other = unquote(last.replace("+", " "))
    return head + other if other != last else None


def bridged(uri: str) -> str | None:
    """The DBpedia resource of a Wikipedia page or the page of a resource, always `http://`.

    Known are the main DBpedia with English Wikipedia and those of 17 other languages
    (WikiDbPediaBridgingSameAsRetriever).
    """
    host = domain(uri)
    if host not in BRIDGES:
        return None
    path, other, other_path = BRIDGES[host]
    rest = uri.partition(host)[2]
    return f"http://{other}{other_path}{rest.removeprefix(path)}" if rest.startswith(path) else None


def is_java_uri(text: str) -> bool:
    r"""Whether java.net.URI accepts it, which decides if GERBIL keeps a new name.

    Not with a space or one of `"<>\^`{|}`, a lone `%`, two `#`, or brackets in the path. (Addresses of
    hosts by number in brackets, which Java knows, are refused here.)
    """
    return JAVA_URI.fullmatch("".join(map(_as_ascii, text))) is not None


def _as_ascii(character: str) -> str:
    if character.isascii():
        return character
    # Java sees halves of astral characters, all of which are visible to it.
    category = unicodedata.category(character)
    return "é" if category[0] != "Z" and category != "Cc" else " "


def kb_links(kb: KnowledgeBase) -> Links:
    """Wikidata items and English pages of the same entity of a knowledge base."""

    def title_of(qid: str) -> str | None:
        entity = kb.get(qid)
        return entity.wikipedia_title if entity else None

    def qid_of(title: str) -> str | None:
        entity = kb.get(TITLE_PREFIX + title) or kb.by_title(title)
        # A mere label of another page must not pass for this page.
        return _qid(entity) if entity and entity.wikipedia_title == title else None

    return _title_links(title_of, qid_of)


def title_links(titles: Mapping[str, str]) -> Links:
    """The same from a mapping of Wikidata items (`Q64`) to titles of English Wikipedia (`Berlin`)."""
    return _title_links(titles.get, {title: qid for qid, title in titles.items()}.get)


def _qid(entity: Entity) -> str | None:
    return entity.qid or (entity.id if QID.fullmatch(entity.id) else None)


def _title_links(title_of: Callable[[str], str | None], qid_of: Callable[[str], str | None]) -> Links:
    @cache
    def links(uri: str) -> tuple[str, ...]:
        if uri.startswith(WIKIDATA_ENTITY):
            title = title_of(uri.removeprefix(WIKIDATA_ENTITY))
            return (entity_iri(Mention(0, 0, "", TITLE_PREFIX + title)),) if title else ()
        if uri.startswith(DBPEDIA_RESOURCE):
            qid = qid_of(unquote(uri.removeprefix(DBPEDIA_RESOURCE)).replace("_", " "))
            return (WIKIDATA_ENTITY + qid,) if qid else ()
        return ()

    return links
