"""Training rows of the reference implementation: marks become spans, lists become ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onegen_el.errors import InputError
from onegen_el.gold import GoldDocument, GoldMention, read_reference
from onegen_el.gold.reference import unmarked

CONTENT = (
    "<MENTION>Ann Bee</MENTION>[LK][_CONTINUE_] left é <MENTION>Ulm</MENTION> for <MENTION>x</MENTION>[LK]."
)
POSITIVE: list[Any] = [["Q1-0", "Q9-1"], [], 42]
NEGATIVE: list[Any] = [["Q2", 3, "Q1-4", "Q2-7"], ["Q5"], []]
MENTIONS = (
    GoldMention(0, 7, "Q1", negatives=("Q2", "3")),
    GoldMention(15, 18, None, negatives=("Q5",)),
    GoldMention(23, 24, "42"),
)


def row(content: Any = CONTENT, **answer: Any) -> dict[str, Any]:
    prompt = {"role": "user", "content": "Mark <MENTION> the names"}
    return {"messages": [prompt, {"role": "assistant", "content": content, **answer}]}


@pytest.mark.parametrize(
    "given",
    [
        row(positive=POSITIVE, negative=NEGATIVE),
        {**row(), "positive": POSITIVE, "negative": NEGATIVE},
        {**row(positive=POSITIVE), "negative": NEGATIVE},
    ],
)
def test_lists_may_stand_in_the_message_or_the_row(tmp_path: Path, given: dict[str, Any]) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text("\n" + json.dumps(given))
    text = "Ann Bee left é Ulm for x."
    assert list(read_reference(path)) == [GoldDocument("train:2", text, MENTIONS, scope=(0, len(text)))]


def test_negatives_may_be_missing_and_rows_may_have_names(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"uid": 5, **row("no names", positive=[])}))
    assert list(read_reference(path)) == [GoldDocument("5", "no names", (), scope=(0, 8))]


MARKS = ("<MENTION>", "</MENTION>", "[LK]", "[_CONTINUE_]")
TEXTS = (st.text() | st.text("<>[]/MLK é👩")).filter(lambda text: not any(mark in text for mark in MARKS))
TAILS = st.sampled_from(["", "[LK]", "[LK][_CONTINUE_]", "[_CONTINUE_]"])


@given(st.lists(st.tuples(TEXTS, TEXTS.filter(bool), TAILS)), TEXTS)
def test_spans_are_exact_for_every_text(parts: list[tuple[str, str, str]], rest: str) -> None:
    marked = "".join(f"{a}<MENTION>{name}</MENTION>{tail}" for a, name, tail in parts) + rest
    text, spans = unmarked(marked)
    assert text == "".join(before + name for before, name, _ in parts) + rest
    assert [text[start:end] for start, end in spans] == [name for _, name, _ in parts]
    starts = [sum(len(a) + len(b) for a, b, _ in parts[:i]) + len(parts[i][0]) for i in range(len(parts))]
    assert [start for start, _ in spans] == starts


ONE = "<MENTION>Ann</MENTION>[LK]"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"text": "x"}, "KeyError.*messages"),
        ({"messages": ["x"]}, "TypeError"),
        ({"messages": []}, "0 messages of the assistant"),
        ({"messages": row(ONE)["messages"] * 2}, "2 messages of the assistant"),
        (row(None, positive=[]), "content is None"),
        (row(ONE), "positive is None"),
        (row(ONE, positive=[]), "0 lists of positive ids for 1 marked mentions"),
        (row(ONE, positive=[["Q1"], ["Q2"]]), "2 lists of positive ids for 1 marked mentions"),
        (row(ONE, positive=[["Q1"]], negative=[]), "0 lists of negative ids for 1 marked mentions"),
        (row(ONE, positive=[[None]]), "uid is None"),
        (row(ONE, positive=[[True]]), "uid is True"),
        (row("<MENTION>Ann", positive=[["Q1"]]), "not closed"),
        (row("Ann</MENTION>", positive=[["Q1"]]), "</MENTION> at character 3 .*out of place"),
        (row("<MENTION></MENTION>", positive=[["Q1"]]), "out of place"),
        (row("<MENTION><MENTION>A</MENTION>", positive=[["Q1"]]), "out of place"),
        (row("Ann [LK]", positive=[]), r"mark \[LK\] at character 4"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, bad: dict[str, Any], message: str) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(row(ONE, positive=[["Q1"]])) + "\n" + json.dumps(bad))
    documents = read_reference(path)
    assert next(documents).text == "Ann"
    with pytest.raises(InputError, match=rf"train\.jsonl, line 2: not a training row.*{message}.*expected"):
        next(documents)
