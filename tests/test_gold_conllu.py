"""CoNLL-U: the text as it was, spans by brackets and by tags; the examples are ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onegen_el.errors import InputError
from onegen_el.gold import GoldDocument, GoldMention, read_conllu

HEADER = "# global.Entity = GRP-etype-minspan-link-identity\n"


def row(number: object, form: str, misc: str = "_") -> str:
    return f"{number}\t{form}\t_\tX\t_\t_\t0\t_\t_\t{misc}\n"


def read(tmp_path: Path, content: str) -> list[GoldDocument]:
    path = tmp_path / "a.conllu"
    path.write_bytes(content.encode())
    return list(read_conllu(path))


def spans(document: GoldDocument) -> list[tuple[str, str | None]]:
    return [(document.text[m.start : m.end], m.entity) for m in document.mentions]


def test_brackets_become_nested_mentions(tmp_path: Path) -> None:
    content = (
        "# newdoc id = one\n" + HEADER + "# meta::genre = bio\n# newpar\n# newpar_block = p\n# text = x\n"
        + row(1, "Ann", "Entity=(1-person-1-coref-Ann_%28poet%29|SpaceAfter=No")
        + row(2, ",", "Entity=(9-thing-1-sgl)")
        + row(3, "Lady", "Entity=(1-person-1-coref-Ann_%28poet%29)(2-person-1-sgl-X")
        + row(4, "of", "_")
        + row(5, "New", "Entity=(3-place-1,2-sgl-New-Ulm|SpaceAfter=No")
        + row(6, "Ulm", "Entity=3)2)1)")
        + "\n# newpar\n"
        + row(1, "She", "Entity=(1-person-1-ana)")
    )  # fmt: skip
    (document,) = read(tmp_path, content)
    assert (document.id, document.genre) == ("one", "bio")
    assert document.text == "Ann, Lady of NewUlm\n\nShe"
    assert spans(document) == [
        ("Ann, Lady of NewUlm", "enwiki:Ann (poet)"),
        ("Lady of NewUlm", "enwiki:X"),
        ("Lady", "enwiki:Ann (poet)"),
        ("NewUlm", "enwiki:New-Ulm"),
    ]


def test_fields_are_where_the_header_says(tmp_path: Path) -> None:
    content = (
        "# global.Entity = eid-identity-kind-etype\n# newdoc id = a\n"
        + row(1, "Ann", "Entity=(e1-Ann_Bee-NAM-person)")
        + "\n# newdoc id = b\n"
        + row(1, "She", "Entity=(e1-Ann_Bee-PRO-person)")
        + "\n# newdoc id = c\n# global.Entity = eid-identity\n"
        + row(1, "Ulm", "Entity=(e1-Ulm)")
    )
    assert [document.mentions for document in read(tmp_path, content)] == [
        (GoldMention(0, 3, "enwiki:Ann Bee", kind="NAM"),),
        (GoldMention(0, 3, "enwiki:Ann Bee", kind="PRO"),),
        (GoldMention(0, 3, "enwiki:Ulm"),),
    ]


def test_discontinuous_spans_and_those_of_empty_nodes_are_left_out(tmp_path: Path) -> None:
    content = (
        HEADER
        + row(1, "both", "Entity=(e1[1/2]-place-1-sgl-Ulm")
        + row("1.1", "gone", "Entity=(2-person-1-sgl-Ann)(3-person-1-sgl-Bee")
        + row(2, "towns", "Entity=e1[1/2])3)")
        + row(3, "here", "Entity=(e1[2/2]-place-1-sgl-Ulm)")
    )
    (document,) = read(tmp_path, content)
    assert document.text == "both towns here"
    assert spans(document) == [("towns", "enwiki:Bee")]


def test_tags_become_mentions(tmp_path: Path) -> None:
    content = (
        row(1, "Ann", "NER=B-PER|NEL=Q1|KIND=NAM")
        + row(2, "Bee", "NER=I-PER|NEL=Q1|SpaceAfter=No")
        + row(3, ",", "NER=O")
        + row(4, "Ulm", "NEL=NIL|NER=B-LOC")
        + row(5, "Bonn", "NER=B-LOC|NEL=enwiki:Bonn_(town)")
        + row(6, "Süd", "NER=I-LOC")
        + row(7, "Cy", "NER=B-PER|NEL=_")
        + "\n"
        + row(1, "Dee", "NER=B-PER")
    )
    (document,) = read(tmp_path, content)
    assert document == GoldDocument(
        "a",
        "Ann Bee, Ulm Bonn Süd Cy Dee",
        (
            GoldMention(0, 7, "Q1", kind="NAM"),
            GoldMention(9, 12, None),
            GoldMention(13, 21, "enwiki:Bonn (town)"),
            GoldMention(22, 24, None),
            GoldMention(25, 28, None),
        ),
        scope=(0, 28),
    )


def test_multiword_tokens_are_split_where_their_words_spell_them(tmp_path: Path) -> None:
    content = (
        HEADER
        + row("1-2", "Ann's", "SpaceAfter=No")
        + row(1, "Ann", "Entity=(1-person-1-sgl-Ann)")
        + row(2, "'s")
        + row("3-4", "zum")
        + row(3, "zu")
        + row(4, "dem", "Entity=(2-place-1-sgl-Ulm")
        + row(5, "Dom", "Entity=2)")
    )
    (document,) = read(tmp_path, content)
    assert document.text == "Ann'szum Dom"
    assert spans(document) == [("Ann", "enwiki:Ann"), ("zum Dom", "enwiki:Ulm")]


def test_documents_without_a_name_are_named_by_the_file(tmp_path: Path) -> None:
    content = "# newdoc\n" + row(1, "a") + "\n# newdoc id = x\n" + row(1, "b") + "\n# newdoc\n\n"
    assert [(d.id, d.text) for d in read(tmp_path, content)] == [("a-1", "a"), ("x", "b"), ("a-2", "")]
    assert read(tmp_path, "# only a comment\n\n") == []


FORMS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=4)


@given(
    st.lists(
        st.tuples(FORMS, st.booleans(), st.sampled_from(["word", "sentence", "paragraph"]), st.booleans())
    )
)
def test_offsets_are_exact_for_every_text(
    tmp_path_factory: pytest.TempPathFactory, words: list[tuple[str, bool, str, bool]]
) -> None:
    content, text, expected = "# newdoc id = d\n" + HEADER, "", []
    glued = True
    for index, (form, space, start, linked) in enumerate(words):
        if index and start != "word":
            content += "\n" + ("# newpar\n" if start == "paragraph" else "")
        if index:
            text += "\n\n" if start == "paragraph" else "" if glued else " "
        if linked:
            expected.append((len(text), len(text) + len(form), f"enwiki:T{index}"))
        text += form
        glued = not space
        misc = [f"Entity=({index}-person-1-sgl-T{index})"] * linked + ["SpaceAfter=No"] * glued
        content += row(index + 1, form, "|".join(misc) or "_")
    (document,) = read(tmp_path_factory.mktemp("conllu"), content)
    assert document.text == text
    assert [(m.start, m.end, m.entity) for m in document.mentions] == expected


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ("1\tAnn\t_\n", 1, "3 columns; expected 10"),
        (row("x", "Ann"), 1, "word 'x'"),
        (row(1, ""), 1, "form ''"),
        (row(1, "Ann", "Entity=(1-person-1-sgl-Ann)"), 1, "without `# global.Entity"),
        ("# global.Entity = eid-etype\n" + row(1, "Ann", "Entity=(1-person)"), 2, "a field `identity`"),
        (HEADER + row(1, "Ann", "Entity=1)"), 2, "closes '1', which is not open"),
        (HEADER + row(1, "Ann", "Entity=(1-person"), 2, r"before '1', opened in line 2, closes"),
        (HEADER + row(1, "Ann", "Entity=(1-person-(x"), 2, "ends before"),
        (HEADER + row(1, "Ann", "Entity=()"), 2, "cannot be read"),
        (HEADER + row(1, "Ann", "Entity=1"), 2, "cannot be read"),
        (row(1, "Ann", "NER=PER"), 1, "NER=PER; expected"),
        (row(1, "Ann", "NER=I-PER"), 1, "does not continue a mention"),
        (row(1, "Ann", "NER=B-PER") + row(2, "Bee", "NER=I-LOC"), 2, "does not continue a mention"),
        (row(1, "Ann", "NER=B-PER") + "\n" + row(1, "Bee", "NER=I-PER"), 3, "does not continue"),
        (row(1, "Ann", "NER=B-PER|NEL=Q1") + row(2, "Bee", "NER=I-PER|NEL=Q2"), 2, "differs .*, line 1"),
        (row(1, "Ann", "NER=B-PER|NEL=Ann"), 1, "NEL=Ann; expected a QID"),
        (row("1-2", "im") + row(1, "in") + "\n", 3, "ends before word 2"),
        (row("1-2", "im") + row("1-2", "im"), 2, "inside another"),
        (row("1-2", "im") + row(3, "in"), 2, "word 3 after a multiword token"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, content: str, line: int, says: str) -> None:
    with pytest.raises(InputError, match=rf"a\.conllu, line {line}: .*{says}"):
        read(tmp_path, content)
