"""The model and knowledge base that come with the package, on the example texts."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import onegen_el
from onegen_el.cli.main import app
from onegen_el.decoding import Marked, decode, decode_naive
from onegen_el.gold import read_elevant
from onegen_el.knowledge import KnowledgeBase
from onegen_el.linker import EntityLinker, load
from onegen_el.resources import BUNDLED
from onegen_el.windows import cut_windows

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.txt"))


@pytest.fixture(scope="module")
def linker() -> EntityLinker:
    return load()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 8


def test_the_bundle_is_whole_and_small() -> None:
    kb = KnowledgeBase.open(verify=True)
    assert len(kb) >= 150_000
    size = sum(path.stat().st_size for path in BUNDLED.rglob("*") if path.is_file())
    assert size < 150e6  # on disk; the wheel, which is compressed, stays below 100 MB


def test_news_gets_sensible_links(linker: EntityLinker) -> None:
    text = "Germany beat Brazil 7-1 in Belo Horizonte. Angela Merkel flew to Paris, the capital of France."
    (document,) = linker.annotate([("id", text)])
    found = {mention.surface: mention.entity for mention in document.mentions}
    assert found.get("Angela Merkel") == "Q567"
    assert found.get("Paris") == "Q90"
    assert found.get("France") == "Q142"


@pytest.fixture(scope="module")
def rows(linker: EntityLinker, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the command line writes for all examples, by name; linked once, for these texts are long."""
    out = tmp_path_factory.mktemp("linked") / "out.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onegen_el, "load", lambda *arguments: linker)
        result = CliRunner().invoke(app, ["link", *map(str, EXAMPLES), "--format", "jsonl", "-o", str(out)])
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in out.read_text("utf-8").split("\n") if line]
    assert [row["id"] for row in found] == list(map(str, EXAMPLES))
    return {path.stem: row for path, row in zip(EXAMPLES, found, strict=True)}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_linked_with_exact_offsets(rows: dict[str, dict[str, Any]], path: Path) -> None:
    row = rows[path.stem]
    assert set(row) == {"id", "text", "mentions"}
    text = path.read_bytes().decode("utf-8")
    assert row["text"] == text
    for mention in row["mentions"]:
        assert set(mention) == {
            *("start", "end", "surface", "entity", "title", "url"),
            *("score", "detection_score", "candidates"),
        }
        assert text[mention["start"] : mention["end"]] == mention["surface"]
        assert mention["candidates"]
        assert 0.0 < mention["detection_score"] <= 1.0
    if path.stem == "no-entities":
        # Vinegar is an entity, if none with a name; what else is marked has to stay without a link.
        assert [m["surface"] for m in row["mentions"] if m["entity"]] in ([], ["vinegar"])
    else:
        assert sum(mention["entity"] is not None for mention in row["mentions"]) >= 5


def test_speculation_and_batches_change_nothing(linker: EntityLinker) -> None:
    backbone = linker.backbone
    prompted = []
    for name in ("news", "sports", "unicode"):
        tokens = backbone.tokenize((ROOT / "examples" / f"{name}.txt").read_bytes().decode("utf-8"))
        windows = cut_windows(tokens, backbone.manifest.windows)[:1]
        prompted += [window.prompted(tokens, backbone.aligned) for window in windows]
    truth = decode_naive(backbone, prompted)
    for batch in (1, 2):
        fast = [decode(backbone, prompted[at : at + batch]) for at in range(0, len(prompted), batch)]
        found = [spans(window) for part in fast for window in part.mentions]
        assert found == [spans(window) for window in truth.mentions]
        assert sum(map(len, found)) > 10
        for states, expected in zip((s for part in fast for s in part.states), truth.states, strict=True):
            torch.testing.assert_close(states, expected, atol=1e-4, rtol=1e-3)


def spans(marked: list[Marked]) -> list[tuple[int, int]]:
    return [(mention.first, mention.last) for mention in marked]


def test_marks_in_the_text_are_text(linker: EntityLinker) -> None:
    text = "<MENTION>Berlin</MENTION>[RET] is what a model would write; Berlin is the capital of Germany."
    (document,) = linker.annotate([("id", text)])
    assert document.text == text
    marks = linker.backbone.marks
    assert not {*marks.open, *marks.close, marks.query} & set(linker.backbone.tokenize(text).ids)
    assert "Q183" in {mention.entity for mention in document.mentions}
    assert all(text[m.start : m.end] == m.surface for m in document.mentions)


def test_our_own_sample_of_gold_is_mostly_right(linker: EntityLinker) -> None:
    gold = list(read_elevant(ROOT / "corpora" / "sample" / "first.jsonl"))
    right = wanted = 0
    for document, linked in zip(gold, linker.annotate((d.id, d.text) for d in gold), strict=True):
        expected = {(m.start, m.end, m.entity) for m in document.mentions if m.entity}
        wanted += len(expected)
        right += len(expected & {(m.start, m.end, m.entity) for m in linked.mentions})
    assert right / wanted > 0.5


@pytest.mark.parametrize("script", ["link_texts.py", "pandas_column.py"])
def test_example_scripts_run(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / script), run_name="__main__")
    assert re.search(r"\bQ\d+\b", capsys.readouterr().out)
