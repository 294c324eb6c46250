"""`make eval-dev`: the development sets of the model card measured, a file of figures each.

Knows which of them are measured already with this very model and knowledge base, so that a run that was
stopped goes on where it was; `onegen-el eval` measures.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from card.measured import outdated
from card.plan import HALF, SAMPLE_FILE, Run, planned, sample_gold

from onegen_el.cli.console import say_error
from onegen_el.errors import InputError, OnegenError
from onegen_el.evaluation.outcome import read_figures
from onegen_el.grammar import DEFAULT_POLICY
from onegen_el.knowledge.manifest import KBManifest
from onegen_el.manifest import ModelManifest
from onegen_el.resources import resolve

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = 3  # of each class of errors, from our own texts; sentences of other corpora are not kept


def commands(
    data: Path, policies: tuple[str, ...], sets: Sequence[str] = ()
) -> list[tuple[str, str, list[str]]]:
    """File name, policy and `eval` options of every run, or of those on the corpora `sets` alone."""
    runs = [run for run in planned(policies) if not sets or run.corpus in sets]
    found = [(run.file, run.policy, _options(data, run)) for run in runs]
    if sets:
        return found
    gold = [f"--gold={name}={path}" for name, path in sample_gold(ROOT)]
    return [(SAMPLE_FILE, DEFAULT_POLICY, [*gold, f"--examples={EXAMPLES}"]), *found]


def _options(data: Path, run: Run) -> list[str]:
    options = [f"--gold={data / 'corpora' / run.corpus}.jsonl.gz", f"--half={HALF}", "--examples=0"]
    options += [f"--documents={run.documents}"] if run.documents else []
    return options + ([f"--policy={run.policy}"] if run.policy != DEFAULT_POLICY else [])


def is_current(path: Path, model: ModelManifest, kb: KBManifest) -> bool:
    """Whether the file has figures of this model and knowledge base."""
    if not path.is_file():
        return False
    try:
        return not outdated(read_figures(path).conditions, model, kb)
    except InputError:
        return False


def measure(data: Path, out: Path, model: str | None, kb: str | None, sets: Sequence[str] = ()) -> int:
    """Measures what is not current, of `sets` if some are named; exit code of the first failure, else 0."""
    manifest = ModelManifest.read(resolve(model, "model"))
    entities = KBManifest.read(resolve(kb, "kb"))
    out.mkdir(parents=True, exist_ok=True)
    chosen = [*([f"--model={model}"] if model else []), *([f"--kb={kb}"] if kb else [])]
    for file, policy, options in commands(data, manifest.grammar.policies, sets):
        path = out / file
        if is_current(path, manifest, entities):
            print(f"{path}: is there")
            continue
        print(f"{path}: policy {policy}", flush=True)
        command = [sys.executable, "-m", "onegen_el", "eval", *options, *chosen, f"--json={path}"]
        if code := subprocess.run(command).returncode:
            return code
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with corpora/NAME.jsonl.gz")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the figures")
    parser.add_argument("--model", help="folder or hub id; default is the bundled one")
    parser.add_argument("--kb", help="folder or hub id; default is the bundled one")
    parser.add_argument(
        "--sets", nargs="*", default=[], help="only these corpora; default is all, and our own texts"
    )
    given = parser.parse_args(arguments)
    try:
        return measure(given.data, given.out, given.model or None, given.kb or None, given.sets)
    except OnegenError as error:
        say_error(str(error))
        return 2


if __name__ == "__main__":
    sys.exit(main())
