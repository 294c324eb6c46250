"""The entity table: what goes in comes out, by key, id and title, from threads and after a fork."""

import multiprocessing
import pickle
import sqlite3
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onegen_el.document import Entity
from onegen_el.errors import KBError
from onegen_el.knowledge.entities import EntityTable, write_entities

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
ENTITIES = st.lists(
    st.builds(
        Entity,
        id=TEXT.filter(bool),
        title=TEXT,
        description=TEXT,
        aliases=st.lists(TEXT, max_size=3).map(tuple),
        types=st.lists(TEXT, max_size=2).map(tuple),
        prior=st.floats(allow_nan=False, allow_infinity=False),
        qid=st.none() | TEXT,
        wikipedia_title=st.none() | TEXT,
    ),
    max_size=6,
    unique_by=lambda entity: entity.id,
)
PARIS = Entity("Q90", "Paris", "capital of France", ("City of Light",), ("LOC", "city"), 9.0, "Q90", "Paris")
TEXAS = Entity("Q830149", "Paris", "city in Texas", (), ("LOC", "city"), 2.0, "Q830149", "Paris, Texas")
HERO = Entity("Q167646", "Paris", "son of Priam", (), ("PER",), 20.0, "Q167646", "Paris (mythology)")
OWN = Entity("house:7", "Haus Paris")
ROWS = [TEXAS, HERO, PARIS, OWN]


@pytest.fixture
def table(tmp_path: Path) -> EntityTable:
    write_entities(ROWS, tmp_path / "entities.sqlite")
    return EntityTable.open(tmp_path / "entities.sqlite")


@given(ENTITIES)
@settings(max_examples=40, deadline=None)
def test_every_entity_comes_back_as_it_was(entities: list[Entity]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "entities.sqlite"
        assert write_entities(entities, path) == len(entities)
        table = EntityTable.open(path)
        assert len(table) == len(entities)
        assert list(table) == entities
        assert table.many(range(len(entities))) == entities
        assert [table.get(entity.id) for entity in entities] == entities


def test_keys_in_the_order_asked_and_repeated(table: EntityTable) -> None:
    assert table.many([2, 0, 2]) == [PARIS, TEXAS, PARIS]
    assert table.many([]) == []


@pytest.mark.parametrize("key", [-1, 4])
def test_an_unknown_key_is_named(table: EntityTable, key: int) -> None:
    with pytest.raises(IndexError, match=f"{key}; keys are 0 to 3"):
        table.many([0, key])


def test_a_page_title_wins_over_a_more_popular_namesake(table: EntityTable) -> None:
    assert table.by_title("Paris") == PARIS
    assert table.by_title("Paris, Texas") == TEXAS
    assert table.by_title("Haus Paris") == OWN
    assert table.by_title("paris") is None
    assert table.get("Q1") is None


def test_without_a_page_the_best_known_namesake_wins(tmp_path: Path) -> None:
    namesakes = [Entity(str(prior), "Springfield", prior=prior) for prior in (1.0, 3.0, 3.0001, 2.0)]
    write_entities(namesakes, tmp_path / "t")
    assert EntityTable.open(tmp_path / "t").by_title("Springfield") == namesakes[2]


def test_titles_and_pages_are_found_through_an_index(table: EntityTable) -> None:
    from onegen_el.knowledge.entities import BY_TITLE

    with closing(sqlite3.connect(table.path)) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {BY_TITLE}", {"title": "x"}).fetchall()
    steps = " ".join(row[3] for row in plan)
    assert "USING INDEX by_title" in steps and "USING INDEX by_page" in steps
    assert "SCAN entities" not in steps


def test_threads_and_pickles_see_the_same(table: EntityTable) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(table.many, [[key % 4] for key in range(64)]))
    assert found == [[ROWS[key % 4]] for key in range(64)]
    assert list(pickle.loads(pickle.dumps(table))) == ROWS


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
def test_a_forked_child_opens_its_own_connection(table: EntityTable) -> None:
    connection, _ = table._connection()
    assert table.get("Q90") == PARIS
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(
        target=lambda: answers.put((table.get("Q90"), table._connection()[0] is not connection))
    )
    child.start()
    assert answers.get() == (PARIS, True)
    child.join()
    assert child.exitcode == 0


def test_an_open_table_cannot_be_written(table: EntityTable) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        table._connection()[0].execute("DELETE FROM entities")


def test_same_entities_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_entities(iter(ROWS), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_doubled_id_is_named(tmp_path: Path) -> None:
    with pytest.raises(KBError, match=r"two entities have the id 'Q90' \(the second is row 3, 'Twin'\)"):
        write_entities([PARIS, TEXAS, Entity("Q90", "Twin")], tmp_path / "t")


def test_an_empty_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KBError, match=r"entity 1 \('Nobody'\) has no id"):
        write_entities([Entity("", "Nobody")], tmp_path / "t")


def test_text_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KBError, match="'Q1' holds text that is not valid Unicode"):
        write_entities([Entity("Q1", "lone \ud800")], tmp_path / "t")


def test_a_damaged_file_gives_a_clear_error(table: EntityTable) -> None:
    table.path.write_bytes(b"not sqlite at all " * 500)
    with pytest.raises(KBError, match=r"entity table .*onegen-el kb build"):
        EntityTable.open(table.path)


def test_a_missing_file_gives_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(KBError, match="nowhere"):
        EntityTable.open(tmp_path / "nowhere")
