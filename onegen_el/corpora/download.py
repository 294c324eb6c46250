"""One file over HTTP: resumed after an interruption, checked, and under its name only when it is whole.

Knows HTTP (RFC 9110: Range, If-Range, ETag) and one file; does not know corpora. Until it is whole a file is
`NAME.part`, and `NAME.part.json` says of which version. The client is the standard library's: the one below
huggingface_hub has changed its name between versions.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onegen_el import __version__
from onegen_el.errors import InputError

Progress = Callable[[int, int | None], None]
BLOCK = 1 << 16
TRIES = 5
TIMEOUT = 30.0
LONGEST_WAIT = 60.0
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
WHICH = re.compile(r"bytes (?P<start>\d+)-\d+/(?P<total>\d+|\*)")
NETWORK = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


class WrongFileError(InputError):
    """What came is whole, but not the file that is wanted."""


class _PassingError(Exception):
    """Something that may pass; `wait` seconds were asked for by the server."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the file must be: bytes and SHA-256 in hex, where they are known."""

    size: int | None = None
    sha256: str = ""


ANYTHING = Wanted()


def download(
    url: str,
    target: Path,
    wanted: Wanted = ANYTHING,
    progress: Progress | None = None,
    backoff: float = 1.0,
) -> tuple[str, int]:
    """Fetches `url` (http or https) to `target` and gives its SHA-256 in hex and its size in bytes.

    What a former call left is gone on with if the server still has the same version. Faults that may pass
    (dropped connections, 5xx) are tried TRIES times, `backoff` seconds apart and doubled each time.
    `progress` is called with the bytes that are there and those there will be (None if not told).
    Raises InputError if the file cannot be had or written, and WrongFileError if it is another one.
    """
    if not url.startswith(("http://", "https://")):
        raise InputError(f"{url}: only http and https are fetched")
    part = target.with_name(target.name + ".part")
    note = target.with_name(target.name + ".part.json")
    show = progress or (lambda done, total: None)
    for attempt in range(TRIES):
        try:
            try:
                resumed = _transfer(url, part, note, wanted, show)
            except NETWORK as error:
                raise _PassingError(f"the connection failed ({_reason(error)})") from error
            return _finish(url, part, note, target, wanted, resumed)
        except _PassingError as again:
            if attempt == TRIES - 1:
                raise InputError(
                    f"{url}: {again}, {TRIES} times; what came is kept, run the command again to go on"
                ) from again
            time.sleep(min(LONGEST_WAIT, max(again.wait, backoff * 2**attempt)))
        except OSError as error:
            raise InputError(
                f"{target}: cannot be written ({error.strerror or error}); make room, or set ONEGEN_EL_CACHE "
                "to another folder"
            ) from error
    raise AssertionError("unreachable")


def _transfer(url: str, part: Path, note: Path, wanted: Wanted, show: Progress) -> bool:
    """Brings the part file to its end; True if it goes back to more than one answer."""
    offset, validator = _left(url, part, note)
    headers = {"User-Agent": f"onegen-el/{__version__}", "Accept-Encoding": "identity"}
    if offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            _refused(url, error, part, offset)
        return True
    with answer:
        if answer.status == 206:
            which = WHICH.fullmatch(answer.headers.get("Content-Range", "").strip())
            if not which or int(which["start"]) != offset:
                part.unlink(missing_ok=True)
                raise _PassingError("the server sent another part than was asked for")
            total = None if which["total"] == "*" else int(which["total"])
        else:
            offset = 0
            length = answer.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else None
        if wanted.size is not None and total is not None and total != wanted.size:
            part.unlink(missing_ok=True)
            raise WrongFileError(_other(url, f"it has {total:,} bytes, {wanted.size:,} were expected"))
        if not offset:
            part.unlink(missing_ok=True)
            note.write_text(json.dumps({"url": url, "validator": _validator(answer.headers)}), "utf-8")
        done = offset
        show(done, total)
        with part.open("ab") as stream:
            while block := _block(answer):
                stream.write(block)
                done += len(block)
                show(done, total)
            stream.flush()
            os.fsync(stream.fileno())
        if total is not None and done != total:
            raise _PassingError(f"the connection ended after {done:,} of {total:,} bytes")
    return offset > 0


def _block(answer: Any) -> bytes:
    """Some bytes of the body; a read that fails is of the network, never of the disk."""
    try:
        return bytes(answer.read1(BLOCK))
    except (OSError, http.client.HTTPException) as error:
        raise _PassingError(f"the connection broke ({_reason(error)})") from error


def _left(url: str, part: Path, note: Path) -> tuple[int, str]:
    """Bytes of a former call and the version they are of; 0 where it is not known to be of this address."""
    try:
        said = json.loads(note.read_text("utf-8"))
        if said["url"] == url and said["validator"]:
            return part.stat().st_size, str(said["validator"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, ""


def _validator(headers: Any) -> str:
    """What If-Range may name: a strong ETag, else the time of the last change."""
    tag = str(headers.get("ETag", ""))
    return tag if tag.startswith('"') else str(headers.get("Last-Modified", ""))


def _refused(url: str, error: urllib.error.HTTPError, part: Path, offset: int) -> None:
    """Returns where the part is the whole file already; raises _PassingError or InputError otherwise."""
    if error.code == 416 and offset:
        if error.headers.get("Content-Range", "").strip() == f"bytes */{offset}":
            return
        part.unlink(missing_ok=True)
        raise _PassingError("the server has no such part")
    why = f"the server answered {error.code} {error.reason}"
    if error.code in PASSING:
        wait = error.headers.get("Retry-After", "")
        raise _PassingError(why, float(wait) if wait.isdigit() else 0.0)
    raise InputError(f"{url}: {why}; get the file another way and name its folder with --from")


def _finish(url: str, part: Path, note: Path, target: Path, wanted: Wanted, resumed: bool) -> tuple[str, int]:
    with part.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        size = stream.tell()
    if fault := mismatch(wanted, sha256, size):
        part.unlink()
        note.unlink(missing_ok=True)
        if resumed:
            raise _PassingError(f"the joined parts are not the file ({fault})")
        raise WrongFileError(_other(url, fault))
    part.replace(target)
    note.unlink(missing_ok=True)
    return sha256, size


def mismatch(wanted: Wanted, sha256: str, size: int) -> str:
    """What is not as wanted, in words; empty if all is."""
    if wanted.size is not None and size != wanted.size:
        return f"it has {size:,} bytes, {wanted.size:,} were expected"
    if wanted.sha256 and sha256 != wanted.sha256:
        return f"its SHA-256 is {sha256}, {wanted.sha256} was expected"
    return ""


def _other(url: str, fault: str) -> str:
    return f"{url}: is not the file that is wanted, {fault}; nothing was kept"


def _reason(error: BaseException) -> str:
    return str(getattr(error, "reason", "") or error or type(error).__name__)
