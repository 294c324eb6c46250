"""A knowledge base: the folder opened as one thing, entities and the search for them by vector.

Knows the folder's parts and that they must fit one another and the model; knows no model itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onegen_el.document import Entity
from onegen_el.errors import KBError
from onegen_el.knowledge.entities import EntityTable
from onegen_el.knowledge.manifest import ENTITIES, REBUILD, KBManifest
from onegen_el.knowledge.vectors import Hits, VectorIndex
from onegen_el.resources import resolve


class KnowledgeBase:
    """Entities with their vectors; key i is row i of both. Files are mapped, not read, when it opens.

    May be pickled and used after a fork: what is handed on is the path, the files are mapped anew.
    """

    def __init__(self, path: Path, manifest: KBManifest, table: EntityTable, index: VectorIndex) -> None:
        self.path = path
        self.manifest = manifest
        self.table = table
        self.index = index

    @classmethod
    def open(cls, path: str | Path | None = None, *, verify: bool = False) -> KnowledgeBase:
        """Opens a folder or hub id, None is the bundled knowledge base.

        Sizes of all files are always checked, their checksums only with `verify` (reads everything).
        Raises KBError where anything is missing, damaged or does not fit.
        """
        folder = resolve(path, "kb")
        manifest = KBManifest.read(folder)
        manifest.check_files(folder, checksums=verify)
        table = EntityTable.open(folder / ENTITIES)
        if len(table) != manifest.count:
            raise KBError(
                f"{folder / ENTITIES}: holds {len(table):,} entities, the manifest says {manifest.count:,}; "
                f"{REBUILD}"
            )
        return cls(folder, manifest, table, VectorIndex.open(folder, manifest))

    @property
    def fingerprint(self) -> str:
        """Of the model whose vectors these are."""
        return self.manifest.fingerprint

    @property
    def vectors(self) -> np.ndarray:
        """int8 or float16 `[count, dims]`, mapped read-only; unit vectors times `manifest.scale`."""
        return self.index.vectors

    def __len__(self) -> int:
        return self.manifest.count

    def __repr__(self) -> str:
        says = self.manifest
        return (
            f"KnowledgeBase({says.count:,} entities, {says.dims} x {says.dtype}, {says.index} search, "
            f"vectors of {says.model_name}, {self.path})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return KnowledgeBase.open, (self.path.absolute(),)

    def check_model(self, fingerprint: str, model_name: str) -> None:
        """Raises KBError unless the vectors were made by this very model."""
        if fingerprint != self.fingerprint:
            raise KBError(
                f"{self.path}: the KB index was built with model {self.manifest.model_name} "
                f"({self.fingerprint[:12]}), this is model {model_name} ({fingerprint[:12]}); run "
                f"`onegen-el kb build ENTITIES -o DIR --model {model_name}`, or give a --model and a --kb "
                "that belong together"
            )

    def search(self, queries: np.ndarray, k: int) -> Hits:
        """The k nearest entities of each of `queries` float `[n, dims]`; see VectorIndex.search."""
        return self.index.search(queries, k)

    def entities(self, keys: Sequence[int]) -> list[Entity]:
        """Entities of `keys` in that order; raises IndexError for an unknown key."""
        return self.table.many(keys)

    def get(self, entity_id: str) -> Entity | None:
        """The entity with this id, None if there is none."""
        return self.table.get(entity_id)

    def by_title(self, title: str) -> Entity | None:
        """The entity whose Wikipedia title this is, else the one of highest prior with this title."""
        return self.table.by_title(title)
