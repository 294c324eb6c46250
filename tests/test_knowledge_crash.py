"""Processes that are killed while they change a knowledge base: it is the one before or the one after.

Real processes, real SIGKILLs, and a crash at each single step of a change.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kbs import ENTITIES, NEW, add, compact, contents, encode, make, remove

from onegen_el.document import Entity
from onegen_el.errors import KBError
from onegen_el.knowledge import KnowledgeBase, embedding, graph, lock
from onegen_el.knowledge.lock import LOCK
from onegen_el.knowledge.work import NOTE, WORK

CHUNK = 20
ROUNDS, KILLS = 8, 4

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def build_slowly(out: Path, log: Path) -> None:
    """Builds with a model that takes its time, and notes how many texts it was given."""

    def slow(texts: Sequence[str]) -> np.ndarray:
        with log.open("a") as file:
            file.write(f"{len(texts)}\n")
        time.sleep(0.02)
        return encode(texts)

    make(out, encode=slow, index="hnsw", alias_vectors=1)


def started(act: Callable[[], Any]) -> int:
    """A child process that does `act`, then ends."""
    child = os.fork()
    if child == 0:
        try:
            act()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return child


def ended(child: int) -> int:
    """Its exit code; minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def is_done(folder: Path) -> bool:
    # Without the note nothing that is left of the work will be taken up: the next build would be another one.
    return (folder / "kb.json").is_file() and not (folder / WORK / NOTE).exists()


def test_builds_killed_at_any_moment_end_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast_disk: None
) -> None:
    monkeypatch.setattr(embedding, "CHUNK", CHUNK)
    monkeypatch.setattr(graph, "CHECKPOINT", 64)
    # Who was killed before a word was in its lock is gone: here nobody else may be about to write one.
    monkeypatch.setattr(lock, "UNWRITTEN_SECONDS", -1)
    began = time.monotonic()
    assert ended(started(lambda: build_slowly(tmp_path / "whole", tmp_path / "whole.log"))) == 0
    seconds = time.monotonic() - began
    expected = contents(tmp_path / "whole")
    chance = random.Random(7)
    kills = 0
    for number in range(ROUNDS):
        folder, log = tmp_path / f"kb-{number}", tmp_path / f"{number}.log"
        killed = 0
        while not is_done(folder):
            child = started(lambda: build_slowly(folder, log))  # noqa: B023
            if killed < KILLS:
                time.sleep(chance.uniform(0, seconds))
                os.kill(child, signal.SIGKILL)
            code = ended(child)
            assert code in (0, -signal.SIGKILL)
            killed += code != 0
            if (folder / "kb.json").is_file():
                assert list(KnowledgeBase.open(folder, verify=True)) == ENTITIES
        (folder / LOCK).unlink(missing_ok=True)
        shutil.rmtree(folder / WORK, ignore_errors=True)  # a kill may have come while it was deleted
        assert contents(folder) == expected
        embedded = sum(map(int, log.read_text().split()))
        assert embedded <= len(ENTITIES) + killed * CHUNK
        kills += killed
    assert kills >= ROUNDS // 2  # on a busy machine many a build ends before its kill


# --- a crash at each step ---

CRASHED = 9
STEPS = (
    (Path, "replace"),
    (Path, "rename"),
    (Path, "unlink"),
    (Path, "mkdir"),
    (Path, "rmdir"),
    (shutil, "rmtree"),
    (os, "fsync"),
)


@pytest.fixture
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed process has written is not lost: waiting for the disk would prove nothing here."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def crash_at(step: int, change: Callable[[], Any]) -> bool:
    """Makes the change in a child that ends as if killed before its `step`-th touch of the disk.

    False if it came to its end.
    """
    left = [step]

    def counted(act: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            if left[0] == 0:
                os._exit(CRASHED)
            left[0] -= 1
            return act(*args, **options)

        return run

    def act() -> None:
        for owner, name in STEPS:
            setattr(owner, name, counted(getattr(owner, name)))
        change()

    code = ended(started(act))
    assert code in (0, CRASHED)
    return code == CRASHED


CHANGES: dict[str, Callable[[Path], Any]] = {
    "add": add,
    "remove": lambda folder: remove(folder, "Q3", "Q5", "early"),
    "update": lambda folder: add(folder, [ENTITIES[2], Entity("early", "Later")], update=True),
    "compact": compact,
    "build": lambda folder: make(folder, entities=ENTITIES[:20], index="hnsw"),
}


@pytest.mark.usefixtures("fast_disk")
@pytest.mark.parametrize("name", CHANGES)
def test_a_crash_at_any_step_leaves_the_version_before_or_the_one_after(tmp_path: Path, name: str) -> None:
    change = CHANGES[name]
    before, after = tmp_path / "before", tmp_path / "after"
    make(before, entities=ENTITIES[:30])
    add(before, [Entity("early", "Early"), Entity("other", "Other")])
    remove(before, "Q7")
    shutil.copytree(before, after)
    change(after)
    old, new = (list(KnowledgeBase.open(folder)) for folder in (before, after))
    expected = contents(after)

    step = outcomes = 0
    crashed = True
    while crashed:
        folder = tmp_path / "kb"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(before, folder)
        crashed = crash_at(step, lambda: change(folder))  # noqa: B023
        kb = KnowledgeBase.open(folder, verify=True)
        assert list(kb) in (old, new)
        published = kb.manifest.version > 3
        outcomes |= 1 << published
        if not published or (folder / WORK / "job.json").exists():
            change(folder)  # the same command again
            assert contents(folder) == expected, step
        else:
            # Whatever was left is no part of it, and the next change clears it away.
            assert contents(folder).items() >= expected.items()
            remove(folder, "Q1")
            assert list(KnowledgeBase.open(folder, verify=True)) == [e for e in new if e.id != "Q1"]
            assert not list(folder.glob(".l*")) and {path.name for path in folder.glob("segment-*")} <= {
                segment.folder for segment in KnowledgeBase.open(folder).manifest.segments
            }
        step += 1
    assert outcomes == 3 and step > 5


@pytest.mark.usefixtures("fast_disk")
def test_a_crash_at_any_step_of_a_first_build(tmp_path: Path) -> None:
    make(tmp_path / "whole", entities=ENTITIES[:20], dims=4)
    expected = contents(tmp_path / "whole")
    step = 0
    folder = tmp_path / "kb"

    def build() -> None:
        make(folder, entities=ENTITIES[:20], dims=4)

    crashed = True
    while crashed:
        shutil.rmtree(folder, ignore_errors=True)
        crashed = crash_at(step, build)
        if (folder / "kb.json").exists():
            KnowledgeBase.open(folder, verify=True)
        else:
            with pytest.raises(KBError):
                KnowledgeBase.open(folder)
        if not is_done(folder):
            build()
        (folder / LOCK).unlink(missing_ok=True)
        assert contents(folder) == expected, step
        step += 1
    assert step > 10


# --- readers beside a writer ---

READER = """
import json, sys, time
from pathlib import Path
import kbs
from onegen_el.knowledge import KnowledgeBase, embedding, graph

folder, stop = Path(sys.argv[1]), Path(sys.argv[2])
first = KnowledgeBase.open(folder)
asked = kbs.encode([kbs.entity_text(entity) for entity in kbs.ENTITIES[:50]])
answer = first.search(asked, 3)
versions, loops = set(), 0
print("ready", flush=True)
while not stop.exists() or loops < 3:
    again = first.search(asked, 3)
    assert (again.keys == answer.keys).all() and (again.scores == answer.scores).all()
    assert first.entities(again.keys.ravel().tolist())
    kb = KnowledgeBase.open(folder)
    names = [entity.id for entity in kb]
    # Every version has either all of the newcomers or none, and an even number of the others.
    assert len(names) == len(kb) == len(set(names))
    assert sum(name.startswith("new") for name in names) in (0, 7), names
    assert sum(name.startswith("Q") for name in names) % 2 == 0, names
    hits = kb.search(asked, 1)
    assert [entity.id for entity in kb.entities(hits.keys[:, 0].tolist())][0] in names
    versions.add(kb.manifest.version)
    loops += 1
print(json.dumps([loops, len(versions)]))
"""


@pytest.mark.usefixtures("fast_disk")
@pytest.mark.parametrize("index", ["exact", "hnsw"])
def test_readers_keep_their_view_while_a_writer_works(tmp_path: Path, index: str) -> None:
    folder, stop = tmp_path / "kb", tmp_path / "stop"
    make(folder, index=index)
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(folder), str(stop)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert reader.stdout is not None and reader.stdout.readline() == "ready\n"
    for turn in range(6):
        add(folder)
        remove(folder, f"Q{2 * turn + 60}", f"Q{2 * turn + 61}")
        compact(folder)
        remove(folder, *[entity.id for entity in NEW])
        compact(folder)
    make(folder, entities=ENTITIES[:100], index=index)
    stop.touch()
    out, errors = reader.communicate(timeout=120)
    assert reader.returncode == 0, errors
    loops, versions = json.loads(out)
    assert loops >= 3 and versions >= 2
