"""Gathering that is killed, in any stage, goes on there and gives what an undisturbed one gives."""

from __future__ import annotations

import bz2
import os
import signal
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dumps
import pytest

from onegen_el.errors import InputError, KBError
from onegen_el.knowledge.dumps import DumpFiles, Row, collect, gather, source, work
from onegen_el.knowledge.dumps.work import WorkFile

# Stages, and at which time that they are told of the process is killed: at their beginning, or amid a file.
STAGES = [
    ("reading pages", 1),
    ("reading pages", 3),
    ("sorting titles", 1),
    ("reading Wikidata", 2),
    ("reading page_props", 1),
    ("reading redirects", 1),
    ("choosing articles", 1),
    ("following redirects", 1),
    ("counting links", 1),
    ("ranking entities", 1),
]
ORDER = [*dict.fromkeys(stage for stage, _ in STAGES)]


def rows_of(files: DumpFiles, work_file: Path, told: list[str] | None = None) -> list[Row]:
    stages: list[str] = [] if told is None else told
    with gather(files, work_file, lambda stage, done, total: stages.append(stage)) as found:
        return list(found.rows())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are killed as POSIX does it")
def test_killed_in_every_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = dumps.write_dumps(tmp_path)
    whole = rows_of(files, tmp_path / "whole.sqlite")
    monkeypatch.setattr(source, "BLOCK", 256)
    monkeypatch.setattr(collect, "HELD_LINKS", 3)
    # One work file all the way: each child goes on where the one before it was killed.
    for stage, times in STAGES:
        child = os.fork()
        if child == 0:
            try:
                gather(files, tmp_path / "work.sqlite", killer(stage, times))
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, stage
    told: list[str] = []
    assert rows_of(files, tmp_path / "work.sqlite", told) == whole
    assert [*dict.fromkeys(told)] == ["ranking entities"]


def killer(stage: str, times: int) -> Callable[[str, int, int], None]:
    """Kills the process when it is told of the stage for the given time."""
    told = 0

    def show(name: str, done: int, total: int) -> None:
        nonlocal told
        told += name == stage
        if told == times:
            os.kill(os.getpid(), signal.SIGKILL)

    return show


def test_a_stage_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = dumps.write_dumps(tmp_path)
    whole = rows_of(files, tmp_path / "whole.sqlite")
    monkeypatch.setattr(collect, "HELD_LINKS", 1)
    monkeypatch.setattr(source, "BLOCK", 256)
    path = files.pages[0]
    data = path.read_bytes()
    path.write_bytes(data[:-30])
    with pytest.raises(InputError, match="cannot be unpacked"):
        rows_of(files, tmp_path / "work.sqlite")
    with sqlite3.connect(tmp_path / "work.sqlite") as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
    assert tables == ["stages"]
    path.write_bytes(data)
    assert rows_of(files, tmp_path / "work.sqlite") == whole


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    files = dumps.write_dumps(tmp_path)
    whole = rows_of(files, tmp_path / "work.sqlite")
    told: list[str] = []
    assert rows_of(files, tmp_path / "work.sqlite", told) == whole and told == []


def test_another_file_makes_its_stage_and_the_later_ones_anew(tmp_path: Path) -> None:
    files = dumps.write_dumps(tmp_path)
    rows_of(replace(files, redirects=None), tmp_path / "work.sqlite")
    told: list[str] = []
    whole = rows_of(files, tmp_path / "whole.sqlite")
    assert rows_of(files, tmp_path / "work.sqlite", told) == whole
    assert [*dict.fromkeys(told)] == ORDER[ORDER.index("reading redirects") :]
    # a changed pages dump is noticed by size and time; nothing of the old one may stay
    pages = dumps.xml(dumps.articles([(1, "A", "[[B]]"), (2, "B", "")]))
    files.pages[0].write_bytes(bz2.compress(pages))
    told.clear()
    assert {row.entity.title for row in rows_of(files, tmp_path / "work.sqlite", told)} == {"A", "B"}
    assert [*dict.fromkeys(told)] == ORDER


def test_a_kill_after_a_change_does_not_revive_old_stages(tmp_path: Path) -> None:
    files = dumps.write_dumps(tmp_path)
    rows_of(files, tmp_path / "work.sqlite")
    files.pages[0].write_bytes(bz2.compress(dumps.xml(dumps.articles([(1, "A", "[[B]]"), (2, "B", "")]))))

    class StoppedError(Exception):
        pass

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "sorting titles":
            raise StoppedError

    with pytest.raises(StoppedError):
        gather(files, tmp_path / "work.sqlite", stop)
    told: list[str] = []
    assert {row.entity.title for row in rows_of(files, tmp_path / "work.sqlite", told)} == {"A", "B"}
    assert [*dict.fromkeys(told)] == ORDER[1:]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    files = dumps.write_dumps(tmp_path)
    with gather(files, tmp_path / "work.sqlite") as first:
        with pytest.raises(KBError, match=r"work\.sqlite: another process works with this file"):
            gather(files, tmp_path / "work.sqlite")
        assert len(list(first)) == 5
    gather(files, tmp_path / "work.sqlite").discard()


def test_a_work_file_of_another_version_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = dumps.write_dumps(tmp_path)
    whole = rows_of(files, tmp_path / "work.sqlite")
    monkeypatch.setattr(work, "VERSION", work.VERSION + 1)
    told: list[str] = []
    assert rows_of(files, tmp_path / "work.sqlite", told) == whole
    assert [*dict.fromkeys(told)] == ORDER


def test_what_is_no_work_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "work.sqlite").write_bytes(b"something else" * 100)
    with pytest.raises(KBError, match=r"work\.sqlite: is damaged .*delete it"):
        WorkFile(tmp_path / "work.sqlite")
    (tmp_path / "folder").mkdir()
    with pytest.raises(KBError, match=r"folder: cannot be written .*"):
        WorkFile(tmp_path / "folder")


def test_a_full_disk_is_told_and_what_is_done_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = dumps.write_dumps(tmp_path)
    whole = rows_of(files, tmp_path / "whole.sqlite")
    opened = WorkFile._open

    def small(self: WorkFile) -> sqlite3.Connection:
        connection = opened(self)
        connection.execute("PRAGMA max_page_count=12")
        return connection

    with monkeypatch.context() as patched:
        patched.setattr(WorkFile, "_open", small)
        with pytest.raises(KBError, match=r"disk is full.*make room.*finished stages are kept"):
            rows_of(files, tmp_path / "work.sqlite")
    told: list[str] = []
    assert rows_of(files, tmp_path / "work.sqlite", told) == whole
    assert "reading pages" not in told and told
