"""What `kb.json` says of a knowledge base folder, and which files belong in one.

The one place that knows the file layout; knows nothing of what is inside the files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from onegen_el.errors import KBError
from onegen_el.knowledge.disk import write_whole
from onegen_el.resources import MANIFESTS

FORMAT = 2
ENTITIES, OWNERS, VECTORS, INDEX = "entities.sqlite", "owners.npy", "vectors.npy", "index.usearch"
PROJECTION = "projection.npy"
FILES = (ENTITIES, OWNERS, VECTORS, INDEX, PROJECTION)  # of a segment when it is made

IndexKind = Literal["exact", "hnsw"]
VectorType = Literal["int8", "float16"]
# A graph holds its vectors itself; format 1 kept a second copy beside it, which is still allowed.
NEEDED: Mapping[IndexKind, frozenset[str]] = {
    "exact": frozenset({ENTITIES, VECTORS}),
    "hnsw": frozenset({ENTITIES, INDEX}),
}
REBUILD = "build it again with `onegen-el kb build`"
RECOVER = f"copy the folder again or {REBUILD}"


def segment_folder(version: int) -> str:
    """Name of the subfolder of the segment that comes with this version; the first lives in the folder."""
    return f"segment-{version}"


def removed_file(version: int) -> str:
    """Name of the file of removed rows that a segment gets with this version."""
    return f"removed-{version}.npy"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size in bytes and SHA-256 (hexadecimal) of one file of the folder."""

    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileRecord:
        with path.open("rb") as file:
            return cls(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """One part of a knowledge base, written once; what changes later is only which rows are removed.

    `folder` is "" for the knowledge base's own, else a subfolder; `count` are the entities, `vectors` the
    rows of vectors (the first `count` are the entities' own, further ones those of aliases); an int8 vector
    is the unit vector times `scale`, rounded (1.0 for float16). `removed` is the file of the rows of
    entities that were removed, `removed_count` how many they are.
    """

    folder: str
    count: int
    vectors: int
    scale: float
    index: IndexKind
    files: Mapping[str, FileRecord]
    removed: str = ""
    removed_count: int = 0

    @property
    def live(self) -> int:
        """Entities that are not removed."""
        return self.count - self.removed_count

    def path_of(self, name: str) -> str:
        """Path of its file `name` in the knowledge base, with `/` between its parts."""
        return f"{self.folder}/{name}" if self.folder else name

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> SegmentRecord:
        """Raises TypeError, KeyError, AttributeError or ValueError for anything but a segment."""
        files = {name: FileRecord(**record) for name, record in row["files"].items()}
        segment = cls(**{**row, "files": files})
        if (
            segment.index not in get_args(IndexKind)
            or not set(files) >= NEEDED[segment.index]
            or not 0 < segment.count <= segment.vectors
            or not 0 <= segment.removed_count <= segment.count
            or bool(segment.removed) != bool(segment.removed_count)
            or bool(segment.removed) != (segment.removed in files)
            or (segment.vectors > segment.count and OWNERS not in files)
            or any(not _inside(name) for name in files)
            or (segment.folder and not _inside(segment.folder))
        ):
            raise ValueError(
                f"a segment {segment.folder!r} of {segment.count} entities and {segment.vectors} vectors "
                f"with index {segment.index!r} and files {sorted(files)}"
            )
        return segment


@dataclass(frozen=True, slots=True)
class KBManifest:
    """What `kb.json` says; a change of the knowledge base is a new manifest of the next `version`.

    `fingerprint` and `model_name` are the model's whose vectors these are; `source` and `date` say where and
    of when the entities come; `alias_vectors` is the most vectors an entity gets for aliases, beside its own;
    `projection` is the path of the matrix that shortens the model's vectors to `dims`, "" if none does.
    """

    fingerprint: str
    model_name: str
    dims: int
    dtype: VectorType
    template: str
    segments: tuple[SegmentRecord, ...]
    source: str = ""
    date: str = ""
    alias_vectors: int = 0
    projection: str = ""
    version: int = 1
    format: int = FORMAT

    @property
    def count(self) -> int:
        """Entities that can be found: those of all segments without the removed ones."""
        return sum(segment.live for segment in self.segments)

    @property
    def index(self) -> IndexKind:
        """`hnsw` if any segment has a graph."""
        return "hnsw" if any(segment.index == "hnsw" for segment in self.segments) else "exact"

    @property
    def files(self) -> dict[str, FileRecord]:
        """All files by their path in the folder, with `/` between its parts."""
        return {
            segment.path_of(name): record
            for segment in self.segments
            for name, record in segment.files.items()
        }

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def write(self, path: Path) -> None:
        """Replaces the file `path` at once."""
        write_whole(path, json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, folder: Path) -> KBManifest:
        """Raises KBError where `kb.json` is missing, damaged or of a newer format."""
        path = folder / MANIFESTS["kb"]
        try:
            row = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise KBError(f"{path}: cannot be read ({error}); {REBUILD}") from error
        if not isinstance(row, dict) or not isinstance(row.get("format"), int):
            raise KBError(f"{path}: is not a knowledge base manifest; {REBUILD}")
        if row["format"] > FORMAT:
            raise KBError(
                f"{path}: format {row['format']} is newer than this onegen-el, which reads up to {FORMAT}; "
                "`pip install --upgrade onegen-el`"
            )
        try:
            return cls.from_dict(row if row["format"] > 1 else _of_format_1(row))
        except (KeyError, TypeError, AttributeError) as error:
            raise KBError(f"{path}: is not a knowledge base manifest ({error!r}); {REBUILD}") from error
        except ValueError as error:
            raise KBError(f"{path}: does not describe a knowledge base ({error}); {REBUILD}") from error

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> KBManifest:
        """Raises TypeError, KeyError, AttributeError or ValueError for anything but a manifest."""
        segments = tuple(SegmentRecord.from_dict(segment) for segment in row["segments"])
        manifest = cls(**{**row, "segments": segments})
        if manifest.dtype not in get_args(VectorType):
            raise ValueError(f"dtype {manifest.dtype!r}")
        if not segments or manifest.count < 1:
            raise ValueError("no entities")
        if manifest.projection and manifest.projection not in manifest.files:
            raise ValueError(f"projection {manifest.projection!r} is none of its files")
        return manifest

    def check_files(self, folder: Path, *, checksums: bool = False) -> None:
        """Raises KBError naming the first file that is missing, has another size or, on request, another
        checksum than when it was written."""
        for segment in self.segments:
            if segment.folder and not (folder / segment.folder).is_dir():
                raise KBError(
                    f"{folder / segment.folder}: this segment of the knowledge base is missing; {RECOVER}"
                )
        for name, record in self.files.items():
            path = folder / name
            if not path.is_file():
                raise KBError(f"{path}: is missing from the knowledge base; {RECOVER}")
            size = path.stat().st_size
            if size != record.size:
                raise KBError(
                    f"{path}: has {size:,} bytes instead of {record.size:,}, it was cut off or changed; "
                    f"{RECOVER}"
                )
            if checksums and FileRecord.of(path) != record:
                raise KBError(f"{path}: its checksum is wrong, it was changed; {RECOVER}")


def _of_format_1(row: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest of format 1, which had one segment, as one of this format."""
    kept = ("fingerprint", "model_name", "dims", "dtype", "template", "source")
    segment = {
        "folder": "",
        "vectors": row["count"],
        **{name: row[name] for name in ("count", "scale", "index", "files")},
    }
    return {**{name: row[name] for name in kept}, "segments": [segment]}


def _inside(name: str) -> bool:
    """Whether `name` is a plain name, which cannot lead out of the folder."""
    return bool(name) and name not in (".", "..") and not any(mark in name for mark in "/\\:\0")
