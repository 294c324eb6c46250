"""Wikitext and titles: links as they are shown, and nothing that any text can break."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onegen_el.knowledge.dumps.titles import bare_name, has_section, is_elsewhere, normal_title
from onegen_el.knowledge.dumps.wikitext import (
    links,
    plain,
    without_links,
    without_templates,
    without_unshown,
)


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("Velmar", "Velmar"),
        ("velmar", "Velmar"),
        ("_velmar__harbour ", "Velmar harbour"),
        ("Velmar#History of it", "Velmar"),
        ("#History", ""),
        (":velmar", "Velmar"),
        ("Karo &amp; Sons", "Karo & Sons"),
        ("Karo&#39;s house", "Karo's house"),
        ("Karo&nbsp;house", "Karo house"),
        ("Caf%C3%A9", "Café"),
        ("100% Karo", "100% Karo"),
        ("élan", "Élan"),
        ("ßeta", "ßeta"),
        ("Velmar\u200e", "Velmar"),
        ("iPhone", "IPhone"),
        ("AC/DC", "AC/DC"),
    ],
)
def test_titles_have_one_form(written: str, title: str) -> None:
    assert normal_title(written) == title
    assert normal_title(title) == title


def test_titles_say_what_they_are() -> None:
    assert is_elsewhere("Category:Cities") and is_elsewhere("User talk:Me") and is_elsewhere("image:x.png")
    assert not is_elsewhere("Velmar: A Novel") and not is_elsewhere("Filed: x") and not is_elsewhere("File")
    assert has_section("Velmar#Harbour") and not has_section("Karo&#39;s house")
    assert bare_name("Mercury (ship)") == "Mercury" and bare_name("Mercury") == "Mercury"
    assert bare_name("(ship)") == "(ship)" and bare_name("A (b) c") == "A (b) c"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[[Velmar]]", ("Velmar", "Velmar")),
        ("old [[bus]]es ran", ("Bus", "buses")),
        ("[[Bus|coach]]es", ("Bus", "coaches")),
        ("[[ostrand#Coast|the ''coast'']]", ("Ostrand", "the coast")),
        ("[[Velmar_harbour]]", ("Velmar harbour", "Velmar harbour")),
        ("[[Velmar#Harbour]]", ("Velmar", "Velmar")),
        ("[[Velmar|'''White''' {{nowrap|City}}{{ref label|a}}]]", ("Velmar", "White City")),
        ("[[Velmar|{{flagicon|x}}]]", ("Velmar", "")),
        ("[[Velmar|{{flagicon|x}}]]s", ("Velmar", "")),
        ("[[Velmar|H<sub>2</sub>O &amp;<br/>co]]", ("Velmar", "H2O & co")),
        ("[[Mercury (ship)|]]", ("Mercury (ship)", "Mercury")),
        ("[[:Velmar]]", ("Velmar", "Velmar")),
        ("[[Velmar|White\nCity]]", ("Velmar", "White City")),
        ("{{Infobox|place=[[Velmar]]}}", ("Velmar", "Velmar")),
        ("[[File:a.jpg|thumb|By [[Velmar]]]]", ("Velmar", "Velmar")),
        ("[[[Velmar]]]", ("Velmar", "Velmar")),
        ("[[Velmar [[Bus]]", ("Bus", "Bus")),
    ],
)
def test_a_link_is_found_as_it_is_shown(text: str, found: tuple[str, str]) -> None:
    assert list(links(text)) == [found]


@pytest.mark.parametrize(
    "text",
    [
        "[[Category:Cities]]",
        "[[File:a.jpg|a|caption]]",
        "[[#History|here]]",
        "[[]]",
        "[[ | ]]",
        "[[a{{b}}]]",
        "[x]",
    ],
)
def test_other_links_are_passed_over(text: str) -> None:
    assert list(links(text)) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a<!-- [[b]] -->c", "ac"),
        ("a<!-- b", "a"),
        ("a<ref>b</ref>c<ref name=x/>d<REF name='y'>e</Ref >f", "acdf"),
        ("a<ref>b", "a<ref>b"),
        ("a<ref>b<ref name=x/>c<ref>d", "a<ref>bc<ref>d"),
        ("a<nowiki>[[b]]</nowiki>c<nowiki />d", "acd"),
        ("a<references group='n'/>b", "ab"),
        ("a<math>x</math>b<small>c</small>", "ab<small>c</small>"),
        ("a<refuge>b", "a<refuge>b"),
        ("<ref>a<!-- </ref> -->b</ref>", " -->b</ref>"),  # as the first end says
    ],
)
def test_what_is_not_shown_goes(text: str, shown: str) -> None:
    assert without_unshown(text) == shown


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a{{b|{{c}}|d}}e", "ae"),
        ("a{{b", "a{{b"),
        ("a}}b{{c}}", "a}}b"),
        ("{{a {{b}} c", "{{a  c"),
        ("{|\n|a\n{|\n|b\n|}\n|}c", "c"),
        ("{{a|\n{| class=x\n|-\n|}\n}}b", "b"),
        (
            "{{lang|de|Stadt}} {{nowrap|a b}} {{abbr|OS|Ostrand}} {{nowrap|1=c {{nobr|d}}}}",
            "Stadt a b OS c d",
        ),
    ],
)
def test_templates_and_tables_go(text: str, left: str) -> None:
    assert without_templates(text) == left


def test_texts_are_shown_without_links() -> None:
    text = "[[File:a|b [[c]] d]][[Bus]]es [[Velmar|V]] [http://x.example y z] [//x.example]"
    text += "[[:Category:C]][[Category:C]]"
    assert without_links(text) == "Buses V y z Category:C"
    assert plain("''a'' '''b''' '''''c''''' d's &lt;e&gt;\n f") == "a b c d's <e> f"


PIECES = st.lists(
    st.sampled_from(
        ["{{", "}}", "[[", "]]", "|", "{|", "|}", "\n", "<ref>", "</ref>", "<!--", "-->", "'''", "a ", "#"]
    )
)


@given(PIECES.map("".join) | st.text())
def test_no_text_breaks_it(text: str) -> None:
    shown = without_unshown(text)
    assert all(title == normal_title(title) for title, _ in links(shown))
    assert len(without_templates(text)) <= len(text)
    without_links(shown)
    plain(text)


@pytest.mark.parametrize(
    "piece",
    [
        "{{",
        "}}",
        "[[",
        "[[a|",
        "<ref>",
        "<ref",
        "<!--",
        "{|\n",
        "\n|}",
        "{{a|",
        "''",
        "[//a",
        "<",
        "]]",
        "[[a",
    ],
)
def test_time_is_linear_in_broken_texts(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    began = time.process_time()
    shown = without_unshown(text)
    list(links(shown))
    without_links(without_templates(shown))
    plain(shown)
    assert time.process_time() - began < 5
