"""Embeds the texts of entities chunk by chunk, so that a process that was killed loses one chunk at most.

Knows entities and their texts; the vectors' maker is a plain function, no model is known here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from onegen_el.document import Entity
from onegen_el.errors import KBError
from onegen_el.knowledge.entities import EntityTable
from onegen_el.knowledge.texts import alias_texts, entity_text
from onegen_el.knowledge.work import Work

CHUNK = 8192  # texts embedded together and saved together
FLOAT = 4  # bytes of a float32
SAVED = "vectors.f32"  # float32 rows one after the other, only in the folder of an unfinished change

Encoder = Callable[[Sequence[str]], np.ndarray]
Maker = Callable[[Sequence[Entity], Sequence[str]], np.ndarray]
Progress = Callable[[str, int, int], None]


def embed(
    table: EntityTable,
    total: int,
    make: Maker,
    work: Work,
    *,
    template: str,
    alias_vectors: int = 0,
    dims: int = 0,
    progress: Progress | None = None,
) -> np.ndarray:
    """Unit vectors float32 `[total, width]`, mapped: one of each entity, then those of aliases.

    `make` gives float `[n, width]` for n entities and their texts; `dims` is what the vectors will be
    shortened to, 0 if they will not. Raises KBError for what are no vectors, or are no longer than `dims`.
    """
    path = work.path / SAVED
    done, width = _saved(work)
    rows = _rows(table, template, alias_vectors, done)
    if progress:
        progress("embed", done, total)
    with path.open("r+b" if done else "wb") as file:
        file.truncate(done * width * FLOAT)  # what was written after the last note is made again
        file.seek(0, os.SEEK_END)
        while chunk := list(islice(rows, CHUNK)):
            entities = [entity for entity, _ in chunk]
            vectors = _checked(make(entities, [text for _, text in chunk]), entities, width)
            width = vectors.shape[1]
            if dims and dims >= width:
                raise KBError(f"the vectors have {width} dimensions, they cannot be shortened to {dims}")
            file.write(vectors.data)
            file.flush()
            os.fsync(file.fileno())
            done += len(chunk)
            work.save(replace(work.noted, done=done, width=width))
            if progress:
                progress("embed", done, total)
    return np.memmap(path, np.float32, "r", shape=(total, width))


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """float32 rows `[n, dims]` scaled to unit length; what has none stays no vector."""
    with np.errstate(divide="ignore", invalid="ignore"):
        unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _checked(raw: np.ndarray, entities: Sequence[Entity], width: int) -> np.ndarray:
    """Unit vectors; raises KBError naming the entity whose vector is no vector."""
    vectors = np.asarray(raw, dtype=np.float32)
    if vectors.ndim != 2 or len(vectors) != len(entities) or (width and vectors.shape[1] != width):
        raise KBError(
            f"the model gave vectors {list(vectors.shape)} for {len(entities)} entities, [{len(entities)}, "
            f"{width or vectors.shape[-1]}] was expected; the model folder is damaged, fetch it again"
        )
    unit = unit_rows(vectors)
    bad = np.flatnonzero(~np.isfinite(unit).all(axis=1))
    if len(bad):
        entity = entities[bad[0]]
        raise KBError(
            f"the model gave no finite vector for entity {entity.id!r} ({entity.title!r}); "
            "try --device cpu, or check the model with `onegen-el link`"
        )
    return unit


def _rows(table: EntityTable, template: str, alias_vectors: int, start: int) -> Iterator[tuple[Entity, str]]:
    """Entities and texts from row `start` on: each under its title, then each under its aliases."""
    for entity in table.since(start):
        yield entity, entity_text(entity, template)
    if alias_vectors:
        aliases = (
            (entity, text) for entity in table for text in alias_texts(entity, alias_vectors, template)
        )
        yield from islice(aliases, max(0, start - len(table)), None)


def _saved(work: Work) -> tuple[int, int]:
    """Vectors that an earlier try has left and their width."""
    done, width = work.noted.done, work.noted.width
    try:
        if (work.path / SAVED).stat().st_size >= done * width * FLOAT:
            return done, width
    except OSError:
        pass  # nothing was left
    work.save(replace(work.noted, done=0, width=0))
    return 0, 0
