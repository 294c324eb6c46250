"""Looks for what is wrong with a knowledge base: files, rows, vectors, and what its search misses.

Knows what must hold and the remedy where it does not; changes nothing and shows nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from onegen_el.errors import KBError
from onegen_el.knowledge.kb import KnowledgeBase
from onegen_el.knowledge.manifest import RECOVER, FileRecord, KBManifest
from onegen_el.knowledge.recall import Recall, perturbed, recall
from onegen_el.knowledge.rows import duplicates
from onegen_el.knowledge.segment import Segment
from onegen_el.knowledge.store import blocks
from onegen_el.resources import resolve

Progress = Callable[[str], None]

SAMPLE = 1000
LEAST_RECALL = 0.95  # of the first entity; a graph that finds less was made of other vectors or is damaged
NAMED = 3  # ids or rows that a finding names


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, and what mends it."""

    what: str
    remedy: str

    def to_dict(self) -> dict[str, str]:
        return {"what": self.what, "remedy": self.remedy}


@dataclass
class Report:
    """What was looked at, and what was found to be wrong.

    `recalls` compare the search with one that looks at all vectors: for the entities' own (`vectors`), and
    for real queries if there were any (`queries`); there are none where the vectors could not be read.
    """

    folder: Path
    files: int = 0
    entities: int = 0
    vectors: int = 0
    recalls: dict[str, Recall] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "files": self.files,
            "entities": self.entities,
            "vectors": self.vectors,
            "recalls": {name: recalled.to_dict() for name, recalled in self.recalls.items()},
            "findings": [finding.to_dict() for finding in self.findings],
        }


def verify_kb(
    folder: str | Path | None = None,
    queries: np.ndarray | None = None,
    sample: int = SAMPLE,
    progress: Progress | None = None,
) -> Report:
    """Looks at all of a knowledge base (None: the bundled one).

    Checked are the sizes and checksums of all files; that every entity has a vector, every vector an entity,
    and every removed row exists; that no two entities claim one id, item or page; that vectors are finite and
    not zero; and how much of what an exact search finds the index finds too: for `sample` entities' own
    vectors, perturbed, and for `queries` float `[n, the model's dims]`. `progress` gets what is looked at.
    Raises KBError where there is no knowledge base to look at, and for `queries` of other dimensions.
    """
    say = progress or (lambda what: None)
    path = resolve(folder, "kb")
    report = Report(path)
    say("files")
    manifest = KBManifest.read(path)
    report.files = len(manifest.files)
    report.findings += _files(path, manifest)
    try:
        kb = KnowledgeBase.open(path)
    except KBError as error:
        what, _, remedy = str(error).rpartition("; ")
        if not report.findings:
            report.findings.append(Finding(what, remedy))
        return report
    report.entities, report.vectors = len(kb), sum(len(segment.index) for segment in kb.segments)
    if queries is not None and (width := _width(kb)) != queries.shape[1]:
        raise KBError(f"the queries have {queries.shape[1]} dimensions, {path} is searched with {width}")
    say("entities")
    report.findings += chain.from_iterable(_rows(segment) for segment in kb.segments)
    report.findings += _claims(kb)
    say("vectors")
    damaged = list(chain.from_iterable(_vectors(segment) for segment in kb.segments))
    report.findings += damaged
    if not damaged:
        say("search")
        if sample:
            own = perturbed(kb, sample)
            report.recalls["vectors"] = recall(kb, own)
        if queries is not None and len(queries):
            report.recalls["queries"] = recall(kb, kb.shortened(queries))
        report.findings += _missed(report.recalls)
    return report


def _width(kb: KnowledgeBase) -> int:
    return kb.manifest.dims if kb.projection is None else len(kb.projection)


def _files(path: Path, manifest: KBManifest) -> Iterator[Finding]:
    for name, record in manifest.files.items():
        file = path / name
        if not file.is_file():
            yield Finding(f"{name}: is missing", RECOVER)
        elif (size := file.stat().st_size) != record.size:
            yield Finding(f"{name}: has {size:,} bytes instead of {record.size:,}", RECOVER)
        elif FileRecord.of(file) != record:
            yield Finding(f"{name}: its checksum is wrong, it was changed", RECOVER)


def _rows(segment: Segment) -> Iterator[Finding]:
    """Entities without a vector, vectors without an entity."""
    place = _place(segment)
    present = np.zeros(len(segment), bool)
    present[[key for key, *_ in segment.table.claims()]] = True
    if missing := np.flatnonzero(~present).tolist():
        yield Finding(f"{place}: {_named(missing, 'vector')} without an entity", RECOVER)
    if segment.owners is None:
        return
    owners = np.asarray(segment.owners)
    if wrong := np.flatnonzero((owners < 0) | (owners >= len(segment))).tolist():
        yield Finding(f"{place}: {_named(wrong, 'vector')} whose owner is no entity", RECOVER)
    elif (owners[: len(segment)] != np.arange(len(segment))).any():
        yield Finding(f"{place}: not every entity owns the vector of its row", RECOVER)


def _claims(kb: KnowledgeBase) -> Iterator[Finding]:
    """Entities that cannot all be right: of one id, one Wikidata item, one Wikipedia page."""
    for claim, groups in duplicates(kb).items():
        named = "; ".join(f"{what} ({' and '.join(ids)})" for what, ids in list(groups.items())[:NAMED])
        more = f" and {len(groups) - NAMED:,} more" if len(groups) > NAMED else ""
        yield Finding(
            f"{claim} that several entities claim: {named}{more}",
            f"keep one of each with `onegen-el kb remove {kb.path} ID`",
        )


def _vectors(segment: Segment) -> Iterator[Finding]:
    bad: dict[str, list[int]] = {"not finite": [], "zero": []}
    plain = np.asarray(segment.index.vectors)
    start = 0
    for part in blocks(plain, segment.index.dims):
        values = part.astype(np.float32)
        finite = np.isfinite(values).all(axis=1)
        bad["not finite"] += (start + np.flatnonzero(~finite)).tolist()
        bad["zero"] += (start + np.flatnonzero(finite & ~values.any(axis=1))).tolist()
        start += len(part)
    for kind, rows in bad.items():
        if rows:
            yield Finding(f"{_place(segment)}: {_named(rows, 'vector')} that is {kind}", RECOVER)


def _missed(recalls: dict[str, Recall]) -> Iterator[Finding]:
    for name, recalled in recalls.items():
        if recalled.at_1 < LEAST_RECALL:
            yield Finding(
                f"the index finds the nearest entity of {recalled.at_1:.3f} of the {name} only",
                "build it again, with --index exact if it goes on to miss so much",
            )


def _place(segment: Segment) -> str:
    return segment.record.folder or "first segment"


def _named(rows: Sequence[int], noun: str) -> str:
    more = ", ..." if len(rows) > NAMED else ""
    return (
        f"{len(rows):,} {noun}{'' if len(rows) == 1 else 's'} (row {', '.join(map(str, rows[:NAMED]))}{more})"
    )
