"""What is measured for the model card: which development sets, under which policies, into which files.

Knows names and rules; measures nothing and reads no figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onegen_el.grammar import DEFAULT_POLICY

HALF = "odd"
SAMPLES = "sample"  # texts of our own, the only ones that are quoted


@dataclass(frozen=True, slots=True)
class Run:
    """A corpus under a marking policy: its documents of odd position, or the first `documents` of them."""

    corpus: str
    policy: str = DEFAULT_POLICY
    documents: int | None = None

    @property
    def file(self) -> str:
        """Name of the file of its figures."""
        return f"{self.corpus}.{self.policy}.json"


# The pages are long: thirty of them have more text than most of the other sets. `make calibrate` skips
# as many, and sets the thresholds of their policy on the next.
RUNS = (
    Run("aida-conll-dev"),
    Run("oke-2015-train"),
    Run("oke-2015-train", "roles"),
    Run("tweeki-gold"),
    Run("wiki-fair-v2-nontest"),
    Run("gum-wikified"),
    Run("meantime-en"),
    Run("wikipedia-pages-2014", documents=30),
    Run("wikipedia-pages-2014", "wikipedia", documents=30),
)
SAMPLE_FILE = Run(SAMPLES).file


def planned(policies: tuple[str, ...]) -> list[Run]:
    """The runs of a model that knows these policies beside its default."""
    return [run for run in RUNS if run.policy in (DEFAULT_POLICY, *policies)]


def sample_gold(root: Path) -> list[tuple[str, Path]]:
    """Our own annotated texts, by name."""
    return [(path.stem, path) for path in sorted((root / "corpora" / "sample").glob("*.jsonl"))]
