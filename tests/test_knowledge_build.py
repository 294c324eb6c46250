"""Building a knowledge base, taking up a build that stopped, and what cannot be built."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kbs import (
    DIMS,
    ENTITIES,
    MODEL,
    add,
    compact,
    contents,
    encode,
    found,
    found_by_own_text,
    make,
    remove,
    replace_file,
)

from onegen_el.document import Entity
from onegen_el.errors import KBError
from onegen_el.knowledge import KnowledgeBase, build_kb, embedding, entity_text, store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path / "kb")
    return tmp_path / "kb"


def test_stored_vectors_are_unit_vectors_times_the_scale(folder: Path) -> None:
    kb = KnowledgeBase.open(folder)
    scale = kb.manifest.segments[0].scale
    raw = encode([entity_text(entity) for entity in ENTITIES])
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    np.testing.assert_allclose(kb.vectors / scale, unit, atol=0.5 / scale + 1e-6)
    assert np.abs(kb.vectors).max() == 127


def test_same_inputs_same_bytes(tmp_path: Path) -> None:
    make(tmp_path / "a", index="hnsw")
    make(tmp_path / "b", index="hnsw")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert set(contents(tmp_path / "a")) == {"kb.json", "entities.sqlite", "index.usearch"}


def test_progress_names_each_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "CHUNK", 64)
    batches: list[list[str]] = []
    calls: list[tuple[str, int, int]] = []

    def noting(texts: Sequence[str]) -> np.ndarray:
        batches.append(list(texts))
        return encode(texts)

    built = build_kb(
        ENTITIES,
        noting,
        tmp_path / "kb",
        index="hnsw",
        progress=lambda *call: calls.append(call),
        **MODEL,
    )
    assert [len(batch) for batch in batches] == [64, 64, 64, 8]
    assert [text for batch in batches for text in batch] == [entity_text(entity) for entity in ENTITIES]
    embedded = [call for call in calls if call[0] == "embed"]
    assert embedded[-4:] == [
        ("embed", 64, 200),
        ("embed", 128, 200),
        ("embed", 192, 200),
        ("embed", 200, 200),
    ]
    assert list(dict.fromkeys(stage for stage, _, _ in calls)) == ["read", "embed", "store", "graph"]
    assert list(built.seconds) == ["read", "embed", "store", "graph"]
    assert min(built.seconds.values()) >= 0


def test_a_killed_build_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "CHUNK", 50)
    make(tmp_path / "whole")
    encoded: list[str] = []

    def dying(texts: Sequence[str]) -> np.ndarray:
        if len(encoded) >= 100:
            raise KeyboardInterrupt
        encoded.extend(texts)
        return encode(texts)

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "kb", encode=dying)
    with pytest.raises(KBError, match=r"kb.json is missing"):
        KnowledgeBase.open(tmp_path / "kb")

    again: list[str] = []

    def noting(texts: Sequence[str]) -> np.ndarray:
        again.extend(texts)
        return encode(texts)

    make(tmp_path / "kb", encode=noting)
    assert len(again) == 100  # two chunks of 50 were whole
    assert contents(tmp_path / "kb") == contents(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kb", "whole"]


@pytest.mark.parametrize(
    "changes", [{"fingerprint": "other"}, {"template": "{title}"}, {"entities": ENTITIES[:150]}]
)
def test_a_killed_build_of_other_inputs_is_not_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    monkeypatch.setattr(embedding, "CHUNK", 50)

    def dying_after(limit: int) -> Callable[[Sequence[str]], np.ndarray]:
        left = [limit]

        def run(texts: Sequence[str]) -> np.ndarray:
            left[0] -= len(texts)
            if left[0] < 0:
                raise KeyboardInterrupt
            return encode(texts) if limit != 49 else np.ones((len(texts), DIMS))

        return run

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "kb", encode=dying_after(100))
    # The second build overwrites the first one's vectors and dies before it has saved a chunk ...
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "kb", encode=dying_after(49), **changes)
    # ... so neither may be taken up by the third.
    make(tmp_path / "kb")
    make(tmp_path / "fresh")
    assert contents(tmp_path / "kb") == contents(tmp_path / "fresh")


def test_an_old_kb_stays_until_the_new_one_is_whole(folder: Path) -> None:
    before = contents(folder)
    with pytest.raises(KBError):
        make(folder, encode=lambda texts: np.full((len(texts), DIMS), np.nan))
    assert contents(folder) == before
    make(folder, entities=ENTITIES[:5])
    assert len(KnowledgeBase.open(folder)) == 5
    assert [path.name for path in folder.parent.iterdir()] == ["kb"]


def test_a_folder_with_other_things_in_it_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("keep me")
    with pytest.raises(KBError, match="not a knowledge base; choose another folder"):
        make(tmp_path / "letters")
    assert (tmp_path / "letters" / "dear.txt").read_text() == "keep me"
    (tmp_path / "empty").mkdir()
    make(tmp_path / "empty")
    assert len(KnowledgeBase.open(tmp_path / "empty")) == 200


def test_a_build_over_a_damaged_one(folder: Path) -> None:
    (folder / "kb.json").write_text("{")
    make(folder, entities=ENTITIES[:5])
    kb = KnowledgeBase.open(folder, verify=True)
    assert len(kb) == 5 and found_by_own_text(kb)
    assert {path.name for path in folder.iterdir()} == {"kb.json", "segment-2"}


def test_what_a_replaced_kb_leaves_is_deleted_and_nothing_else(folder: Path) -> None:
    (folder / "README.md").write_text("keep me")
    add(folder)
    make(folder, entities=ENTITIES[:5])
    assert set(contents(folder)) == {
        "README.md",
        "kb.json",
        "segment-3/entities.sqlite",
        "segment-3/vectors.npy",
    }
    assert KnowledgeBase.open(folder).manifest.version == 3


def test_another_kb_is_a_source(folder: Path, tmp_path: Path) -> None:
    add(folder)
    remove(folder, "Q2")
    make(tmp_path / "copy", entities=KnowledgeBase.open(folder))
    compact(folder)
    copied, compacted = contents(tmp_path / "copy"), contents(folder)
    assert copied["entities.sqlite"] == compacted["segment-4/entities.sqlite"]
    # Also of itself, which is read while it is built.
    make(folder, entities=KnowledgeBase.open(folder))
    assert list(KnowledgeBase.open(folder)) == list(KnowledgeBase.open(tmp_path / "copy"))


def test_the_form_is_chosen_anew_but_not_embedded_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that fails after all was embedded keeps its vectors for one with other options."""
    monkeypatch.setattr(store, "build_graph", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make(tmp_path / "kb", index="hnsw")
    make(tmp_path / "kb", index="exact", dims=5, encode=lambda texts: 1 / 0)
    make(tmp_path / "fresh", index="exact", dims=5)
    assert contents(tmp_path / "kb") == contents(tmp_path / "fresh")


# --- aliases and shorter vectors ---

NAMED = [
    Entity("a", "Ada Lovelace", "mathematician", ("Countess", "Ada Lovelace", "Ada Byron", "Enchantress")),
    Entity("b", "Byron", "poet"),
    Entity("c", "Charles Babbage", "engineer", ("Babbage",)),
]


@pytest.mark.parametrize("index", ["exact", "hnsw"])
def test_aliases_have_vectors_of_their_own(tmp_path: Path, index: str) -> None:
    manifest = make(tmp_path / "kb", entities=NAMED, alias_vectors=2, index=index)
    kb = KnowledgeBase.open(tmp_path / "kb", verify=True)
    assert (len(kb), kb.vectors.shape, manifest.segments[0].vectors) == (3, (3, DIMS), 6)
    owners = kb.segments[0].owners
    assert owners is not None and owners.tolist() == [0, 1, 2, 0, 0, 2]
    assert found_by_own_text(kb)
    assert found(kb, "Countess: mathematician") == found(kb, "Ada Byron: mathematician") == ["a"]
    assert found(kb, "Babbage: engineer") == ["c"]
    hits = kb.search(encode(["Enchantress: mathematician", "Babbage: engineer"]), 5)
    assert hits.scores[0, 0] < 0.99  # the third of its aliases has none
    assert sorted(hits.keys[0].tolist()) == [-1, -1, 0, 1, 2]  # each entity once
    assert (hits.scores[:, 3:] == -np.inf).all() and (np.diff(hits.scores[:, :3]) <= 0).all()

    added = Entity("d", "Difference Engine", "machine", ("DE", "Engine No. 1"))
    add(tmp_path / "kb", [added])
    remove(tmp_path / "kb", "a")
    kb = KnowledgeBase.open(tmp_path / "kb", verify=True)
    assert found(kb, "DE: machine") == found(kb, "Engine No. 1: machine") == ["d"]
    assert "a" not in found(kb, "Countess: mathematician", 9)
    compact(tmp_path / "kb")
    fresh = make(tmp_path / "fresh", entities=[*NAMED[1:], added], alias_vectors=2, index=index)
    kb = KnowledgeBase.open(tmp_path / "kb", verify=True)
    assert kb.segments[0].owners is not None and kb.segments[0].owners.tolist() == [0, 1, 2, 1, 2, 2]
    assert kb.manifest.segments[0].files["owners.npy"] == fresh.segments[0].files["owners.npy"]
    assert found_by_own_text(kb) and found(kb, "Babbage: engineer") == ["c"]


def test_one_entity_of_many_aliases_does_not_hide_the_others(tmp_path: Path) -> None:
    crowd = Entity("a", "A", "x", tuple(f"A{number}" for number in range(60)))

    def alike(texts: Sequence[str]) -> np.ndarray:
        vectors = encode(texts) * 0.1
        vectors[[text.startswith("A") for text in texts], 0] += 9
        return vectors

    make(tmp_path / "kb", entities=[crowd, *ENTITIES[:9]], alias_vectors=60, encode=alike)
    hits = KnowledgeBase.open(tmp_path / "kb").search(alike(["A: x"]), 4)
    assert hits.keys[0, 0] == 0 and len(set(hits.keys[0].tolist())) == 4 and hits.keys.min() >= 0


def test_shorter_vectors_keep_what_they_can(tmp_path: Path) -> None:
    """The texts' vectors lie in 6 of 16 directions, so 6 numbers say all."""
    plane = np.linalg.qr(np.random.default_rng(3).standard_normal((DIMS, 6)))[0]

    def flat(texts: Sequence[str]) -> np.ndarray:
        return encode(texts)[:, :6] @ plane.T

    manifest = make(tmp_path / "kb", encode=flat, dims=6, dtype="float16")
    kb = KnowledgeBase.open(tmp_path / "kb", verify=True)
    assert (manifest.dims, kb.vectors.shape, manifest.projection) == (6, (200, 6), "projection.npy")
    texts = [entity_text(entity) for entity in ENTITIES]
    raw = flat(texts)
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    hits = kb.search(raw, 3)
    np.testing.assert_array_equal(hits.keys[:, 0], np.arange(200))
    np.testing.assert_allclose(hits.scores, -np.sort(-(unit @ unit.T), axis=1)[:, :3], atol=2e-3)

    add(tmp_path / "kb", encode=flat)
    remove(tmp_path / "kb", "Q1")
    compact(tmp_path / "kb")
    kb = KnowledgeBase.open(tmp_path / "kb", verify=True)
    assert kb.manifest.projection == "segment-4/projection.npy"
    keys = kb.search(flat([entity_text(entity) for entity in kb]), 1).keys
    assert keys[:, 0].tolist() == list(range(206))
    with pytest.raises(ValueError, match=r"must be \[n, 16\], got \[1, 6\]"):
        kb.search(np.ones((1, 6)), 1)


def test_a_projection_that_shortens_nothing(tmp_path: Path) -> None:
    with pytest.raises(KBError, match="have 16 dimensions, they cannot be shortened to 16"):
        make(tmp_path / "kb", dims=DIMS)


def test_a_damaged_projection(tmp_path: Path) -> None:
    make(tmp_path / "kb", dims=4)
    np.save(tmp_path / "kb" / "projection.npy", np.ones((16, 5), np.float32))
    replace_file(tmp_path / "kb", "projection.npy")
    with pytest.raises(KBError, match=r"projection.npy: holds \(16, 5\) .* to 4 dimensions"):
        KnowledgeBase.open(tmp_path / "kb")


def test_vectors_that_are_given(tmp_path: Path) -> None:
    def given(entities: Sequence[Entity]) -> np.ndarray:
        return encode([entity_text(entity) for entity in entities])

    make(tmp_path / "given", encode=None, vectors_of=given)
    make(tmp_path / "made")
    assert contents(tmp_path / "given") == contents(tmp_path / "made")
    with pytest.raises(ValueError, match="either encode or vectors_of"):
        make(tmp_path / "both", vectors_of=given)
    with pytest.raises(ValueError, match="aliases need encode"):
        make(tmp_path / "both", encode=None, vectors_of=given, alias_vectors=1)


# --- the text of an entity ---


@pytest.mark.parametrize(
    ("entity", "text"),
    [
        (Entity("1", "Ada", "mathematician", types=("PER", "writer")), "Ada: mathematician"),
        (Entity("1", "Ada", types=("PER", "writer", "human")), "Ada: writer, human"),
        (Entity("1", "Ada", types=("PER",)), "Ada: person"),
        (Entity("1", "Ada", types=("MISC",)), "Ada"),
        (Entity("1", "Ada", " \n "), "Ada"),
        (Entity("1", "A {x}", "two\nlines\t of  it"), "A {x}: two lines of it"),
    ],
)
def test_the_text_of_an_entity(entity: Entity, text: str) -> None:
    assert entity_text(entity) == text


def test_another_template_and_a_wrong_one() -> None:
    assert entity_text(ENTITIES[0], "{description} ({title})") == "xxxxxxx (Thing 1)"
    for template in ("{name}", "{}", "{title"):
        with pytest.raises(KBError, match=r"it may use \{title\} and \{description\}"):
            entity_text(ENTITIES[0], template)


# --- what cannot be built ---


def test_no_entities(tmp_path: Path) -> None:
    with pytest.raises(KBError, match="no entities"):
        make(tmp_path / "kb", entities=[])


def test_a_doubled_id(tmp_path: Path) -> None:
    with pytest.raises(KBError, match="id 'Q1'"):
        make(tmp_path / "kb", entities=[*ENTITIES, ENTITIES[0]])
    assert not (tmp_path / "kb").exists()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_a_vector_that_is_none_names_its_entity(tmp_path: Path, bad: float) -> None:
    def broken(texts: Sequence[str]) -> np.ndarray:
        vectors = encode(texts)
        vectors[[text.startswith("Thing 77:") for text in texts]] = bad
        return vectors

    with pytest.raises(KBError, match="no finite vector for entity 'Q77'"):
        make(tmp_path / "kb", encode=broken)


def test_vectors_of_a_wrong_shape(tmp_path: Path) -> None:
    with pytest.raises(KBError, match=r"vectors \[199, 16\] for 200 entities"):
        make(tmp_path / "kb", encode=lambda texts: encode(texts)[1:])


def test_the_wrong_shape_comes_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "CHUNK", 50)
    widths = iter([16, 16, 15, 16])
    with pytest.raises(KBError, match=r"vectors \[50, 15\] for 50 entities, \[50, 16\] was expected"):
        make(tmp_path / "kb", encode=lambda texts: encode(texts)[:, : next(widths)])
