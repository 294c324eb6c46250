"""Makes one segment of all of a knowledge base; vectors are copied, not made again.

Knows how rows move from segments to one; what they mean is not known here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from onegen_el.knowledge.build import Built
from onegen_el.knowledge.disk import writing
from onegen_el.knowledge.embedding import Progress
from onegen_el.knowledge.entities import write_entities
from onegen_el.knowledge.kb import KnowledgeBase
from onegen_el.knowledge.lock import write_lock
from onegen_el.knowledge.making import Clock, storing_digest
from onegen_el.knowledge.manifest import PROJECTION, segment_folder
from onegen_el.knowledge.segment import Segment
from onegen_el.knowledge.store import IndexChoice, blocks, record_of, write_owners, write_vectors
from onegen_el.knowledge.work import change, settle
from onegen_el.resources import resolve


def compact_kb(
    folder: str | Path,
    *,
    index: IndexChoice = "auto",
    threads: int = 1,
    progress: Progress | None = None,
) -> Built:
    """Writes the entities that are left as one segment, in the order of their keys.

    Nothing is done where there is one segment already and nothing removed from it. `index` auto keeps a graph
    where there is one. What was removed leaves the disk; readers that have opened the version before keep it.
    Raises KBError for what the disk refuses, and where another process changes the folder.
    """
    folder = resolve(folder, "kb").absolute()
    clock = Clock(progress)
    kb = KnowledgeBase.open(folder)
    if len(kb.segments) == 1 and not kb.segments[0].record.removed_count:
        with writing(folder), write_lock(folder):
            settle(folder)
        return Built(kb.manifest, clock.seconds)
    with change(folder) as work:
        kb = KnowledgeBase.open(folder)
        says = kb.manifest
        if index == "auto" and says.index == "hnsw":
            index = "hnsw"
        inputs = storing_digest(kind="compact", version=says.version)
        storing = storing_digest(index=index)
        if done := work.published(inputs, storing):
            return Built(done, clock.seconds)
        clock.stage("read")
        write_entities(kb, work.incoming)
        work.begin(inputs, storing)
        owners = _owners(kb)
        # All vectors are there: what is made of them is kept for the next try.
        work.save(replace(work.noted, done=len(owners), width=says.dims))
        kind = write_vectors(
            work.segment,
            _codes(kb),
            (len(owners), says.dims),
            says.dtype,
            index,
            threads=threads,
            stage=clock.stage,
            progress=progress,
        )
        if len(owners) > len(kb):
            write_owners(work.segment, owners)
        if says.projection:
            shutil.copyfile(folder / says.projection, work.segment / PROJECTION)
        version = says.version + 1
        segment = record_of(
            work.segment, segment_folder(version), len(kb), len(owners), says.segments[0].scale, kind
        )
        manifest = work.publish(
            replace(
                says,
                segments=(segment,),
                projection=segment.path_of(PROJECTION) if says.projection else "",
                version=version,
            )
        )
        clock.stage("")
    return Built(manifest, clock.seconds)


def _codes(kb: KnowledgeBase) -> Iterator[np.ndarray]:
    """Stored vectors as they are: first the entities' own, then those of aliases.

    Where segments differ in scale the codes do too, which no cosine depends on.
    """
    for segment in kb.segments:
        for rows in blocks(segment.live_rows(), kb.manifest.dims):
            yield segment.index.vectors[rows]
    for segment in kb.segments:
        for rows in blocks(_alias_rows(segment), kb.manifest.dims):
            yield segment.index.vectors[rows]


def _owners(kb: KnowledgeBase) -> np.ndarray:
    """Whose each vector of `_codes` is, int32."""
    owners = [np.arange(len(kb))]
    offset = 0
    for segment in kb.segments:
        live = segment.live_rows()
        if segment.owners is not None:
            owners.append(offset + np.searchsorted(live, segment.owners[_alias_rows(segment)]))
        offset += len(live)
    return np.concatenate(owners).astype(np.int32)


def _alias_rows(segment: Segment) -> np.ndarray:
    """Rows of the vectors of aliases of entities that are not removed."""
    if segment.owners is None:
        return np.empty(0, np.int64)
    of_aliases = segment.owners[len(segment) :]
    kept = (
        np.ones(len(of_aliases), bool) if segment.removed is None else ~np.isin(of_aliases, segment.removed)
    )
    return len(segment) + np.flatnonzero(kept)
