"""Changes a knowledge base: entities added, replaced, removed; what is there is not written again.

Knows segments and which of their rows are removed. An addition is a further segment: it costs what it adds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

import numpy as np

from onegen_el.document import Entity
from onegen_el.errors import KBError
from onegen_el.knowledge.build import Built, maker
from onegen_el.knowledge.disk import sync, write_array, writing
from onegen_el.knowledge.embedding import Encoder, Progress
from onegen_el.knowledge.entities import EntityTable
from onegen_el.knowledge.kb import KnowledgeBase
from onegen_el.knowledge.lock import write_lock
from onegen_el.knowledge.making import Clock, Settings, make_segment, receive, storing_digest
from onegen_el.knowledge.manifest import FileRecord, KBManifest, SegmentRecord, removed_file, segment_folder
from onegen_el.knowledge.work import MANIFEST, change, settle
from onegen_el.resources import resolve

BATCH = 4096  # ids looked up together
NAMED = 5  # ids an error names


def add_entities(
    folder: str | Path,
    entities: Iterable[Entity],
    encode: Encoder | None,
    *,
    fingerprint: str,
    model_name: str,
    update: bool = False,
    vectors_of: Callable[[Sequence[Entity]], np.ndarray] | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Built:
    """Adds entities to the knowledge base `folder`; with `update` they take the place of those of their ids.

    They are embedded as the others were, in a segment of their own that is searched together with those that
    are there. Arguments and resuming as in `build_kb`. Raises KBError where an id is there already (with
    `update`: is not there), for another model, and for what `build_kb` raises it for.
    """
    folder = resolve(folder, "kb").absolute()
    make = maker(encode, vectors_of)
    clock = Clock(progress)
    with change(folder) as work:
        # Opened under the lock: no other writer can change it any more.
        kb = KnowledgeBase.open(folder)
        kb.check_model(fingerprint, model_name)
        says = kb.manifest
        settings = Settings(
            says.template,
            says.dtype,
            "auto",
            says.dims if says.projection else 0,
            says.alias_vectors,
            threads,
        )
        incoming = receive(entities, work, settings, fingerprint, clock)
        storing = storing_digest(kind="update" if update else "add", **asdict(settings))
        if done := work.published(incoming.inputs, storing):
            return Built(done, clock.seconds)
        if incoming.count == 0:
            raise KBError("there are no entities to add; check the source")
        replaced = _replaced(kb, EntityTable.open(work.incoming), update)
        work.begin(incoming.inputs, storing)
        version = says.version + 1
        segment, _ = make_segment(
            work,
            incoming,
            make,
            settings,
            segment_folder(version),
            clock,
            projection=kb.projection,
            scale=says.segments[0].scale,
        )
        segments = (*_without(kb, replaced, version), segment)
        manifest = work.publish(replace(says, segments=segments, version=version))
        clock.stage("")
    return Built(manifest, clock.seconds)


def remove_entities(folder: str | Path, ids: Iterable[str]) -> KBManifest:
    """Removes the entities of these ids: they are never found again. What they took on the disk stays until
    `compact_kb`.

    Raises KBError for an id that is not there, and where none would be left.
    """
    folder = resolve(folder, "kb").absolute()
    wanted = list(dict.fromkeys(ids))
    with writing(folder), write_lock(folder):
        kb = KnowledgeBase.open(folder)
        keys = kb.keys(wanted)
        if unknown := [name for name in wanted if name not in keys]:
            raise KBError(
                f"{folder}: has no {_named(unknown)}; nothing was removed, look ids up with "
                "`onegen-el kb search`"
            )
        if not wanted:
            return kb.manifest
        if len(keys) == len(kb):
            raise KBError(
                f"{folder}: nothing would be left; delete the folder, or build another knowledge base"
            )
        version = kb.manifest.version + 1
        segments = _without(kb, np.sort(np.fromiter(keys.values(), np.int64)), version)
        manifest = replace(kb.manifest, segments=tuple(segments), version=version)
        manifest.write(folder / MANIFEST)
        settle(folder)
    return manifest


def _replaced(kb: KnowledgeBase, incoming: EntityTable, update: bool) -> np.ndarray:
    """Sorted keys int64 of the entities that those of `incoming` replace; raises KBError for wrong ids."""
    keys: list[int] = []
    wrong: list[str] = []
    for ids in _batches(entity.id for entity in incoming):
        here = kb.keys(ids)
        keys += here.values()
        wrong += [name for name in ids if (name in here) != update]
    incoming.close()
    if wrong and update:
        raise KBError(f"{kb.path}: has no {_named(wrong)} to update; add what is new with `onegen-el kb add`")
    if wrong:
        raise KBError(
            f"{kb.path}: has {_named(wrong)} already; give what is to take its place to `onegen-el kb update`"
        )
    return np.sort(np.asarray(keys, np.int64))


def _without(kb: KnowledgeBase, keys: np.ndarray, version: int) -> list[SegmentRecord]:
    """Records of all segments with the entities of the sorted `keys` removed as well."""
    ends = np.searchsorted(keys, kb.offsets)
    records = []
    for number, segment in enumerate(kb.segments):
        rows = keys[ends[number] : ends[number + 1]] - kb.offsets[number]
        record = segment.record
        if len(rows):
            gone = rows if segment.removed is None else np.union1d(segment.removed, rows)
            name = removed_file(version)
            path = segment.folder / name
            # A name of this version: the version before does not speak of it.
            write_array(path, [gone], gone.shape, np.dtype(np.int64))
            sync(path)
            files = {other: file for other, file in record.files.items() if other != record.removed}
            record = replace(
                record, removed=name, removed_count=len(gone), files={**files, name: FileRecord.of(path)}
            )
        records.append(record)
    return records


def _batches(ids: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(ids, BATCH)):
        yield batch


def _named(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - NAMED:,} more" if len(ids) > NAMED else ""
    return f"entit{'y' if len(ids) == 1 else 'ies'} {', '.join(map(repr, ids[:NAMED]))}{more}"
