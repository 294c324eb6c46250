"""`onegen-el kb build` and `kb info` with a stand-in for the model."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from onegen_el.cli.kb import kb_app
from onegen_el.errors import InputError, KBError
from onegen_el.knowledge import KnowledgeBase
from onegen_el.manifest import ModelManifest
from onegen_el.windows import WindowSettings


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    asked: dict[str, Any] = {}

    def load(model: str | None, device: str) -> SimpleNamespace:
        asked.update(model=model, device=device)
        return SimpleNamespace(
            manifest=ModelManifest("fake", windows=WindowSettings(head=0)),
            embed_entities=lambda texts: np.array([[len(text), 1.0, 2.0] for text in texts]),
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
    assert run("build", source, "-o", tmp_path / "kb", "--index", "tree").exit_code == 2
