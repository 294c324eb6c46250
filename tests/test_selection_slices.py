"""What the first rows cover, by kind: a corpus is measured on the order that comes out without it."""

from __future__ import annotations

from pathlib import Path

import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

from selection_world import document, fact, write_folder  # noqa: E402, I001
from selection.rules import RULES  # noqa: E402
from selection.slices import slices  # noqa: E402


def test_a_corpus_has_no_say_in_what_covers_it(tmp_path: Path) -> None:
    facts = [
        fact("Known", ["yago3-10", "dbp15k"], title="Known", types=["LOC"], inlinks=2),
        # Only the corpus links it so often: without these links it comes last.
        fact("Linked", ["corpus:wned-wikipedia"], title="Linked", types=["LOC"], inlinks=3),
        fact("Sung", ["fb15k"], qid="Q3", title="Sung", types=["PER"]),
        fact("Described", ["ottqa"], title="Described", description="a village"),
    ]
    links = document(*["enwiki:Linked"] * 3, "enwiki:Known", "enwiki:Known", "Q3", "enwiki:Nowhere")
    data = write_folder(tmp_path / "data", facts, corpora={"wned-wikipedia": [links]})
    table = slices(data, RULES, ["wned-wikipedia"], [1, 3, 4])
    assert table.loc["LOC"].tolist() == [0.4, 0.4, 1.0]
    assert table.loc["PER"].tolist() == [0.0, 1.0, 1.0]
    assert table.loc["all"].tolist() == [0.286, 0.429, 0.857]  # of 7 links one leads nowhere
