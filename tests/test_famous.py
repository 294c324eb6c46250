"""Famous names are one row each in the built table, where there is one; what is broken is named."""

from __future__ import annotations

import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

from selection_world import KB  # noqa: E402, I001
from check_famous import FAMOUS, broken, read  # noqa: E402

BUILT = KB / "build"
# No source of the facts gives the items of these.
WITHOUT_ITEM = {"European Central Bank", "Guido van Rossum"}


def test_what_is_broken_is_named() -> None:
    entities = pd.DataFrame(
        [
            ("Q1", "Whole", "Whole", "Q1"),
            ("Q2", "Halved", None, "Q2"),
            ("enwiki:Halved", "Halved", "Halved", None),
            ("Q3", "Unnamed", None, "Q3"),
            ("enwiki:Untold", "Untold", "Untold", None),
        ],
        columns=["id", "title", "wikipedia_title", "qid"],
    )
    names = ["Q1", "enwiki:Whole", "Q2", "enwiki:Halved", "Q3", "enwiki:Untold"]
    ids = ["Q1", "Q1", "Q2", "enwiki:Halved", "Q3", "enwiki:Untold"]
    links = pd.DataFrame({"name": names, "id": ids})
    famous = pd.DataFrame(
        [("Whole", "Q1"), ("Halved", "Q2"), ("Unnamed", "Q3"), ("Untold", "Q4"), ("Absent", "Q5")],
        columns=["title", "qid"],
    )
    assert broken(entities, links, famous) == {
        "Halved": "the title is enwiki:Halved, Q2 is Q2",
        "Unnamed": "only Q3, as 'Unnamed'",
        "Untold": "the title is enwiki:Untold, Q4 is nowhere",
        "Absent": "neither the title nor Q5 is there",
    }


@pytest.mark.skipif(not (BUILT / "entities.parquet").is_file(), reason="make kb/build/entities.parquet first")
def test_famous_names_of_the_built_table_are_whole() -> None:
    entities, links = read(BUILT)
    famous = pd.read_csv(FAMOUS, sep="\t", dtype=str)
    assert len(famous) >= 150
    assert set(broken(entities, links, famous)) <= WITHOUT_ITEM
