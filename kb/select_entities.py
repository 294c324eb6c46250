"""Chooses, merges and orders the entities of the bundled knowledge base from the fact files.

Knows the command line; the steps are in `selection`, the rules in kb/README.md. Never looks at an evaluation
set: what only such a set names goes to the tail with score 0.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from selection.choosing import select
from selection.measuring import measure_merge
from selection.rules import RULES
from selection.slices import slices
from selection.writing import coverage, write

COVERAGE_AT = (150_000, 200_000, 250_000)


def main() -> None:
    """Command line of the selection."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with kb/ and corpora/")
    parser.add_argument(
        "-o", "--out", type=Path, help="folder of entities.parquet, links.tsv.gz, report.json"
    )
    parser.add_argument("--count", type=int, help="keep only the first N entities")
    parser.add_argument(
        "--coverage", nargs="*", default=[], metavar="CORPUS", help="add coverage to the report"
    )
    parser.add_argument("--measure-merge", action="store_true", help="measure the merge instead, print JSON")
    parser.add_argument(
        "--slices", action="store_true", help="print what the first rows cover by kind instead"
    )
    options = parser.parse_args()
    if options.slices:
        print(slices(options.data, RULES).to_string())
        return
    if options.measure_merge:
        print(json.dumps(measure_merge(options.data, RULES), indent=2))
        return
    if options.out is None:
        parser.error("-o OUT is needed unless --measure-merge or --slices is given")
    entities, links, counts = select(options.data, RULES)
    report: dict[str, Any] = {"counts": counts, "coverage": {}, "rules": asdict(RULES)}
    for name in options.coverage:
        shares = coverage(entities, links, options.data / "corpora" / f"{name}.jsonl.gz", COVERAGE_AT)
        report["coverage"][name] = dict(zip(map(str, COVERAGE_AT), shares, strict=True))
    if options.count is not None:
        entities = entities.head(options.count)
        links = links[links["id"].isin(entities["id"])]
    write(options.out, entities, links, report)


if __name__ == "__main__":
    main()
