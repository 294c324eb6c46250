"""Names and descriptions that the selection keeps, and how names are compared."""

from __future__ import annotations

import pytest

pd = pytest.importorskip("pandas")

from selection_world import fact  # noqa: E402, I001
from selection.names import folded, initials, spelling_of, unescaped, words_of  # noqa: E402
from selection.rules import RULES  # noqa: E402
from selection.words import described, is_name  # noqa: E402


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("United Nations", True),
        ("U.S.", True),
        ("Carano, Italy", True),
        ("near Carano, Italy", False),
        ("🇮🇹", False),
        ("mental disorder", False),
        ("iPhone", True),
        ("", False),
        ("x" * 61, False),
        ("a name of far too many words to be one", False),
    ],
)
def test_what_can_be_a_name(text: str, kept: bool) -> None:
    assert is_name(text, RULES) is kept


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (
            "type of match in professional wrestling, most commonly one where an item",
            "type of match in professional wrestling",
        ),
        (
            "song written by Bob Dylan and included on his 1964 album Another",
            "song written by Bob Dylan",
        ),
        ("college in Maryland, near the capital. The college", "college in Maryland, near the capital"),
        ("1974–2000", None),
        (
            "form of free-to-air non-commercial citizen media in",
            "form of free-to-air non-commercial citizen media",
        ),
        ("city \u200b\u200bin  Ukraine.", "city in Ukraine"),
        ("country in Oceania", "country in Oceania"),
    ],
)
def test_descriptions_end_where_a_phrase_ends(written: str, kept: str | None) -> None:
    rows = pd.DataFrame([fact("Name", ["ottqa"], title="Name", description=written)])
    assert [text if isinstance(text, str) else None for text in described(rows, RULES)] == [kept]


def test_names_as_they_are_compared() -> None:
    names = pd.Series(["The Who (band)", "A.C. Milan", "Bra\\u0219ov", "Nikšić–Town", None])
    assert words_of(names).tolist()[:2] == ["who", "a c milan"]
    assert folded(names)[3] == "niksic town"
    assert unescaped(names)[2] == "Brașov"
    assert spelling_of(names)[3] == "Nikšić-Town"
    assert pd.isna(words_of(names)[4])


def test_initials_with_and_without_small_words() -> None:
    assert initials("Organization of the Petroleum Exporting Countries") == {"ootpec", "opec"}
    assert initials("Uranus") == set()
