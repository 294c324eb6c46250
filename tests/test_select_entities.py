"""The selection of the bundled entities, on a fact folder small enough to check by eye."""

from __future__ import annotations

import gzip
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")


def _load() -> ModuleType:
    path = Path(__file__).parents[1] / "kb" / "select_entities.py"
    spec = importlib.util.spec_from_file_location("select_entities", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


select_entities = _load()
RULES = select_entities.RULES


def fact(label: str, sources: list[str], **values: Any) -> dict[str, Any]:
    row = {
        "qid": None,
        "title": None,
        "label": label,
        "description": None,
        "aliases": [],
        "types": None,
        "sources": sources,
        "popularity": 0.0,
        "inlinks": 0,
        "pageviews": None,
        "title_inferred": False,
        "description_source": None,
        "types_inferred": False,
    }
    assert values.keys() <= row.keys()
    return row | values


FACTS = [
    fact("Paris", ["fb15k", "wtq-links"], qid="Q90", title="Paris", types=["LOC", "city"], inlinks=40),
    fact("Legislature", ["wtq-links"], title="Legislature", inlinks=40),
    fact("Legoland", ["wtq-links"], title="Legoland", types=["LOC"], inlinks=25),
    # One person in two rows; the QID is old and the name rare.
    fact("Irina Spîrlea", ["wikilinker"], qid="Q265927", types=["PER"], aliases=["I. Spîrlea"]),
    fact("Irina Spîrlea", ["yago3-10"], title="Irina Spîrlea", inlinks=2),
    # A recent item of the same name is somebody else.
    fact("Nick Lowe", ["wikilinker"], qid="Q120613880", types=["PER"]),
    fact("Nick Lowe", ["yago3-10"], title="Nick Lowe", types=["PER"]),
    # Two titles of one name: nobody can say whose the item is.
    fact("John Steel", ["wikilinker"], qid="Q1049034", types=["PER"]),
    fact("John Steel", ["wtq-links"], title="John Steel (MP)", types=["PER"]),
    fact("John Steel", ["wtq-links"], title="John Steel (drummer)", types=["PER"]),
    # Types that contradict each other.
    fact("Otava", ["wikilinker"], qid="Q26028", types=["ORG"]),
    fact("Otava", ["yago3-10"], title="Otava", types=["LOC"]),
    # A baseball player does not own the name of a film star.
    fact("Eddie Murphy", ["chadwick"], qid="Q53363", types=["PER"], description="baseball player"),
    fact("Eddie Murphy", ["pantheon"], title="Eddie Murphy", types=["PER"]),
    fact("Andorra la Vella", ["dr5hn-cities", "mledoze"], qid="Q1863"),
    fact("Ralph Lambton", ["legislator"]),
    fact("Harare", ["elevant-gold-dev", "corpus:oke-2015-train"], qid="Q3921", inlinks=90),
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
]
ANCHORS = [("legislature", "Legislature", 30), ("Legislature", "Legislature", 5), ("Paris", "Paris", 40)]
REDIRECTS = [("City of Light", "Paris", ""), ("Nowhere at all", "", "Q999999")]
NO_LINKS = pd.Series(dtype="int64")
OKE = [{"id": 1, "text": "Harare", "labels": [{"span": [0, 6], "entity_id": "Q3921"}] * 90}]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("facts")
    (folder / "kb").mkdir()
    (folder / "corpora").mkdir()
    pd.DataFrame(FACTS).astype({"inlinks": "int32", "pageviews": "float64"}).to_parquet(
        folder / "kb" / "entities.parquet"
    )
    tables = {
        "aliases": ("surface\ttitle\tcount", ANCHORS),
        "redirects": ("alternative_title\ttitle\tqid", REDIRECTS),
    }
    for name, (head, rows) in tables.items():
        with gzip.open(folder / "kb" / f"{name}.tsv.gz", "wt", encoding="utf-8") as file:
            file.write("\n".join([head, *("\t".join(map(str, row)) for row in rows)]) + "\n")
    with gzip.open(folder / "corpora" / "oke-2015-train.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in OKE)
    return folder


@pytest.fixture(scope="module")
def selected(data: Path) -> tuple[Any, Any, dict[str, int]]:
    result: tuple[Any, Any, dict[str, int]] = select_entities.select(data, RULES)
    return result


def test_unlicensed_and_nameless_rows_are_left_out(selected: tuple[Any, Any, dict[str, int]]) -> None:
    entities, _, report = selected
    assert not {"Andorra la Vella", "Ralph Lambton"} & set(entities["title"])
    assert report["dropped: only ODbL or non-commercial sources"] == 1
    assert report["dropped: neither QID nor title"] == 1


def test_only_the_safe_pair_is_merged(selected: tuple[Any, Any, dict[str, int]]) -> None:
    entities, links, report = selected
    assert report["merged: an item and a title of one name"] == 1
    both = entities.set_index("id").loc["Q265927"]
    assert (both["wikipedia_title"], list(both["aliases"]), list(both["types"])) == (
        "Irina Spîrlea",
        ["I. Spîrlea"],
        ["PER"],
    )
    assert both["prior"] > 1.5  # inlinks of the one, sources of both
    assert dict(links.itertuples(index=False))["enwiki:Irina Spîrlea"] == "Q265927"
    assert entities["id"].is_unique


def test_spellings_of_one_title_are_one_row(selected: tuple[Any, Any, dict[str, int]]) -> None:
    entities, links, report = selected
    names = dict(links.itertuples(index=False))
    assert report["merged: one title in two spellings"] == 2
    assert list(entities.set_index("id").loc["Q82174", ["title", "wikipedia_title"]]) == ["Brașov", "Brașov"]
    assert names["enwiki:Brașov"] == "Q82174"
    assert names["enwiki:Darwin-Wallace Medal"] == "enwiki:Darwin–Wallace Medal"
    assert "enwiki:Darwin-Wallace Medal" not in set(entities["id"])


def test_evaluation_sets_never_raise_a_row(selected: tuple[Any, Any, dict[str, int]]) -> None:
    entities, _, report = selected
    assert entities["id"].iloc[-1] == "Q3921"
    assert entities["prior"].iloc[-1] == 0
    assert report["kept at the tail: only evaluation sources"] == 1


def test_named_entities_come_before_concepts(selected: tuple[Any, Any, dict[str, int]]) -> None:
    shares = select_entities.lower_share(pd.DataFrame(ANCHORS, columns=["surface", "title", "count"]))
    assert shares["Legislature"] == pytest.approx(30 / 35)
    assert shares["Paris"] == 0
    entities = selected[0].set_index("id")
    order, prior = list(entities.index), entities["prior"]
    # 25 links to a named thing stand before 40 to a concept.
    assert prior["enwiki:Legislature"] > prior["enwiki:Legoland"]
    assert order.index("enwiki:Legislature") > order.index("enwiki:Legoland")


def test_descriptions_keep_to_their_licence(selected: tuple[Any, Any, dict[str, int]]) -> None:
    described = selected[0].set_index("title")["description"]
    assert described["Yvan Quentin"] == "association football player"
    assert described["Kaya"] == "album"
    assert described["Paris"] == "city"


def test_links_lead_to_entities(selected: tuple[Any, Any, dict[str, int]]) -> None:
    entities, links, _ = selected
    names = dict(links.itertuples(index=False))
    assert set(names.values()) == set(entities["id"])
    assert names["Q90"] == names["enwiki:Paris"] == names["enwiki:City of Light"] == "Q90"
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


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("United Nations", True),
        ("U.S.", True),
        ("Carano, Italy", True),
        ("near Carano, Italy", False),
        ("🇮🇹", False),
        ("mental disorder", False),
        ("iPhone", True),
        ("", False),
        ("x" * 61, False),
        ("a name of far too many words to be one", False),
    ],
)
def test_what_can_be_a_name(text: str, kept: bool) -> None:
    assert select_entities.is_name(text, RULES) is kept


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (
            "type of match in professional wrestling, most commonly one where an item",
            "type of match in professional wrestling",
        ),
        (
            "song written by Bob Dylan and included on his 1964 album Another",
            "song written by Bob Dylan",
        ),
        ("college in Maryland, near the capital. The college", "college in Maryland, near the capital"),
        ("1974–2000", None),
        (
            "form of free-to-air non-commercial citizen media in",
            "form of free-to-air non-commercial citizen media",
        ),
        ("city \u200b\u200bin  Ukraine.", "city in Ukraine"),
        ("country in Oceania", "country in Oceania"),
    ],
)
def test_descriptions_end_where_a_phrase_ends(written: str, kept: str | None) -> None:
    rows = pd.DataFrame([fact("Name", ["ottqa"], title="Name", description=written)])
    assert [text if isinstance(text, str) else None for text in select_entities.described(rows, RULES)] == [
        kept
    ]


def test_measure_counts_a_wrong_merge() -> None:
    def known(name: str, number: int) -> dict[str, Any]:
        sources = ["wikilinker", "yago3-10", "dw-nb"]
        return fact(name, sources, qid=f"Q{number}", title=name, types=["PER"])

    facts = [known(f"Given Family{number}", number) for number in range(1, 6)]
    # The sources alone, so that it can be seen which gives what.
    facts += [
        fact("Somebody", ["wikilinker"], qid="Q70", types=["PER"]),
        fact("Someone", ["yago3-10"], title="Someone", types=["PER"]),
        fact("Anybody", ["dw-nb"], qid="Q71", title="Anybody"),
        # wikilinker's item of this name is not the one of the title.
        fact("Boris Bystander", ["wikilinker"], qid="Q72", types=["PER"]),
        fact("Boris Bystander", ["yago3-10", "dw-nb"], qid="Q73", title="Boris Bystander", types=["PER"]),
    ]
    rows = select_entities.admit(pd.DataFrame(facts), NO_LINKS, NO_LINKS, RULES, {})
    measured = select_entities.measure_merge(rows, RULES)
    assert (measured["merged and judged"], measured["right"]) == (6, 5)
    assert measured["precision"] == pytest.approx(5 / 6, abs=1e-4)


def test_links_of_training_corpora_count() -> None:
    facts = pd.DataFrame(
        [
            fact("Harare", ["elevant-gold-dev"], qid="Q1"),  # an evaluation set alone has no say
            fact("Lilongwe", ["elevant-gold-dev"], qid="Q2"),
            fact("Lusaka", ["yago3-10"], title="Lusaka"),
        ]
    ).astype({"inlinks": "int32"})
    links = pd.Series({"Q2": 7, "enwiki:Lusaka": 3})
    before = select_entities.admit(facts, NO_LINKS, NO_LINKS, RULES, {})
    after = select_entities.admit(facts, NO_LINKS, links, RULES, {})
    assert list(before["held"]) == [True, True, False]
    assert list(after["held"]) == [True, False, False]
    assert list(after["n_sources"] - before["n_sources"]) == [0, 1, 1]
    assert list(after["inlinks"] - before["inlinks"]) == [0, 7, 3]
