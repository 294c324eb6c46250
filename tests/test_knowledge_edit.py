"""Adding to a knowledge base, updating, removing, and making one segment of all."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kbs import (
    DIMS,
    ENTITIES,
    MODEL,
    NEW,
    add,
    compact,
    contents,
    encode,
    found,
    found_by_own_text,
    make,
    remove,
)

from onegen_el.errors import KBError
from onegen_el.knowledge import KnowledgeBase, embedding, entity_text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path / "kb")
    return tmp_path / "kb"


def test_what_is_added_is_found_and_what_was_there_not_touched(folder: Path) -> None:
    before = contents(folder)
    manifest = add(folder)
    kb = KnowledgeBase.open(folder, verify=True)
    assert kb.manifest == manifest
    assert (len(kb), manifest.version, [segment.folder for segment in manifest.segments]) == (
        207,
        2,
        ["", "segment-2"],
    )
    assert found_by_own_text(kb)
    after = contents(folder)
    assert {name for name in after if after[name] != before.get(name)} == {
        "kb.json",
        "segment-2/entities.sqlite",
        "segment-2/vectors.npy",
    }


def test_only_what_is_added_is_embedded_and_as_the_others_were(tmp_path: Path) -> None:
    make(tmp_path / "kb", template="{description} | {title}")
    asked: list[str] = []

    def noting(texts: list[str]) -> np.ndarray:
        asked.extend(texts)
        return encode(texts)

    manifest = add(tmp_path / "kb", encode=noting)
    assert asked == [f"of late | Newcomer {number}" for number in range(7)]
    assert len({segment.scale for segment in manifest.segments}) == 1


def test_a_larger_value_than_any_before_gets_its_own_scale(folder: Path) -> None:
    manifest = add(folder, NEW[:1], encode=lambda texts: np.eye(1, DIMS))
    old, new = manifest.segments
    assert new.scale == 127 < old.scale
    hits = KnowledgeBase.open(folder).search(np.eye(1, DIMS), 1)
    assert hits.keys.tolist() == [[200]] and hits.scores[0, 0] == 1
    compact(folder)
    hits = KnowledgeBase.open(folder).search(np.eye(1, DIMS), 1)
    assert hits.keys.tolist() == [[200]] and hits.scores[0, 0] == 1


def test_an_id_that_is_there_is_updated_not_added(folder: Path) -> None:
    before = contents(folder)
    with pytest.raises(KBError, match=r"has entities 'Q1', 'Q2' already; .*onegen-el kb update"):
        add(folder, [*NEW, *ENTITIES[:2]])
    with pytest.raises(
        KBError, match=r"has no entities 'new-0', .* and 2 more to update; .*onegen-el kb add"
    ):
        add(folder, NEW, update=True)
    with pytest.raises(KBError, match="two entities have the id 'new-0'"):
        add(folder, [NEW[0], NEW[0]])
    with pytest.raises(KBError, match="no entities to add"):
        add(folder, [])
    assert contents(folder) == before


def test_an_update_takes_the_place_of_the_old_row(folder: Path) -> None:
    changed = replace(ENTITIES[4], title="Fifth thing", description="quite another")
    add(folder)
    manifest = add(folder, [changed, replace(NEW[2], prior=9.0)], update=True)
    kb = KnowledgeBase.open(folder, verify=True)
    assert len(kb) == manifest.count == 207
    assert [segment.removed_count for segment in manifest.segments] == [1, 1, 0]
    assert kb.get("Q5") == changed and kb.by_title("Thing 5") is None
    assert found(kb, "Fifth thing: quite another") == ["Q5"]
    assert found(kb, entity_text(ENTITIES[4])) != ["Q5"]
    assert len({entity.id for entity in kb}) == 207
    # And again, where the old row is in a segment of an update.
    add(folder, [ENTITIES[4]], update=True)
    kb = KnowledgeBase.open(folder, verify=True)
    assert kb.get("Q5") == ENTITIES[4] and found_by_own_text(kb)


def test_what_is_removed_is_not_found_again(folder: Path) -> None:
    add(folder)
    for name in ("Q5", "new-3", "Q6"):
        remove(folder, name)
    kb = KnowledgeBase.open(folder, verify=True)
    assert len(kb) == len(list(kb)) == 204
    assert kb.get("Q5") is None and kb.get("new-3") is None
    everything = kb.search(encode([entity_text(ENTITIES[4])]), 300).keys
    assert not {4, 5, 203} & set(everything.ravel().tolist())
    assert sorted(path.name for path in folder.glob("**/removed-*.npy")) == ["removed-4.npy", "removed-5.npy"]
    # The id is free again.
    add(folder, [ENTITIES[4]])
    assert KnowledgeBase.open(folder).get("Q5") == ENTITIES[4]


def test_what_cannot_be_removed(folder: Path) -> None:
    before = contents(folder)
    with pytest.raises(KBError, match=r"has no entity 'Q999'; nothing was removed"):
        remove(folder, "Q1", "Q999")
    with pytest.raises(KBError, match="nothing would be left"):
        remove(folder, *[entity.id for entity in ENTITIES])
    remove(folder, "Q7")
    with pytest.raises(KBError, match="has no entity 'Q7'"):
        remove(folder, "Q7")
    after = contents(folder)
    assert {name for name in after if after[name] != before.get(name)} == {"kb.json", "removed-2.npy"}


def test_nine_of_ten_removed(folder: Path) -> None:
    remove(folder, *[entity.id for entity in ENTITIES if int(entity.id[1:]) % 10])
    kb = KnowledgeBase.open(folder)
    assert len(kb) == 20 and found_by_own_text(kb)


def test_compacting_gives_the_bytes_of_a_fresh_build(tmp_path: Path) -> None:
    for index in ("exact", "hnsw"):
        folder, fresh = tmp_path / index, tmp_path / f"fresh-{index}"
        make(folder, index=index)
        add(folder)
        add(folder, [ENTITIES[8]], update=True)
        remove(folder, "Q11", "new-4")
        live = list(KnowledgeBase.open(folder))
        manifest = compact(folder)
        make(fresh, entities=live, index=index)
        compacted = {name.removeprefix("segment-5/"): data for name, data in contents(folder).items()}
        made = contents(fresh)
        # The largest value of all decides the scale; here it is of an entity that was there all the time.
        assert {name for name in made if made[name] != compacted[name]} == {"kb.json"}
        assert set(made) == set(compacted)
        assert (manifest.version, manifest.index, len(manifest.segments)) == (5, index, 1)
        assert manifest.segments[0].scale == KnowledgeBase.open(fresh).manifest.segments[0].scale
        kb = KnowledgeBase.open(folder, verify=True)
        assert list(kb) == live and found_by_own_text(kb)
        # There is nothing to do any more.
        assert compact(folder) == manifest


def test_another_search_on_compacting(folder: Path) -> None:
    remove(folder, "Q1")
    assert compact(folder, index="hnsw").index == "hnsw"
    assert found_by_own_text(KnowledgeBase.open(folder, verify=True))


def test_another_model_may_not_add(folder: Path) -> None:
    with pytest.raises(KBError, match=r"built with model tiny .* this is model huge"):
        add(folder, fingerprint="e" * 64, model_name="huge")
    assert len(KnowledgeBase.open(folder)) == 200


def test_a_vector_that_is_none_leaves_the_kb_as_it_is(folder: Path) -> None:
    before = contents(folder)
    with pytest.raises(KBError, match="no finite vector for entity 'new-0'"):
        add(folder, encode=lambda texts: np.full((len(texts), DIMS), np.nan))
    assert contents(folder) == before


def test_a_large_addition_goes_on_where_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "CHUNK", 2)
    asked: list[str] = []

    def dying(texts: list[str]) -> np.ndarray:
        asked.extend(texts)
        if len(asked) > 4:
            raise KeyboardInterrupt
        return encode(texts)

    with pytest.raises(KeyboardInterrupt):
        add(folder, encode=dying)
    assert len(KnowledgeBase.open(folder)) == 200
    again: list[str] = []

    def noting(texts: list[str]) -> np.ndarray:
        again.extend(texts)
        return encode(texts)

    add(folder, encode=noting)
    assert again == [entity_text(entity) for entity in NEW[4:]]
    assert found_by_own_text(KnowledgeBase.open(folder, verify=True))
    assert not list(folder.glob(".*"))


def test_a_folder_that_is_no_kb(tmp_path: Path) -> None:
    for change in (add, compact, lambda folder: remove(folder, "Q1")):
        with pytest.raises(KBError, match="no such kb folder"):
            change(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_entities_of_a_segment_are_looked_up_by_an_index(folder: Path) -> None:
    """So a small addition to a large knowledge base is quick."""
    table = KnowledgeBase.open(folder).segments[0].table
    connection, _ = table._connection()
    query = "EXPLAIN QUERY PLAN SELECT id, key FROM entities WHERE id IN (SELECT value FROM json_each('[]'))"
    steps = " ".join(row[3] for row in connection.execute(query))
    assert "SEARCH entities USING" in steps and "SCAN entities" not in steps


def test_the_model_is_named_as_it_was(folder: Path) -> None:
    assert add(folder, model_name="tiny, renamed").model_name == MODEL["model_name"]
