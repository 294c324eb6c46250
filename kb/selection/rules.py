"""Every constant of the selection; kb/README.md tells how each was chosen. Knows no data."""

from __future__ import annotations

from dataclasses import dataclass

# Documents of odd position of these corpora are evaluation sets, those of even position training corpora.
HALVED = ("oke-2015-train", "wikipedia-pages-2014", "gum-wikified", "meantime-en")


@dataclass(frozen=True, slots=True)
class Rules:
    """Sources, weights and limits."""

    # Rows known only from these are left out (ODbL, non-commercial); as a source they never count.
    barred: tuple[str, ...] = (
        "dr5hn-cities",
        "dr5hn-states",
        "dr5hn-counties",
        "dr5hn-countries",
        "dr5hn-names",
        "mledoze",
        "tennis",
        "corpus:webnlg-v1.6",
        "corpus:hipe2022-hipe2020-dev",
        "corpus:hipe2022-topres19th-dev",
        "corpus:hipe2022-topres19th-train",
    )
    # Descriptions written by these are dropped as well: share-alike, though their names and ids are facts.
    wordless: tuple[str, ...] = ("worldcup", "rubq", "fetaqa")
    # Evaluation sets: they and the links counted in them never raise a row.
    evaluation: tuple[str, ...] = (
        "elevant-gold-dev",
        "elevant-pred-dev",
        "tweeki",
        "corpus:aida-conll-dev",
        "corpus:oke-2015-train",
        "corpus:tweeki-gold",
        "corpus:wiki-fair-hyperlinks",
        "corpus:wiki-fair-v2-nontest",
    )
    # Sources made of the corpora of which half is set aside: they count where a document of the other half
    # links the entity.
    halved: tuple[tuple[str, str], ...] = (
        ("corpus:gum-wikified", "gum-wikified"),
        ("corpus:meantime-en", "meantime-en"),
    )
    # Training corpora whose links the facts do not count yet: they count as a source, their links as links.
    training: tuple[str, ...] = ("corpus:aida-conll-train", "corpus:oke-2015-train:even")
    # Popularity: ln(1 + inlinks) + per_source * sources + per_view * log10(1 + page views).
    per_source: float = 0.4
    per_view: float = 0.25
    wikilinker: float = 0.1
    # Bonuses of the order, beside popularity.
    described: float = 0.3
    named: float = 0.3
    concept: float = -1.0
    common_anchors: float = 0.5  # share of links in lower case that makes a title a common concept
    # Merging: the least probability of a pair; the least where a name's best known item, numbered below
    # `first_item` and `first_lead` times lower than any namesake, meets its best known title; the most
    # namesakes a name may have to be looked at.
    sure: float = 0.95
    sure_first: float = 0.75
    first_item: int = 200_000
    first_lead: float = 3.0
    namesakes: int = 12
    weak_title: float = 0.45  # strength of a title that one list names and nobody links to
    # Texts.
    description_words: int = 12
    alias_count: int = 8
    alias_length: int = 60


RULES = Rules()
