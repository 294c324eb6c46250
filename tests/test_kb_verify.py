"""`verify_kb`: a sound knowledge base has nothing wrong, each fault is named with its remedy."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onegen_el.document import Entity
from onegen_el.errors import KBError
from onegen_el.knowledge import KnowledgeBase, add_entities, build_kb, remove_entities
from onegen_el.knowledge.manifest import FileRecord
from onegen_el.knowledge.recall import COSINE, perturbed, recall
from onegen_el.knowledge.verify import Report, verify_kb

COUNT, DIMS = 300, 12
ENTITIES = [Entity(f"Q{number}", f"Thing {number}", qid=f"Q{number}") for number in range(1, COUNT + 1)]
FACTS = {"fingerprint": "f" * 64, "model_name": "tiny"}


def encode(texts: Sequence[str]) -> np.ndarray:
    seeds = [list(text.encode()) for text in texts]
    return np.stack([np.random.default_rng(seed).standard_normal(DIMS) for seed in seeds])


def make(folder: Path, **options: Any) -> Path:
    build_kb(options.pop("entities", ENTITIES), encode, folder, **FACTS, **options)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "kb")


def whats(report: Report) -> str:
    return "\n".join(finding.what for finding in report.findings)


def rewrite(folder: Path, name: str, change: Callable[[np.ndarray], None], segment: int = 0) -> None:
    """Changes an array and makes the manifest agree, as a faulty builder would."""
    path = folder / name
    array = np.load(path)
    change(array)
    np.save(path, array)
    manifest = json.loads((folder / "kb.json").read_text())
    record = FileRecord.of(path)
    manifest["segments"][segment]["files"][path.name] = {"size": record.size, "sha256": record.sha256}
    (folder / "kb.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("index", ["exact", "hnsw"])
@pytest.mark.parametrize("options", [{}, {"alias_vectors": 1}, {"dims": 6}, {"dtype": "float16"}], ids=str)
def test_nothing_is_wrong_with_what_was_built(tmp_path: Path, index: str, options: dict[str, Any]) -> None:
    entities = [Entity(entity.id, entity.title, aliases=("same",)) for entity in ENTITIES]
    folder = make(tmp_path / "kb", entities=entities, index=index, **options)
    add_entities(folder, [Entity("Q1000", "More")], encode, **FACTS)
    remove_entities(folder, ["Q7", "Q9"])
    told: list[str] = []
    queries = np.random.default_rng(0).standard_normal((30, DIMS)).astype(np.float32)
    report = verify_kb(folder, queries, 50, told.append)
    assert report.findings == []
    assert told == ["files", "entities", "vectors", "search"]
    assert (report.entities, report.files) == (COUNT - 1, len(KnowledgeBase.open(folder).manifest.files))
    assert report.vectors == COUNT * (2 if "alias_vectors" in options else 1) + 1
    assert (report.recalls["vectors"].queries, report.recalls["queries"].queries) == (50, 30)
    assert min(report.recalls["vectors"].at_1, report.recalls["queries"].at_1) > 0.95
    assert json.loads(json.dumps(report.to_dict()))["findings"] == []


def test_all_damaged_files_are_told(folder: Path) -> None:
    add_entities(folder, [Entity("Q1000", "More")], encode, **FACTS)
    (folder / "vectors.npy").write_bytes((folder / "vectors.npy").read_bytes()[:-1])
    (folder / "segment-2" / "entities.sqlite").unlink()
    path = folder / "segment-2" / "vectors.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    report = verify_kb(folder)
    assert "\nsegment-2/vectors.npy: its checksum is wrong" in "\n" + whats(report)
    assert "vectors.npy: has" in whats(report) and "segment-2/entities.sqlite: is missing" in whats(report)
    assert all("copy the folder again" in finding.remedy for finding in report.findings)
    assert report.recalls == {}


def test_a_changed_byte_is_found_though_the_folder_opens(folder: Path) -> None:
    path = folder / "vectors.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    KnowledgeBase.open(folder)
    assert "checksum is wrong" in whats(verify_kb(folder, sample=0))


@pytest.mark.parametrize(
    ("value", "says"), [(np.nan, "not finite"), (np.inf, "not finite"), (0.0, "zero")], ids=str
)
def test_vectors_that_are_none_are_found(tmp_path: Path, value: float, says: str) -> None:
    folder = make(tmp_path / "kb", dtype="float16")

    def change(array: np.ndarray) -> None:
        array[5:9] = value

    rewrite(folder, "vectors.npy", change)
    report = verify_kb(folder)
    assert whats(report) == f"first segment: 4 vectors (row 5, 6, 7, ...) that is {says}"
    assert report.recalls == {}


@pytest.mark.parametrize(
    ("owner", "row", "says"),
    [
        (COUNT, -1, "whose owner is no entity"),
        (-1, -1, "whose owner is no entity"),
        (3, 4, "not every entity owns"),
    ],
)
def test_owners_that_are_none_are_found(tmp_path: Path, owner: int, row: int, says: str) -> None:
    entities = [Entity(entity.id, entity.title, aliases=("same",)) for entity in ENTITIES]
    folder = make(tmp_path / "kb", entities=entities, alias_vectors=1)

    def change(array: np.ndarray) -> None:
        array[row] = owner

    rewrite(folder, "owners.npy", change)
    assert says in whats(verify_kb(folder, sample=0))


def test_removed_rows_that_do_not_exist_are_found(folder: Path) -> None:
    remove_entities(folder, ["Q7", "Q9"])

    def change(array: np.ndarray) -> None:
        array[-1] = COUNT

    rewrite(folder, "removed-2.npy", change)
    report = verify_kb(folder)
    assert "does not hold rows of this segment" in whats(report)
    assert "copy the folder again" in report.findings[0].remedy


def test_two_entities_of_one_item_or_page_are_found(tmp_path: Path) -> None:
    entities = [
        *ENTITIES,
        Entity("enwiki:Thing", "Thing"),
        Entity("Q900", "Thing", wikipedia_title="Thing", qid="Q900"),
        Entity("x:1", "Other", qid="Q3"),
    ]
    folder = make(tmp_path / "kb", entities=entities)
    report = verify_kb(folder, sample=0)
    assert "Wikipedia pages that several entities claim: Thing (enwiki:Thing and Q900)" in whats(report)
    assert "Wikidata items that several entities claim: Q3 (Q3 and x:1)" in whats(report)
    assert all("kb remove" in finding.remedy for finding in report.findings)
    remove_entities(folder, ["x:1", "enwiki:Thing"])
    assert verify_kb(folder, sample=0).findings == []
    # Another segment cannot claim it either.
    add_entities(folder, [Entity("x:2", "Other", wikipedia_title="Thing")], encode, **FACTS)
    assert "Thing (Q900 and x:2)" in whats(verify_kb(folder, sample=0))


def test_one_id_in_two_segments_is_found(folder: Path) -> None:
    """`kb add` refuses that; two folders put together by hand do not."""
    add_entities(folder, [Entity("Q1000", "More")], encode, **FACTS)
    other = make(folder.parent / "other", entities=[Entity("Q5", "Thing")])
    for name in ("entities.sqlite", "vectors.npy"):
        (folder / "segment-2" / name).write_bytes((other / name).read_bytes())
    rewrite(folder, "segment-2/vectors.npy", lambda array: None, segment=1)
    manifest = json.loads((folder / "kb.json").read_text())
    record = FileRecord.of(folder / "segment-2" / "entities.sqlite")
    manifest["segments"][1]["files"]["entities.sqlite"] = {"size": record.size, "sha256": record.sha256}
    (folder / "kb.json").write_text(json.dumps(manifest))
    assert "ids that several entities claim: Q5 (Q5 and Q5)" in whats(verify_kb(folder, sample=0))


def test_an_index_over_other_vectors_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that misses what is nearest, as a damaged graph does."""
    folder = make(tmp_path / "kb", index="hnsw")

    class Blind:
        def find(self, queries: np.ndarray, k: int, removed: np.ndarray) -> Any:
            rows = np.repeat(np.arange(len(queries)), k)
            return rows, np.tile(np.arange(k), len(queries)), np.full(len(rows), -1.0)

    from onegen_el.knowledge import vectors

    monkeypatch.setattr(vectors, "GraphSearch", lambda graph, plain: Blind())
    report = verify_kb(folder, sample=40)
    assert "the index finds the nearest entity of 0.000 of the vectors only" in whats(report)
    assert "--index exact" in report.findings[0].remedy


def test_queries_of_other_dimensions_are_refused(folder: Path) -> None:
    with pytest.raises(KBError, match=f"the queries have 5 dimensions, .* is searched with {DIMS}"):
        verify_kb(folder, np.ones((3, 5), np.float32))
    with pytest.raises(KBError, match="no such kb folder"):
        verify_kb(folder / "none")


# --- recall ---


def test_perturbed_vectors_stand_at_the_angle_that_is_said(folder: Path) -> None:
    kb = KnowledgeBase.open(folder)
    moved = perturbed(kb, 40)
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-5)
    plain = kb.vectors.astype(np.float32)
    plain /= np.linalg.norm(plain, axis=1, keepdims=True)
    assert (np.abs(moved @ plain.T - COSINE).min(axis=1) < 1e-5).all()
    np.testing.assert_array_equal(moved, perturbed(kb, 40))
    assert len(perturbed(kb, 10_000)) == COUNT


def test_recall_counts_what_is_found(folder: Path) -> None:
    kb = KnowledgeBase.open(folder)
    exact = recall(kb, perturbed(kb, 20))
    assert (exact.at_1, exact.at_10, exact.queries) == (1.0, 1.0, 20)


def test_copies_stand_for_one_another(tmp_path: Path) -> None:
    """With equal vectors there is no saying which of them an index ought to find."""
    copies = [Entity(f"Q{number}", "Same") for number in range(1, 200)]
    kb = KnowledgeBase.open(make(tmp_path / "kb", entities=copies, index="hnsw"))
    assert recall(kb, perturbed(kb, 20)).at_10 == 1.0
