"""A knowledge base: the folder opened as one thing, entities and the search for them by vector.

Knows how segments make one whole, and that they must fit one another and the model; knows no model itself.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onegen_el.document import Entity
from onegen_el.errors import KBError
from onegen_el.knowledge.manifest import RECOVER, KBManifest
from onegen_el.knowledge.projection import read_projection, shorten
from onegen_el.knowledge.segment import Segment
from onegen_el.knowledge.vectors import Hits
from onegen_el.resources import resolve

OPENINGS = 3  # a folder that changes while it is opened is opened again, so often in all


class KnowledgeBase:
    """Entities with their vectors. Files are mapped, not read, when it opens.

    The key of an entity is its segment's offset plus its row there; removed entities keep theirs, but are
    never found. What is opened stays as it is, whatever a writer does to the folder meanwhile. It may be
    used from any thread and after a fork, and pickled: what is handed on then is the path, and the files are
    mapped anew, as they are by then.
    """

    def __init__(
        self,
        path: Path,
        manifest: KBManifest,
        segments: Sequence[Segment],
        projection: np.ndarray | None = None,
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.segments = tuple(segments)
        self.projection = projection
        ends = np.cumsum([len(segment) for segment in self.segments])
        self.offsets: list[int] = [0, *ends.tolist()]

    @classmethod
    def open(cls, path: str | Path | None = None, *, verify: bool = False) -> KnowledgeBase:
        """Opens a folder or hub id, None is the bundled knowledge base.

        Sizes of all files are always checked, their checksums only with `verify` (reads everything).
        Raises KBError where anything is missing, damaged or does not fit.
        """
        folder = resolve(path, "kb")
        manifest = KBManifest.read(folder)
        for _ in range(OPENINGS):
            try:
                return cls._open(folder, manifest, verify)
            except KBError:
                # A writer may have put new files in the place of those the manifest spoke of.
                before, manifest = manifest, KBManifest.read(folder)
                if manifest == before:
                    raise
        return cls._open(folder, manifest, verify)

    @classmethod
    def _open(cls, folder: Path, manifest: KBManifest, verify: bool) -> KnowledgeBase:
        try:
            manifest.check_files(folder, checksums=verify)
            segments = [
                Segment.open(folder, record, manifest.dims, manifest.dtype) for record in manifest.segments
            ]
            projection = None
            if manifest.projection:
                projection = read_projection(folder / manifest.projection, manifest.dims)
        except OSError as error:
            raise KBError(f"{folder}: cannot be opened ({error}); {RECOVER}") from error
        return cls(folder, manifest, segments, projection)

    @property
    def fingerprint(self) -> str:
        """Of the model whose vectors these are."""
        return self.manifest.fingerprint

    @property
    def vectors(self) -> np.ndarray:
        """int8 or float16 `[len(self), dims]`: the entities' own vectors in the order of the iteration.

        Only their directions mean something. Mapped where all are in one segment and none is removed, else
        copied together at each call.
        """
        own = [segment.own_vectors() for segment in self.segments]
        return own[0] if len(own) == 1 else np.concatenate(own)

    def __len__(self) -> int:
        return self.manifest.count

    def __iter__(self) -> Iterator[Entity]:
        """All entities that are not removed, in the order of their keys."""
        for segment in self.segments:
            for _, entity in segment.live():
                yield entity

    def __repr__(self) -> str:
        says = self.manifest
        parts = f" in {len(self.segments)} segments" if len(self.segments) > 1 else ""
        return (
            f"KnowledgeBase({says.count:,} entities{parts}, {says.dims} x {says.dtype}, {says.index} search, "
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

    def shortened(self, vectors: np.ndarray) -> np.ndarray:
        """The model's vectors `[n, width]` as this knowledge base compares them, `[n, dims]`."""
        return vectors if self.projection is None else shorten(vectors, self.projection)

    def search(self, queries: np.ndarray, k: int) -> Hits:
        """The k nearest entities of each of `queries` float `[n, the model's dims]`.

        Raises ValueError for another shape, for NaN or infinite values and for k < 1.
        """
        return self.search_short(self.shortened(queries), k)

    def search_short(self, queries: np.ndarray, k: int) -> Hits:
        """As `search`, for queries float `[n, dims]` that are shortened already."""
        found = [segment.search(queries, k) for segment in self.segments]
        if len(found) == 1:
            return found[0]
        keys = [
            np.where(hits.keys < 0, -1, hits.keys + offset)
            for hits, offset in zip(found, self.offsets, strict=False)
        ]
        return _merged(np.hstack(keys), np.hstack([hits.scores for hits in found]), k)

    def exact(self, device: str = "cpu") -> KnowledgeBase:
        """The same knowledge base whose searches look at all vectors, on `device`; see VectorIndex.exact."""
        segments = [segment.exact(device) for segment in self.segments]
        return KnowledgeBase(self.path, self.manifest, segments, self.projection)

    def entities(self, keys: Sequence[int]) -> list[Entity]:
        """Entities of `keys` in that order, removed ones too; raises IndexError for an unknown key."""
        rows: dict[int, list[int]] = {}
        for key in dict.fromkeys(int(key) for key in keys):
            if not 0 <= key < self.offsets[-1]:
                raise IndexError(f"no entity has key {key}; keys are 0 to {self.offsets[-1] - 1}")
            rows.setdefault(bisect_right(self.offsets, key) - 1, []).append(key)
        found: dict[int, Entity] = {}
        for number, mine in rows.items():
            offset = self.offsets[number]
            found |= zip(mine, self.segments[number].table.many([key - offset for key in mine]), strict=True)
        return [found[int(key)] for key in keys]

    def keys(self, ids: Iterable[str]) -> dict[str, int]:
        """Keys of those of `ids` that are here and not removed."""
        wanted = list(ids)
        return {
            name: row + offset
            for segment, offset in zip(self.segments, self.offsets, strict=False)
            for name, row in segment.rows(wanted).items()
        }

    def get(self, entity_id: str) -> Entity | None:
        """The entity with this id, None if there is none."""
        key = self.keys([entity_id]).get(entity_id)
        return None if key is None else self.entities([key])[0]

    def by_title(self, title: str) -> Entity | None:
        """The entity whose Wikipedia title this is, else the one of highest prior with this title."""
        found = [entity for segment in self.segments for _, entity in segment.titled(title)]
        # A stable order: of equals the one with the lowest key stays first.
        return min(found, key=lambda entity: (entity.wikipedia_title != title, -entity.prior), default=None)


def _merged(keys: np.ndarray, scores: np.ndarray, k: int) -> Hits:
    """The k best of each row of `keys` and `scores` `[n, any]`, equal scores by key."""
    order = np.lexsort((keys, -scores), axis=1)[:, :k]
    return Hits(np.take_along_axis(keys, order, axis=1), np.take_along_axis(scores, order, axis=1))
