"""HIPE-2022 TSV: how the text is rebuilt, what a mention is, and where a row is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from onegen_el.errors import InputError
from onegen_el.gold import GoldDocument, GoldMention, read_hipe

NAMES = (
    "TOKEN NE-COARSE-LIT NE-COARSE-METO NE-FINE-LIT NE-FINE-METO NE-FINE-COMP NE-NESTED NEL-LIT NEL-METO MISC"
)
HEAD = "\t".join(NAMES.split()) + "\n"
BLOCK = "# hipe2022:document_id = d\n"


def row(token: str, tag: str = "O", link: str = "_", misc: str = "_") -> str:
    return f"{token}\t{tag}\tO\t_\t_\t_\tO\t{link}\t_\t{misc}\n"


def read(tmp_path: Path, text: str) -> list[GoldDocument]:
    path = tmp_path / "a.tsv"
    path.write_bytes(text.encode())
    return list(read_hipe(path))


def test_the_text_is_rebuilt_from_the_flags(tmp_path: Path) -> None:
    body = (
        row("128", misc="NoSpaceAfter")
        + row(".", misc="EndOfSentence")
        + row("👩Ann", "B-pers", "Q1", "LED0.00")
        + row("of", "I-pers", "Q1", "EndOfLine")
        + row("Ulm", "I-pers", "_")
        + row("left", misc="EndOfLine|NoSpaceAfter")
        + row("-", misc="EndOfLine|EndOfSentence")
        + row("#", misc="NoSpaceAfter|EndOfLine")
    )
    assert read(tmp_path, HEAD + BLOCK + body) == [
        GoldDocument("d", "128. 👩Ann of\nUlm left-\n#", (GoldMention(5, 16, "Q1"),), (0, 24))
    ]


@pytest.mark.parametrize(
    ("rows", "mentions"),
    [
        ([("Ann", "B-pers", "NIL")], [(0, 3, None)]),
        ([("Ann", "B-pers", "_")], [(0, 3, None)]),
        ([("Ann", "B-pers", "")], [(0, 3, None)]),
        ([("Ann", "B-pers", "Q1"), ("Ulm", "B-pers", "Q2")], [(0, 3, "Q1"), (4, 7, "Q2")]),
        ([("Ann", "B-pers", "Q1"), ("Ulm", "I-pers", "Q1")], [(0, 7, "Q1")]),
        ([("Il", "B-work", "Q1"), ("5", "B-scope", "_"), ("1900", "B-date", "_")], [(0, 2, "Q1")]),
        ([("Berlinreise", "B-loc", "Q64", "Partial-0:6")], [(0, 6, "Q64")]),
        (
            [("inAnn", "B-pers", "Q1", "LED0.00|Partial-2:5"), ("Lees", "I-pers", "Q1", "Partial-0:3")],
            [(2, 9, "Q1")],
        ),
        ([("Ann", "_", "_")], []),
    ],
)
def test_mentions(
    tmp_path: Path, rows: list[tuple[str, ...]], mentions: list[tuple[int, int, str | None]]
) -> None:
    (document,) = read(tmp_path, HEAD + BLOCK + "".join(row(*columns) for columns in rows))
    assert [(m.start, m.end, m.entity) for m in document.mentions] == mentions


def test_blocks_of_comments_begin_documents(tmp_path: Path) -> None:
    text = (
        HEAD
        + "# hipe2022:language = en\n# hipe2022:document_type = commentary\n# hipe2022:document_id = one \n"
        + "# ajmc:title = A = B\n"
        + row("Ann")
        + "# segment_iiif_link = https://example.org/7\n"  # inside of a document, as in HIPE-2020
        + row("left")
        + "\n"
        + "# document_type = newspaper\n# document_id = two\n\n\n"  # has no tokens
        + "# document_id = three\n"
        + row("Ulm")
        + "# hipe2022:document_id = four\n# hipe2022:document_id = five"
    )
    assert [(doc.id, doc.text, doc.genre) for doc in read(tmp_path, text)] == [
        ("one", "Ann left", "commentary"),
        ("two", "", "newspaper"),
        ("three", "Ulm", ""),
        ("four", "", ""),
        ("five", "", ""),
    ]


def test_columns_go_by_name(tmp_path: Path) -> None:
    head = "TOKEN\tNE-COARSE-LIT\tMISC\tNEL-LIT\n"
    (document,) = read(tmp_path, head + BLOCK + "Ann\tB-pers\tNoSpaceAfter\tQ1\n.\tO\t_\t_\n")
    assert (document.text, document.mentions) == ("Ann.", (GoldMention(0, 3, "Q1"),))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (BLOCK + row("Ann"), 2, "no line that names the columns"),
        (HEAD + row("Ann"), 2, "a token before `# hipe2022:document_id"),
        (HEAD.replace("NEL-LIT", "LINK") + BLOCK, 1, "no column NEL-LIT"),
        (HEAD + "# hipe2022:document_id =\n" + row("Ann"), 3, "document_id is empty"),
        (HEAD + BLOCK + "Ann\tO\n", 3, "2 columns, but 10 names"),
        (HEAD + BLOCK + row(""), 3, "no TOKEN"),
        (HEAD + BLOCK + row("Ann", "PER"), 3, "NE-COARSE-LIT is 'PER'; expected B-type"),
        (HEAD + BLOCK + row("Ann", "I-pers"), 3, "I-pers does not continue a mention"),
        (HEAD + BLOCK + row("Ann", "B-loc") + row("Ann", "I-pers"), 4, "I-pers does not continue"),
        (HEAD + BLOCK + row("Ann", "B-loc") + row("in") + row("Ann", "I-loc"), 5, "I-loc does not continue"),
        (HEAD + BLOCK + row("Ann", "B-loc", "Berlin"), 3, "NEL-LIT is 'Berlin'; expected a QID"),
        (
            HEAD + BLOCK + row("Ann", "B-loc", "Q1") + row("Ann", "I-loc", "Q2"),
            4,
            "'Q2', but 'Q1' at the first",
        ),
        (HEAD + BLOCK + row("Ann", "B-loc", "Q1", "Partial-1:4"), 3, "Partial-1:4 is not inside the 3 char"),
        (HEAD + BLOCK + row("Ann", "B-loc", "Q1", "Partial-1:1"), 3, "Partial-1:1 is not inside"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(InputError, match=rf"a\.tsv, line {line}: .*{message}"):
        read(tmp_path, text)
