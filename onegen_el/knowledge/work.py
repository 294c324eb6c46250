"""An unfinished change of a knowledge base: the folder it is made in, and the note that says how far it is.

Knows how a change is taken up again, and how it takes the place of what was before in one step; knows nothing
of what is in the files.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from onegen_el.errors import KBError
from onegen_el.knowledge.disk import sync, write_whole, writing
from onegen_el.knowledge.lock import LOCK, write_lock
from onegen_el.knowledge.manifest import (
    ENTITIES,
    FILES,
    KBManifest,
    segment_folder,
)
from onegen_el.resources import MANIFESTS

WORK = ".building"  # inside the knowledge base's folder, so on the same disk
NOTE = "job.json"
MANIFEST = MANIFESTS["kb"]
# What may be deleted when no manifest speaks of it; whatever else lies in the folder is the user's.
OURS = re.compile("|".join(map(re.escape, FILES)) + r"|removed-\d+\.npy|kb\.json\.part")
SEGMENT = re.compile(r"segment-(\d+)")


@dataclass(frozen=True, slots=True)
class Note:
    """How far a change is.

    `inputs` and `storing` are digests of what decides the vectors and of what decides the files made of them;
    `done` vectors of `width` numbers are saved; `version` is what it is to become, 0 before all is ready.
    """

    inputs: str
    storing: str
    done: int = 0
    width: int = 0
    version: int = 0


class Work:
    """The folder of a change of the knowledge base `out`; see `change`."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.path = out / WORK
        self.incoming = self.path / "incoming.sqlite"  # entities, before it is known whether they are new
        self.segment = self.path / "segment"  # the files that will be the new segment
        self.note: Note | None = None
        with suppress(OSError, ValueError, TypeError):
            self.note = Note(**json.loads((self.path / NOTE).read_bytes()))

    @property
    def noted(self) -> Note:
        """The note of a change that has begun."""
        assert self.note is not None
        return self.note

    def published(self, inputs: str, storing: str) -> KBManifest | None:
        """The manifest of this very change if it was ready already, None if there is still something to do.

        A process that ended just before it was published has left all that is needed to do so now.
        """
        note, ready = self.note, self.path / MANIFEST
        if note is None or (note.inputs, note.storing) != (inputs, storing) or not note.version:
            return None
        if ready.is_file():
            return self._publish() if note.version == version_of(self.out) + 1 else None
        if note.version != version_of(self.out):
            return None
        tidy(self.out)
        return KBManifest.read(self.out)

    def begin(self, inputs: str, storing: str) -> None:
        """Takes up the change of these inputs where it was, or begins it; `incoming` becomes its entities."""
        if self.note is None or self.note.inputs != inputs:
            # The note goes first: without it nothing that is left here will be taken for anything.
            (self.path / NOTE).unlink(missing_ok=True)
            for path in self.path.iterdir():
                if path != self.incoming:
                    _delete(path)
            self.note = None
        tidy(self.out)
        (self.path / MANIFEST).unlink(missing_ok=True)
        if self.note is None or self.note.storing != storing:
            _delete(self.segment)
        self.segment.mkdir(exist_ok=True)
        self.incoming.replace(self.segment / ENTITIES)
        self.save(replace(self.note or Note(inputs, storing), storing=storing, version=0))

    def save(self, note: Note) -> None:
        """Writes the note; what it speaks of must be on the disk by then."""
        write_whole(self.path / NOTE, json.dumps(asdict(note)))
        self.note = note

    def publish(self, manifest: KBManifest) -> KBManifest:
        """Makes `manifest` the knowledge base's; the files of its last segment are those made here.

        At any moment the folder is, as seen by a reader, the version before or this one.
        """
        for path in self.segment.iterdir():
            if path.name in manifest.segments[-1].files:
                sync(path)
            else:
                _delete(path)
        sync(self.segment)
        manifest.write(self.path / MANIFEST)
        self.save(replace(self.noted, version=manifest.version))
        return self._publish()

    def _publish(self) -> KBManifest:
        # May be begun again after any of its steps.
        manifest = KBManifest.read(self.path)
        folder = manifest.segments[-1].folder
        if self.segment.is_dir():
            if folder:
                self.segment.rename(self.out / folder)
            else:
                for path in sorted(self.segment.iterdir()):
                    path.replace(self.out / path.name)
                self.segment.rmdir()
        sync(self.out)
        (self.path / MANIFEST).replace(self.out / MANIFEST)
        sync(self.out)
        tidy(self.out)
        return manifest


@contextmanager
def change(out: Path) -> Iterator[Work]:
    """The place to make a change of the knowledge base `out` in, for one writer at a time.

    What was made is kept for the next try if the block fails and vectors were saved, else deleted.
    Raises KBError where another process changes `out`, and for what the disk refuses.
    """
    new = not out.exists()
    try:
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)
            with write_lock(out):
                work = Work(out)
                work.path.mkdir(exist_ok=True)
                try:
                    yield work
                except BaseException:
                    if work.note is None or not work.note.done:
                        _delete(work.path)
                    raise
                _delete(work.path)
    finally:
        if new:
            with suppress(OSError):
                out.rmdir()  # refuses unless it is empty


def check_place(out: Path) -> None:
    """Raises KBError if `out` is something else than a knowledge base, an unfinished one, or nothing."""
    if not out.exists():
        return
    if not out.is_dir():
        raise KBError(f"{out}: is a file; choose another folder with -o")
    if (out / MANIFEST).is_file() or (out / WORK).is_dir():
        return
    if any(path.name != LOCK for path in out.iterdir()):
        raise KBError(f"{out}: exists and is not a knowledge base; choose another folder with -o")


def version_of(out: Path) -> int:
    """The version of the knowledge base `out`, 0 if there is none."""
    if not (out / MANIFEST).is_file():
        return 0
    try:
        return int(json.loads((out / MANIFEST).read_bytes()).get("version", 1))
    except (OSError, ValueError, AttributeError, TypeError):
        # Damaged, and about to be built again: no name of a segment may come twice.
        segments = (SEGMENT.fullmatch(path.name) for path in out.iterdir())
        return max((int(segment[1]) for segment in segments if segment), default=1)


def new_segment(version: int) -> str:
    """Folder of the segment that is all of a knowledge base of this version."""
    return segment_folder(version) if version > 1 else ""


def settle(out: Path) -> None:
    """Clears away what a change left that was cut off when it was published already, or had hardly begun.

    What an unfinished change has saved stays for its next try.
    """
    work = Work(out)
    published = not (work.path / MANIFEST).exists() and work.note and work.note.version == version_of(out)
    if work.note is None or published:
        _delete(work.path)
    tidy(out)


def tidy(out: Path) -> None:
    """Deletes files and segments of which the manifest of `out` does not speak (any more).

    Where the system does not delete files in use they stay until the next time.
    """
    try:
        manifest = KBManifest.read(out)
    except KBError:
        return  # there is none, or it cannot be told what belongs to it
    files = manifest.files
    folders = {segment.folder for segment in manifest.segments}
    for path in out.iterdir():
        if path.is_dir() and SEGMENT.fullmatch(path.name):
            if path.name not in folders:
                _delete(path)
                continue
            for inner in path.iterdir():
                if f"{path.name}/{inner.name}" not in files:
                    _delete(inner)
        elif OURS.fullmatch(path.name) and path.name not in files:
            _delete(path)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
