"""Our own JSONL as gold: what `onegen-el link` writes is read back, and gold may say more."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import documents

from onegen_el.document import LinkedDocument
from onegen_el.errors import InputError
from onegen_el.formats.jsonl import JsonlWriter
from onegen_el.gold import GoldDocument, GoldMention, read_linked

PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
MENTION: dict[str, Any] = {
    "start": 0,
    "end": 3,
    "surface": "Ann",
    "entity": "Q1",
    "title": "Ann",
    "kind": "NAM",
    "optional": True,
    "negatives": ["Q2", "enwiki:Ann (name)"],
    "score": 0.5,
    "candidates": [],
}
ROW: dict[str, Any] = {
    "id": 7,
    "text": "Ann of Ulm",
    "mentions": [{"start": 7, "end": 10, "entity": None}, MENTION],
    "scope": [0, 10],
    "genre": "news",
}


def test_a_row_becomes_a_document(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROW) + "\n\n" + json.dumps({"id": "b", "text": "", "mentions": []}))
    assert list(read_linked(path)) == [
        GoldDocument(
            "7",
            "Ann of Ulm",
            (
                GoldMention(0, 3, "Q1", "Ann", "NAM", True, ("Q2", "enwiki:Ann (name)")),
                GoldMention(7, 10, None),
            ),
            scope=(0, 10),
            genre="news",
        ),
        GoldDocument("b", "", (), scope=(0, 0)),
    ]


@given(st.lists(documents(), max_size=3))
def test_what_we_write_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, docs: list[LinkedDocument]
) -> None:
    # JSON has no way to say two surrogate halves that are not one character.
    assume(not PAIR.search(json.dumps([doc.to_dict() for doc in docs], ensure_ascii=False)))
    stream = io.BytesIO()
    writer = JsonlWriter(stream)
    for doc in docs:
        writer.write(doc)
    path = tmp_path_factory.mktemp("linked") / "a.jsonl"
    path.write_bytes(stream.getvalue())
    read = list(read_linked(path))
    assert [(doc.id, doc.text) for doc in read] == [(doc.id, doc.text) for doc in docs]
    for gold, doc in zip(read, docs, strict=True):
        assert [(m.start, m.end, m.entity, m.name) for m in gold.mentions] == [
            (m.start, m.end, m.entity, m.title or "") for m in doc.mentions
        ]


def with_mention(**changes: Any) -> dict[str, Any]:
    return {**ROW, "mentions": [{**MENTION, **changes}]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([], "TypeError"),
        ({"id": 1, "mentions": []}, "KeyError.*text"),
        ({"text": "x", "mentions": []}, "KeyError.*id"),
        ({**ROW, "id": None}, "id is None"),
        ({**ROW, "text": 3}, "text is 3"),
        ({**ROW, "mentions": {}}, "mentions is {}"),
        ({**ROW, "mentions": ["x"]}, "TypeError"),
        ({**ROW, "mentions": [{"start": 0, "end": 3}]}, "KeyError.*entity"),
        ({**ROW, "scope": [0]}, "ValueError"),
        ({**ROW, "scope": [0, 11]}, "span 0-11 is outside the text"),
        (with_mention(end=11), "span 0-11 is outside the text"),
        (with_mention(start=True), "span True-3 is outside the text"),
        (with_mention(surface="Anna"), "surface is 'Anna', but the text has 'Ann'"),
        (with_mention(entity=42), "entity is 42"),
        (with_mention(negatives="Q2"), "negatives is 'Q2'"),
        (with_mention(negatives=[2]), r"negatives are \[2\]"),
        (with_mention(optional=1), "optional is 1"),
        (with_mention(kind=None), "kind is None"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: Any, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + json.dumps(row) + "\n")
    documents = read_linked(path)
    assert next(documents).id == "7"
    with pytest.raises(InputError, match=rf"a\.jsonl, line 2: not a row of linked.*{message}.*expected"):
        next(documents)
