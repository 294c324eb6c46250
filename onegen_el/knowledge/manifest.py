"""What `kb.json` says of a knowledge base folder, and which files belong in one.

The one place that knows the file layout; knows nothing of what is inside the files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from onegen_el.errors import KBError
from onegen_el.resources import MANIFESTS

FORMAT = 1
ENTITIES, VECTORS, INDEX = "entities.sqlite", "vectors.npy", "index.usearch"

IndexKind = Literal["exact", "hnsw"]
VectorType = Literal["int8", "float16"]
LAYOUT: Mapping[IndexKind, tuple[str, ...]] = {
    "exact": (ENTITIES, VECTORS),
    "hnsw": (ENTITIES, VECTORS, INDEX),
}
REBUILD = "build it again with `onegen-el kb build`"
RECOVER = f"copy the folder again or {REBUILD}"


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
class KBManifest:
    """What `kb.json` says.

    `fingerprint` and `model_name` are the model's whose vectors these are; an int8 vector is the unit
    vector times `scale`, rounded (1.0 for float16); `source` says where and when the entities come from.
    """

    fingerprint: str
    model_name: str
    count: int
    dims: int
    dtype: VectorType
    scale: float
    index: IndexKind
    template: str
    source: str = ""
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def write(self, folder: Path) -> None:
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"
        (folder / MANIFESTS["kb"]).write_text(text, "utf-8")

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
            files = {name: FileRecord(**record) for name, record in row["files"].items()}
            manifest = cls(**{**row, "files": files})
        except (KeyError, TypeError, AttributeError) as error:
            raise KBError(f"{path}: is not a knowledge base manifest ({error!r}); {REBUILD}") from error
        if (
            manifest.index not in get_args(IndexKind)
            or manifest.dtype not in get_args(VectorType)
            or set(files) != set(LAYOUT[manifest.index])
        ):
            raise KBError(
                f"{path}: does not describe a knowledge base (index {manifest.index!r}, "
                f"dtype {manifest.dtype!r}, files {sorted(files)}); {REBUILD}"
            )
        return manifest

    def check_files(self, folder: Path, *, checksums: bool = False) -> None:
        """Raises KBError naming the first file that is missing, has another size or, on request, another
        checksum than when the knowledge base was built."""
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
