"""Gold as it is read: what a row means, and where a row is wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from onegen_el.errors import InputError
from onegen_el.gold import GoldDocument, GoldMention, read_elevant

ROW: dict[str, Any] = {
    "id": 7,
    "text": "Ann of Ulm said she left.",
    "labels": [
        {"span": [7, 10], "entity_id": "Q3012", "name": "Ulm", "kind": "NAM", "optional": True},
        {"span": [0, 3], "entity_id": "Unknown"},
        {"span": [0, 10], "entity_id": "enwiki:Ann of Ulm"},
        {"span": [16, 19], "entity_id": "Q1", "coref": 1},
    ],
    "evaluation_span": [0, 24],
    "genre": "news",
}


def test_a_row_becomes_a_document(tmp_path: Path) -> None:
    path = tmp_path / "gold.jsonl"
    path.write_text(json.dumps(ROW) + "\n\n" + json.dumps({"id": "b", "text": "é\u2028!", "labels": []}))
    assert list(read_elevant(path)) == [
        GoldDocument(
            "7",
            "Ann of Ulm said she left.",
            (  # in text order, outer ones first; the pronoun is left out
                GoldMention(0, 10, "enwiki:Ann of Ulm"),
                GoldMention(0, 3, None),
                GoldMention(7, 10, "Q3012", "Ulm", "NAM", optional=True),
            ),
            scope=(0, 24),
            genre="news",
        ),
        GoldDocument("b", "é\u2028!", (), scope=(0, 3)),
    ]


def test_gz_is_read_as_well(tmp_path: Path) -> None:
    line = (json.dumps(ROW, ensure_ascii=False) + "\n").encode()
    (tmp_path / "a.jsonl").write_bytes(line)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(line))
    assert list(read_elevant(tmp_path / "a.jsonl")) == list(read_elevant(str(tmp_path / "a.jsonl.gz")))


@pytest.mark.parametrize("entity", ["Unknown", "<NIL>", "NIL", "", None])
def test_every_way_to_say_nil(tmp_path: Path, entity: str | None) -> None:
    row = {**ROW, "labels": [{"span": [0, 3], "entity_id": entity}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    (document,) = read_elevant(tmp_path / "a.jsonl")
    assert document.mentions == (GoldMention(0, 3, None),)


def with_label(**label: Any) -> dict[str, Any]:
    return {**ROW, "labels": [label]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"{", "Expecting property name"),
        (b'"text"', "TypeError"),
        (b'{"text": "caf\xe9"}', "UnicodeDecodeError"),
        ({"id": 1, "labels": []}, "KeyError.*text"),
        ({"text": "x", "labels": []}, "KeyError.*id"),
        ({"id": 1, "text": "x"}, "KeyError.*labels"),
        ({"id": 1, "text": ["x"], "labels": []}, r"text is \['x'\]"),
        (with_label(entity_id="Q1"), "KeyError.*span"),
        (with_label(span=[0, 3]), "KeyError.*entity_id"),
        (with_label(span=[0, 3], entity_id=42), "entity_id is 42"),
        (with_label(span=[0, 26], entity_id="Q1"), "span 0-26 is outside the text"),
        (with_label(span=[-1, 2], entity_id="Q1"), "span -1-2 is outside the text"),
        (with_label(span=[3, 3], entity_id="Q1"), "span 3-3 is outside the text"),
        (with_label(span=[0.0, 3.0], entity_id="Q1"), "span 0.0-3.0 is outside the text"),
        (with_label(span=[0], entity_id="Q1"), "ValueError"),
        ({**ROW, "labels": ["x"]}, "TypeError"),
        ({**ROW, "evaluation_span": [0, 99]}, "span 0-99 is outside the text"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(
    tmp_path: Path, row: bytes | dict[str, Any], message: str
) -> None:
    bad = row if isinstance(row, bytes) else json.dumps(row).encode()
    (tmp_path / "gold.jsonl").write_bytes(json.dumps(ROW).encode() + b"\n\n" + bad + b"\n")
    documents = read_elevant(tmp_path / "gold.jsonl")
    assert next(documents).id == "7"
    with pytest.raises(InputError, match=rf"gold\.jsonl, line 3: not an ELEVANT row \(.*{message}.*expected"):
        next(documents)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.jsonl: no such corpus file"):
        next(read_elevant(tmp_path / "missing.jsonl"))
    (tmp_path / "plain.jsonl.gz").write_text(json.dumps(ROW))
    with pytest.raises(InputError, match=r"plain\.jsonl\.gz, after line 0: cannot be read"):
        next(read_elevant(tmp_path / "plain.jsonl.gz"))
    whole = gzip.compress((json.dumps(ROW) + "\n").encode() * 3)
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[:-12])
    with pytest.raises(InputError, match=r"cut\.jsonl\.gz, after line \d: cannot be read"):
        list(read_elevant(tmp_path / "cut.jsonl.gz"))


@pytest.mark.parametrize(
    ("identity", "entity", "optional"),
    [
        ("Unknown", None, False),
        ("Unknown12", None, False),
        ("<NO_MAPPING>", None, False),
        ("UnknownPleasures", "UnknownPleasures", False),
        ("DATETIME", None, True),
        ("QUANTITY", None, True),
        ("Q64", "Q64", False),
    ],
)
def test_ids_that_are_no_items(tmp_path: Path, identity: str, entity: str | None, optional: bool) -> None:
    row = {"id": 1, "text": "Ann", "labels": [{"span": [0, 3], "entity_id": identity}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    (document,) = read_elevant(tmp_path / "a.jsonl")
    assert [(m.entity, m.optional) for m in document.mentions] == [(entity, optional)]
