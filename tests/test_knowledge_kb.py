"""Opening a knowledge base, searching it, and every way a folder can be wrong."""

import json
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kbs import (
    DIMS,
    ENTITIES,
    NEW,
    add,
    compact,
    edit_manifest,
    edit_segment,
    encode,
    found,
    found_by_own_text,
    make,
    remove,
    replace_file,
)

from onegen_el.errors import KBError
from onegen_el.knowledge import KBManifest, KnowledgeBase, entity_text
from onegen_el.knowledge.manifest import FORMAT, FileRecord
from onegen_el.knowledge.vectors import build_graph


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path / "kb")
    return tmp_path / "kb"


@pytest.fixture
def edited(folder: Path) -> Path:
    """Two segments, entities removed from both."""
    add(folder)
    remove(folder, "Q3", "new-1", "Q200")
    return folder


# --- using ---


@pytest.mark.parametrize("index", ["exact", "hnsw"])
@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_each_entity_is_found_by_its_own_text(tmp_path: Path, index: str, dtype: str) -> None:
    manifest = make(tmp_path / "kb", index=index, dtype=dtype, source="made up, 2024-01-01")
    kb = KnowledgeBase.open(tmp_path / "kb", verify=True)
    assert kb.manifest == manifest
    assert (len(kb), kb.vectors.shape, kb.vectors.dtype.name) == (200, (200, DIMS), dtype)
    assert isinstance(kb.vectors, np.memmap)
    hits = kb.search(encode([entity_text(entity) for entity in ENTITIES]), 3)
    assert hits.keys[:, 0].tolist() == list(range(200))
    assert hits.scores[:, 0].min() > 0.999
    assert kb.entities(hits.keys[:, 0].tolist()) == ENTITIES
    assert kb.get("Q7") == kb.by_title("Thing 7") == ENTITIES[6]
    assert repr(kb).startswith(f"KnowledgeBase(200 entities, 16 x {dtype}, {index} search, vectors of tiny")


def test_a_kb_can_be_pickled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    kb = KnowledgeBase.open("kb")
    packed = pickle.dumps(kb)
    assert len(packed) < 1000
    monkeypatch.chdir("/")
    queries = encode(["a", "b"])
    np.testing.assert_array_equal(pickle.loads(packed).search(queries, 4).keys, kb.search(queries, 4).keys)


@pytest.mark.parametrize("index", ["exact", "hnsw"])
def test_a_folder_of_format_1_opens(tmp_path: Path, index: str) -> None:
    folder = tmp_path / "kb"
    make(folder, index=index)
    row = json.loads((folder / "kb.json").read_text())
    segment = row["segments"][0]
    if index == "hnsw":  # the vectors lay beside the graph then
        np.save(folder / "vectors.npy", KnowledgeBase.open(folder).vectors)
        record = FileRecord.of(folder / "vectors.npy")
        segment["files"]["vectors.npy"] = {"size": record.size, "sha256": record.sha256}
    old = {name: row[name] for name in ("fingerprint", "model_name", "dims", "dtype", "template", "source")}
    old |= {name: segment[name] for name in ("count", "scale", "index", "files")} | {"format": 1}
    (folder / "kb.json").write_text(json.dumps(old))

    kb = KnowledgeBase.open(folder, verify=True)
    assert (len(kb), kb.manifest.version, kb.manifest.index, len(kb.segments)) == (200, 1, index, 1)
    assert found(kb, entity_text(ENTITIES[5])) == ["Q6"]
    add(folder)
    kb = KnowledgeBase.open(folder, verify=True)
    assert (len(kb), kb.manifest.version, kb.manifest.format) == (207, 2, FORMAT)
    assert found_by_own_text(kb)


def test_segments_are_searched_as_one(edited: Path) -> None:
    kb = KnowledgeBase.open(edited, verify=True)
    live = [entity for entity in [*ENTITIES, *NEW] if entity.id not in ("Q3", "new-1", "Q200")]
    assert len(kb) == len(live) and list(kb) == live
    assert "204 entities in 2 segments" in repr(kb)
    queries = np.random.default_rng(5).standard_normal((9, DIMS))
    hits = kb.search(queries, 6)
    # Against all vectors at once, as stored.
    codes = np.vstack([segment.index.vectors for segment in kb.segments]).astype(float)
    cosines = queries @ (codes / np.linalg.norm(codes, axis=1, keepdims=True)).T
    cosines /= np.linalg.norm(queries, axis=1, keepdims=True)
    cosines[:, [2, 199, 201]] = -2
    best = np.argsort(-cosines, axis=1, kind="stable")[:, :6]
    np.testing.assert_array_equal(hits.keys, best)
    np.testing.assert_allclose(hits.scores, np.take_along_axis(cosines, best, 1), atol=1e-6)
    assert kb.search(queries, 300).keys.shape == (9, 300)
    assert (kb.search(queries, 300).keys >= 0).sum() == 9 * 204


def test_equal_scores_come_by_key(folder: Path) -> None:
    add(folder, [ENTITIES[7]], update=True)
    add(folder, [NEW[0]], encode=lambda texts: encode([entity_text(ENTITIES[9])]))
    hits = KnowledgeBase.open(folder).search(encode([entity_text(ENTITIES[9])]), 2)
    assert hits.keys.tolist() == [[9, 201]]
    assert hits.scores[0, 0] == hits.scores[0, 1]


def test_entities_of_segments_by_key_id_and_title(edited: Path) -> None:
    kb = KnowledgeBase.open(edited)
    assert kb.entities([206, 0, 200, 206]) == [NEW[6], ENTITIES[0], NEW[0], NEW[6]]
    assert kb.entities([2]) == [ENTITIES[2]]  # removed, but a key stays what it was
    for key in (-1, 207):
        with pytest.raises(IndexError, match=f"{key}; keys are 0 to 206"):
            kb.entities([0, key])
    assert kb.keys(["new-2", "Q3", "Q4", "nobody"]) == {"new-2": 202, "Q4": 3}
    assert kb.get("new-2") == NEW[2]
    assert kb.get("Q3") is kb.get("new-1") is None
    assert kb.by_title("Newcomer 2") == NEW[2]
    assert kb.by_title("Thing 3") is None


def test_the_best_known_namesake_of_all_segments_wins(folder: Path) -> None:
    from dataclasses import replace

    better = replace(NEW[0], title="Thing 50", prior=50.5)
    page = replace(NEW[1], title="Fiftieth thing", wikipedia_title="Thing 50")
    add(folder, [better])
    assert KnowledgeBase.open(folder).by_title("Thing 50") == better
    add(folder, [page])
    assert KnowledgeBase.open(folder).by_title("Thing 50") == page
    remove(folder, page.id)
    assert KnowledgeBase.open(folder).by_title("Thing 50") == better
    remove(folder, better.id)
    assert KnowledgeBase.open(folder).by_title("Thing 50") == ENTITIES[49]


def test_vectors_are_those_of_the_entities_that_are_left(edited: Path) -> None:
    kb = KnowledgeBase.open(edited)
    vectors = kb.vectors.astype(float)
    made = encode([entity_text(entity) for entity in kb])
    cosines = (vectors * made).sum(1) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(made, axis=1)
    assert len(vectors) == 204 and cosines.min() > 0.999


def test_what_is_open_outlives_its_files(edited: Path) -> None:
    """Also where a thread asks for the first time when the files are gone."""
    kb = KnowledgeBase.open(edited)
    before = list(kb)
    compact(edited)
    assert not (edited / "entities.sqlite").exists()
    with ThreadPoolExecutor(4) as pool:
        for entity, names in zip(before, pool.map(lambda e: found(kb, entity_text(e)), before), strict=True):
            assert names == [entity.id]
    assert list(KnowledgeBase.open(edited)) == before


def test_a_graph_outlives_its_file(tmp_path: Path) -> None:
    make(tmp_path / "kb", index="hnsw")
    kb = KnowledgeBase.open(tmp_path / "kb")
    remove(tmp_path / "kb", "Q1")
    compact(tmp_path / "kb")
    assert not (tmp_path / "kb" / "index.usearch").exists()
    assert found_by_own_text(kb) and len(kb) == 200


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
def test_a_forked_child_searches(edited: Path) -> None:
    kb = KnowledgeBase.open(edited)
    assert found_by_own_text(kb)
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=lambda: answers.put(found_by_own_text(kb)))
    child.start()
    assert answers.get() is True
    child.join()


# --- what cannot be opened ---


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(KBError, match=r"no such kb folder; .*onegen-el kb build"):
        KnowledgeBase.open(tmp_path / "nowhere")


def test_a_missing_manifest(folder: Path) -> None:
    (folder / "kb.json").unlink()
    with pytest.raises(KBError, match=r"kb.json is missing"):
        KnowledgeBase.open(folder)


@pytest.mark.parametrize("text", ["{", "", "[1]", '{"format": 1}', '{"count": 3}', "\udcff"])
def test_a_manifest_that_is_none(folder: Path, text: str) -> None:
    (folder / "kb.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(KBError, match=r"kb.json: .*onegen-el kb build"):
        KnowledgeBase.open(folder)


def test_a_newer_format(folder: Path) -> None:
    edit_manifest(folder, format=FORMAT + 1, something="new")
    with pytest.raises(KBError, match=r"newer than this onegen-el.*pip install --upgrade"):
        KnowledgeBase.open(folder)


@pytest.mark.parametrize("changes", [{"dtype": "int4"}, {"segments": []}, {"projection": "projection.npy"}])
def test_a_manifest_of_impossible_things(folder: Path, changes: dict[str, Any]) -> None:
    edit_manifest(folder, **changes)
    with pytest.raises(KBError, match="does not describe a knowledge base"):
        KnowledgeBase.open(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"index": "tree"},
        {"index": "hnsw"},
        {"files": {}},
        {"folder": "../elsewhere"},
        {"count": 0},
        {"vectors": 100},
        {"vectors": 300},
        {"removed_count": 2},
        {"removed": "removed-2.npy", "removed_count": 2},
    ],
)
def test_a_manifest_of_an_impossible_segment(folder: Path, changes: dict[str, Any]) -> None:
    edit_segment(folder, **changes)
    with pytest.raises(KBError, match="does not describe a knowledge base"):
        KnowledgeBase.open(folder)


@pytest.mark.parametrize(
    ("index", "name"), [("exact", "entities.sqlite"), ("exact", "vectors.npy"), ("hnsw", "index.usearch")]
)
def test_each_file_missing_cut_off_or_changed(tmp_path: Path, index: str, name: str) -> None:
    make(tmp_path / "kb", index=index)
    path = tmp_path / "kb" / name
    whole = path.read_bytes()

    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    KnowledgeBase.open(tmp_path / "kb")
    with pytest.raises(KBError, match=rf"{name}: its checksum is wrong"):
        KnowledgeBase.open(tmp_path / "kb", verify=True)

    path.write_bytes(whole[:-1])
    with pytest.raises(KBError, match=rf"{name}: has [\d,]+ bytes instead of [\d,]+"):
        KnowledgeBase.open(tmp_path / "kb")

    path.unlink()
    with pytest.raises(KBError, match=rf"{name}: is missing"):
        KnowledgeBase.open(tmp_path / "kb")


@pytest.mark.parametrize(
    ("index", "name"), [("exact", "entities.sqlite"), ("exact", "vectors.npy"), ("hnsw", "index.usearch")]
)
def test_each_file_overwritten_with_as_many_zeros(tmp_path: Path, index: str, name: str) -> None:
    make(tmp_path / "kb", index=index)
    path = tmp_path / "kb" / name
    path.write_bytes(b"\1" * path.stat().st_size)
    with pytest.raises(KBError, match=rf"{name}: cannot be read .*onegen-el kb build"):
        KnowledgeBase.open(tmp_path / "kb")


OTHER_VECTORS = [((200, 8), "int8"), ((199, 16), "int8"), ((200, 16), "float16")]


@pytest.mark.parametrize(("shape", "dtype"), OTHER_VECTORS)
def test_a_graph_of_other_vectors(tmp_path: Path, shape: tuple[int, int], dtype: Any) -> None:
    make(tmp_path / "kb", index="hnsw")
    build_graph(np.ones(shape, dtype), dtype, tmp_path / "kb" / "index.usearch")
    replace_file(tmp_path / "kb", "index.usearch")
    with pytest.raises(KBError, match=r"index.usearch: holds .*\(200, 16\) of type i8"):
        KnowledgeBase.open(tmp_path / "kb")


@pytest.mark.parametrize(("shape", "dtype"), OTHER_VECTORS)
def test_vectors_of_another_kb(folder: Path, shape: tuple[int, int], dtype: str) -> None:
    np.save(folder / "vectors.npy", np.ones(shape, dtype))
    replace_file(folder, "vectors.npy")
    with pytest.raises(KBError, match=r"vectors.npy: holds .*\(200, 16\) of type int8"):
        KnowledgeBase.open(folder)


def test_entities_of_another_kb(folder: Path, tmp_path: Path) -> None:
    make(tmp_path / "other", entities=ENTITIES[:9])
    (tmp_path / "other" / "entities.sqlite").replace(folder / "entities.sqlite")
    replace_file(folder, "entities.sqlite")
    with pytest.raises(KBError, match="holds 9 entities, the manifest says 200"):
        KnowledgeBase.open(folder)


def test_the_wrong_model(folder: Path) -> None:
    kb = KnowledgeBase.open(folder)
    kb.check_model("f" * 64, "tiny")
    with pytest.raises(KBError, match=r"built with model tiny .*this is model huge .*onegen-el kb build"):
        kb.check_model("e" * 64, "huge")


@pytest.mark.parametrize("damage", ["missing", "unsorted", "outside", "another type", "no array"])
def test_a_wrong_list_of_removed_rows(edited: Path, damage: str) -> None:
    path = edited / "removed-3.npy"
    if damage == "missing":
        path.unlink()
    elif damage == "no array":
        path.write_bytes(b"x" * path.stat().st_size)
    else:
        rows = {"unsorted": [199, 2], "outside": [2, 200], "another type": [2.0, 199.0]}[damage]
        np.save(path, np.array(rows))
    with pytest.raises(KBError, match=r"removed-3.npy: .*(copy the folder again|onegen-el kb build)"):
        KnowledgeBase.open(edited)


def test_a_missing_segment(edited: Path) -> None:
    (edited / "segment-2").rename(edited.parent / "gone")
    with pytest.raises(KBError, match="segment-2: this segment of the knowledge base is missing; copy"):
        KnowledgeBase.open(edited)


def test_owners_of_another_kb(tmp_path: Path) -> None:
    named = [*ENTITIES[:5], NEW[0].__class__("n", "Name", aliases=("Other name",))]
    make(tmp_path / "kb", entities=named, alias_vectors=1)
    np.save(tmp_path / "kb" / "owners.npy", np.arange(9, dtype=np.int32))
    replace_file(tmp_path / "kb", "owners.npy")
    with pytest.raises(KBError, match=r"owners.npy: holds \(9,\) numbers .* says \(7,\) of type int32"):
        KnowledgeBase.open(tmp_path / "kb")


def test_a_folder_that_changes_while_it_is_opened_is_opened_again(
    edited: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer compacts between the reading of the manifest and that of the files."""
    read, calls = KBManifest.read, []

    def slow(folder: Path) -> KBManifest:
        manifest = read(folder)
        if not calls:
            calls.append(1)
            compact(folder)
        return manifest

    monkeypatch.setattr(KBManifest, "read", slow)
    kb = KnowledgeBase.open(edited)
    assert kb.manifest.version == 4 and len(kb) == 204
