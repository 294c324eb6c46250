"""Building a knowledge base, opening it, taking up a killed build, and every way a folder can be wrong."""

import hashlib
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onegen_el.document import Entity
from onegen_el.errors import KBError
from onegen_el.knowledge import KBManifest, KnowledgeBase, build, build_kb, entity_text
from onegen_el.knowledge.manifest import FORMAT
from onegen_el.knowledge.vectors import build_graph

ENTITIES = [
    Entity(f"Q{number}", f"Thing {number}", "x" * (number * 7 % 23), prior=float(number), qid=f"Q{number}")
    for number in range(1, 201)
]
DIMS = 16


def encode(texts: Sequence[str]) -> np.ndarray:
    """A vector that depends on the text alone, of no particular length."""
    seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) for text in texts]
    return np.stack([np.random.default_rng(seed).standard_normal(DIMS) * 3 for seed in seeds])


def make(out: Path, **changes: Any) -> KBManifest:
    options = {"encode": encode, "fingerprint": "f" * 64, "model_name": "tiny", **changes}
    return build_kb(options.pop("entities", ENTITIES), options.pop("encode"), out, **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path / "kb")
    return tmp_path / "kb"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def edit_manifest(folder: Path, **changes: Any) -> None:
    path = folder / "kb.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# --- building and using ---


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


def test_stored_vectors_are_unit_vectors_times_the_scale(folder: Path) -> None:
    kb = KnowledgeBase.open(folder)
    raw = encode([entity_text(entity) for entity in ENTITIES])
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    np.testing.assert_allclose(kb.vectors / kb.manifest.scale, unit, atol=0.5 / kb.manifest.scale + 1e-6)
    assert np.abs(kb.vectors).max() == 127


def test_same_inputs_same_bytes(tmp_path: Path) -> None:
    make(tmp_path / "a", index="hnsw")
    make(tmp_path / "b", index="hnsw")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert set(contents(tmp_path / "a")) == {"kb.json", "entities.sqlite", "vectors.npy", "index.usearch"}


def test_the_encoder_gets_batches_of_about_one_length(tmp_path: Path) -> None:
    batches: list[list[str]] = []
    calls: list[tuple[int, int]] = []

    def noting(texts: Sequence[str]) -> np.ndarray:
        batches.append(list(texts))
        return encode(texts)

    make(tmp_path / "kb", encode=noting, batch_size=64, progress=lambda done, of: calls.append((done, of)))
    assert [len(batch) for batch in batches] == [64, 64, 64, 8]
    lengths = [len(text) for batch in batches for text in batch]
    assert lengths == sorted(lengths)
    assert calls == [(0, 200), (64, 200), (128, 200), (192, 200), (200, 200)]


def test_a_killed_build_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "CHUNK", 50)
    make(tmp_path / "whole", batch_size=20)
    encoded: list[str] = []

    def dying(texts: Sequence[str]) -> np.ndarray:
        if len(encoded) >= 130:
            raise KeyboardInterrupt
        encoded.extend(texts)
        return encode(texts)

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "kb", encode=dying, batch_size=20)
    assert not (tmp_path / "kb").exists()

    again: list[str] = []

    def noting(texts: Sequence[str]) -> np.ndarray:
        again.extend(texts)
        return encode(texts)

    make(tmp_path / "kb", encode=noting, batch_size=20)
    assert len(again) == 100  # two chunks of 50 were whole
    assert contents(tmp_path / "kb") == contents(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kb", "whole"]


@pytest.mark.parametrize(
    "changes", [{"fingerprint": "other"}, {"template": "{title}"}, {"entities": ENTITIES[:150]}]
)
def test_a_killed_build_of_other_inputs_is_not_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    monkeypatch.setattr(build, "CHUNK", 50)

    def dying_after(limit: int) -> Callable[[Sequence[str]], np.ndarray]:
        left = [limit]

        def run(texts: Sequence[str]) -> np.ndarray:
            left[0] -= len(texts)
            if left[0] < 0:
                raise KeyboardInterrupt
            return encode(texts) if limit != 10 else np.ones((len(texts), DIMS))

        return run

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "kb", encode=dying_after(100), batch_size=10)
    # The second build overwrites the first one's vectors and dies before it has saved a chunk ...
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "kb", encode=dying_after(10), batch_size=10, **changes)
    # ... so neither may be taken up by the third.
    make(tmp_path / "kb", batch_size=10)
    make(tmp_path / "fresh", batch_size=10)
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


def test_a_kb_can_be_pickled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    kb = KnowledgeBase.open("kb")
    packed = pickle.dumps(kb)
    assert len(packed) < 1000
    monkeypatch.chdir("/")
    queries = encode(["a", "b"])
    np.testing.assert_array_equal(pickle.loads(packed).search(queries, 4).keys, kb.search(queries, 4).keys)


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


@pytest.mark.parametrize("changes", [{"index": "tree"}, {"dtype": "int4"}, {"index": "hnsw"}, {"files": {}}])
def test_a_manifest_of_impossible_things(folder: Path, changes: dict[str, Any]) -> None:
    edit_manifest(folder, **changes)
    with pytest.raises(KBError, match="does not describe a knowledge base"):
        KnowledgeBase.open(folder)


@pytest.mark.parametrize("name", ["entities.sqlite", "vectors.npy", "index.usearch"])
def test_each_file_missing_cut_off_or_changed(tmp_path: Path, name: str) -> None:
    make(tmp_path / "kb", index="hnsw")
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


@pytest.mark.parametrize("name", ["entities.sqlite", "vectors.npy", "index.usearch"])
def test_each_file_overwritten_with_as_many_zeros(tmp_path: Path, name: str) -> None:
    make(tmp_path / "kb", index="hnsw")
    path = tmp_path / "kb" / name
    path.write_bytes(b"\1" * path.stat().st_size)
    with pytest.raises(KBError, match=rf"{name}: cannot be read .*onegen-el kb build"):
        KnowledgeBase.open(tmp_path / "kb")


def replace_file(folder: Path, name: str) -> None:
    """Writes down the size of a file that a test has put in place of the true one."""
    files = json.loads((folder / "kb.json").read_text())["files"]
    files[name]["size"] = (folder / name).stat().st_size
    edit_manifest(folder, files=files)


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
