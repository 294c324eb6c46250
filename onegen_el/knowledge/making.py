"""Makes a segment in the folder of a change: entities received, embedded, stored.

Knows the order of the steps and how long each took; whether the segment is all of a knowledge base or is
added to one is not known here.
"""

from __future__ import annotations

import hashlib
import json
import time
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from onegen_el.document import Entity
from onegen_el.knowledge.embedding import Maker, Progress, embed, unit_rows
from onegen_el.knowledge.entities import EntityTable, write_entities
from onegen_el.knowledge.manifest import ENTITIES, PROJECTION, SegmentRecord, VectorType
from onegen_el.knowledge.projection import learn_projection, shorten, write_projection
from onegen_el.knowledge.store import (
    IndexChoice,
    blocks,
    coded,
    fitting_scale,
    record_of,
    write_owners,
    write_vectors,
)
from onegen_el.knowledge.texts import embedded_aliases
from onegen_el.knowledge.work import Work

SHOWN_EVERY = 4096  # entities read between two calls of a progress


@dataclass(frozen=True, slots=True)
class Settings:
    """How a segment is made: the entities' texts, and the form their vectors are stored in.

    `dims` is what the vectors are to be shortened to, 0 as they are; `index` auto is chosen by their number;
    `threads` build the graph.
    """

    template: str
    dtype: VectorType = "int8"
    index: IndexChoice = "auto"
    dims: int = 0
    alias_vectors: int = 0
    threads: int = 1


class Clock:
    """Seconds of the stages, one after the other; says to `progress` when one begins."""

    def __init__(self, progress: Progress | None) -> None:
        self.seconds: dict[str, float] = {}
        self.progress = progress
        self._began, self._stage = 0.0, ""

    def stage(self, name: str) -> None:
        """Ends the stage before, if any, and begins `name`; "" begins none."""
        now = time.monotonic()
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._began
        self._began, self._stage = now, name
        if name and self.progress:
            self.progress(name, 0, 0)


@dataclass(frozen=True, slots=True)
class Incoming:
    """Entities in `Work.incoming`: how many, whose each vector will be (int32), the digest of both."""

    count: int
    owners: np.ndarray
    inputs: str


def receive(
    entities: Iterable[Entity], work: Work, settings: Settings, fingerprint: str, clock: Clock
) -> Incoming:
    """Writes entities to `work.incoming`; raises KBError where two share an id or one cannot be stored."""
    clock.stage("read")
    # What decides the vectors: another form to store them in does not make those that are saved useless.
    digest = hashlib.sha256(
        json.dumps([fingerprint, settings.template, settings.alias_vectors]).encode("utf-8")
    )
    aliases = array("i")

    def watched() -> Iterator[Entity]:
        for row, entity in enumerate(entities):
            digest.update(repr(entity).encode("utf-8", "surrogatepass"))
            if settings.alias_vectors:
                aliases.extend([row] * len(embedded_aliases(entity, settings.alias_vectors)))
            if clock.progress and row % SHOWN_EVERY == 0:
                clock.progress("read", row, 0)
            yield entity

    count = write_entities(watched(), work.incoming)
    owners = np.concatenate([np.arange(count, dtype=np.int32), np.asarray(aliases, dtype=np.int32)])
    return Incoming(count, owners, digest.hexdigest())


def make_segment(
    work: Work,
    incoming: Incoming,
    make: Maker,
    settings: Settings,
    folder: str,
    clock: Clock,
    projection: np.ndarray | None = None,
    scale: float = 0.0,
) -> tuple[SegmentRecord, int]:
    """Makes the files of `work.segment`; returns what the manifest will say of it in `folder`, and its dims.

    `projection` and `scale` are those of the knowledge base the segment will belong to: the one is learned
    where `settings.dims` asks for it, the other chosen, where they are not given.
    """
    clock.stage("embed")
    total = len(incoming.owners)
    table = EntityTable.open(work.segment / ENTITIES)
    unit = embed(
        table,
        total,
        make,
        work,
        template=settings.template,
        alias_vectors=settings.alias_vectors,
        dims=settings.dims,
        progress=clock.progress,
    )
    table.close()  # some systems do not rename a folder with open files in it
    clock.stage("store")
    if settings.dims and projection is None:
        projection = learn_projection(unit[: incoming.count], settings.dims)
        write_projection(projection, work.segment / PROJECTION)
    dims = unit.shape[1] if projection is None else projection.shape[1]

    def parts() -> Iterator[np.ndarray]:
        for part in blocks(unit, unit.shape[1]):
            yield part if projection is None else unit_rows(shorten(part, projection))

    scale = fitting_scale(parts(), scale) if settings.dtype == "int8" else 1.0
    kind = write_vectors(
        work.segment,
        coded(parts(), settings.dtype, scale),
        (total, dims),
        settings.dtype,
        settings.index,
        threads=settings.threads,
        stage=clock.stage,
        progress=clock.progress,
    )
    if total > incoming.count:
        write_owners(work.segment, incoming.owners)
    return record_of(work.segment, folder, incoming.count, total, scale, kind), dims


def storing_digest(**settings: Any) -> str:
    """Of what decides how saved vectors become files."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
