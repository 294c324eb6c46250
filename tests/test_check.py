"""What a corpus would teach: counts worked out by hand, overlap with evaluation sets, windows as shown."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from strategies import TEXTS
from tiny import tiny_backbone
from typer.testing import CliRunner

from onegen_el.cli.check import check
from onegen_el.cli.main import Program
from onegen_el.gold import GoldDocument, GoldMention
from onegen_el.grammar import Role, annotated_layout
from onegen_el.training.catalog import Catalog, read_catalog
from onegen_el.training.check import (
    LISTED,
    RUN,
    MissingEntity,
    UnreachableMention,
    check_corpus,
    overlap,
    rendered,
)
from onegen_el.training.examples import Example, Reach, document_examples
from onegen_el.training.recipe import Corpus
from onegen_el.windows import WindowSettings

CTX, GEN, RET = Role.CTX, Role.GEN, Role.RET
WIDE = WindowSettings(own=400, before=0, after=0, head=0)
HARBOUR = "The harbour of Lisbon was quiet when Maria Costa opened her bakery on Monday."
LISBON, MARIA, COSTA = (15, 21), (37, 48), (43, 48)
ENTITIES = [
    {"id": "Q597", "title": "Lisbon", "description": "capital of Portugal", "wikipedia_title": "Lisbon"},
    {"id": "Q585", "title": "Oslo", "description": "capital of Norway"},
]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "entities.jsonl"
    path.write_text("\n".join(map(json.dumps, ENTITIES)))
    return path


@pytest.fixture(scope="module")
def catalog(table: Path) -> Catalog:
    return read_catalog(table)


def gold(name: str, text: str, *mentions: tuple[tuple[int, int], str | None]) -> GoldDocument:
    found = tuple(GoldMention(*span, entity) for span, entity in mentions)
    return GoldDocument(name, text, found, (0, len(text)))


# --- counts ---


def test_counts_worked_out_by_hand(catalog: Catalog) -> None:
    documents = [
        gold("a", HARBOUR, (LISBON, "Q597"), (MARIA, "Q1"), (COSTA, None)),  # Costa is inside of Maria Costa
        gold("b", "Lisbon Lisbon Oslo", ((0, 6), "Q597"), ((7, 13), None), ((15, 18), "Q2")),  # "slo"
        gold("blank", " \n"),
        gold("c", "the  HARBOUR of Lisbon was quiet when Maria Costa opened her bakery\non Monday."),
    ]
    found = check_corpus(documents, Corpus("x"), tiny_backbone("bert"), WIDE, catalog)
    assert (found.documents, found.windows) == (4, 3)
    assert found.characters == len(HARBOUR) + 18 + 2 + 78
    # The tiny tokenizer knows all of these words, so tokens are words and full stops.
    assert found.tokens == 15 + 3 + 0 + 15
    assert (found.mentions, found.linked, found.nil, found.entities) == (6, 4, 2, 3)
    assert found.reach == Reach(mentions=6, unreachable=1, nested=1, unknown=1)
    assert found.missing == 2
    assert found.missing_first == (MissingEntity("Q1", 1, "Maria Costa"), MissingEntity("Q2", 1, "slo"))
    assert found.unreachable_first == (UnreachableMention("b", "slo", 15),)
    assert (found.empty, found.empty_first) == (1, ("blank",))
    assert (found.duplicates, found.duplicates_first) == (1, (("c", "a"),))


def test_missing_entities_come_most_frequent_first_and_lists_are_short(catalog: Catalog) -> None:
    documents = [
        gold(f"{number}-{turn}", f"Oslo {number} {turn}", ((1, 4), f"Q{100 + number}"))
        for number in range(LISTED + 5)
        for turn in range(number + 1)
    ]
    found = check_corpus(documents, Corpus("x"), tiny_backbone("bert"), WIDE, catalog)
    assert found.missing == found.entities == LISTED + 5
    assert [(entity.id, entity.count) for entity in found.missing_first] == [
        (f"Q{100 + number}", number + 1) for number in range(LISTED + 4, 4, -1)
    ]
    assert found.reach.unreachable == len(documents) and len(found.unreachable_first) == LISTED


def test_two_ids_of_one_entity_are_one(catalog: Catalog, table: Path, tmp_path: Path) -> None:
    links = tmp_path / "links.tsv"
    links.write_text("name\tid\nenwiki:Lisboa\tQ597\n")
    text = gold("a", "Lisbon Lisbon", ((0, 6), "Q597"), ((7, 13), "enwiki:Lisboa"))
    for known, entities, missing in ((read_catalog(table, links), 1, 0), (catalog, 2, 1)):
        found = check_corpus([text], Corpus("x"), tiny_backbone("bert"), WIDE, known)
        assert (found.entities, found.missing) == (entities, missing)


def test_documents_of_one_id_and_text_are_duplicates(catalog: Catalog) -> None:
    found = check_corpus([gold("a", "Oslo")] * 3, Corpus("x"), tiny_backbone("bert"), WIDE, catalog)
    assert (found.duplicates, found.duplicates_first) == (2, (("a", "a"), ("a", "a")))


@pytest.mark.parametrize(("marks", "windows"), [("all", 3), ("partial", 2), ("none", 1)])
def test_windows_are_those_that_teach(marks: Any, windows: int, catalog: Catalog) -> None:
    documents = [gold("a", "Oslo"), gold("b", "Oslo", ((0, 4), None)), gold("c", "Oslo", ((0, 4), "Q585"))]
    corpus = Corpus("x", marks=marks)
    assert check_corpus(documents, corpus, tiny_backbone("bert"), WIDE, catalog).windows == windows


def test_examples_with_entities_go_first_and_come_in_order(catalog: Catalog) -> None:
    plain = [gold(f"plain {number}", f"bakery {number}") for number in range(20)]
    nil = [gold(f"nil {number}", f"Oslo {number}", ((0, 4), None)) for number in range(5)]
    linked = [gold(f"linked {number}", f"Oslo {number}", ((0, 4), "Q585")) for number in range(2)]

    def shown(number: int) -> list[str]:
        documents = [*plain[:10], *nil, *plain[10:], *linked]
        found = check_corpus(documents, Corpus("x"), tiny_backbone("bert"), WIDE, catalog, number)
        return [name for name, _ in found.examples]

    assert shown(0) == []
    assert shown(2) == ["linked 0", "linked 1"]
    assert shown(7) == [*(f"nil {number}" for number in range(5)), "linked 0", "linked 1"]
    assert len(shown(12)) == 12 and shown(12) == shown(12)
    assert len(shown(100)) == 27


# --- overlap ---

WORDS = [f"word{number}" for number in range(40)]


@pytest.mark.parametrize(("run", "shared"), [(RUN - 1, 0), (RUN, 1), (RUN + 1, 1)])
def test_thirteen_words_in_a_row_are_an_overlap(run: int, shared: int) -> None:
    mine = gold("mine", "Before it " + " ".join(WORDS[5 : 5 + run]) + " and after")
    theirs = gold("theirs", ", ".join(word.upper() for word in WORDS) + ".")
    found = overlap([mine], [gold("x", "other"), theirs])
    assert (found.documents, found.same, found.shared) == (1, 0, shared)
    assert [(pair.document, pair.other) for pair in found.first] == [("mine", "theirs")] * shared
    assert [pair.words for pair in found.first] == [" ".join(WORDS[5:18])] * shared


def test_the_same_text_up_to_case_and_white_space_is_an_overlap_however_short() -> None:
    others = [gold("a", "Oslo won."), gold("b", "No. 1"), gold("blank", "")]
    mine = [gold("1", "oslo\n won ."), gold("2", "Oslo lost."), gold("3", ""), gold("4", "Oslo won.")]
    found = overlap(iter(mine), iter(others))
    assert (found.documents, found.same, found.shared) == (4, 2, 0)
    assert [(pair.document, pair.other, pair.words) for pair in found.first] == [
        ("1", "a", ""),
        ("4", "a", ""),
    ]


def test_overlap_counts_all_and_lists_the_first() -> None:
    many = [gold(str(number), "Oslo") for number in range(LISTED + 7)]
    found = overlap(many, many)
    assert found.same == LISTED + 7 and len(found.first) == LISTED
    assert overlap(many, []).same == overlap([], many).documents == 0


# --- windows as they are shown ---


def windows_of(
    document: GoldDocument, name: str, catalog: Catalog, settings: WindowSettings = WIDE, **corpus: Any
) -> list[Example]:
    backbone = tiny_backbone(name)
    return document_examples(
        document, Corpus("x", **corpus), backbone.tokenize, settings, catalog, Reach(), backbone.aligned
    )


MARKED = gold("a", "The harbour of Lisbon; Maria Costa.", (LISBON, "Q597"), ((23, 34), None))
OPENED, OPENED_MARIA = " <MENTION>Lisbon</MENTION>", " <MENTION>Maria Costa</MENTION>"


@pytest.mark.parametrize(
    ("corpus", "learned", "query"),
    [
        ({"marks": "all"}, (True, True), True),
        ({"marks": "all", "links": False}, (True, True), False),
        ({"marks": "partial"}, (False, True), True),
        ({"marks": "none"}, (False, False), True),
    ],
)
def test_losses_worked_out_by_hand(
    corpus: dict[str, Any], learned: tuple[bool, bool], query: bool, catalog: Catalog
) -> None:
    (example,) = windows_of(MARKED, "bert", catalog, **corpus)
    untold, told = learned
    expected = [
        ("[CLS]The harbour of Lisbon; Maria Costa.[SEP]", CTX, False),
        ("The harbour of", GEN, untold),
        (OPENED, GEN, told),
        ("[RET]", RET, query),
        (";", GEN, untold),
        (OPENED_MARIA, GEN, told),
        ("[RET]", RET, False),
        (".", GEN, untold),
    ]
    merged = expected[:1]
    for piece in expected[1:]:
        if piece[1:] == merged[-1][1:]:
            merged[-1] = (merged[-1][0] + piece[0], *piece[1:])
        else:
            merged.append(piece)
    assert rendered(example, tiny_backbone("bert")) == merged


def test_the_rest_of_a_word_goes_with_its_beginning(catalog: Catalog) -> None:
    # "harbours" is not in the vocabulary, so it is several pieces.
    document = gold("a", "harbours of Lisbons", ((12, 19), "Q597"))
    (example,) = windows_of(document, "bert", catalog, marks="partial")
    assert len(example.tokens) > 3
    assert rendered(example, tiny_backbone("bert"))[1:] == [
        ("harbours of", GEN, False),
        (" <MENTION>Lisbons</MENTION>", GEN, True),
        ("[RET]", RET, True),
    ]


def test_marks_of_several_tokens_and_what_follows_a_query(catalog: Catalog) -> None:
    (example,) = windows_of(MARKED, "reference", catalog, marks="partial")
    assert rendered(example, tiny_backbone("reference"))[:5] == [
        ("Mark the text:\nThe harbour of Lisbon; Maria Costa.\nNow:", CTX, False),
        ("The harbour of", GEN, False),
        (OPENED, GEN, True),
        ("[LK]", RET, True),
        ("[_CONTINUE_]", GEN, True),
    ]


def test_a_query_in_the_text_is_no_query_and_the_unknown_is_shown_as_such(catalog: Catalog) -> None:
    (example,) = windows_of(gold("a", "Oslo \U0001f600 [RET] Cafe\u0301 a"), "bert", catalog)
    pieces = rendered(example, tiny_backbone("bert"))
    assert {role for _, role, _ in pieces} == {CTX, GEN}
    shown = pieces[1][0]
    assert shown.startswith("Oslo [UNK] [") and "RET" in shown.replace("[UNK]", "")
    assert shown.endswith("\u0301 a")


def squeezed(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("name", ["llama", "qwen2", "mistral", "reference"])
def test_pieces_are_what_the_tokenizer_decodes(name: str, catalog: Catalog) -> None:
    backbone = tiny_backbone(name)
    settings = WindowSettings(own=8, before=4, after=4, head=0)
    document = gold("a", HARBOUR, (LISBON, "Q597"), (MARIA, None))
    examples = windows_of(document, name, catalog, settings)
    assert len(examples) > 2 and any(example.mentions for example in examples)
    for example in examples:
        shift = example.window.head - example.window.context[0]
        ranges = [(first + shift, last + shift) for first, last, _ in example.mentions]
        window = example.window.prompted(example.tokens, backbone.aligned)
        layout, *_ = annotated_layout(backbone.marks, window, ranges, backbone.aligned)
        pieces = rendered(example, backbone)
        for role in Role:
            ids = [token for token, is_for in zip(layout.ids, layout.roles, strict=True) if is_for == role]
            shown = "".join(text for text, is_for, _ in pieces if is_for == role)
            assert squeezed(shown) == squeezed(backbone.tokenizer.decode(ids))


@given(text=TEXTS, data=st.data())
def test_every_character_of_any_text_is_shown(text: str, data: st.DataObject, catalog: Catalog) -> None:
    bounds = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    spans = list(zip(bounds[::2], bounds[1::2], strict=False))
    backbone = tiny_backbone("llama")
    document = gold("a", text, *((span, "Q597") for span in spans))
    tokens = backbone.tokenize(text)
    marked, end = "", 0
    for start, stop in spans:
        if tokens.tokens_of(start, stop) is not None:
            marked += f"{text[end:start]}<MENTION>{text[start:stop]}</MENTION>[RET]"
            end = stop
    for example in windows_of(document, "llama", catalog):
        pieces = rendered(example, backbone)
        assert squeezed("".join(piece for piece, role, _ in pieces if role == CTX)) == squeezed(text)
        output = "".join(piece for piece, role, _ in pieces if role != CTX)
        assert squeezed(output) == squeezed(marked + text[end:])


# --- the command ---

app = typer.Typer(cls=Program)
app.command()(check)


@app.callback()
def root() -> None:
    """A group, as in the program, so that errors are told the same way."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    deepcopy(tiny_backbone("bert")).save(folder)  # other tests have the same one
    return folder


def run(*words: str | Path, color: bool = False) -> Any:
    environment = {"FORCE_COLOR": "1", "NO_COLOR": None} if color else {"NO_COLOR": "1", "FORCE_COLOR": None}
    variables = {"TERM": "xterm-256color", "COLUMNS": None, **environment}
    return CliRunner().invoke(app, ["check", *map(str, words)], env=variables)


def corpus_file(path: Path, rows: Sequence[tuple[str, str, Sequence[tuple[int, int, str]]]]) -> Path:
    lines = [
        {
            "id": name,
            "text": text,
            "labels": [{"span": [a, b], "entity_id": entity} for a, b, entity in labels],
        }
        for name, text, labels in rows
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


MINE = [
    ("first", HARBOUR, [(*LISBON, "Q597"), (*MARIA, "Q99"), (38, 41, "Unknown")]),
    ("second", "Oslo won.", [(0, 4, "Q585")]),
]


def flat(result: Any) -> str:
    return " ".join(result.stdout.split())


def test_command_counts_warns_and_shows(model: Path, table: Path, tmp_path: Path) -> None:
    path, report = corpus_file(tmp_path / "mine.jsonl", MINE), tmp_path / "report.json"
    result = run(path, "--model", model, "--entities", table, "--json", report)
    assert result.exit_code == 0, result.output
    shown = flat(result)
    assert "documents 2 mentions 4 off token borders 1" in shown
    assert "1 of 3 entities (33 %) are not in the table" in shown and "Q99 “Maria Costa” (1×)" in shown
    assert "`onegen-el kb build`" in shown
    assert "1 mention (25 %)" in shown and "first “ari” at 38" in shown
    assert "<MENTION>Lisbon</MENTION>[RET] was quiet" in shown
    assert "<MENTION>Maria Costa</MENTION>‹[RET]›" in shown
    assert "Lisbon → Lisbon: capital of Portugal" in shown and "Maria Costa → no entity to learn" in shown
    assert "windows to train on." in shown
    assert "\x1b" not in result.output and max(map(len, result.stdout.splitlines())) <= 100
    (found,) = json.loads(report.read_text())["corpora"]
    assert (found["mentions"], found["unknown"], found["unreachable"], found["overlap"]) == (4, 1, 1, None)
    assert found["missing_first"] == [{"id": "Q99", "count": 1, "surface": "Maria Costa"}]


def test_colours_say_what_brackets_say_without_them(model: Path, table: Path, tmp_path: Path) -> None:
    path = corpus_file(tmp_path / "mine.jsonl", MINE)
    options = ("--model", model, "--entities", table, "--marks", "partial")
    colored, plain = run(path, *options, color=True).stdout, run(path, *options).stdout
    assert "\x1b[32m" in colored and "\x1b[1;35m[RET]" in colored and "‹" not in colored
    assert "‹The harbour of› <MENTION>Lisbon</MENTION>[RET]" in " ".join(plain.split())
    bare = re.sub(r"\x1b\[[\d;]*m", "", colored)
    assert squeezed(bare).replace("grey:noloss", "") == re.sub("[‹›]", "", squeezed(plain)).replace(
        "so:noloss", ""
    )


def test_overlap_with_evaluation_sets_is_told(model: Path, table: Path, tmp_path: Path) -> None:
    mine, report = corpus_file(tmp_path / "mine.jsonl", MINE), tmp_path / "report.json"
    test = corpus_file(tmp_path / "test.jsonl", [("t1", "Leeds won.", []), ("t2", "oslo  won.", [])])
    options = ["--model", model, "--entities", table, "--examples", "0", "--json", report]
    one = run(mine, *options, "--against", test)
    assert one.exit_code == 0, one.output
    assert "1 of 2 documents (50 %) in evaluation sets" in flat(one)
    assert "second and t2 (the same text)" in flat(one) and "output" not in one.stdout
    (found,) = json.loads(report.read_text())["corpora"]
    assert found["overlap"]["first"] == [{"document": "second", "other": "t2", "words": ""}]
    assert "second and test.jsonl: t2" in flat(run(mine, *options, "--against", test, "--against", test))


def test_nothing_to_learn_is_exit_code_1(model: Path, table: Path, tmp_path: Path) -> None:
    options = ("--model", model, "--entities", table, "--marks", "partial")
    nothing = corpus_file(tmp_path / "nothing.jsonl", [("a", HARBOUR, [])])
    result = run(nothing, *options)
    assert result.exit_code == 1
    assert "nothing is annotated" in flat(result) and "Nothing can be learned" in flat(result)
    mine = corpus_file(tmp_path / "mine.jsonl", MINE)
    assert run(nothing, mine, *options).exit_code == 0
    unknown = corpus_file(tmp_path / "unknown.jsonl", [("a", HARBOUR, [(*MARIA, "Q99")])])
    result = run(unknown, *options, "--marks", "none")
    assert result.exit_code == 1 and "no mention has an entity that is in the table" in flat(result)


def test_errors_are_exit_code_2(model: Path, table: Path, tmp_path: Path) -> None:
    mine = corpus_file(tmp_path / "mine.jsonl", MINE)
    broken = tmp_path / "broken.jsonl"
    broken.write_text(mine.read_text() + '{"id": 1}\n')
    options = ("--model", model, "--entities", table)
    for words, message in (
        ((tmp_path / "absent.jsonl", *options), "absent.jsonl"),
        ((broken, *options, "--format", "elevant"), "line 3"),
        ((mine, *options, "--kb", tmp_path), "--kb and --entities"),
        ((mine, "--model", model, "--links", table), "--entities"),
        ((mine, *options, "--json", tmp_path), "--json"),
        ((mine, "--model", tmp_path), "onegen_el.json"),
    ):
        result = run(*words)
        assert result.exit_code == 2, (words, result.output)
        assert message in " ".join(result.stderr.split()) and "Traceback" not in result.output


def test_texts_cannot_write_to_the_terminal(model: Path, table: Path, tmp_path: Path) -> None:
    nasty = "\x1b[31mOslo\x07 \ud800 won\r\n."
    rows = [(f"id\x1b]0;{nasty}", nasty, [(5, 9, "Q585\x1b[2J"), (6, 8, "Unknown")])]
    mine = corpus_file(tmp_path / "mine.jsonl", rows)
    result = run(mine, mine, "--model", model, "--entities", table, "--against", mine)
    assert result.exit_code == 0, result.output
    assert not set(result.output) & set("\x1b\x07\r\ud800") and "␛[31m" in result.stdout


def test_bundled_model_and_knowledge_base(tmp_path: Path) -> None:
    text = "The ferry from Lisbon came late, and Zorblatt Kwong missed the train to Oslo."
    labels = [(15, 21, "Q597"), (37, 51, "Q999999999"), (72, 76, "enwiki:Oslo")]
    result = run(corpus_file(tmp_path / "mine.jsonl", [("ferry", text, labels)]))
    assert result.exit_code == 0, result.output
    shown = flat(result)
    assert "1 of 3 entities (33 %) are not in the knowledge base: Q999999999 “Zorblatt Kwong”" in shown
    assert "The ferry from <MENTION>Lisbon</MENTION>[RET] came late," in shown
    assert "Oslo → Oslo:" in shown and "1 window to train on." in shown
