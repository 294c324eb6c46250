"""Archives, unpacked so that nothing can land outside of the folder meant for them.

Knows .zip and .tar; only plain files come out, never links or devices.
"""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from onegen_el.errors import InputError

LARGEST = 4 << 30  # bytes of all members together; an archive of texts that unpacks to more is no corpus


def unpack(archive: Path, folder: Path) -> int:
    """Unpacks an archive into a folder that is new or replaced, and gives the number of files.

    The folder appears whole or not at all. Raises InputError for a member whose path leads out of it, that is
    a link or device, or that stands twice, for more than LARGEST bytes, and for a damaged archive.
    """
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    number = room = 0
    try:
        for name, size, stream in _members(archive):
            room += size
            if room > LARGEST:
                raise InputError(f"{archive}: unpacks to more than {LARGEST:,} bytes; it is not unpacked")
            path = partial.joinpath(*_parts(name, archive))
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as out:
                shutil.copyfileobj(stream, out)
            number += 1
        if not number:
            raise InputError(f"{archive}: has no files in it")
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError) as error:
        raise InputError(f"{archive}: is damaged ({error}); fetch it again") from error
    except FileExistsError as error:
        raise InputError(f"{archive}: two members have the name {error.filename}") from error
    except OSError as error:
        raise InputError(
            f"{archive}: cannot be unpacked into {folder} ({error.strerror or error})"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return number


def _members(archive: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Name, size and open stream of each file; folders are passed over."""
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as packed:
            for member in packed.infolist():
                kind = stat.S_IFMT(member.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise InputError(f"{archive}: {member.filename} is a link or device; it is not unpacked")
                if not member.is_dir():
                    # `orig_filename`: zipfile cuts what it calls `filename` at a null byte.
                    with packed.open(member) as stream:
                        yield member.orig_filename, member.file_size, stream
        return
    with tarfile.open(archive) as packed_tar:
        for info in packed_tar:
            if info.isdir():
                continue
            content = packed_tar.extractfile(info) if info.isfile() else None
            if content is None:
                raise InputError(f"{archive}: {info.name} is a link or device; it is not unpacked")
            with content:
                yield info.name, info.size, content


def _parts(name: str, archive: Path) -> tuple[str, ...]:
    """The folders and the name of a member; raises InputError where they lead elsewhere."""
    parts = PurePosixPath(name).parts
    wrong = name.startswith("/") or ".." in parts or not parts
    if wrong or any(character in name for character in "\\:\0"):
        raise InputError(f"{archive}: the member {name!r} leads out of the folder; it is not unpacked")
    return parts
