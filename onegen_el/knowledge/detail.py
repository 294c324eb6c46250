"""All that a knowledge base knows of one entity, its vector and the entities nearest to it among them.

Knows how an entity may be named by a user; knows nothing of how it is shown.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from onegen_el.document import TITLE_PREFIX, Entity
from onegen_el.errors import KBError
from onegen_el.gold.names import from_address, titled
from onegen_el.iris import known_iris
from onegen_el.knowledge.kb import KnowledgeBase
from onegen_el.knowledge.texts import entity_text


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An entity and the cosine of its nearest vector."""

    entity: Entity
    score: float


@dataclass(frozen=True, slots=True)
class EntityDetail:
    """An entity, its `key`, where it is stored, and what it is compared by.

    `text` is what was embedded; `vectors` are as many as it has, one and those of aliases; `norm` is the
    length of its own vector as stored, which is 1 but for rounding; `nearest` come best first.
    """

    entity: Entity
    key: int
    segment: str
    row: int
    text: str
    vectors: int
    norm: float
    iris: tuple[str, ...]
    nearest: tuple[Neighbour, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            **asdict(self.entity),
            "url": self.entity.url,
            "iris": list(self.iris),
            "key": self.key,
            "segment": self.segment,
            "row": self.row,
            "text": self.text,
            "vectors": self.vectors,
            "norm": round(self.norm, 6),
            "nearest": [
                {"id": near.entity.id, "title": near.entity.title, "score": round(near.score, 6)}
                for near in self.nearest
            ],
        }


def find_entity(kb: KnowledgeBase, name: str) -> Entity:
    """The entity of this id, address (Wikidata, English Wikipedia, DBpedia) or title; ids come first.

    Raises KBError where there is none.
    """
    identity = from_address(name) or name
    if identity.startswith(TITLE_PREFIX):
        identity = titled(identity.removeprefix(TITLE_PREFIX))
    entity = kb.get(identity) or kb.by_title(identity.removeprefix(TITLE_PREFIX))
    if entity is None:
        raise KBError(f"{kb.path}: has no entity {name!r}; look for it with `onegen-el kb search {name!r}`")
    return entity


def detail(kb: KnowledgeBase, name: str, near: int = 0) -> EntityDetail:
    """What there is to know of the entity `name` (see `find_entity`), with its `near` nearest neighbours."""
    entity = find_entity(kb, name)
    key = kb.keys([entity.id])[entity.id]
    number = bisect_right(kb.offsets, key) - 1
    segment, row = kb.segments[number], key - kb.offsets[number]
    stored = np.asarray(segment.index.vectors[row], np.float32)
    of_aliases = 0 if segment.owners is None else int((segment.owners[len(segment) :] == row).sum())
    return EntityDetail(
        entity=entity,
        key=key,
        segment=segment.record.folder,
        row=row,
        text=entity_text(entity, kb.manifest.template),
        vectors=1 + of_aliases,
        norm=float(np.linalg.norm(stored)) / segment.record.scale,
        iris=known_iris(entity),
        nearest=_nearest(kb, key, stored, near),
    )


def _nearest(kb: KnowledgeBase, key: int, vector: np.ndarray, near: int) -> tuple[Neighbour, ...]:
    if near < 1:
        return ()
    hits = kb.search_short(vector[None], near + 1)
    pairs = [
        (int(other), float(score))
        for other, score in zip(hits.keys[0], hits.scores[0], strict=True)
        if other >= 0 and other != key
    ][:near]
    entities = kb.entities([other for other, _ in pairs])
    return tuple(Neighbour(entity, score) for entity, (_, score) in zip(entities, pairs, strict=True))


def cosines(kb: KnowledgeBase, query: np.ndarray, keys: Sequence[int]) -> np.ndarray:
    """Cosines float32 `[keys]` of a shortened query `[dims]` and the entities' own vectors."""
    rows = []
    for key in keys:
        number = bisect_right(kb.offsets, key) - 1
        rows.append(kb.segments[number].index.vectors[key - kb.offsets[number]])
    vectors = np.asarray(rows, np.float32).reshape(len(rows), len(query))
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    scores: np.ndarray = vectors @ query / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scores
