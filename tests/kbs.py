"""A knowledge base of two hundred made-up things, quick to build, and what tests look at in its folder.

Knows a stand-in for the model: a vector that depends on the text alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onegen_el.document import Entity
from onegen_el.knowledge import (
    KBManifest,
    KnowledgeBase,
    add_entities,
    build_kb,
    compact_kb,
    entity_text,
    remove_entities,
)

ENTITIES = [
    Entity(f"Q{number}", f"Thing {number}", "x" * (number * 7 % 23), prior=float(number), qid=f"Q{number}")
    for number in range(1, 201)
]
NEW = [Entity(f"new-{number}", f"Newcomer {number}", "of late") for number in range(7)]
DIMS = 16
MODEL = {"fingerprint": "f" * 64, "model_name": "tiny"}


def encode(texts: Sequence[str]) -> np.ndarray:
    """A vector that depends on the text alone, of no particular length."""
    seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) for text in texts]
    return np.stack([np.random.default_rng(seed).standard_normal(DIMS) * 3 for seed in seeds])


def make(out: Path, **changes: Any) -> KBManifest:
    options = {"encode": encode, **MODEL, **changes}
    return build_kb(options.pop("entities", ENTITIES), options.pop("encode"), out, **options).manifest


def add(folder: Path, entities: Sequence[Entity] = NEW, **changes: Any) -> KBManifest:
    options = {"encode": encode, **MODEL, **changes}
    return add_entities(folder, entities, options.pop("encode"), **options).manifest


def remove(folder: Path, *ids: str) -> KBManifest:
    return remove_entities(folder, ids)


def compact(folder: Path, **options: Any) -> KBManifest:
    return compact_kb(folder, **options).manifest


def contents(folder: Path) -> dict[str, bytes]:
    """All files below `folder`."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def found(kb: KnowledgeBase, text: str, k: int = 1) -> list[str]:
    """Ids of what is nearest to the vector of a text."""
    keys = kb.search(encode([text]), k).keys[0]
    return [entity.id for entity in kb.entities([key for key in keys.tolist() if key >= 0])]


def found_by_own_text(kb: KnowledgeBase) -> bool:
    """Whether every entity that is iterated is what its own text finds."""
    return all(found(kb, entity_text(entity, kb.manifest.template)) == [entity.id] for entity in kb)


def edit_manifest(folder: Path, /, **changes: Any) -> None:
    path = folder / "kb.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_segment(folder: Path, /, **changes: Any) -> None:
    """Changes what the manifest says of the first segment."""
    segments = json.loads((folder / "kb.json").read_text())["segments"]
    edit_manifest(folder, segments=[{**segments[0], **changes}, *segments[1:]])


def replace_file(folder: Path, name: str) -> None:
    """Writes down the size of a file that a test has put in place of the true one."""
    files = json.loads((folder / "kb.json").read_text())["segments"][0]["files"]
    files[name]["size"] = (folder / name).stat().st_size
    edit_segment(folder, files=files)
