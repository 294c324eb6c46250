"""What counts in the selection: sources, links and anchors, and those of documents that are set aside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

from selection_world import document, fact, table, write_folder  # noqa: E402, I001
from selection.admission import admit, anchors_left, count_links  # noqa: E402
from selection.facts import read_facts, read_links  # noqa: E402
from selection.rules import RULES  # noqa: E402


def admitted(folder: Path, facts: list[dict[str, Any]], **corpora: list[dict[str, Any]]) -> Any:
    named = {name.replace("_", "-"): documents for name, documents in corpora.items()}
    data = write_folder(folder / "data", facts, corpora=named)
    rows = admit(read_facts(data)[0], count_links(data, RULES), RULES, {})
    return rows.set_index("label")


def test_links_of_training_corpora_count(tmp_path: Path) -> None:
    facts = [
        fact("Harare", ["elevant-gold-dev"], qid="Q1"),  # an evaluation set alone has no say
        fact("Lilongwe", ["elevant-gold-dev"], qid="Q2"),
        fact("Lusaka", ["yago3-10"], title="Lusaka", inlinks=2),
    ]
    train = [document("Q2", "enwiki:Lusaka"), document("Q2")]
    rows = admitted(tmp_path, facts, aida_conll_train=train)
    assert list(rows["held"]) == [True, False, False]
    assert list(rows["n_sources"]) == [0, 1, 2]
    assert list(rows["inlinks"]) == [0, 2, 3]


def test_half_of_oke_trains_and_half_has_no_say(tmp_path: Path) -> None:
    facts = [
        fact("Seen", ["corpus:oke-2015-train"], qid="Q1", inlinks=1),
        fact("Unseen", ["corpus:oke-2015-train"], qid="Q2", inlinks=1),
    ]
    rows = admitted(tmp_path, facts, oke_2015_train=[document("Q1"), document("Q2", "Q2")])
    assert dict(rows["held"]) == {"Seen": False, "Unseen": True}
    assert dict(rows["inlinks"]) == {"Seen": 1, "Unseen": 0}
    assert dict(rows["n_sources"]) == {"Seen": 1, "Unseen": 0}


def test_documents_set_aside_count_neither_as_source_nor_by_links(tmp_path: Path) -> None:
    facts = [
        fact("Both", ["corpus:gum-wikified"], title="Both", inlinks=2),
        fact("Aside", ["corpus:gum-wikified"], title="Aside", inlinks=2),
        fact("Linked", ["wtq-links"], title="Linked", inlinks=1),
        fact("In a table", ["wtq-links"], title="In a table", inlinks=5),
        fact("A page", ["wtq-pages", "yago3-10"], title="A page"),
        fact("Elsewhere", ["corpus:gum-wikified", "yago3-10"], title="Elsewhere", inlinks=1),
    ]
    gum = [
        document("enwiki:Both"),
        document("enwiki:Both", "enwiki:Aside", "enwiki:Aside", "enwiki:Elsewhere"),
    ]
    pages = [document(title="Another"), document("enwiki:Linked", "enwiki:In a table", title="A page")]
    rows = admitted(tmp_path, facts, gum_wikified=gum, wikipedia_pages_2014=pages)
    assert dict(rows["inlinks"]) == {
        "Both": 1, "Aside": 0, "Linked": 0, "In a table": 4, "A page": 0, "Elsewhere": 0
    }  # fmt: skip
    assert dict(rows["n_sources"]) == {
        "Both": 1, "Aside": 0, "Linked": 0, "In a table": 1, "A page": 1, "Elsewhere": 1
    }  # fmt: skip
    assert list(rows.index[rows["held"]]) == ["Aside", "Linked"]


def test_what_repeats_a_name_is_no_link(tmp_path: Path) -> None:
    corpora = {
        "wikipedia-pages-2014": [document("enwiki:A", origin="link"), document("enwiki:A", origin="repeat")]
    }
    data = write_folder(tmp_path / "data", [fact("A", ["wtq-links"], title="A")], corpora=corpora)
    links = read_links(data, ["wikipedia-pages-2014", "not-here"])
    assert links[["corpus", "half", "entity", "surface", "count"]].values.tolist() == [
        ["wikipedia-pages-2014", "even", "enwiki:A", "A", 1]
    ]


def test_anchors_of_documents_set_aside_are_taken_off() -> None:
    anchors = pd.DataFrame(
        [("WHO", "World Health Organization", 3), ("Who", "The Who", 1)],
        columns=["surface", "title", "count"],
    )
    voiceless = pd.DataFrame(
        [
            ("gum-wikified", "enwiki:World Health Organization", "WHO", 1),
            ("gum-wikified", "enwiki:The Who", "Who", 1),
            ("tweeki-gold", "enwiki:World Health Organization", "WHO", 2),  # never was among the anchors
        ],
        columns=["corpus", "entity", "surface", "count"],
    )
    left = anchors_left(anchors, voiceless, ["gum-wikified"])
    assert left.values.tolist() == [["WHO", "World Health Organization", 2]]


def test_descriptions_of_barred_sources_are_dropped(tmp_path: Path) -> None:
    facts = [
        fact("A", ["yago3-10", "mledoze"], title="A", description="words", description_source="mledoze"),
        fact("B", ["yago3-10"], title="B", description="words", description_source="yago3-10"),
    ]
    data = write_folder(tmp_path / "data", facts)
    rows = admit(table(facts), count_links(data, RULES), RULES, {})
    assert list(rows["description"].isna()) == [True, False]
