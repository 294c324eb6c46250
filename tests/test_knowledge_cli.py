"""`onegen-el kb build`, `add`, `update`, `remove`, `compact` and `info` with a stand-in for the model."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from onegen_el.cli.kb import kb_app
from onegen_el.errors import InputError, KBError
from onegen_el.knowledge import KnowledgeBase
from onegen_el.manifest import ModelManifest
from onegen_el.windows import WindowSettings


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def embed(texts: list[str], dtype: torch.dtype = torch.float32) -> np.ndarray:
        return np.array([[len(text), 1.0, 2.0 if dtype == torch.float32 else 3.0] for text in texts])

    def load(model: str | None, device: str, dtype: torch.dtype | None) -> SimpleNamespace:
        return SimpleNamespace(
            manifest=ModelManifest("fake", windows=WindowSettings(head=0), fingerprint="f" * 64),
            embed_entities=embed,
            device=torch.device("cpu"),
            dtype=torch.float32,
            dims=3,
            fingerprint="f" * 64,
            name=model,
        )

    monkeypatch.setattr("onegen_el.backbone.load_backbone", load)
    path = tmp_path / "things.jsonl"
    path.write_text("\n".join(json.dumps({"id": f"t{i}", "title": "T" * (i + 1)}) for i in range(5)))
    return path


def run(*words: str | Path) -> Any:
    return CliRunner().invoke(kb_app, [str(word) for word in words])


def test_build_then_info(source: Path, tmp_path: Path) -> None:
    options = ["--model", "tiny", "--limit", "4", "--dtype", "float16"]
    built = run("build", source, "-o", tmp_path / "kb", *options)
    assert built.exit_code == 0, built.output
    assert "4 entities" in built.stderr and built.stdout == ""
    kb = KnowledgeBase.open(tmp_path / "kb")
    assert (len(kb), kb.manifest.dtype, kb.manifest.model_name) == (4, "float16", "tiny")
    assert (kb.manifest.source, kb.manifest.index) == ("things.jsonl", "exact")

    shown = run("info", tmp_path / "kb")
    assert shown.exit_code == 0, shown.output
    lines = dict(line.split(maxsplit=1) for line in shown.stdout.splitlines())
    assert lines["entities"] == "4"
    assert lines["vectors"] == "3 x float16"
    assert lines["model"] == "tiny (ffffffffffff)"
    assert {"entities.sqlite", "vectors.npy"} <= set(lines)


def test_options_reach_the_build(source: Path, tmp_path: Path) -> None:
    options = ["--index", "hnsw", "--template", "{title}", "--note", "by hand, 2024"]
    assert run("build", source, "-o", tmp_path / "kb", *options).exit_code == 0
    manifest = KnowledgeBase.open(tmp_path / "kb").manifest
    assert (manifest.index, manifest.template, manifest.source) == ("hnsw", "{title}", "by hand, 2024")


def test_errors_are_our_own(source: Path, tmp_path: Path) -> None:
    assert isinstance(run("build", tmp_path / "no.csv", "-o", tmp_path / "kb").exception, InputError)
    assert isinstance(run("info", tmp_path / "kb").exception, KBError)
    for option in ("index", "precision"):
        assert run("build", source, "-o", tmp_path / "kb", f"--{option}", "tree").exit_code == 2


def test_build_says_its_stages_as_json(source: Path, tmp_path: Path) -> None:
    told = run("build", source, "-o", tmp_path / "kb", "--json", "--date", "2024-05-01", "--threads", "1")
    row = json.loads(told.stdout)
    assert {name: row[name] for name in ("version", "entities", "segments", "vectors", "index")} == {
        "version": 1,
        "entities": 5,
        "segments": 1,
        "vectors": 5,
        "index": "exact",
    }
    assert list(row["seconds"]) == ["read", "embed", "store"]
    assert KnowledgeBase.open(tmp_path / "kb").manifest.date == "2024-05-01"


def test_another_precision_does_not_go_on_from_saved_vectors(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("onegen_el.knowledge.store.build_graph", lambda *_, **__: 1 / 0)
        words = ("build", source, "-o", tmp_path / "kb", "--precision", "float32", "--index", "hnsw")
        assert isinstance(run(*words).exception, ZeroDivisionError)
    for out in (tmp_path / "kb", tmp_path / "fresh"):
        built = run("build", source, "-o", out, "--precision", "bfloat16", "--json")
        assert json.loads(built.stdout)["precision"] == "bfloat16"
        assert "5 entities, version 1, embedded in bfloat16 (read " in built.stderr
    kb, fresh = (KnowledgeBase.open(tmp_path / name) for name in ("kb", "fresh"))
    np.testing.assert_array_equal(kb.vectors, fresh.vectors)


@pytest.mark.parametrize("units", [False, True])
def test_auto_is_what_the_cpu_has_units_for(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, units: bool
) -> None:
    monkeypatch.setattr("onegen_el.precision.has_bfloat16", lambda device: units)
    told = json.loads(run("build", source, "-o", tmp_path / "kb", "--json").stdout)
    assert told["precision"] == ("bfloat16" if units else "float32")


def test_shorter_vectors_and_those_of_aliases(source: Path, tmp_path: Path) -> None:
    source.write_text(json.dumps({"id": "a", "title": "A", "aliases": ["AA", "AAA", "AAAA"]}) + "\n")
    assert run("build", source, "-o", tmp_path / "kb", "--dims", "2", "--alias-vectors", "2").exit_code == 0
    manifest = KnowledgeBase.open(tmp_path / "kb", verify=True).manifest
    assert (manifest.dims, manifest.segments[0].vectors, manifest.alias_vectors) == (2, 3, 2)
    refused = run("build", source, "-o", tmp_path / "other", "--dims", "3").exception
    assert isinstance(refused, KBError) and "have 3 dimensions; --dims must be less" in str(refused)
    assert not (tmp_path / "other").exists()


def test_another_kb_is_a_source(source: Path, tmp_path: Path) -> None:
    run("build", source, "-o", tmp_path / "kb")
    assert run("build", tmp_path / "kb", "-o", tmp_path / "copy", "--limit", "3").exit_code == 0
    copy = KnowledgeBase.open(tmp_path / "copy")
    assert list(copy) == list(KnowledgeBase.open(tmp_path / "kb"))[:3] and copy.manifest.source == "kb"


def test_the_life_of_a_kb(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kb"
    run("build", source, "-o", folder)
    ada = ["--id", "ada", "--title", "Ada Byron", "--description", "navigator of the Argo"]
    added = run(
        "add", folder, *ada, "--alias", "The Navigator", "--alias", "A. B.", "--type", "PER", "--json"
    )
    assert added.exit_code == 0, added.output
    assert (json.loads(added.stdout)["entities"], json.loads(added.stdout)["segments"]) == (6, 2)
    assert "6 entities in 2 segments, version 2 (read " in added.stderr
    entity = KnowledgeBase.open(folder).get("ada")
    assert entity is not None and entity.aliases == ("The Navigator", "A. B.") and entity.types == ("PER",)

    # Fields that are not given stay.
    assert run("update", folder, "--id", "ada", "--description", "captain of the Argo").exit_code == 0
    assert KnowledgeBase.open(folder).get("ada") == replace(entity, description="captain of the Argo")

    more = tmp_path / "more.csv"
    more.write_text("id,title\nm1,More\nm2,Still more\n")
    assert run("add", folder, more).exit_code == 0
    (tmp_path / "ids.txt").write_text("t0\n\n m1 \n")
    removed = run("remove", folder, "t1", "--file", tmp_path / "ids.txt")
    assert removed.exit_code == 0 and "5 entities in 4 segments, version 5\n" in removed.stderr
    compacted = run("compact", folder)
    assert compacted.exit_code == 0 and "5 entities, version 6 (read" in compacted.stderr
    assert [entity.id for entity in KnowledgeBase.open(folder, verify=True)] == [
        "t2",
        "t3",
        "t4",
        "ada",
        "m2",
    ]


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        (["add", "KB"], InputError, "either files of entities, or one entity by --id"),
        (["add", "KB", "SOURCE", "--id", "x"], InputError, "either files of entities, or one entity by --id"),
        (["add", "KB", "SOURCE", "--title", "X"], InputError, "--title belongs to an entity given by --id"),
        (["add", "KB", "--id", "x"], InputError, "the options: has no title"),
        (["add", "KB", "SOURCE"], KBError, "onegen-el kb update"),
        (["update", "KB", "--id", "x", "--title", "X"], KBError, "no entity 'x' to update"),
        (["remove", "KB"], InputError, "say what to remove"),
        (["remove", "KB", "--file", "SOURCE.not"], InputError, "cannot be read as a list of ids"),
        (["remove", "KB", "x"], KBError, "has no entity 'x'"),
        (["compact", "SOURCE.not"], KBError, "no such kb folder"),
    ],
)
def test_what_cannot_be_changed(
    source: Path, tmp_path: Path, words: list[str], error: type[Exception], says: str
) -> None:
    run("build", source, "-o", tmp_path / "kb")
    names = {"KB": str(tmp_path / "kb"), "SOURCE": str(source), "SOURCE.not": str(source) + ".not"}
    refused = run(*[names.get(word, word) for word in words]).exception
    assert isinstance(refused, error) and says in str(refused)
    assert len(KnowledgeBase.open(tmp_path / "kb")) == 5
