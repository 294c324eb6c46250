"""What GERBIL takes for the same URI, and for an entity of a knowledge base."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import TEXTS

from onegen_el.document import Entity
from onegen_el.evaluation.uris import (
    KB_PREFIXES,
    SameAs,
    bridged,
    domain,
    fixed,
    in_kb,
    is_java_uri,
    kb_links,
    recoded,
    title_links,
)
from onegen_el.knowledge import KnowledgeBase, build_kb

DBPEDIA, WIKIPEDIA = "http://dbpedia.org/resource/", "http://en.wikipedia.org/wiki/"
WIKIDATA = "http://www.wikidata.org/entity/"


def same(*uris: str) -> frozenset[str]:
    return SameAs()(frozenset(uris))


# --- the KB test: a prefix, case and scheme included ---


@pytest.mark.parametrize(
    "uri",
    [
        DBPEDIA + "Ulm",
        "http://dbpedia.org/ontology/City",
        "http://www.ontologydesignpatterns.org/ont/dul/DUL.owl#Person",
        "http://ontologydesignpatterns.org/ont/dul/DUL.owl#Person",
        "http://www.ontologydesignpatterns.org/ont/d0.owl#Location",
        WIKIDATA + "Q1",
        "http://d-nb.info/gnd/1",
    ],
)
def test_well_known_prefixes_are_a_kb(uri: str) -> None:
    assert in_kb([uri])
    assert in_kb(["http://own.example/1", uri])  # any URI of the set will do


@pytest.mark.parametrize(
    "uri",
    [
        "https://www.wikidata.org/entity/Q1",
        "http://www.wikidata.org/wiki/Q1",
        "http://wikidata.org/entity/Q1",
        "HTTP://www.wikidata.org/entity/Q1",
        "http://de.dbpedia.org/resource/Ulm",
        "https://dbpedia.org/resource/Ulm",
        WIKIPEDIA + "Ulm",
        "http://aksw.org/notInWiki/Zeb_Quill",
        "NIL",
        "",
    ],
)
def test_other_uris_are_no_kb(uri: str) -> None:
    assert not in_kb([uri])


def test_a_nil_and_a_set_without_uris_are_no_kb() -> None:
    assert not in_kb([])
    assert in_kb(["http://own.example/1"], (*KB_PREFIXES, "http://own.example/"))


# --- Wikipedia and DBpedia ---


def test_wikipedia_and_dbpedia_meet_whatever_the_scheme() -> None:
    forms = [
        WIKIPEDIA + "Ulm",
        "https://en.wikipedia.org/wiki/Ulm",
        DBPEDIA + "Ulm",
        "https://dbpedia.org/resource/Ulm",
        "http://en.dbpedia.org/resource/Ulm",
    ]
    for form in forms:
        assert {WIKIPEDIA + "Ulm", DBPEDIA + "Ulm"} <= same(form), form
        assert in_kb(same(form))


def test_other_languages_have_their_own_bridge_and_stay_outside() -> None:
    # German is one of the 18 languages, but its DBpedia is not on the list of knowledge bases.
    german = same("https://de.wikipedia.org/wiki/Ulm")
    assert "http://de.dbpedia.org/resource/Ulm" in german
    assert not in_kb(german)
    assert DBPEDIA + "Ulm" not in german


@pytest.mark.parametrize(
    "uri",
    [
        "http://sv.wikipedia.org/wiki/Ulm",
        "http://en.m.wikipedia.org/wiki/Ulm",
        "http://wikipedia.org/wiki/Ulm",
        "http://dbpedia.org/page/Ulm",
        "http://en.wikipedia.org:80/wiki/Ulm",
        "https://www.wikidata.org/wiki/Q3012",
        DBPEDIA.replace("dbpedia", "DBpedia") + "Ulm",
    ],
)
def test_nothing_else_is_bridged(uri: str) -> None:
    assert bridged(uri) is None
    assert same(uri) == {uri}


def test_the_domain_ends_at_a_slash_or_a_colon() -> None:
    assert domain("http://dbpedia.org:80/resource/Ulm") == "dbpedia.org"
    assert domain("dbpedia.org/resource/Ulm") == "dbpedia.org"
    assert domain("urn:x") == "urn"
    assert fixed("http://dbpedia.org/resource/en.dbpedia.org") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ulm", "ulm"),  # first letter
        ("New_York", "New York"),  # blanks
        ("Ulm", "Ulm#History"),
        ("Ulm", "Ulm/"),
        ("Malm\u00f6", "Malmo\u0308"),  # composed or not
    ],
)
def test_nothing_else_is_normalised(one: str, other: str) -> None:
    assert same(DBPEDIA + one).isdisjoint(same(DBPEDIA + other))


# --- encodings ---


@pytest.mark.parametrize(
    ("uri", "variant"),
    [
        ("http://h/Malm%C3%B6", "http://h/Malmö"),
        ("http://h/Malm%c3%b6", "http://h/Malmö"),
        ("http://h/Malmö", "http://h/Malm%C3%B6"),
        ("http://h/C++", "http://h/C%2B%2B"),
        ("http://h/A+%41", "http://h/A A"),  # decoded as in a web form
        ("http://h/A B", "http://h/A+B"),
        ("http://h/O'Neil_(a-b.c*d~e)", "http://h/O%27Neil_%28a-b.c*d%7Ee%29"),
        ("http://h/ä#ö", "http://h/ä#%C3%B6"),  # only what follows the last / or #
        ("http://h/Ulm", None),
        ("Malmö", None),
        ("http://h/100%_%41", None),  # a lone % beside an escape stops the step
    ],
)
def test_the_last_part_is_decoded_or_encoded(uri: str, variant: str | None) -> None:
    assert recoded(uri) == variant


def test_mixed_encodings_meet_in_the_decoded_form() -> None:
    # Upper case, lower case and half-encoded: all decode to "Æsop's_é".
    forms = ["%C3%86sop%27s_%C3%A9", "%c3%86sop's_%c3%a9", "Æsop's_%C3%A9", "Æsop's_é"]
    for form in forms:
        assert DBPEDIA + "Æsop's_é" in same(WIKIPEDIA + form), form


def test_a_variant_that_java_does_not_take_for_a_uri_is_dropped() -> None:
    # Decoding gives a blank, a quote, a bracket, a lone %: java.net.URI refuses all four.
    for escaped in ("A%20B", "%22A%22", "%5BA%5D", "100%25"):
        uri = "http://h/" + escaped
        assert same(uri) == {uri}
    # A question mark is fine, and so is what only Unicode calls a letter.
    assert same("http://h/Who%3F") == {"http://h/Who%3F", "http://h/Who?"}


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("http://h/a?b[c]#d[e]", True),
        ("http://h/a[b]", False),
        ("http://h/a#b#c", False),
        ("http://", False),
        ("file:///a", True),
        ("//", False),
        ("urn:a:b", True),
        ("urn:", False),
        ("1a:b", False),
        ("a/1:b", True),
        ("http://h/%4", False),
        ("http://h/%41", True),
        ("http://h/日本😀", True),
        ("http://h/a\u00a0b", False),
        ("http://h/a\u2028b", False),
        ("http://h/a\x85b", False),
        ("http://h/a\nb", False),
        ("http://h/\ud800", True),
        ("", True),
    ],
)
def test_uris_as_java_reads_them(text: str, accepted: bool) -> None:
    assert is_java_uri(text) is accepted


@given(st.sampled_from([DBPEDIA, WIKIPEDIA, "https://dbpedia.org/resource/", "urn:x:", ""]), TEXTS)
def test_the_closure_ends_and_holds_itself(head: str, tail: str) -> None:
    uri = head + tail
    found = same(uri)
    assert uri in found
    assert SameAs()(found) == found


# --- what an index knows ---


def test_wikidata_meets_dbpedia_only_through_an_index() -> None:
    assert same(WIKIDATA + "Q64").isdisjoint(same(DBPEDIA + "Berlin"))
    names = SameAs(title_links({"Q64": "Berlin", "Q90": "Paris"}))
    assert names(frozenset({WIKIDATA + "Q64"})) == {
        WIKIDATA + "Q64",
        WIKIPEDIA + "Berlin",
        DBPEDIA + "Berlin",
    }
    assert WIKIDATA + "Q90" in names(frozenset({"https://en.wikipedia.org/wiki/Paris"}))
    assert names(frozenset({DBPEDIA + "Bonn"})) == {DBPEDIA + "Bonn", WIKIPEDIA + "Bonn"}


def test_titles_are_found_however_they_are_encoded() -> None:
    names = SameAs(title_links({"Q1": "Café (a b)", "Q2": "C++", "Q3": 'Say "Hi"'}))
    for title in ("Café_(a_b)", "Caf%C3%A9_%28a_b%29"):
        assert WIKIDATA + "Q1" in names(frozenset({WIKIPEDIA + title}))
    assert WIKIDATA + "Q2" in names(frozenset({DBPEDIA + "C%2B%2B"}))
    assert WIKIDATA + "Q3" in names(frozenset({DBPEDIA + "Say_%22Hi%22"}))


def test_links_to_the_refused_domain_are_dropped() -> None:
    names = SameAs(
        lambda uri: ["http://data.nytimes.com/1", "http://own.example/1"] if uri == "urn:a" else []
    )
    assert names(frozenset({"urn:a"})) == {"urn:a", "http://own.example/1"}


def test_pairs_of_the_data_set_are_a_source_of_their_own() -> None:
    # urn:a = urn:b = Wikipedia's Ulm, in either direction; but the page's resource is another source's
    # business, which starts from urn:a only and finds nothing there.
    names = SameAs(pairs=[("urn:b", "urn:a"), ("urn:b", WIKIPEDIA + "Ulm")])
    assert names(frozenset({"urn:a"})) == {"urn:a", "urn:b", WIKIPEDIA + "Ulm"}
    assert names(frozenset({WIKIPEDIA + "Ulm"})) == {"urn:a", "urn:b", WIKIPEDIA + "Ulm", DBPEDIA + "Ulm"}


def test_a_knowledge_base_is_an_index(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("uris") / "kb"
    dice = np.random.default_rng(0)
    build_kb(
        [
            Entity("Q64", "Berlin", qid="Q64", wikipedia_title="Berlin"),
            Entity("Q821244", "Berlin", qid="Q821244", wikipedia_title="Berlin, New Hampshire"),
            Entity("Q5", "Bonn", qid="Q5"),
            Entity("enwiki:Ulm", "Ulm", wikipedia_title="Ulm"),
        ],
        lambda texts: dice.normal(size=(len(texts), 8)),
        folder,
        fingerprint="0",
        model_name="none",
    )
    names = SameAs(kb_links(KnowledgeBase.open(folder)))

    def known(uri: str) -> frozenset[str]:
        return names(frozenset({uri}))

    assert DBPEDIA + "Berlin" in known(WIKIDATA + "Q64")
    assert WIKIDATA + "Q64" in known(WIKIPEDIA + "Berlin")
    assert WIKIDATA + "Q821244" in known(DBPEDIA + "Berlin,_New_Hampshire")
    # "Bonn" is a label there, not the title of a page.
    assert known(WIKIPEDIA + "Bonn") == {WIKIPEDIA + "Bonn", DBPEDIA + "Bonn"}
    assert known(WIKIDATA + "Q5") == {WIKIDATA + "Q5"}
    assert known(WIKIDATA + "Q77") == {WIKIDATA + "Q77"}
    assert known(DBPEDIA + "Ulm") == {DBPEDIA + "Ulm", WIKIPEDIA + "Ulm"}
