"""The selection of the bundled entities as a whole, on a fact folder small enough to check by eye."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

from selection_world import document, fact, write_folder  # noqa: E402, I001
import select_entities  # noqa: E402
from selection.choosing import select  # noqa: E402
from selection.ranking import lower_share  # noqa: E402
from selection.rules import RULES  # noqa: E402

FACTS = [
    fact("Paris", ["fb15k", "wtq-links"], qid="Q90", title="Paris", types=["LOC", "city"], inlinks=40),
    fact("Legislature", ["wtq-links"], title="Legislature", inlinks=40),
    fact("Legoland", ["wtq-links"], title="Legoland", types=["LOC"], inlinks=25, description="theme park"),
    fact("Andorra la Vella", ["dr5hn-cities", "mledoze"], qid="Q1863"),
    fact("Ralph Lambton", ["legislator"]),
    fact("Harare", ["elevant-gold-dev", "corpus:oke-2015-train"], qid="Q3921", inlinks=90),
    fact("Lilongwe", ["elevant-gold-dev", "corpus:oke-2015-train"], qid="Q3876"),
    fact(
        "Yvan Quentin",
        ["worldcup"],
        title="Yvan Quentin",
        types=["PER", "association football player"],
        description="words under share-alike",
        description_source="worldcup",
    ),
    # One title twice: once with escapes, once with another dash.
    fact("Bra\\u0219ov", ["dw-nb"], qid="Q82174", title="Bra\\u0219ov"),
    fact("Brașov", ["wtq-links"], title="Brașov", inlinks=3),
    fact("Darwin–Wallace Medal", ["wtq-links"], title="Darwin–Wallace Medal", inlinks=2),
    fact("Darwin-Wallace Medal", ["srprs"], title="Darwin-Wallace Medal"),
    fact("Kaya", ["wtq-links"], title="Kaya (album)"),
    # A redirect that one list took for an article.
    fact("City of Light", ["tabfact"], title="City of Light"),
]
ANCHORS = [("legislature", "Legislature", 30), ("Legislature", "Legislature", 5), ("Paris", "Paris", 40)]
REDIRECTS = [("City of Light", "Paris", ""), ("Nowhere at all", "", "Q999999")]
CORPORA = {"oke-2015-train": [document("Q3876"), document(*["Q3921"] * 90)]}

Selected = tuple[Any, Any, dict[str, int]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("facts") / "data", FACTS, ANCHORS, REDIRECTS, CORPORA)


@pytest.fixture(scope="module")
def selected(data: Path) -> Selected:
    result: Selected = select(data, RULES)
    return result


def test_unlicensed_and_nameless_rows_are_left_out(selected: Selected) -> None:
    entities, _, report = selected
    assert not {"Andorra la Vella", "Ralph Lambton"} & set(entities["title"])
    assert report["dropped: only ODbL or non-commercial sources"] == 1
    assert report["dropped: neither QID nor title"] == 1


def test_spellings_of_one_title_are_one_row(selected: Selected) -> None:
    entities, links, report = selected
    names = dict(links.itertuples(index=False))
    assert report["merged: one title in two spellings"] == 2
    assert list(entities.set_index("id").loc["Q82174", ["title", "wikipedia_title"]]) == ["Brașov", "Brașov"]
    assert names["enwiki:Brașov"] == "Q82174"
    assert names["enwiki:Darwin-Wallace Medal"] == "enwiki:Darwin–Wallace Medal"
    assert "enwiki:Darwin-Wallace Medal" not in set(entities["id"])


def test_a_redirect_is_a_name_of_its_target(selected: Selected) -> None:
    entities, links, report = selected
    assert report["merged: a title and its redirect"] == 1
    assert "City of Light" in list(entities.set_index("id").loc["Q90", "aliases"])
    assert dict(links.itertuples(index=False))["enwiki:City of Light"] == "Q90"
    assert entities["id"].is_unique


def test_evaluation_sets_never_raise_a_row_but_their_training_half_does(selected: Selected) -> None:
    entities, _, report = selected
    assert entities["id"].iloc[-1] == "Q3921"
    assert entities["prior"].iloc[-1] == 0
    assert report["kept at the tail: only evaluation sets name them"] == 1
    assert entities.set_index("id").loc["Q3876", "prior"] > 1


def test_named_entities_come_before_concepts(selected: Selected) -> None:
    shares = lower_share(pd.DataFrame(ANCHORS, columns=["surface", "title", "count"]))
    assert shares["Legislature"] == pytest.approx(30 / 35)
    assert shares["Paris"] == 0
    entities = selected[0].set_index("id")
    order, prior = list(entities.index), entities["prior"]
    # 25 links to a named thing stand before 40 to a concept.
    assert prior["enwiki:Legislature"] > prior["enwiki:Legoland"]
    assert order.index("enwiki:Legislature") > order.index("enwiki:Legoland")


def test_descriptions_keep_to_their_licence(selected: Selected) -> None:
    described = selected[0].set_index("title")["description"]
    assert described["Yvan Quentin"] == "association football player"
    assert described["Kaya"] == "album"
    assert described["Paris"] == "city"


def test_links_lead_to_entities(selected: Selected) -> None:
    entities, links, _ = selected
    names = dict(links.itertuples(index=False))
    assert set(names.values()) == set(entities["id"])
    assert names["Q90"] == names["enwiki:Paris"] == "Q90"
    assert "enwiki:Nowhere at all" not in names
    assert links["name"].is_unique


def test_the_head_is_written_the_same_twice(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        arguments = ["--data", str(data), "-o", str(tmp_path / name), "--count", "3"]
        monkeypatch.setattr(sys, "argv", ["select_entities.py", *arguments])
        select_entities.main()
    for file in ("entities.parquet", "links.tsv.gz", "report.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert len(pd.read_parquet(tmp_path / "one" / "entities.parquet")) == 3
