"""What there is to know of one entity, and exporting all of them: what is written reads back the same."""

import gzip
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from onegen_el.document import Entity
from onegen_el.errors import InputError, KBError
from onegen_el.knowledge import KnowledgeBase, add_entities, build_kb, read_entities, remove_entities
from onegen_el.knowledge.detail import cosines, detail, find_entity
from onegen_el.knowledge.export import export_entities, export_vectors

PARIS = Entity(
    "Q90", "Paris", 'capital, "of"\r\nFrance', ("Paname", "Lutèce"), ("LOC", "city"), 9.5, "Q90", "Paris"
)
ENTITIES = [
    PARIS,
    Entity("Q830149", "Paris", "city in Texas", types=("LOC",), prior=0.1 + 0.2, qid="Q830149"),
    Entity("enwiki:Ada", "Ada", types=("PER",), wikipedia_title="Ada"),
    Entity("house:7", 'Haus "Sieben"', "two\nlines"),
    Entity("Q1", "Ünïcode ☃", "😀", aliases=("a,b", "c;d"), qid="Q1", wikipedia_title="Snowman (char)"),
]
FACTS = {"fingerprint": "f" * 64, "model_name": "tiny"}


def encode(texts: Sequence[str]) -> np.ndarray:
    """Letters counted, so that texts with the same letters are near."""
    return np.array([[1 + text.count(letter) for letter in "aeinostr"] for text in texts], np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build_kb(ENTITIES[:3], encode, tmp_path / "kb", alias_vectors=2, **FACTS)
    add_entities(tmp_path / "kb", ENTITIES[3:], encode, **FACTS)
    return tmp_path / "kb"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Q90", "Q90"),
        ("enwiki:Paris", "Q90"),
        ("Paris", "Q90"),
        ("https://en.wikipedia.org/wiki/Paris", "Q90"),
        ("http://dbpedia.org/resource/Paris", "Q90"),
        ("https://www.wikidata.org/wiki/Q830149", "Q830149"),
        ("enwiki:Ada", "enwiki:Ada"),
        ("Ada", "enwiki:Ada"),
        ("enwiki:Snowman_(char)", "Q1"),
        ("house:7", "house:7"),
        ("http://en.wikipedia.org/wiki/Snowman_(char)", "Q1"),
    ],
)
def test_an_entity_is_found_by_id_address_or_title(folder: Path, name: str, expected: str) -> None:
    assert find_entity(KnowledgeBase.open(folder), name).id == expected


def test_what_is_not_there_is_told_with_what_to_do(folder: Path) -> None:
    remove_entities(folder, ["Q90"])
    kb = KnowledgeBase.open(folder)
    for name in ("Q90", "Q5", "enwiki:Rome", ""):
        with pytest.raises(KBError, match=r"has no entity .*kb search"):
            find_entity(kb, name)
    assert find_entity(kb, "Paris").id == "Q830149"


def test_details(folder: Path) -> None:
    kb = KnowledgeBase.open(folder)
    found = detail(kb, "Paris", near=2)
    assert (found.entity, found.key, found.segment, found.row) == (PARIS, 0, "", 0)
    assert found.text == 'Paris: capital, "of" France'
    assert found.vectors == 3
    assert found.norm == pytest.approx(1, abs=0.02)
    assert found.iris == (
        "http://www.wikidata.org/entity/Q90",
        "http://en.wikipedia.org/wiki/Paris",
        "http://dbpedia.org/resource/Paris",
    )
    assert len(found.nearest) == 2 and PARIS not in [near.entity for near in found.nearest]
    assert found.nearest[0].score >= found.nearest[1].score
    assert found.to_dict()["nearest"][0]["id"] == found.nearest[0].entity.id

    other = detail(kb, "Q1", near=9)
    assert (other.segment, other.row, other.key) == ("segment-2", 1, 4)
    assert len(other.nearest) == 4
    assert detail(kb, "house:7").iris == ()
    assert detail(kb, "house:7").nearest == ()


def test_cosines_are_those_of_the_search(folder: Path) -> None:
    kb = KnowledgeBase.open(folder)
    query = encode(["a text of its own"])
    hits = kb.search(query, 5)
    keys = hits.keys[0].tolist()
    own = cosines(kb, query[0], keys)
    assert (own <= hits.scores[0] + 1e-6).all(), (
        "an alias may be nearer than the entity's own vector, not less"
    )
    assert own[keys.index(3)] == pytest.approx(hits.scores[0][keys.index(3)], abs=1e-6)
    assert cosines(kb, query[0], []).shape == (0,)


@pytest.mark.parametrize("name", ["e.jsonl", "e.jsonl.gz", "e.csv", "E.PARQUET"])
def test_what_is_exported_reads_back_the_same(folder: Path, tmp_path: Path, name: str) -> None:
    if name.lower().endswith("parquet"):
        pytest.importorskip("pyarrow")
    kb = KnowledgeBase.open(folder)
    assert export_entities(kb, tmp_path / name) == 5
    assert list(read_entities(tmp_path / name)) == list(kb) == ENTITIES
    again = tmp_path / f"again-{name}"
    export_entities(read_entities(tmp_path / name), again)
    assert again.read_bytes() == (tmp_path / name).read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"kb", name, again.name}


def test_a_knowledge_base_built_of_an_export_is_the_same(folder: Path, tmp_path: Path) -> None:
    remove_entities(folder, ["Q830149"])
    kb = KnowledgeBase.open(folder)
    export_entities(kb, tmp_path / "e.jsonl")
    build_kb(read_entities(tmp_path / "e.jsonl"), encode, tmp_path / "again", **FACTS)
    assert list(KnowledgeBase.open(tmp_path / "again")) == list(kb)


def test_vectors_are_exported_in_the_order_of_the_entities(folder: Path, tmp_path: Path) -> None:
    remove_entities(folder, ["Q830149", "house:7"])
    kb = KnowledgeBase.open(folder)
    export_vectors(kb, tmp_path / "v.npy")
    vectors = np.load(tmp_path / "v.npy", allow_pickle=False)
    assert (vectors.shape, vectors.dtype) == ((3, 8), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    hits = kb.search(vectors, 1)
    assert [entity.id for entity in kb.entities(hits.keys[:, 0].tolist())] == [entity.id for entity in kb]


def test_csv_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    faulty = replace(PARIS, aliases=("a|b",))
    with pytest.raises(InputError, match=r"'Q90' has '\|' in its aliases.*\.jsonl"):
        export_entities([faulty], tmp_path / "e.csv")
    assert list(tmp_path.iterdir()) == []


def test_an_export_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl.gz"
    path.write_bytes(gzip.compress(b"what was there"))

    def failing() -> object:
        yield PARIS
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_entities(failing(), path)  # type: ignore[arg-type]
    assert gzip.decompress(path.read_bytes()) == b"what was there"
    assert list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        export_entities([PARIS], tmp_path / "none" / "e.jsonl")
    with pytest.raises(InputError, match=r"cannot tell the format.*\.parquet"):
        export_entities([PARIS], tmp_path / "e.xlsx")
