"""What the disk, the system or another process refuses: each has its error, and nothing is lost by it."""

import errno
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kbs import ENTITIES, NEW, add, compact, contents, encode, found_by_own_text, make, remove

from onegen_el.errors import KBError
from onegen_el.knowledge import KnowledgeBase, embedding, entities, lock, store
from onegen_el.knowledge.lock import LOCK, write_lock

HOST = socket.gethostname()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path / "kb")
    return tmp_path / "kb"


def ended_process() -> int:
    """Number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def owned(folder: Path, pid: int, host: str = HOST) -> None:
    (folder / LOCK).write_text(json.dumps({"pid": pid, "host": host}))


# --- one writer ---


@pytest.mark.parametrize("change", [add, compact, make, lambda folder: remove(folder, "Q1")])
def test_a_second_writer_is_told_who_the_first_is(folder: Path, change: Any) -> None:
    remove(folder, "Q9")
    before = contents(folder)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        owned(folder, other.pid)
        with pytest.raises(KBError, match=rf"being changed by process {other.pid} on .* delete .*\.lock"):
            change(folder)
        assert KnowledgeBase.open(folder).get("Q1") == ENTITIES[0]  # readers do not care
    finally:
        other.communicate(b"\n")
    # It has ended without giving the lock back.
    change(folder)
    assert not list(folder.glob(".*"))
    assert contents(folder) != before


def test_two_threads_of_one_process_are_two_writers(folder: Path) -> None:
    with write_lock(folder), pytest.raises(KBError, match=f"being changed by process {os.getpid()} on"):
        remove(folder, "Q1")
    remove(folder, "Q1")


def test_a_lock_of_another_computer_is_left_alone(folder: Path) -> None:
    owned(folder, ended_process(), "elsewhere")
    with pytest.raises(KBError, match="on elsewhere"):
        remove(folder, "Q1")


def test_a_lock_from_before_a_restart_with_our_own_number(folder: Path) -> None:
    owned(folder, os.getpid())
    remove(folder, "Q1")
    assert not (folder / LOCK).exists()


def test_a_lock_without_an_owner_is_taken_over_when_it_is_old(folder: Path) -> None:
    (folder / LOCK).touch()
    with pytest.raises(KBError, match="being changed by another process"):
        remove(folder, "Q1")
    long_ago = time.time() - 60
    os.utime(folder / LOCK, (long_ago, long_ago))
    remove(folder, "Q1")


def test_what_was_left_while_a_lock_was_taken_over_goes_with_the_next_writer(folder: Path) -> None:
    owned(folder, dead := ended_process())
    (folder / LOCK).rename(folder / f"{LOCK}-{dead}")
    owned(folder, os.getppid())
    alive = (folder / LOCK).rename(folder / f"{LOCK}-1")
    remove(folder, "Q1")
    assert list(folder.glob(".*")) == [alive]


def test_of_two_that_find_a_stale_lock_one_gets_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other moves away a lock that is new by then, and puts it back."""
    owned(folder, ended_process())
    is_stale, calls = lock._is_stale, []

    def late(path: Path, me: lock.Owner) -> bool:
        stale = is_stale(path, me)
        if not calls:
            calls.append(1)
            owned(folder, os.getppid())
        return stale

    monkeypatch.setattr(lock, "_is_stale", late)
    with pytest.raises(KBError, match=f"being changed by process {os.getppid()} on"):
        remove(folder, "Q1")
    assert json.loads((folder / LOCK).read_text())["pid"] == os.getppid()
    assert [path.name for path in folder.glob(".*")] == [LOCK]


# --- a full disk ---


def test_a_disk_that_is_full_while_embedding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "CHUNK", 50)
    make(tmp_path / "whole")
    left = [9]

    def full(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(KBError, match=r"the disk is full .*it goes on where it was"):
            make(tmp_path / "kb")
    asked: list[str] = []

    def noting(texts: Sequence[str]) -> np.ndarray:
        asked.extend(texts)
        return encode(texts)

    make(tmp_path / "kb", encode=noting)
    assert 0 < len(asked) < 200
    assert contents(tmp_path / "kb") == contents(tmp_path / "whole")


def test_a_disk_that_is_full_while_the_table_comes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(folder)
    with monkeypatch.context() as patch:
        patch.setattr(entities, "UNSAFE", "PRAGMA page_size=512; PRAGMA max_page_count=5;")
        with pytest.raises(KBError, match=r"the disk is full \(database or disk is full\)"):
            make(folder, entities=ENTITIES[::-1])
    assert contents(folder) == before


@pytest.mark.parametrize("index", ["exact", "hnsw"])
def test_a_disk_that_is_full_while_vectors_are_stored(
    folder: Path, monkeypatch: pytest.MonkeyPatch, index: str
) -> None:
    before = contents(folder)
    with monkeypatch.context() as patch:

        def full(*_: Any, **__: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patch.setattr(store, "write_array" if index == "exact" else "build_graph", full)
        with pytest.raises(KBError, match="the disk is full"):
            make(folder, entities=ENTITIES[:70], index=index)
    unfinished = contents(folder)
    assert unfinished.items() > before.items()
    assert len(KnowledgeBase.open(folder, verify=True)) == 200
    make(folder, entities=ENTITIES[:70], index=index, encode=lambda texts: 1 / 0)  # all were embedded
    kb = KnowledgeBase.open(folder, verify=True)
    assert len(kb) == 70 and found_by_own_text(kb)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_limit_of_the_system_on_what_is_written(folder: Path) -> None:
    """A true refusal in the middle of a file, not one that a test has put there."""
    import resource

    before = contents(folder)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (8000, resource.RLIM_INFINITY))
            add(folder, [NEW[0].__class__(f"n{number}", f"N {number}", "x" * 20) for number in range(400)])
        except KBError as error:
            code = 0 if "the same command again" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert {name: data for name, data in contents(folder).items() if name in before} == before
    add(folder)
    assert found_by_own_text(KnowledgeBase.open(folder, verify=True))


# --- what may not be written ---


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
@pytest.mark.parametrize("change", [add, make, lambda folder: remove(folder, "Q1")])
def test_a_folder_that_may_not_be_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, change: Any
) -> None:
    # Root may write anywhere, so the refusal is made.
    opened = os.open

    def refuse(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, flags, *more, **options)

    before = contents(folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(KBError, match=r"kb: may not be written .* make the folder writable, or copy"):
            change(folder)
        assert found_by_own_text(KnowledgeBase.open(folder, verify=True))
    assert contents(folder) == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(folder: Path) -> None:
    folder.chmod(0o555)
    try:
        with pytest.raises(KBError, match="may not be written"):
            remove(folder, "Q1")
    finally:
        folder.chmod(0o755)


def test_opening_writes_nothing(folder: Path) -> None:
    add(folder)
    before = contents(folder)
    kb = KnowledgeBase.open(folder, verify=True)
    assert found_by_own_text(kb)
    assert contents(folder) == before


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "kb").write_text("x")
    with pytest.raises(KBError, match="is a file; choose another folder"):
        make(tmp_path / "kb")
    with pytest.raises(KBError, match=r"cannot be written .*Not a directory"):
        make(tmp_path / "kb" / "inner")
