"""Whose a corpus is and under which licence: the table `corpora.toml`, checked.

Knows facts about corpora; knows no figures.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from onegen_el.errors import InputError

TABLE = Path(__file__).with_name("corpora.toml")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is told of a corpus; `shares_texts` names another that has the same texts, "" if none does."""

    title: str
    kind: str
    source: str
    licence: str
    non_commercial: str
    shares_texts: str = ""


def read_facts(path: Path = TABLE) -> dict[str, Facts]:
    """Facts by name of corpus; raises InputError where the table cannot be read."""
    try:
        return {name: Facts(**row) for name, row in tomllib.loads(path.read_text("utf-8")).items()}
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: not a table of corpora ({error})") from error


def name_of(path: str) -> str:
    """Name of a corpus by the path of its file: `corpora/a-b.jsonl.gz` is `a-b`."""
    return Path(path).name.partition(".")[0]


def facts_of(facts: dict[str, Facts], name: str) -> Facts:
    """Raises InputError for a corpus that the table does not have: nothing is used without its licence."""
    if name not in facts:
        raise InputError(f"{name}: its source and licence are not in {TABLE}; add them there")
    return facts[name]
