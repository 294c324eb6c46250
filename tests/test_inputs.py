"""The user's files arrive as they are, or as an error that names the file and the place."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onegen_el.errors import InputError
from onegen_el.inputs import decode, expand, read


def items(path: Path | str, stdin: bytes = b"") -> list[tuple[str, str] | InputError]:
    return list(read(str(path), io.BytesIO(stdin)))


def error_of(path: Path) -> str:
    (error,) = items(path)
    assert isinstance(error, InputError)
    return str(error)


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")))
def test_text_is_every_code_point_of_the_file(text: str) -> None:
    assert decode(text.encode("utf-8"), "name") == text


def test_bom_and_line_ends_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    assert items(path) == [(str(path), "\ufeffone\r\ntwo\rthree\n")]


def test_id_is_the_path_as_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("x")
    assert items("./a.txt") == [("./a.txt", "x")]


def test_stdin_is_one_document() -> None:
    assert items("-", b"a\nb\n") == [("-", "a\nb\n")]
    assert items("-", b"") == [("-", "")]


def test_missing_file(tmp_path: Path) -> None:
    assert "nowhere.txt: no such file" in error_of(tmp_path / "nowhere.txt")
    assert "rows.jsonl: no such file" in error_of(tmp_path / "rows.jsonl")


def test_binary_file_names_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\x89PNG\0\xff")
    assert "a.txt: is a binary file (NUL at byte 4)" in error_of(path)


def test_other_encoding_names_byte_offset_and_value(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("é".encode() + "caf\xe9 au lait".encode("latin1"))
    message = error_of(path)
    assert "a.txt: is not UTF-8 (byte 0xe9 at byte offset 5)" in message
    assert "iconv -f latin1 -t utf-8" in message


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_told_from_binary(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(("\ufeff" + "Zed").encode(encoding))
    assert "iconv -f utf-16 -t utf-8" in error_of(path)


@given(st.binary(max_size=30))
def test_any_bytes_are_text_or_an_error(data: bytes) -> None:
    try:
        assert decode(data, "name").encode("utf-8") == data
    except InputError as error:
        assert str(error).startswith("name: ")


def test_directory_is_its_texts_sorted_at_any_depth(tmp_path: Path) -> None:
    for name in ("b.txt", "a.MD", "c.rst", "deep/er/a.txt", "d.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    names = [str(tmp_path / name) for name in ("a.MD", "b.txt", "deep/er/a.txt")]
    assert expand(str(tmp_path)) == names
    assert items(names[2]) == [(names[2], "deep/er/a.txt")]


def test_file_and_stdin_expand_to_themselves(tmp_path: Path) -> None:
    assert expand("-") == ["-"]
    assert expand(str(tmp_path / "no.txt")) == [str(tmp_path / "no.txt")]


def test_directory_without_texts_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.rst").write_text("x")
    (name,) = expand(str(tmp_path))
    assert f"{tmp_path}: no *.txt or *.md file in this directory" in error_of(Path(name))


def test_jsonl_rows_are_documents(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [
        {"id": "x", "text": "one\u2028\n"},
        {"text": "two"},
        {"id": 7, "text": ""},
        {"id": "s", "text": "\ud800"},
    ]
    path.write_text("\n\n".join(json.dumps(row, ensure_ascii=row.get("id") == "s") for row in rows), "utf-8")
    assert items(path) == [("x", "one\u2028\n"), (f"{path}:3", "two"), ("7", ""), ("s", "\ud800")]


def test_jsonl_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "x", "text": "one"}\n')
    assert items(path) == [("x", "one")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{broken", "rows.jsonl:2: not a JSON row"),
        (b"[" * 100_000, "rows.jsonl:2: not a JSON row"),
        (b"[1]", 'rows.jsonl:2: the row has no string "text"'),
        (b'{"id": "a"}', 'rows.jsonl:2: the row has no string "text"'),
        (b'{"text": 5}', 'rows.jsonl:2: the row has no string "text"'),
        (b'{"text": "\xff"}', "rows.jsonl: is not UTF-8 (byte 0xff at byte offset 26)"),
        (b'{"text": "\0"}', "rows.jsonl: is a binary file (NUL at byte 26)"),
    ],
)
def test_bad_row_is_an_error_and_the_next_rows_are_read(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"text": "one"}\n' + line + b'\n{"text": "three"}\n')
    first, error, third = items(path)
    assert (first, third) == ((f"{path}:1", "one"), (f"{path}:3", "three"))
    assert isinstance(error, InputError)
    assert message in str(error)


def test_name_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "cannot be read (Not a directory)" in error_of(tmp_path / "file" / "a.txt")
