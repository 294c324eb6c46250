"""What a saved pipeline remembers of its model and knowledge base: names, fingerprint and checksums.

Knows the manifests of both folders; reads no weights. The data themselves stay where they are.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from onegen_el.errors import InputError, KBError, ModelError, OnegenError
from onegen_el.knowledge.manifest import FileRecord, KBManifest
from onegen_el.manifest import ModelManifest
from onegen_el.resources import Kind, resolve

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Reference:
    """Names as the pipeline's config gives them (None: bundled), the model's fingerprint, the KB's files."""

    model: str | None
    fingerprint: str
    kb: str | None
    files: dict[str, FileRecord]

    @classmethod
    def of(cls, model: str | None, kb: str | None, component: str) -> Reference:
        """Reads both manifests; raises ModelError or KBError where a folder cannot be found or read."""
        fingerprint = ModelManifest.read(locate(model, "model", component)).fingerprint
        return cls(model, fingerprint, kb, dict(KBManifest.read(locate(kb, "kb", component)).files))

    def check(self, model: str | None, kb: str | None, component: str) -> None:
        """Raises ModelError or KBError unless these are what the pipeline was saved with.

        Reads all files of the knowledge base for their checksums.
        """
        remedy = (
            f"put back what the pipeline was saved with, or load it with exclude=[{component!r}], add the "
            "component again and save"
        )
        folder = locate(model, "model", component, self.model)
        fingerprint = ModelManifest.read(folder).fingerprint
        if fingerprint != self.fingerprint:
            raise ModelError(
                f"{folder}: the model has changed since the spaCy pipeline was saved (fingerprint "
                f"{fingerprint[:12]} instead of {self.fingerprint[:12]}); {remedy}"
            )
        folder = locate(kb, "kb", component, self.kb)
        manifest = KBManifest.read(folder)
        if dict(manifest.files) != self.files:
            raise KBError(
                f"{folder}: the knowledge base has changed since the spaCy pipeline was saved (it was built "
                f"again or is another one); {remedy}"
            )
        manifest.check_files(folder, checksums=True)

    def to_bytes(self) -> bytes:
        return (json.dumps({"format": FORMAT, **asdict(self)}, indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Reference:
        """Inverse of `to_bytes`; raises InputError, which begins with `where`, for anything else."""
        try:
            row: dict[str, Any] = json.loads(data)
            if row.pop("format") != FORMAT:
                raise ValueError("another format, made by a newer onegen-el")
            return cls(**{**row, "files": {name: FileRecord(**file) for name, file in row["files"].items()}})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"{where}: is not what the onegen_el component saves ({error}); save the pipeline again"
            ) from error


def locate(name: str | None, kind: Kind, component: str, saved: str | None = None) -> Path:
    """The folder of a pipeline's model or knowledge base; its error says how to give another in spaCy."""
    try:
        return resolve(name, kind)
    except OnegenError as error:
        was = f" (saved as {saved})" if saved and saved != name else ""
        raise type(error)(
            f"the {kind} of the spaCy component {component!r}{was}: {error}. If it was moved: "
            f'spacy.load(PATH, config={{"components.{component}.{kind}": "FOLDER"}})'
        ) from error
