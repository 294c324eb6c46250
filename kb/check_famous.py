"""Whether famous names came out whole: one row with item and title each.

Knows the files of a selection and the list of names, no rules.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

FAMOUS = Path(__file__).with_name("famous.tsv")


def read(selection: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Entities and links of a selection's folder."""
    columns = ["id", "title", "wikipedia_title", "qid"]
    entities = pd.read_parquet(selection / "entities.parquet", columns=columns)
    links = pd.read_csv(selection / "links.tsv.gz", sep="\t", quoting=3, keep_default_na=False, dtype=str)
    return entities, links


def broken(entities: pd.DataFrame, links: pd.DataFrame, famous: pd.DataFrame) -> dict[str, str]:
    """What is wrong with each famous title that is not one row with this title and this item."""
    wanted = {*famous["qid"], *("enwiki:" + famous["title"])}
    ids = links[links["name"].isin(wanted)].set_index("name")["id"]
    rows = entities[entities["id"].isin(ids)].set_index("id")
    problems = {}
    for title, qid in famous[["title", "qid"]].itertuples(index=False):
        by_title, by_item = ids.get(f"enwiki:{title}"), ids.get(qid)
        if by_title is None and by_item is None:
            problems[title] = f"neither the title nor {qid} is there"
        elif by_title is None:
            problems[title] = f"only {qid}, as {rows.loc[by_item, 'title']!r}"
        elif by_title != by_item:
            problems[title] = f"the title is {by_title}, {qid} is {by_item or 'nowhere'}"
    return problems


def main() -> None:
    """Command line: prints what is broken; the exit status is 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("selection", type=Path, help="folder of entities.parquet and links.tsv.gz")
    famous = pd.read_csv(FAMOUS, sep="\t", dtype=str)
    problems = broken(*read(parser.parse_args().selection), famous)
    for title, problem in problems.items():
        print(f"{title}: {problem}")
    print(f"{len(famous) - len(problems)} of {len(famous)} famous names are one row with item and title")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
