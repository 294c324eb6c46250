"""One writer at a time: a file in the folder that says which process changes it.

Knows processes; does not know what is being changed. Readers never ask for it.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from onegen_el.errors import KBError

LOCK = ".lock"
UNWRITTEN_SECONDS = 10.0  # a lock without an owner's name after so long was left by a crash

_held: set[Path] = set()  # by this process; its number alone may be that of an earlier one


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that holds a lock."""

    pid: int
    host: str

    @classmethod
    def read(cls, path: Path) -> Owner | None:
        """None for a lock whose owner is not written down (yet), and where there is none."""
        try:
            row = json.loads(path.read_bytes())
            return cls(int(row["pid"]), str(row["host"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None


@contextmanager
def write_lock(folder: Path) -> Iterator[None]:
    """Holds the lock of `folder` (which exists) until the block ends.

    The lock of a process of this computer that has ended is taken over. Raises KBError naming the process
    that holds it, and lets through the OSError of a folder that cannot be written.
    """
    path = folder.absolute() / LOCK
    me = Owner(os.getpid(), socket.gethostname())
    for _ in range(3):
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            break
        except FileExistsError:
            _take_over(path, me)
    else:
        raise _refusal(path, Owner.read(path))
    _held.add(path)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(json.dumps(asdict(me)))
        for left in path.parent.glob(f"{LOCK}-*"):  # by a process that was killed while it took a lock over
            if _is_stale(left, me):
                left.unlink(missing_ok=True)
        yield
    finally:
        _held.discard(path)
        path.unlink(missing_ok=True)


def _take_over(path: Path, me: Owner) -> None:
    """Removes a lock whose owner is gone; raises KBError if it is not known to be gone."""
    if not _is_stale(path, me):
        raise _refusal(path, Owner.read(path))
    # Of several that see the stale lock one moves it away; who finds a new one in its hands puts it back.
    aside = path.with_name(f"{LOCK}-{me.pid}")
    with suppress(FileNotFoundError):
        path.rename(aside)
        if _is_stale(aside, me):
            aside.unlink()
        else:
            aside.rename(path)


def _is_stale(path: Path, me: Owner) -> bool:
    owner = Owner.read(path)
    if owner is None:
        try:
            return time.time() - path.stat().st_mtime > UNWRITTEN_SECONDS
        except FileNotFoundError:
            return True  # given back meanwhile
    if owner.host != me.host:
        return False
    if owner.pid == me.pid:
        return path.parent / LOCK not in _held
    return not _is_alive(owner.pid)


def _is_alive(pid: int) -> bool:
    if os.name == "nt":
        return True  # signal 0 would not ask but end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _refusal(path: Path, owner: Owner | None) -> KBError:
    who = f"process {owner.pid} on {owner.host}" if owner else "another process"
    return KBError(
        f"{path.parent}: is being changed by {who}; wait until it is done, or delete {path} if you know that "
        "no such process runs any more"
    )
