"""Real queries: the vectors that the model makes of the mentions it marks in texts.

Knows the linker and gold files, of which the texts alone are used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def prepare(kb: Path, model: str | None, files: Sequence[Path], sample: int, cache: Path) -> Path:
    """Path of an .npy float32 `[at most sample, width of the model]`, made once."""
    from onegen_el.knowledge import KnowledgeBase

    fingerprint = KnowledgeBase.open(kb).fingerprint
    stamps = [(str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    name = hashlib.sha256(repr((fingerprint, stamps, sample)).encode()).hexdigest()[:16]
    path = cache / f"queries-{name}.npy"
    if not path.is_file():
        all_ = np.concatenate([_of_file(file, model, kb) for file in files])
        chosen = np.random.default_rng(0).permutation(len(all_))[:sample]
        part = path.with_suffix(".part.npy")
        np.save(part, all_[np.sort(chosen)])
        part.replace(path)
    return path


def _of_file(file: Path, model: str | None, kb: Path) -> np.ndarray:
    if file.suffix == ".npy":
        given: np.ndarray = np.load(file, allow_pickle=False).astype(np.float32)
        return given
    from onegen_el import load
    from onegen_el.gold import read_gold

    linker = load(model, kb, device="cpu")
    documents = ((document.id, document.text) for document in read_gold(file))
    return np.concatenate([marked.queries for marked in linker.mark(documents)])
