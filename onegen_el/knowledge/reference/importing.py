"""A knowledge base of the reference's texts and vectors: which row is whose, and what is left out.

Knows the two files and how they fit; the steps of a build are `onegen_el.knowledge.build`'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from onegen_el.document import Entity
from onegen_el.errors import KBError
from onegen_el.gold.reference import entity_id
from onegen_el.knowledge.build import Built, build_kb
from onegen_el.knowledge.embedding import Progress, unit_rows
from onegen_el.knowledge.manifest import VectorType
from onegen_el.knowledge.projection import learn_projection
from onegen_el.knowledge.reference.embeddings import Embeddings
from onegen_el.knowledge.sources import read_entities
from onegen_el.knowledge.store import IndexChoice, blocks

SHORT = 256  # dimensions that vectors are shortened to unless others are asked for
SAMPLE = 20_000  # vectors of 4096 numbers that a projection is learned from: 330 MB
LEAST_COVERED = 0.5  # part of the entities that must have a vector: else the files are of different sets
NAMED = 3


@dataclass
class LeftOut:
    """What an import passed over, by kind: numbers, and the first ids of each."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, identity: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        named = self.first.setdefault(kind, [])
        if len(named) < NAMED:
            named.append(identity)

    def lines(self) -> list[str]:
        """One line of each kind, such as `entities without a vector: 3 (Q1, Q2, Q3)`."""
        return [
            f"{kind}: {count:,} ({', '.join(self.first[kind])}{', ...' if count > NAMED else ''})"
            for kind, count in self.counts.items()
        ]


def distinct(entities: Iterable[Entity], left_out: LeftOut) -> Iterator[Entity]:
    """The first entity of each id: rows of further sentences of one (`Q42-1`) are left out."""
    seen: set[str] = set()
    for entity in entities:
        if entity.id in seen:
            left_out.add("further rows of an entity", entity.id)
        else:
            seen.add(entity.id)
            yield entity


@dataclass(frozen=True, slots=True)
class Matched:
    """Rows of `embeddings` by the id of their entity, the first of each; all are vectors."""

    embeddings: Embeddings
    rows: dict[str, int]

    @classmethod
    def of(cls, embeddings: Embeddings, left_out: LeftOut, progress: Progress | None = None) -> Matched:
        """Reads all vectors once; those that are none (NaN, infinite, zero) are left out.

        Raises KBError where no vector is left.
        """
        usable = np.zeros(len(embeddings), bool)
        for part in blocks(np.arange(len(embeddings)), max(1, embeddings.dims)):
            vectors = embeddings.rows(slice(int(part[0]), int(part[-1]) + 1))
            usable[part] = np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)
            if progress:
                progress("check", int(part[-1]) + 1, len(embeddings))
        if not usable.any():
            raise KBError("the embedding file holds no finite vector; fetch it again")
        rows: dict[str, int] = {}
        for row, uid in enumerate(embeddings.uids):
            name = entity_id(uid)
            if not usable[row]:
                left_out.add("vectors that are not finite or zero", uid)
            elif name in rows:
                left_out.add("further vectors of an entity", uid)
            else:
                rows[name] = row
        return cls(embeddings, rows)

    def of_entities(self, entities: Sequence[Entity]) -> np.ndarray:
        """Unit vectors float32 `[n, dims]`."""
        return unit_rows(self.embeddings.rows(np.array([self.rows[entity.id] for entity in entities])))

    def sample(self, most: int = SAMPLE) -> np.ndarray:
        """Up to `most` of the unit vectors, evenly spread over the file."""
        rows = np.sort(np.fromiter(self.rows.values(), np.int64, len(self.rows)))
        chosen = rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(np.int64)]
        return np.concatenate(
            [unit_rows(self.embeddings.rows(part)) for part in blocks(chosen, self.embeddings.dims)]
        )

    def digest(self) -> str:
        """Of the uids and of a thousand of the vectors: another file has another."""
        digest = hashlib.sha256("\n".join(self.embeddings.uids).encode("utf-8", "surrogatepass"))
        digest.update(np.ascontiguousarray(self.sample(1000)).data)
        return digest.hexdigest()


def import_reference(
    texts: Path,
    out: Path,
    embeddings: Embeddings,
    *,
    fingerprint: str,
    model_name: str,
    model_dims: int,
    template: str,
    dims: int | None = None,
    dtype: VectorType = "int8",
    index: IndexChoice = "auto",
    source: str = "",
    threads: int = 1,
    progress: Progress | None = None,
) -> tuple[Built, LeftOut]:
    """Builds `out` of the reference's `db.jsonl` and its `embeddings`; see `build_kb` for what is the same.

    The vectors are those of the model with this `fingerprint`, whose queries have `model_dims` dimensions.
    They are shortened to `dims` by a projection that is learned of a sample of them (None: to SHORT if they
    are longer, 0: not at all). What has no counterpart in the other file, no finite vector or an id that came
    before is left out and counted. Raises KBError where the files hardly share an entity, or the model has
    other dimensions.
    """
    if embeddings.dims != model_dims:
        raise KBError(
            f"the embeddings have {embeddings.dims} dimensions, the vectors of model {model_name} have "
            f"{model_dims}; give the --model that made them"
        )
    left_out = LeftOut()
    matched = Matched.of(embeddings, left_out, progress)
    projection = None
    if dims is None:
        dims = SHORT if embeddings.dims > SHORT else 0
    if dims:
        if progress:
            progress("learn", 0, 0)
        projection = learn_projection(matched.sample(), dims)

    def vectors_of(entities: Sequence[Entity]) -> np.ndarray:
        unit = matched.of_entities(entities)
        return unit if projection is None else unit @ projection

    built = build_kb(
        _with_vectors(distinct(read_entities(texts), left_out), matched, left_out),
        None,
        out,
        fingerprint=fingerprint,
        model_name=model_name,
        template=template,
        dtype=dtype,
        index=index,
        source=source,
        threads=threads,
        vectors_of=vectors_of,
        vectors_digest=matched.digest(),
        projection=projection,
        progress=progress,
    )
    return built, left_out


def _with_vectors(entities: Iterable[Entity], matched: Matched, left_out: LeftOut) -> Iterator[Entity]:
    kept = missing = 0
    used: set[str] = set()
    for entity in entities:
        if entity.id in matched.rows:
            kept += 1
            used.add(entity.id)
            yield entity
        else:
            missing += 1
            left_out.add("entities without a vector", entity.id)
    if kept < LEAST_COVERED * (kept + missing):
        raise KBError(
            f"only {kept:,} of {kept + missing:,} entities have a vector, so the two files are not of one "
            "knowledge base; give the embedding file that was made of this db.jsonl"
        )
    for name in matched.rows:
        if name not in used:
            left_out.add("vectors without an entity", name)
