"""Entities of a knowledge base that claim what only one can have: an id, a Wikidata item, a Wikipedia page.

Knows entity tables; a million rows are compared by hashes, and only those that look equal by name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from onegen_el.document import TITLE_PREFIX
from onegen_el.iris import QID
from onegen_el.knowledge.kb import KnowledgeBase

Claims = dict[str, str]  # what is claimed of each kind

IDS, ITEMS, PAGES = "ids", "Wikidata items", "Wikipedia pages"


def duplicates(kb: KnowledgeBase) -> dict[str, dict[str, list[str]]]:
    """For each kind of claim with conflicts: what is claimed, and the ids of the entities that claim it.

    An id that is a Wikidata item or a page (`Q42`, `enwiki:Title`) claims it too.
    """
    hashes: dict[str, list[int]] = defaultdict(list)
    for _, claims in _claims(kb):
        for kind, claim in claims.items():
            hashes[kind].append(hash(claim))
    doubtful = {kind: _repeated(np.array(values)) for kind, values in hashes.items()}
    found: dict[str, dict[str, list[str]]] = {}
    if any(doubtful.values()):
        for name, claims in _claims(kb):
            for kind, claim in claims.items():
                if hash(claim) in doubtful[kind]:
                    found.setdefault(kind, {}).setdefault(claim, []).append(name)
    for groups in found.values():
        # Different claims may have one hash.
        for claim in [claim for claim, names in groups.items() if len(names) == 1]:
            del groups[claim]
    return {kind: groups for kind, groups in found.items() if groups}


def _claims(kb: KnowledgeBase) -> Iterator[tuple[str, Claims]]:
    """Ids of all entities that are not removed, and what each claims."""
    for segment in kb.segments:
        for key, name, item, page in segment.table.claims():
            if segment.is_removed(key):
                continue
            if item is None and QID.fullmatch(name):
                item = name
            if page is None and name.startswith(TITLE_PREFIX):
                page = name.removeprefix(TITLE_PREFIX)
            claims = {IDS: name, ITEMS: item, PAGES: page}
            yield name, {kind: claim for kind, claim in claims.items() if claim}


def _repeated(hashes: np.ndarray) -> set[int]:
    values, counts = np.unique(hashes, return_counts=True)
    return set(values[counts > 1].tolist())
