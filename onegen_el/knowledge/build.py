"""Builds a knowledge base folder from entities and a function that embeds texts; resumable, atomic.

Knows the order of the work and how to take it up again; the vectors' maker is a plain function, no model
is known here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from onegen_el.document import COARSE_TYPES, Entity
from onegen_el.errors import KBError
from onegen_el.knowledge.entities import EntityTable, write_entities
from onegen_el.knowledge.manifest import (
    ENTITIES,
    INDEX,
    LAYOUT,
    VECTORS,
    FileRecord,
    KBManifest,
    VectorType,
)
from onegen_el.knowledge.vectors import BLOCK_VALUES, INT8_MAX, build_graph, choose_index, quantise
from onegen_el.resources import MANIFESTS

TEMPLATE = "{title}: {description}"
CHUNK = 8192  # entities sorted by length together, and saved together
PARTIAL, PROGRESS = "partial.npy", "progress.json"  # only in the folder of an unfinished build

COARSE_WORDS = {"PER": "person", "ORG": "organization", "LOC": "place"}

Encoder = Callable[[Sequence[str]], np.ndarray]
Progress = Callable[[int, int], None]


def entity_text(entity: Entity, template: str = TEMPLATE) -> str:
    """The text whose vector stands for the entity, on one line.

    Without a description its finer types stand in for it, else a word for its coarse type; with nothing
    to say the text is the title alone. Raises KBError for a template with other fields than
    {title} and {description}.
    """
    finer = ", ".join(kind for kind in entity.types if kind not in COARSE_TYPES)
    description = entity.description.strip() or finer or COARSE_WORDS.get(entity.label, "")
    try:
        text = template.format(title=entity.title, description=description)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise KBError(
            f"template {template!r} cannot be filled in ({error!r}); it may use {{title}} and {{description}}"
        ) from error
    return " ".join((text if description else entity.title).split())


def build_kb(
    entities: Iterable[Entity],
    encode: Encoder,
    out: Path,
    *,
    fingerprint: str,
    model_name: str,
    template: str = TEMPLATE,
    dtype: VectorType = "int8",
    index: Literal["auto", "exact", "hnsw"] = "auto",
    source: str = "",
    batch_size: int = 256,
    progress: Progress | None = None,
) -> KBManifest:
    """Builds the folder `out` and returns its manifest; the same inputs give the same bytes.

    `encode` turns texts into float `[n, dims]` (of any length, they are normalised here); it is called
    with at most `batch_size` texts of about one length. `progress` gets the numbers of entities done
    and in all. The work is done in a hidden folder beside `out`, which takes the place of `out` at the end;
    a build that was killed goes on from there when it is called again with the same inputs.
    Raises KBError for entities or vectors that cannot be stored, and if `out` is something else than a KB.
    """
    out = Path(out).absolute()
    if out.exists() and not (out / MANIFESTS["kb"]).is_file() and not _is_empty_folder(out):
        raise KBError(f"{out}: exists and is not a knowledge base; choose another folder with -o")
    work = out.with_name(f".{out.name}.building")
    work.mkdir(parents=True, exist_ok=True)

    seen = _Digest()
    count = write_entities(seen.watch(entities), work / ENTITIES)
    if count == 0:
        raise KBError("there are no entities to build a knowledge base from; check the source")
    inputs = seen.of(fingerprint=fingerprint, template=template, batch_size=batch_size)
    partial = _embed(EntityTable.open(work / ENTITIES), encode, work, inputs, template, batch_size, progress)
    scale = _store(partial, dtype, work / VECTORS)
    kind = choose_index(index, count)
    if kind == "hnsw":
        build_graph(np.load(work / VECTORS, mmap_mode="r"), dtype, work / INDEX)

    manifest = KBManifest(
        fingerprint=fingerprint,
        model_name=model_name,
        count=count,
        dims=partial.shape[1],
        dtype=dtype,
        scale=scale,
        index=kind,
        template=template,
        source=source,
        files={name: FileRecord.of(work / name) for name in LAYOUT[kind]},
    )
    manifest.write(work)
    del partial
    _publish(work, out, {*LAYOUT[kind], MANIFESTS["kb"]})
    return manifest


class _Digest:
    """A running digest of the entities that pass through."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def watch(self, entities: Iterable[Entity]) -> Iterator[Entity]:
        for entity in entities:
            self._digest.update(json.dumps(asdict(entity)).encode())
            yield entity

    def of(self, **settings: Any) -> str:
        """The digest of all entities and of the settings that decide their vectors."""
        whole = self._digest.copy()
        whole.update(json.dumps(settings, sort_keys=True).encode())
        return whole.hexdigest()


def _embed(
    table: EntityTable,
    encode: Encoder,
    work: Path,
    inputs: str,
    template: str,
    batch_size: int,
    progress: Progress | None,
) -> np.ndarray:
    """Unit vectors float32 `[count, dims]` of all entities as a mapped file, chunk by chunk, resumed."""
    partial, done = _resume(work, inputs, len(table))
    entities = iter(table)
    next(islice(entities, done, done), None)
    if progress:
        progress(done, len(table))
    while chunk := list(islice(entities, CHUNK)):
        texts = [entity_text(entity, template) for entity in chunk]
        order = sorted(range(len(chunk)), key=lambda row: (len(texts[row]), row))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            vectors = _unit(encode([texts[row] for row in rows]), [chunk[row] for row in rows], partial)
            if partial is None:
                partial = np.lib.format.open_memmap(
                    work / PARTIAL, mode="w+", dtype=np.float32, shape=(len(table), vectors.shape[1])
                )
            partial[[done + row for row in rows]] = vectors
            if progress:
                progress(done + min(start + batch_size, len(order)), len(table))
        done += len(chunk)
        assert partial is not None
        partial.flush()
        _write_whole(work / PROGRESS, json.dumps({"inputs": inputs, "done": done}))
    assert partial is not None
    return partial


def _resume(work: Path, inputs: str, count: int) -> tuple[np.memmap[Any, Any] | None, int]:
    """The vectors an earlier build of the same inputs has left and their number, else None and 0."""
    try:
        state = json.loads((work / PROGRESS).read_bytes())
        partial = np.lib.format.open_memmap(work / PARTIAL, mode="r+")
        if state["inputs"] == inputs and len(partial) == count:
            return partial, state["done"]
    except (OSError, ValueError, KeyError):
        pass  # nothing was left, or it was cut off while it was written: begin anew
    # The note must go before the vectors it speaks of are overwritten.
    (work / PROGRESS).unlink(missing_ok=True)
    return None, 0


def _unit(raw: np.ndarray, entities: Sequence[Entity], partial: np.ndarray | None) -> np.ndarray:
    """Rows scaled to unit length; raises KBError naming the entity whose vector is no vector."""
    vectors = np.asarray(raw, dtype=np.float32)
    dims = vectors.shape[-1] if partial is None else partial.shape[1]
    if vectors.shape != (len(entities), dims):
        raise KBError(
            f"the model gave vectors {list(vectors.shape)} for {len(entities)} entities, "
            f"[{len(entities)}, {dims}] was expected; the model folder is damaged, fetch it again"
        )
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = np.flatnonzero(~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0))
    if len(bad):
        entity = entities[bad[0]]
        raise KBError(
            f"the model gave no finite vector for entity {entity.id!r} ({entity.title!r}); "
            "try --device cpu, or check the model with `onegen-el link`"
        )
    unit: np.ndarray = vectors / lengths
    return unit


def _store(unit: np.ndarray, dtype: VectorType, path: Path) -> float:
    """Writes `unit` float32 `[count, dims]` in its final type and returns the scale."""
    step = max(1, BLOCK_VALUES // unit.shape[1])
    parts = [slice(start, start + step) for start in range(0, len(unit), step)]
    # One scale for all rows: codes stay comparable, and the largest value of all just fits.
    scale = INT8_MAX / max(float(np.abs(unit[part]).max()) for part in parts) if dtype == "int8" else 1.0
    stored = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=unit.shape)
    for part in parts:
        stored[part] = quantise(unit[part], scale) if dtype == "int8" else unit[part]
    stored.flush()
    return scale


def _publish(work: Path, out: Path, names: set[str]) -> None:
    """The finished folder takes the place of `out`; nothing half-written is ever seen there."""
    for path in work.iterdir():
        if path.name not in names:
            path.unlink()
    for name in sorted(names):
        _sync(work / name)
    _sync(work)
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    work.rename(out)
    _sync(out.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_whole(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text, "utf-8")
    part.replace(path)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and next(path.iterdir(), None) is None
