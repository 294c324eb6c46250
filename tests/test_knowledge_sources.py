"""Reading entities: the same rows from every format, and faults named with file and row."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from onegen_el.document import Entity
from onegen_el.errors import InputError
from onegen_el.knowledge import read_entities

ENTITIES = [
    Entity("Q90", "Paris", "capital, of France", ("Paname", "Lutèce"), ("LOC", "city"), 9.5, "Q90", "Paris"),
    Entity("house:7", 'Haus "Sieben"', "two\nlines"),
    Entity("enwiki:Ada", "Ada", types=("PER",), wikipedia_title="Ada"),
]
FIELDS = list(Entity.__dataclass_fields__)


def rows() -> list[dict[str, Any]]:
    return [{name: getattr(entity, name) for name in FIELDS} for entity in ENTITIES]


def write_jsonl(path: Path) -> None:
    path.write_text("\n\n".join(json.dumps(row) for row in rows()), "utf-8")


def write_gz(path: Path) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows())


def write_csv(path: Path) -> None:
    import csv

    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        for row in rows():
            writer.writerow({**row, "aliases": "|".join(row["aliases"]), "types": "|".join(row["types"])})


def write_parquet(path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    listed = [{**row, "aliases": list(row["aliases"]), "extra": 1} for row in rows()]
    parquet.write_table(pyarrow.Table.from_pylist(listed), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [("e.jsonl", write_jsonl), ("e.jsonl.gz", write_gz), ("e.csv", write_csv), ("E.PARQUET", write_parquet)],
)
def test_every_format_gives_the_same_entities(tmp_path: Path, name: str, write: Any) -> None:
    write(tmp_path / name)
    assert list(read_entities(tmp_path / name)) == ENTITIES


def test_ids_say_what_they_can(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    given = [
        {"id": "Q5", "title": "human"},
        {"id": "Q0", "title": "no item"},
        {"qid": "Q42", "wikipedia_title": "Douglas Adams"},
        {"wikipedia_title": "Ada", "aliases": "a| |b "},
    ]
    path.write_text("\n".join(map(json.dumps, given)))
    assert list(read_entities(path)) == [
        Entity("Q5", "human", qid="Q5"),
        Entity("Q0", "no item"),
        Entity("Q42", "Douglas Adams", qid="Q42", wikipedia_title="Douglas Adams"),
        Entity("enwiki:Ada", "Ada", aliases=("a", "b"), wikipedia_title="Ada"),
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"id": "x"', "line 2: is not JSON"),
        (b'{"id": "\xff"}', "line 2: is not JSON in UTF-8 .*0xff"),
        (b"[1, 2]", "line 2: is not an object"),
        (b'{"title": "x"}', "line 2: has no id"),
        (b'{"id": "x"}', "line 2: has no title"),
        (b'{"id": 7, "title": "x"}', "line 2: id must be text, got 7"),
        (b'{"id": "x", "title": "x", "aliases": [1]}', "line 2: aliases must be a list of texts"),
        (b'{"id": "x", "title": "x", "types": 3}', "line 2: types must be a list of texts"),
        (b'{"id": "x", "title": "x", "prior": "big"}', "line 2: prior must be a number, got 'big'"),
        (b'{"id": "x", "title": "x", "prior": NaN}', "line 2: prior must be a number"),
    ],
)
def test_a_faulty_line_is_named(tmp_path: Path, line: bytes, says: str) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(b'{"id": "a", "title": "A"}\n' + line + b"\n")
    entities = read_entities(path)
    assert next(entities) == Entity("a", "A")
    with pytest.raises(InputError, match=rf"e\.jsonl, {says}"):
        next(entities)


def described(uid: Any, *contents: str) -> dict[str, Any]:
    return {"uid": uid, "messages": [{"role": "user", "content": content} for content in contents]}


def test_entities_of_the_reference_are_read(tmp_path: Path) -> None:
    path = tmp_path / "db.jsonl"
    given = [
        described("Q90-0", "The description of Paris is as follows:\n", "capital\nof France[SE]"),
        described(7, "", "Look. The description of Ada: a life is as follows:\na book [SE]\n"),
        described("x-y", "The description of X is as follows:\n[SE]"),
    ]
    path.write_text("\n".join(map(json.dumps, given)))
    assert list(read_entities(path)) == [
        Entity("Q90", "Paris", "capital\nof France", qid="Q90"),
        Entity("7", "Ada: a life", "a book"),
        Entity("x-y", "X"),
    ]


SHAPE = "The description of A is as follows:\n"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (described("Q1", "Paris is the capital[SE]"), "messages of Q1 do not describe an entity; expected"),
        (described("Q1", SHAPE + "no mark"), "do not describe"),
        (described("Q1", SHAPE + "one[SE] two[SE]"), "do not describe"),
        (described("Q1", SHAPE + "a[SE] more"), "do not describe"),
        (described(None, SHAPE + "a[SE]"), "not an entity of the reference .*uid is None"),
        ({"uid": "Q1", "messages": ["x"]}, "not an entity of the reference"),
        ({"uid": "Q1", "messages": None}, "not an entity of the reference"),
        ({"uid": "Q1", "messages": [{"role": "user"}]}, "not an entity of the reference .*content"),
    ],
)
def test_a_faulty_entity_of_the_reference_is_named(tmp_path: Path, row: dict[str, Any], says: str) -> None:
    path = tmp_path / "db.jsonl"
    path.write_text(json.dumps(described("Q1", SHAPE, "a[SE]")) + "\n" + json.dumps(row))
    entities = read_entities(path)
    assert next(entities).title == "A"
    with pytest.raises(InputError, match=rf"db\.jsonl, line 2: .*{says}"):
        next(entities)


def test_a_csv_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_bytes(b"id,title\n1,caf\xe9\n")
    with pytest.raises(InputError, match=r"e\.csv, after line \d: cannot be read .*0xe9.*UTF-8"):
        list(read_entities(path))


def test_a_gzip_that_was_cut_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl.gz"
    write_gz(path)
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(InputError, match=r"e\.jsonl\.gz, after line \d+: cannot be read"):
        list(read_entities(path))


def test_a_parquet_file_that_is_none_is_named(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "e.parquet"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=r"e\.parquet: cannot be read as Parquet"):
        list(read_entities(path))


def test_missing_files_and_unknown_formats_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.csv: no such file"):
        read_entities(tmp_path / "nothing.csv")
    with pytest.raises(InputError, match=r"cannot tell the format.*jsonl"):
        read_entities(tmp_path / "entities.xlsx")
