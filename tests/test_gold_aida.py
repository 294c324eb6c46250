"""AIDA-YAGO2 rows as documents; the examples are ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from onegen_el.errors import InputError
from onegen_el.gold import GoldDocument, GoldMention, read_aida

WIKI = "http://en.wikipedia.org/wiki/"
SAMPLE = (
    "-DOCSTART- (1 ULM)\n"
    "\n"
    "Ann\tB\tAnn Bee\t--NME--\n"
    "Bee\tI\tAnn Bee\t--NME--\n"
    f"Ulm\tB\tUlm\tUlm\t{WIKI}Ulm\t32165\t/m/0pf5\n"
    "rests\n"
    "\n"
    f"In\n\nNew\tB\tNew\tNew_York_City\t{WIKI}New_York_City\t645042\t/m/02_286\n"
    "\n"
    "York\tB\tYork\tnull\n"
    "City\tI\tYork\tnull\n"
    ".\n"
    "-DOCSTART- (2testa CAFÉ (late))\n"
    f"Malmö\tB\tMalmö\tMalm\\u00f6_\\u0028city\\u0029\t{WIKI}Malm%C3%B6_(city)\t1\r\n"
    "Malmö\tB\tMalmö\tMalm\\u00f6_\\u0028city\\u0029\r\n"
    "😀\tB\t😀\t\\ud83d\\ude00\n"
)


def test_documents_spans_and_entities(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(SAMPLE.encode())
    first, second = read_aida(path)
    text = "Ann Bee Ulm rests\nIn\nNew\nYork City ."
    assert first == GoldDocument(
        "1 ULM",
        text,
        (
            GoldMention(0, 7, None),
            GoldMention(8, 11, "enwiki:Ulm"),  # directly after the other: B decides
            GoldMention(21, 34, "enwiki:New York City"),
        ),
        scope=(0, len(text)),
    )
    assert text[21:34] == "New\nYork City"
    assert second.id == "2testa CAFÉ (late)"
    assert second.text == "Malmö Malmö 😀"
    assert [(m.start, m.end, m.entity) for m in second.mentions] == [
        (0, 5, "enwiki:Malmö (city)"),
        (6, 11, "enwiki:Malmö (city)"),
        (12, 13, "enwiki:😀"),
    ]


def test_a_null_that_continues_nothing_is_nil(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("-DOCSTART- (1 X)\nto\nYork\tB\tYork\tnull\n")
    (document,) = read_aida(path)
    assert document.mentions == (GoldMention(3, 7, None),)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("-DOCSTART- -X- O O", "does not name the document"),
        ("Ulm\tB", "2 columns; expected"),
        ("Ulm\tB\tUlm", "3 columns; expected"),
        ("Ulm" + "\tB" * 7, "8 columns; expected"),
        ("\tB\tUlm\tUlm", "no token; expected"),
        ("Ulm\tO\tUlm\tUlm", "tag 'O'"),
        ("Ulm\tB\tUlm\t", "entity ''"),
        ("Ulm\tI\tUlm\tUlm", "I where no mention goes on"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(f"-DOCSTART- (1 X)\n\nin\n{line}\n")
    with pytest.raises(InputError, match=rf"a\.tsv, line 4: .*{says}"):
        list(read_aida(path))


def test_a_mention_does_not_go_on_after_another_token(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("-DOCSTART- (1 X)\nUlm\tB\tUlm\tUlm\nand\nBonn\tB\tBonn\tnull\nor\nUlm\tI\tUlm\tUlm\n")
    with pytest.raises(InputError, match=r"a\.tsv, line 6: I where no mention goes on"):
        list(read_aida(path))
    path.write_text("-DOCSTART- (1 X)\nUlm\tB\tUlm\tUlm\nand\nBonn\tB\tBonn\tnull\n")
    (document,) = read_aida(path)
    assert [(m.start, m.end, m.entity) for m in document.mentions] == [(0, 3, "enwiki:Ulm"), (8, 12, None)]


def test_tokens_before_a_document_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("\nUlm\n")
    with pytest.raises(InputError, match=r"a\.tsv, line 2: a token before the first document"):
        list(read_aida(path))
