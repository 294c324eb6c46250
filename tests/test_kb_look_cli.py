"""`onegen-el kb info`, `show`, `search`, `verify`, `export` and `import-onegen`, as a user types them."""

import json
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import SENTENCES, tiny_backbone
from typer.testing import CliRunner

from onegen_el.backbone import Backbone
from onegen_el.cli.kb import kb_app
from onegen_el.document import Entity
from onegen_el.errors import InputError, KBError
from onegen_el.knowledge import KnowledgeBase, add_entities, build_kb, read_entities, remove_entities

ENTITIES = [
    Entity("Q90", "Paris", "capital of France", ("Lutèce",), ("LOC", "city"), 9.0, "Q90", "Paris"),
    Entity("Q47899", "Paris Hilton", "media\npersonality", ("Paris",), ("PER",), 5.0),
    Entity("Q597", "Lisbon", "city of harbours", (), ("LOC",), 7.0, "Q597", "Lisbon"),
    Entity("Q1", "Maria Costa", "baker", (), ("PER",), 1.0),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    backbone = tiny_backbone("bert")
    backbone.save(folder)
    return folder


@pytest.fixture(scope="module")
def backbone(model: Path) -> Backbone:
    from onegen_el.backbone import load_backbone

    return load_backbone(model, "cpu")


@pytest.fixture
def folder(tmp_path: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONEGEN_EL_CACHE", str(tmp_path / "cache"))
    facts = {"fingerprint": backbone.fingerprint, "model_name": backbone.name}
    build_kb(
        ENTITIES[:2], backbone.embed_entities, tmp_path / "kb", source="by hand", date="2024-05-01", **facts
    )
    add_entities(tmp_path / "kb", ENTITIES[2:], backbone.embed_entities, **facts)
    return tmp_path / "kb"


def run(*words: Any) -> Any:
    return CliRunner().invoke(kb_app, [str(word) for word in words])


def rows(*words: Any) -> list[Any]:
    result = run(*words, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return [json.loads(line) for line in result.stdout.splitlines()]


# --- info ---


def test_info_tells_version_segments_and_what_was_removed(folder: Path) -> None:
    remove_entities(folder, ["Q1"])
    result = run("info", folder)
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert (lines["version"], lines["entities"], lines["segments"]) == ("3", "3", "2")
    assert lines["removed"].startswith("1, until")
    assert (lines["source"], lines["date"]) == ("by hand", "2024-05-01")
    assert "segment-2/vectors.npy" in lines
    (told,) = rows("info", folder)
    assert (told["version"], told["entities"], len(told["segments"])) == (3, 3, 2)
    assert told["folder"] == str(folder)


def test_info_is_short_where_there_is_nothing_to_tell(tmp_path: Path) -> None:
    build_kb(
        ENTITIES, lambda texts: np.eye(4)[: len(texts)], tmp_path / "kb", fingerprint="f", model_name="tiny"
    )
    names = [line.split(maxsplit=1)[0] for line in run("info", tmp_path / "kb").stdout.splitlines()]
    assert not {"removed", "segments", "date", "shortened"} & set(names)


# --- show ---


def test_show_tells_all_of_an_entity(folder: Path) -> None:
    result = run("show", "enwiki:Paris", "Q47899", "--kb", folder, "--near", "2")
    assert result.exit_code == 0, result.output
    first, second = result.stdout.split("\n\n")
    for part in ("capital of France", "Lutèce", "LOC, city", "http://dbpedia.org/resource/Paris", "near "):
        assert part in first
    assert "media personality" in second
    shown = rows("show", "Q597", "Q1", "--kb", folder, "--near", 1)
    assert [row["id"] for row in shown] == ["Q597", "Q1"]
    assert shown[0]["segment"] == "segment-2" and len(shown[0]["nearest"]) == 1


def test_the_knowledge_base_of_the_variable_is_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEGEN_EL_KB", str(folder))
    assert rows("show", "Lisbon")[0]["id"] == "Q597"
    assert rows("search", "Lisbon")[0]["id"] == "Q597"
    assert rows("info")[0]["folder"] == str(folder)
    assert isinstance(run("show", "Q5").exception, KBError)


# --- search ---


def test_search_by_name(folder: Path) -> None:
    result = run("search", "paris", "--kb", folder)
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["Q90", "Q47899"]
    assert "Paris Hilton  [Paris]  media personality" in result.stdout
    assert [row["id"] for row in rows("search", "paris", "--kb", folder, "--type", "PER")] == ["Q47899"]
    assert [row["id"] for row in rows("search", "paris", "--kb", folder, "-k", "1")] == ["Q90"]
    (found,) = rows("search", "Lisbonn", "--kb", folder)
    assert (found["id"], found["name"], found["match"]) == ("Q597", "Lisbon", "similar")
    assert "~" in run("search", "Lisbonn", "--kb", folder).stdout
    nothing = run("search", "zzzz", "--kb", folder)
    assert nothing.exit_code == 0 and nothing.stdout == "" and "nothing like 'zzzz'" in nothing.stderr


def test_search_in_context_is_as_the_linker_scores(folder: Path, model: Path, backbone: Backbone) -> None:
    from onegen_el.linker import EntityLinker

    text = SENTENCES[0]
    start = text.index("Lisbon")
    linker = EntityLinker(backbone, KnowledgeBase.open(folder), top_k=4)
    linked = linker.link(text, [(start, start + 6)]).mentions[0]
    expected = {candidate.entity: candidate.score for candidate in linked.candidates}
    found = rows("search", "lisbon", "--kb", folder, "--model", model, "--context", text)
    assert {row["id"] for row in found} == set(expected)
    for row in found:
        assert row["cosine"] == pytest.approx(expected[row["id"]], abs=1e-5)
        assert ("match" in row) == (row["id"] == "Q597")
    assert [row["cosine"] for row in found] == sorted((row["cosine"] for row in found), reverse=True)
    only = rows(
        "search", "the town", "--kb", folder, "--model", model, "--context", text, "--mention", "Lisbon",
        "--type", "LOC",
    )  # fmt: skip
    assert {row["id"] for row in only} == {"Q90", "Q597"}
    assert run("search", "lisbon", "--kb", folder, "--model", model, "--context", text).stdout[:1] in "-01"


def test_search_says_what_is_missing(folder: Path, model: Path) -> None:
    told = run("search", "Rome", "--kb", folder, "--model", model, "--context", SENTENCES[0]).exception
    assert isinstance(told, InputError) and "--mention" in str(told)
    assert isinstance(run("search", "Rome", "--kb", folder, "--mention", "Rome").exception, InputError)


# --- verify ---


def test_verify_is_quiet_about_what_is_right(folder: Path, model: Path, tmp_path: Path) -> None:
    result = run("verify", folder)
    assert result.exit_code == 0, result.output
    assert "4 entities" in result.stdout and "recall@1 1.0000" in result.stdout
    assert "nothing wrong" in result.stderr
    np.save(tmp_path / "q.npy", np.ones((3, 32), np.float32))
    (told,) = rows("verify", folder, "--queries", tmp_path / "q.npy")
    assert told["recalls"]["queries"]["queries"] == 3 and told["findings"] == []


def test_verify_makes_queries_of_texts(folder: Path, model: Path, tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    gold.write_text(
        "\n".join(
            json.dumps({"id": f"{n}", "text": text, "mentions": []}) for n, text in enumerate(SENTENCES)
        )
    )
    (told,) = rows("verify", folder, "--queries", gold, "--model", model)
    assert told["recalls"]["queries"]["queries"] > 0


def test_verify_ends_with_1_where_something_is_wrong(folder: Path, tmp_path: Path) -> None:
    (folder / "segment-2" / "vectors.npy").unlink()
    result = run("verify", folder)
    assert result.exit_code == 1
    assert "segment-2/vectors.npy: is missing; copy the folder again" in result.stderr
    result = run("verify", folder, "--json")
    assert result.exit_code == 1 and json.loads(result.stdout)["findings"][0]["remedy"]


@pytest.mark.parametrize("array", [np.ones(3), np.ones((2, 3), int), np.full((2, 32), np.nan)])
def test_verify_refuses_what_are_no_queries(folder: Path, tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "q.npy", array)
    told = run("verify", folder, "--queries", tmp_path / "q.npy").exception
    assert isinstance(told, InputError) and "finite float [n, dims]" in str(told)


# --- export ---


def test_export_is_read_back_by_build(folder: Path, tmp_path: Path, model: Path) -> None:
    out, vectors = tmp_path / "e.jsonl", tmp_path / "v.npy"
    result = run("export", folder, "-o", out, "--vectors", vectors)
    assert result.exit_code == 0 and "4 entities" in result.stderr
    assert list(read_entities(out)) == [
        replace(entity, qid=entity.id, description=entity.description) for entity in ENTITIES
    ]
    assert np.load(vectors).shape == (4, 32)
    assert run("build", out, "-o", tmp_path / "again", "--model", model).exit_code == 0
    assert KnowledgeBase.open(tmp_path / "again").get("Q90") == ENTITIES[0]
    assert isinstance(run("export", folder, "-o", out, "--vectors", tmp_path / "v.csv").exception, InputError)


# --- import-onegen ---


def db(path: Path, uids: Sequence[str]) -> Path:
    lines = [
        {
            "uid": uid,
            "messages": [
                {"role": "user", "content": f"The description of Thing {uid} is as follows:\n"},
                {"role": "assistant", "content": f"it is {uid}[SE]"},
            ],
        }
        for uid in uids
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_import_with_the_embedding_file(tmp_path: Path, model: Path, backbone: Backbone) -> None:
    uids = [f"Q{number}" for number in range(1, 41)]
    vectors = torch.randn(40, 32, generator=torch.Generator().manual_seed(0))
    (tmp_path / "e.pkl").write_bytes(pickle.dumps((vectors, uids)))
    texts = db(tmp_path / "db.jsonl", [*uids, "Q3-1"])
    result = run(
        "import-onegen", texts, "--embeddings", tmp_path / "e.pkl", "--model", model, "-o", tmp_path / "kb",
        "--dims", "16", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, (result.output, result.exception)
    assert json.loads(result.stdout)["entities"] == 40
    assert "left out: further rows of an entity: 1 (Q3)" in result.stderr
    kb = KnowledgeBase.open(tmp_path / "kb")
    kb.check_model(backbone.fingerprint, backbone.name)
    assert (kb.manifest.dims, kb.manifest.source) == (16, "db.jsonl")
    assert "shortened from   32 dimensions" in run("info", tmp_path / "kb").stdout
    found = kb.search(vectors.numpy(), 1).keys[:, 0]
    assert (found == np.arange(40)).mean() > 0.9


def test_import_with_vectors_of_the_model(tmp_path: Path, model: Path, backbone: Backbone) -> None:
    texts = db(tmp_path / "db.jsonl", ["Q1", "Q2", "Q2-1"])
    result = run("import-onegen", texts, "--model", model, "-o", tmp_path / "kb")
    assert result.exit_code == 0, (result.output, result.exception)
    kb = KnowledgeBase.open(tmp_path / "kb")
    assert [entity.title for entity in kb] == ["Thing Q1", "Thing Q2"]
    query = backbone.embed_entities(["Thing Q2: it is Q2"])
    assert kb.search(query, 1).keys.tolist() == [[1]]


def test_import_refuses_what_is_more_than_data(tmp_path: Path, model: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.pkl").write_bytes(b"cos\nsystem\n(S'touch trapped'\ntR.")
    texts = db(tmp_path / "db.jsonl", ["Q1"])
    result = run(
        "import-onegen", texts, "--embeddings", tmp_path / "e.pkl", "--model", model, "-o", tmp_path / "kb"
    )
    assert isinstance(result.exception, KBError) and "wants to import os.system" in str(result.exception)
    assert not (tmp_path / "trapped").exists() and not (tmp_path / "kb").exists()
