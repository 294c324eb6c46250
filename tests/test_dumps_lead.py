"""Short descriptions and first sentences, as articles have them."""

from __future__ import annotations

import pytest

from onegen_el.knowledge.dumps.lead import description_of, first_paragraph, lead_of, short_description


@pytest.mark.parametrize(
    ("lead", "said"),
    [
        ("{{Short description|Port city}}", "Port city"),
        ("{{short_description | 1 = Port ''city'' &amp; fort }}", "Port city & fort"),
        ("{{Use x dates}}\n{{SHORT DESCRIPTION|2=noreplace|Port city}}", "Port city"),
        ("{{Short description|Port city|noreplace}}", "Port city"),
        ("{{SHORTDESC:Port city}}", "Port city"),
        ("{{Short description|none}}", ""),
        ("{{Short description}}", ""),
        ("{{Short descriptions|x}} text", ""),
    ],
)
def test_the_short_description_is_read(lead: str, said: str) -> None:
    assert short_description(lead) == said


def test_the_lead_ends_at_the_first_heading() -> None:
    assert lead_of("a = b\n== Head ==\nc") == "a = b\n"
    assert lead_of("no heading") == "no heading"
    assert len(lead_of("x" * 1_000_000)) == 100_000


def test_the_first_paragraph_is_prose() -> None:
    lead = """{{Infobox
| a = b
}}
:''For the ship, see [[Velmar (ship)]].''
__NOTOC__
[[File:a.jpg|thumb|A [[harbour]]]]
* a point

'''Velmar''' is a [[port|port city]]
in Ostrand.
It is old.

More of it.
"""
    assert first_paragraph(lead) == "Velmar is a port city in Ostrand. It is old."
    assert first_paragraph("{{Infobox}}\n* only\n* points\n\n.") == ""


@pytest.mark.parametrize(
    ("paragraph", "said"),
    [
        ("Velmar is a port city in Ostrand. It is old.", "port city in Ostrand"),
        ("Velmar (/vel/ (old: Welmar)), once [sic] Welm, is the capital.", "capital"),
        ("The Karos are an old family of J. R. Tolm. They live.", "old family of J. R. Tolm"),
        ("Dr. Ines Q. Karo was an explorer. She left.", "explorer"),
        ("Karo Inc. is a U.S. Navy supplier. It sells.", "U.S. Navy supplier"),
        ("St. Velm, which lies on a hill, was the seat of a bishop! 1801 came.", "seat of a bishop"),
        ("Velmar lies by the sea. It rains.", "Velmar lies by the sea"),
        ("Buses are large cars.", "large cars"),
        (
            "Velmar is a port and a town and a fort and a mill in the north of the old land.",
            "port and a town and a fort and a mill",
        ),
        ("", ""),
        ("()", ""),
    ],
)
def test_a_sentence_says_what_its_subject_is(paragraph: str, said: str) -> None:
    assert description_of(paragraph) == said
    assert len(said.split()) <= 12
