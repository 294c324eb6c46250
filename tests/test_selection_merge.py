"""One real entity, one row: which pairs the selection joins, and how it measures itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

from selection_world import fact, table, write_folder  # noqa: E402, I001
from selection.admission import admit, count_links  # noqa: E402
from selection.choosing import select  # noqa: E402
from selection.evidence import alphabetical  # noqa: E402
from selection.joining import join  # noqa: E402
from selection.judgement import Judge, matched  # noqa: E402
from selection.measuring import measure_merge  # noqa: E402
from selection.rules import RULES  # noqa: E402
from selection.same_titles import alias_pairs  # noqa: E402

NO_LINKS = {"surface": [], "title": [], "count": []}


def named_people(count: int) -> list[dict[str, Any]]:
    """People whose halves can be joined again, and as many who share their name with a stranger."""
    sources = ["wikilinker", "yago3-10", "dw-nb"]
    facts = []
    for number in range(count):
        name = f"Given{number} Family{number}"
        facts.append(fact(name, sources, qid=f"Q{1000 + number}", title=name, types=["PER"]))
        other = f"Other{number} Person{number}"
        # The article is about somebody whom one source knows whole; the item of this name is a late one.
        facts.append(fact(other, ["wikilinker"], qid=f"Q{90_000_000 + number}", types=["PER"]))
        facts.append(fact(other, ["yago3-10", "dw-nb"], qid=f"Q{2000 + number}", title=other, types=["PER"]))
    # The sources alone, so that it can be seen which gives what.
    facts += [fact("Someone", ["yago3-10"], title="Someone", types=["PER"])]
    facts += [fact("Anybody", ["dw-nb"], qid="Q71", title="Anybody")]
    return facts


PAIRS = [
    fact("Irina Spîrlea", ["wikilinker"], qid="Q2659", types=["PER"], aliases=["I. Spîrlea"]),
    fact("Irina Spîrlea", ["yago3-10"], title="Irina Spîrlea", types=["PER"], inlinks=2),
    # A recent item of the same name is somebody else.
    fact("Nick Lowe", ["wikilinker"], qid="Q91613880", types=["PER"]),
    fact("Nick Lowe", ["yago3-10"], title="Nick Lowe", types=["PER"]),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    described = fact("Oz", ["ottqa"], title="Oz", description="country of a novel")
    return write_folder(tmp_path_factory.mktemp("merge") / "data", [*PAIRS, *named_people(150), described])


def test_only_the_safe_pair_is_merged(data: Path) -> None:
    entities, links, report = select(data, RULES)
    assert report["merged: an item and a title"] == 1
    both = entities.set_index("id").loc["Q2659"]
    assert both["wikipedia_title"] == "Irina Spîrlea"
    assert (list(both["aliases"]), list(both["types"])) == (["I. Spîrlea"], ["PER"])
    assert both["prior"] > 1.5  # inlinks of the one, sources of both
    assert dict(links.itertuples(index=False))["enwiki:Irina Spîrlea"] == "Q2659"
    assert {"enwiki:Nick Lowe", "Q91613880"} <= set(entities["id"])
    assert entities["id"].is_unique


def test_the_measure_counts_right_and_wrong(data: Path) -> None:
    measured = measure_merge(data, RULES)
    # 150 that can be joined again; what meets a stranger has no second half.
    assert measured["pairs with both halves"] == 150
    assert measured["precision"] == 1
    assert measured["recall of pairs with both halves"] > 0.95
    assert measured["real merges"] == 1
    # A judge that believes everything is found out.
    loose = measure_merge(data, type(RULES)(sure=0.0, sure_first=0.0))
    assert loose["merged and judged"] == 300
    assert loose["precision"] == 0.5


def test_without_known_pairs_nothing_is_merged(tmp_path: Path) -> None:
    described = fact("Oz", ["ottqa"], title="Oz", description="country of a novel")
    folder = write_folder(tmp_path / "data", [*PAIRS, described])
    assert select(folder, RULES)[2]["merged: an item and a title"] == 0


def test_the_judge_learns_what_speaks_for_a_pair() -> None:
    random = np.random.default_rng(3)
    found = pd.DataFrame({"says": random.integers(0, 2, 2000), "noise": random.normal(size=2000)})
    right = np.where(found["says"] == 1, random.random(2000) < 0.9, random.random(2000) < 0.2).astype(float)
    chance = Judge.taught(found, right)(found)
    assert chance[found["says"] == 1].mean() == pytest.approx(0.9, abs=0.03)
    assert chance[found["says"] == 0].mean() == pytest.approx(0.2, abs=0.03)
    # Two pieces together: neither tells anything alone.
    found = pd.DataFrame({"one": np.tile([0, 0, 1, 1], 300), "two": np.tile([0, 1, 0, 1], 300)})
    chance = Judge.taught(found.assign(tie=np.arange(1200) / 1200), np.tile([0.0, 1, 1, 0], 300))(
        found.assign(tie=0.5)
    )
    assert (chance.round() == np.tile([0, 1, 1, 0], 300)).all()


def test_only_one_pair_of_a_row_can_be_right() -> None:
    pairs = pd.DataFrame({"by_qid": [1, 2, 3, 3], "by_title": [11, 12, 13, 14]})
    chance, sure = np.array([0.97, 0.9, 0.97, 0.97]), np.full(4, 0.95)
    assert matched(pairs, chance, sure).tolist() == [True, False, False, False]
    assert matched(pairs, np.array([0.97, 0.9, 0.99, 0.02]), sure).tolist() == [True, False, True, False]


def test_items_that_were_made_by_the_alphabet() -> None:
    names = [f"{first}{second}ox" for first in "abcdefghij" for second in "abcdefghij"]
    rows = table(
        [fact(name, ["dw-nb"], qid=f"Q{5_000_000 + 10 * at}", title=name) for at, name in enumerate(names)]
    )
    items, labels = pd.Series(["Q5000505", "Q5000505", "Q77"]), pd.Series(["fbz", "aaa", "fbz"])
    near, far, outside = alphabetical(rows, items, labels)
    assert near < 0.05 < 0.4 < far
    assert np.isnan(outside)


def joinable(facts: list[dict[str, Any]], tmp_path: Path) -> Any:
    folder = write_folder(tmp_path / "data", facts)
    return admit(table(facts), count_links(folder, RULES), RULES, {})


def test_titles_that_are_another_name_of_a_row(tmp_path: Path) -> None:
    lists = ["yago3-10", "wtq-links", "fb15k", "dbp15k"]
    long = "Organization of the Petroleum Exporting Countries"

    def known(number: int, title: str, aliases: list[str], kind: str) -> dict[str, Any]:
        types = [kind] if kind else None
        return fact(title, lists, qid=f"Q{number}", title=title, aliases=aliases, types=types, inlinks=60)

    def lone(title: str, kind: str = "", inlinks: int = 0) -> dict[str, Any]:
        return fact(title, ["ottqa"], title=title, types=[kind] if kind else None, inlinks=inlinks)

    facts = [
        known(1, long, ["OPEC"], "ORG"),
        lone("OPEC", "ORG"),
        known(2, "Pearl Jam", ["Mookie Blaylock"], "ORG"),
        lone("Mookie Blaylock"),  # a player of that name
        known(3, "Fort Worth, Texas", ["Fort Worth, TX"], "LOC"),
        lone("Fort Worth, TX"),
        known(4, "FC Metalist Kharkiv", ["Metalist Kharkiv"], "ORG"),
        lone("Metalist Kharkiv"),
        known(5, "Kevin Spacey", ["Kevin"], "PER"),
        lone("Kevin"),
        known(6, "Gallipoli Campaign", [], "MISC"),
        lone("Gallipoli campaign"),
        known(7, "Compass", [], "MISC"),
        lone("COMPASS"),
        known(8, "Toronto International Film Festival", ["TIFF"], "ORG"),
        lone("TIFF", "MISC"),
        known(9, "Nice", ["Nizza"], "LOC"),
        known(10, "Nizza Monferrato", ["Nizza"], "LOC"),
        lone("Nizza"),  # two rows are called so
    ]
    anchors = pd.DataFrame(
        [("Metalist Kharkiv", "FC Metalist Kharkiv", 4), ("Kevin", "Kevin Spacey", 4)],
        columns=list(NO_LINKS),
    )
    rows = joinable(facts, tmp_path)
    pairs = alias_pairs(rows, anchors, pd.DataFrame({"qid": [], "name": [], "share": []}), RULES)
    why = dict(zip(rows["title"].loc[pairs["joined"]], pairs["why"], strict=True))
    assert why == {
        "OPEC": "initials",
        "Fort Worth, TX": "place",
        "Metalist Kharkiv": "led",
        "Gallipoli campaign": "same",
    }


def test_chains_are_joined_and_two_items_never(tmp_path: Path) -> None:
    facts = [
        fact("Kiev", ["fb15k"], qid="Q1899", title="Kyiv", inlinks=3),
        fact("Kiew", ["wtq-links"], title="Kiew", inlinks=2),
        fact("Kijew", ["wtq-links"], title="Kijew", inlinks=1),
        fact("Other", ["fb15k"], qid="Q5", title="Other"),
    ]
    pairs = pd.DataFrame({"kept": [0, 1, 0], "joined": [1, 2, 3]})
    rows, moved = join(joinable(facts, tmp_path), pairs)
    assert rows["qid"].tolist() == ["Q1899", "Q5"]
    assert rows["inlinks"].tolist() == [6, 0]
    assert {"Kiew", "Kijew"} <= set(rows["aliases"].iloc[0])
    assert (moved["enwiki:Kiew"], moved["enwiki:Kijew"]) == ("Q1899", "Q1899")
