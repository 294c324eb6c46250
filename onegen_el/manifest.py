"""What `onegen_el.json` says of a model folder: grammar, windows, calibration, fingerprint.

Knows the file and its versions; does not know the weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from onegen_el.errors import ModelError
from onegen_el.grammar import Grammar
from onegen_el.resources import MANIFESTS
from onegen_el.windows import WindowSettings

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Calibration:
    """Numbers chosen on development sets and stored with the model.

    `mark_bias` is added to the log-odds of a mark against copying; candidates whose score is below
    `min_score` are not linked; the score is cosine + `prior_weight` x the entity's prior. `coherence` is the
    weight with which mentions of like names in a document help one another (`onegen_el.coherence`).
    """

    mark_bias: float = 0.0
    min_score: float = 0.0
    prior_weight: float = 0.0
    coherence: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """What `onegen_el.json` says of a model folder; `dims` is the size of query and entity vectors.

    `policies` has the calibrations of marking policies beside the default, where they have their own.

    `entity_fingerprint` is that of the model that embeds the entities this model's queries were trained
    for; empty: itself. A knowledge base must have been built with that model, or with one of which
    `entities_kept` says that it goes on making that model's vectors. `base_fingerprint` is, of an
    adapter, the identity of the model below it; empty for a whole model.
    """

    name: str
    grammar: Grammar = field(default_factory=Grammar)
    windows: WindowSettings = field(default_factory=WindowSettings)
    calibration: Calibration = field(default_factory=Calibration)
    policies: Mapping[str, Calibration] = field(default_factory=dict)
    dims: int = 0
    projected: bool = False
    fingerprint: str = ""
    entity_fingerprint: str = ""
    entities_kept: bool = False
    base_fingerprint: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.grammar.positions == "sequential" and self.windows.head:
            raise ModelError(
                "windows.head needs grammar.positions='aligned': else the head would be copied twice"
            )

    @property
    def serves(self) -> str:
        """Fingerprint that a knowledge base must have to be searched with this model."""
        return self.entity_fingerprint or self.fingerprint

    @property
    def builds(self) -> bool:
        """Whether the model makes the entity vectors that its queries are for."""
        return not self.entity_fingerprint or self.entities_kept

    def calibration_of(self, policy: str | None) -> Calibration:
        """The calibration of a marking policy: its own, else the default's."""
        return self.policies.get(policy or "", self.calibration)

    def calibrated(self, policy: str | None, calibration: Calibration) -> ModelManifest:
        """The same manifest with another calibration of this policy; raises ModelError for an unknown one."""
        if self.grammar.tag_text(policy):
            return replace(self, policies={**self.policies, str(policy): calibration})
        return replace(self, calibration=calibration)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "grammar": self.grammar.to_dict()}

    @classmethod
    def read(cls, folder: Path) -> ModelManifest:
        """Raises ModelError where the file is damaged or of a newer format."""
        path = folder / MANIFESTS["model"]
        try:
            row = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{path}: cannot be read ({error})") from error
        if row.get("format", 0) > FORMAT:
            raise ModelError(
                f"{path}: format {row['format']} is newer than this onegen-el; upgrade onegen-el"
            )
        try:
            return cls(
                **{
                    **row,
                    "grammar": Grammar.from_dict(row["grammar"]),
                    "windows": WindowSettings(**row["windows"]),
                    "calibration": Calibration(**row["calibration"]),
                    "policies": {
                        name: Calibration(**numbers) for name, numbers in row.get("policies", {}).items()
                    },
                }
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{path}: not a onegen-el model manifest ({error!r})") from error


def write_manifest(folder: Path, manifest: ModelManifest) -> None:
    """Replaces the manifest of a model folder at once."""
    path = folder / MANIFESTS["model"]
    part = path.with_suffix(".part")
    part.write_text(json.dumps(manifest.to_dict(), indent=1, ensure_ascii=False) + "\n", "utf-8")
    part.replace(path)
