"""Builds a knowledge base folder from entities and a function that embeds texts; resumable, atomic.

Knows what makes a whole knowledge base; the steps to it are `making`'s. The vectors' maker is a plain
function, no model is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from onegen_el.document import Entity
from onegen_el.errors import KBError
from onegen_el.knowledge.embedding import Encoder, Maker, Progress
from onegen_el.knowledge.making import Clock, Settings, make_segment, receive, storing_digest
from onegen_el.knowledge.manifest import PROJECTION, KBManifest, VectorType
from onegen_el.knowledge.projection import write_projection
from onegen_el.knowledge.store import IndexChoice
from onegen_el.knowledge.texts import TEMPLATE
from onegen_el.knowledge.work import change, check_place, new_segment, version_of


@dataclass(frozen=True, slots=True)
class Built:
    """What a change made of the knowledge base, and the seconds of each stage (read, embed, store, graph)."""

    manifest: KBManifest
    seconds: dict[str, float] = field(default_factory=dict)


def build_kb(
    entities: Iterable[Entity],
    encode: Encoder | None,
    out: Path,
    *,
    fingerprint: str,
    model_name: str,
    template: str = TEMPLATE,
    dtype: VectorType = "int8",
    index: IndexChoice = "auto",
    dims: int = 0,
    alias_vectors: int = 0,
    source: str = "",
    date: str = "",
    threads: int = 1,
    vectors_of: Callable[[Sequence[Entity]], np.ndarray] | None = None,
    vectors_digest: str = "",
    projection: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Built:
    """Builds the folder `out`; the same inputs give the same bytes, but for a graph of several `threads`.

    `encode` turns texts into float `[n, width]` (of any length, they are normalised here); else `vectors_of`
    gives those of entities, where they are known already. `dims` shortens them by a projection that is
    learned of them, 0 leaves them as they are. Each entity gets vectors for up to `alias_vectors` aliases
    beside its own. What `vectors_of` gives may be shortened already, by `projection` `[width, dims]`.
    `vectors_digest` tells what decides the vectors beside model and entities (the type that `encode` computes
    in, the file that `vectors_of` reads): a build does not go on from those of another. `progress` gets the
    stage and the numbers done and in all (0 where that is not known).

    Where `out` is a knowledge base it stays the one that readers find until the new one is whole. A build
    that was killed goes on from its last chunk when it is called again with the same inputs. Raises KBError
    for entities or vectors that cannot be stored, for what the disk refuses, where another process changes
    `out`, and if `out` is something else than a knowledge base.
    """
    out = Path(out).absolute()
    check_place(out)
    make = maker(encode, vectors_of, alias_vectors)
    settings = Settings(template, dtype, index, dims, alias_vectors, threads)
    clock = Clock(progress)
    with change(out) as work:
        incoming = receive(entities, work, settings, fingerprint + vectors_digest, clock)
        storing = storing_digest(kind="build", source=source, date=date, **asdict(settings))
        if done := work.published(incoming.inputs, storing):
            return Built(done, clock.seconds)
        if incoming.count == 0:
            raise KBError("there are no entities to build a knowledge base from; check the source")
        work.begin(incoming.inputs, storing)
        version = version_of(out) + 1
        folder = new_segment(version)
        if projection is not None:
            write_projection(projection, work.segment / PROJECTION)
        segment, stored_dims = make_segment(work, incoming, make, settings, folder, clock)
        manifest = KBManifest(
            fingerprint=fingerprint,
            model_name=model_name,
            dims=stored_dims,
            dtype=dtype,
            template=template,
            segments=(segment,),
            source=source,
            date=date,
            alias_vectors=alias_vectors,
            projection=segment.path_of(PROJECTION) if dims or projection is not None else "",
            version=version,
        )
        work.publish(manifest)
        clock.stage("")
    return Built(manifest, clock.seconds)


def maker(
    encode: Encoder | None,
    vectors_of: Callable[[Sequence[Entity]], np.ndarray] | None,
    alias_vectors: int = 0,
) -> Maker:
    """One function for both ways vectors may be given."""
    if (encode is None) == (vectors_of is None):
        raise ValueError("give either encode or vectors_of")
    if vectors_of is not None and alias_vectors:
        raise ValueError("vectors that are given are those of entities; aliases need encode")

    def make(entities: Sequence[Entity], texts: Sequence[str]) -> np.ndarray:
        if vectors_of is not None:
            return vectors_of(entities)
        assert encode is not None
        return encode(texts)

    return make
