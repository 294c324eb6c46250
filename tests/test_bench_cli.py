"""`onegen-el bench --json`: what is printed is also what is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from onegen_el.cli.bench import bench
from onegen_el.cli.main import Program
from onegen_el.evaluation import speed
from onegen_el.evaluation.speed import Rate, Start

NEWS = Path(__file__).parents[1] / "examples" / "news.txt"


def onegen(*arguments: object) -> tuple[int, str]:
    app = typer.Typer(cls=Program)
    app.command()(bench)
    app.command("other")(lambda: None)
    result = CliRunner().invoke(app, ["bench", *map(str, arguments)])
    return result.exit_code, result.output


def test_the_figures_are_printed_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What takes long is not measured here.
    rates = [Rate("naive", 250.0, 1.0), Rate("speculative", 1500.0, 6.0)]
    monkeypatch.setattr(speed, "process_start", lambda *_: Start(4.5, 512.0))
    monkeypatch.setattr(speed, "help_seconds", lambda: 0.125)
    monkeypatch.setattr(speed, "decoding_rates", lambda *_, **__: rates)
    monkeypatch.setattr(speed, "pipe_seconds", lambda pipes, texts: dict.fromkeys(pipes, len(texts) / 8))
    out = tmp_path / "bench.json"
    code, output = onegen(NEWS, NEWS, "--json", out)
    assert code == 0, output
    figures = json.loads(out.read_text())
    assert figures["decoding"][1] == {"name": "speculative", "tokens": 1500.0, "ratio": 6.0}
    assert figures["start"] == {
        "text": "news.txt",
        "words": len(NEWS.read_text("utf-8").split()),
        "seconds": 4.5,
        "megabytes": 512.0,
    }
    assert [pipe["texts"] for pipe in figures["pipes"]] == [8.0, 8.0]
    assert len(figures["fingerprint"]) == len(figures["kb_checksum"]) == 64
    assert "1,500 source tokens/s    6.0 x" in output and "4.5 s, peak 512 MB" in output


def test_a_file_in_no_folder_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    code, output = onegen(NEWS, NEWS, "--json", tmp_path / "nowhere" / "bench.json")
    assert code == 2 and "there is no such folder" in " ".join(output.split())
