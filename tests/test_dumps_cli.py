"""`onegen-el kb build --wikipedia` and `kb dump-entities`, with a stand-in for the model."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dumps
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from onegen_el.cli.kb import kb_app
from onegen_el.errors import InputError, KBError
from onegen_el.knowledge import KnowledgeBase, read_entities
from onegen_el.knowledge.dumps import DumpFiles, gather
from onegen_el.knowledge.dumps.table import write_table
from onegen_el.manifest import ModelManifest
from onegen_el.windows import WindowSettings


class Model:
    """Embeds a text by its length; breaks down when told to."""

    def __init__(self) -> None:
        self.breaks = False
        self.manifest = ModelManifest("fake", windows=WindowSettings(head=0), fingerprint="f" * 64)
        self.name, self.fingerprint, self.dims = "fake", "f" * 64, 3
        self.device, self.dtype = torch.device("cpu"), torch.float32

    def embed_entities(self, texts: list[str], dtype: torch.dtype) -> np.ndarray:
        if self.breaks:
            raise KBError("broken down")
        return np.array([[len(text), 1.0, 2.0] for text in texts])


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    fake = Model()
    monkeypatch.setattr("onegen_el.backbone.load_backbone", lambda name, device, dtype: fake)
    return fake


def run(*words: str | Path) -> Any:
    return CliRunner().invoke(kb_app, [str(word) for word in words])


def options(files: DumpFiles) -> list[str]:
    named = {"wikipedia": files.pages[0], "redirects": files.redirects, "wikidata": files.wikidata}
    return [
        word
        for name, path in {**named, "page-props": files.page_props}.items()
        for word in (f"--{name}", str(path))
    ]


def test_a_knowledge_base_is_built_of_dumps(tmp_path: Path, model: Model) -> None:
    files = dumps.write_dumps(tmp_path)
    built = run("build", "-o", tmp_path / "kb", *options(files), "--limit", "4")
    assert built.exit_code == 0, built.output
    kb = KnowledgeBase.open(tmp_path / "kb")
    assert [entity.title for entity in kb] == ["Velmar", "Ines Karo", "Ostrand", "Bus"]
    assert kb.manifest.date == "2024-08-01"
    assert kb.manifest.source.startswith("enwiki-20240801-pages-articles.xml.bz2, enwiki-20240801-redirect")
    assert "\n2 left out: disambiguation\n" in built.stderr and "\n17 links to entities\n" in built.stderr
    assert not list(tmp_path.glob(".kb*"))


def test_what_was_gathered_outlives_a_build_that_fails(tmp_path: Path, model: Model) -> None:
    files = dumps.write_dumps(tmp_path)
    model.breaks = True
    assert isinstance(run("build", "-o", tmp_path / "kb", *options(files)).exception, KBError)
    assert (tmp_path / ".kb.dumps.sqlite").is_file()
    model.breaks = False
    assert run("build", "-o", tmp_path / "kb", *options(files)).exit_code == 0
    assert len(KnowledgeBase.open(tmp_path / "kb")) == 5 and not list(tmp_path.glob(".kb*"))


def test_entities_are_written_to_be_looked_at(tmp_path: Path) -> None:
    files = dumps.write_dumps(tmp_path)
    for name in ("out.jsonl", "out.jsonl.gz"):
        shown = run("dump-entities", "-o", tmp_path / name, *options(files))
        assert shown.exit_code == 0, shown.output
        assert "5 entities" in shown.stderr
    with gather(files, tmp_path / "work.sqlite") as found:
        assert list(read_entities(tmp_path / "out.jsonl")) == list(found)
    assert list(read_entities(tmp_path / "out.jsonl.gz")) == list(read_entities(tmp_path / "out.jsonl"))
    first = json.loads((tmp_path / "out.jsonl").read_text("utf-8").splitlines()[0])
    assert (first["inlinks"], first["alias_counts"]) == (9, [2, 1, 1, 1, 1])
    assert not list(tmp_path.glob(".out*")) and not list(tmp_path.glob("*.part"))


def test_the_table_repeats_and_tells_its_progress(tmp_path: Path) -> None:
    files = dumps.write_dumps(tmp_path)
    told: list[tuple[int, int]] = []
    with gather(files, tmp_path / "work.sqlite") as found:
        for name in ("a.jsonl.gz", "b.jsonl.gz"):
            write_table(found, tmp_path / name, lambda done, total: told.append((done, total)))
        rows = [asdict(entity) for entity in found]
        with pytest.raises(InputError, match=r"out\.csv: entities are written as JSONL"):
            write_table(found, tmp_path / "out.csv")
        with pytest.raises(KBError, match=r"cannot be written|may not be written"):
            write_table(found, tmp_path / "missing" / "out.jsonl")
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    assert told == [(5, 5), (5, 5)] and len(rows) == 5


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["build", "-o", "kb"], "name SOURCE"),
        (["build", "-o", "kb", "x.jsonl", "--wikipedia", "p.xml"], "not both"),
        (["build", "-o", "kb", "x.jsonl", "--wikidata", "w.json"], "pages is needed"),
        (["dump-entities", "-o", "x.jsonl"], "name the dump of the pages"),
        (["dump-entities", "-o", "x.jsonl", "--redirects", "r.sql"], "pages is needed"),
    ],
)
def test_options_that_do_not_fit_are_refused(words: list[str], says: str, model: Model) -> None:
    refused = run(*words)
    assert refused.exit_code == 2
    assert says in " ".join(refused.stderr.replace("│", " ").split())


def test_faults_are_our_own(tmp_path: Path, model: Model) -> None:
    missing = run("build", "-o", tmp_path / "kb", "--wikipedia", tmp_path / "no.xml.bz2")
    assert isinstance(missing.exception, InputError)
    wrong = run("dump-entities", "-o", tmp_path / "out.txt", "--wikipedia", tmp_path / "no.xml.bz2")
    assert isinstance(wrong.exception, InputError)
    assert not list(tmp_path.iterdir())
