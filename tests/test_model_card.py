"""The model card: every figure of it comes from a file, and a file that is missing or old is refused."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from onegen_el.evaluation.matching import Counts
from onegen_el.evaluation.measures import Measures
from onegen_el.evaluation.outcome import (
    GIVEN,
    LINKS,
    MARKS,
    Block,
    Conditions,
    Curve,
    Evaluation,
    Example,
    MentionClass,
    Outcome,
    Point,
    Side,
    Tally,
)
from onegen_el.evaluation.provenance import kb_checksum
from onegen_el.grammar import Grammar
from onegen_el.knowledge.manifest import FileRecord, KBManifest, SegmentRecord
from onegen_el.manifest import Calibration, ModelManifest, write_manifest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import eval_dev
import model_card
from card.plan import RUNS, SAMPLE_FILE, Run

MODEL = ModelManifest(
    "toy-linker",
    grammar=Grammar(positions="aligned", policies=("roles", "wikipedia")),
    calibration=Calibration(0.5, 0.8, 0.01, 0.5),
    policies={"roles": Calibration(1.0, 0.7)},
    dims=16,
    fingerprint="a" * 64,
    training={"base": "encoder", "corpora": ["aida-conll-train.jsonl.gz", "oke-2015-train.jsonl.gz"]},
)
KB = KBManifest(
    "a" * 64,
    "toy-linker",
    16,
    "int8",
    "{title}",
    (
        SegmentRecord(
            "",
            160_000,
            160_000,
            1.0,
            "exact",
            {"entities.sqlite": FileRecord(3_000_000, "e"), "vectors.npy": FileRecord(2_500_000, "v")},
        ),
    ),
)
FIRST = """
name = "first"
base = "some/encoder"
[data]
entities = "entities.parquet"
[[data.corpora]]
path = "corpora/wikipedia-pages-2014.jsonl.gz"
marks = "none"
min_links = 4
"""
SECOND = """
name = "second"
base = "runs/first"
[data]
entities = "entities.parquet"
[[data.corpora]]
path = "aida-conll-train.jsonl.gz"
repeat = 3
[[data.corpora]]
path = "oke-2015-train.jsonl.gz"
half = "even"
policy = "roles"
"""
BENCH = {
    "model": "toy-linker",
    "fingerprint": "a" * 64,
    "version": "0.1.0",
    "date": "2026-11-27T12:00:00+00:00",
    "machine": "Linux, a processor, 2 CPUs",
    "start": {"text": "news.txt", "words": 41, "seconds": 4.25, "megabytes": 573.0},
    "help_seconds": 0.125,
    "decoding": [
        {"name": "naive", "tokens": 200.0, "ratio": 1.0},
        {"name": "speculative", "tokens": 1234.0, "ratio": 6.17},
    ],
    "pipes": [{"name": "EntityLinker.pipe", "texts": 14.7}],
}
CURVE = Curve(
    tuple(Point(t / 10, 0.5 + t / 30, 0.9 - t / 20, 0.7, t / 12) for t in range(2, 11)),
    Point(0.7, 0.733, 0.55, 0.7, 0.583),
    0.6,
    0.8,
)
WRONG = Example(
    "1",
    "Later she sailed to ",
    "Jordan",
    ", where it was dry.",
    Side("Jordan", "Q810", "Jordan", "https://en.wikipedia.org/wiki/Jordan"),
    Side("Jordan", "Q41421", "Michael Jordan", None),
)


def outcome(name: str, f1: float, *examples: Example, half: str = "odd") -> Outcome:
    counts = (Counts(6, 2, 3), Counts(4, 1, 1))
    block = {"part": "A2KB", "items": "EE", "threshold": 0.0, "counts": Counts(4, 1, 2)}
    ee = Block("A2KB", micro=Measures(0.8, 0.667, 0.727), macro=Measures(0.8, 0.667, 0.727), **block)
    given = Block(GIVEN, "D2KB", "InKB", Measures(0.9, 0.8, 0.847), Measures(0, 0, 0), Counts(8, 1, 2), 0.0)
    tallies = tuple(
        Tally(tally, counts, (f1 - low, f1 + 0.025))
        for tally, low in ((LINKS, 0.025), (MARKS, 0.035), (GIVEN, 0.045))
    )
    return Outcome(
        name=name,
        half=half,
        experiment="a2kb",
        match="strong",
        oddities=True,
        ids=("1", "2"),
        mentions=17,
        unanswered=0,
        left_out=0,
        unasked=0,
        marks=Measures(0.95, 0.94, 0.945),
        links=Measures(0.8, 0.7, f1),
        coverage=0.917,
        accuracy=0.905,
        blocks=(ee, given),
        tallies=tallies,
        scorings=(),
        classes=(
            MentionClass("right link", "span and entity are right", "right", 10, ()),
            MentionClass("wrong entity", "span is right, entity is not", "wrong", 4321, examples),
        ),
        curve=CURVE,
        seconds=None,
        accuracy_given=0.891,
    )


def conditions(policy: str, **other: Any) -> Conditions:
    known = Conditions(
        "toy-linker", "bundled", 160_000, "a" * 64, 0.8, "0.1.0", "2026-11-27T12:00:00+00:00",
        "Linux, a processor, 2 CPUs", "cpu, float32", 1.0, policy, asdict(MODEL.calibration_of(policy)),
        kb_checksum(KB),
    )  # fmt: skip
    return replace(known, **other)


def write_runs(folder: Path, f1: float, **other: Any) -> None:
    folder.mkdir()
    for number, run in enumerate(RUNS):
        figures = outcome(run.corpus, f1 + number / 1000)
        write(folder / run.file, Evaluation(conditions(run.policy, **other), (figures,)))


def write(path: Path, evaluation: Evaluation) -> None:
    path.write_text(evaluation.to_json(), "utf-8")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A model, a knowledge base's manifest, recipes and figures, all invented."""
    for name in ("model", "kb"):
        (tmp_path / name).mkdir()
    write_manifest(tmp_path / "model", MODEL)
    save_file({"a": np.zeros((5, 7), np.float16), "b": np.zeros(6)}, tmp_path / "model" / "model.safetensors")
    training = {"steps": 900, "windows": 12_345, "minutes": 61.2, "history": []}
    (tmp_path / "model" / "training.json").write_text(json.dumps(training))
    KB.write(tmp_path / "kb" / "kb.json")
    (tmp_path / "first.toml").write_text(FIRST)
    (tmp_path / "second.toml").write_text(SECOND)
    (tmp_path / "bench.json").write_text(json.dumps(BENCH))
    write_runs(tmp_path / "dev", 0.75)
    samples = outcome("news", 0.5, WRONG, half="all")
    write(tmp_path / "dev" / SAMPLE_FILE, Evaluation(conditions("default"), (samples,)))
    return tmp_path


def make(place: Path) -> int:
    options = {"model": "model", "kb": "kb", "dev": "dev", "full": "dev-full", "bench": "bench.json"}
    named = [f"--{option}={place / name}" for option, name in options.items()]
    recipes = [f"--recipe={place / name}.toml" for name in ("first", "second")]
    return model_card.main([*named, *recipes, f"--out={place}/card.md", f"--picture={place}/images/nil.png"])


def card(place: Path) -> str:
    assert make(place) == 0
    return (place / "card.md").read_text("utf-8")


def lines(text: str, title: str) -> list[str]:
    """Cells of the table below the heading `title`, its lines joined by `|`."""
    section = text.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return [line.strip("| ").replace(" | ", "|") for line in section.splitlines() if line.startswith("| ")]


def refused(place: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert make(place) == 2
    assert not (place / "card.md").exists()
    return " ".join(capsys.readouterr().err.split())


def test_the_figures_of_the_files_stand_in_the_card(place: Path) -> None:
    text = card(place)
    quality = lines(text, "Quality")
    links = "0.800|0.700|0.750 (0.725-0.775)"
    assert f"AIDA-CoNLL dev|default|0.950|0.940|0.945 (0.715-0.775)|{links}|0.917" in quality
    assert "OKE-2015 train|roles|0.905|0.891|0.847 (0.707-0.777)" in quality
    assert "AIDA-CoNLL dev|6|0.800|0.667|0.727|0.667" in lines(text, "NIL")
    assert any(line.startswith("wrong entity|span is right, entity is not|4,321|") for line in lines(
        text, "What goes wrong"))  # fmt: skip
    identity = "\n".join(text.splitlines()[:30])
    assert "| parameters | 41 |" in identity and "900 steps, 12,345 windows, 61 minutes" in identity
    assert "knowledge base|together|5.50" in lines(text, "Sizes")
    assert "decoding: speculative|1,234 source tokens/s (6.2 x)" in lines(text, "Speed")
    assert "(images/nil.png)" in text
    assert (place / "images" / "nil.png").read_bytes().startswith(b"\x89PNG")


def test_a_changed_figure_changes_the_card_and_nothing_else(place: Path) -> None:
    before = card(place)
    picture = (place / "images" / "nil.png").read_bytes()
    assert card(place) == before and (place / "images" / "nil.png").read_bytes() == picture
    path = place / "dev" / Run("tweeki-gold").file
    path.write_text(path.read_text().replace("0.891", "0.123"))
    changed = [
        new for old, new in zip(before.splitlines(), card(place).splitlines(), strict=True) if old != new
    ]
    assert len(changed) == 1
    assert changed[0].startswith("| Tweeki | default |") and "0.123" in changed[0]


def test_thresholds_name_the_one_in_force_and_the_best(place: Path) -> None:
    told = {line.split("|")[0]: line.split("|")[-1] for line in lines(card(place), "NIL")}
    assert (told["0.800"], told["0.700"]) == ("in force", "best on these documents")


def test_targets_are_met_missed_or_not_measured(place: Path) -> None:
    found = {row.split("|")[0]: row for row in lines(card(place), "Targets")}
    assert found["AIDA dev, links F1"] == "AIDA dev, links F1|0.74|0.750 (0.725-0.775)|0.917|met"
    assert "not measured (make eval-dev KB=full)" in found["AIDA dev, links F1, full knowledge base"]
    assert "0.891|0.917|met" in found["AIDA dev, accuracy on gold spans whose entity is there"]
    # Each policy's own figure: OKE with roles is the third run, the pages as Wikipedia links the last.
    assert "|0.752 (" in found["OKE-2015 train, set aside, links F1, marked as OKE marks"]
    assert "|0.758 (" in found["Wikipedia pages, set aside, links F1, marked as Wikipedia links"]
    assert "150,000|160,000" in found["entities in the bundled knowledge base"]
    assert found["source tokens/s, those of the earlier model on the same machine"].startswith(
        "source tokens/s, those of the earlier model on the same machine|-|1,234|-|not measured"
    )
    (place / "dev-full").mkdir()
    (place / "dev-full").rmdir()
    write_runs(place / "dev-full", 0.788, kb="full", entities=1_200_000, kb_checksum="of the full one")
    slower = {**BENCH, "fingerprint": "b" * 64, "decoding": [{"name": "x", "tokens": 2468.0, "ratio": 1.0}]}
    (place / "bench-before.json").write_text(json.dumps(slower))
    text = card(place)
    found = {row.split("|")[0]: row for row in lines(text, "Targets")}
    assert found["AIDA dev, links F1, full knowledge base"].endswith("|missed by 0.012")
    assert found["source tokens/s, those of the earlier model on the same machine"].endswith("missed: 0.50 x")
    assert "(1,200,000 entities)" in text


def test_examples_come_from_our_own_texts(place: Path) -> None:
    path = place / "dev" / Run("tweeki-gold").file
    secret = replace(WRONG, before="a licensed sentence about ")
    figures = outcome("tweeki-gold", 0.5, secret)
    write(path, Evaluation(conditions("default"), (figures,)))
    text = card(place)
    assert "Later she sailed to <b>Jordan</b>, where it was dry." in text
    assert "[Jordan](https://en.wikipedia.org/wiki/Jordan); found: “Jordan” → Michael Jordan (news)" in text
    assert "licensed sentence" not in text


def test_the_card_tells_what_was_trained_on_and_what_was_kept_apart(place: Path) -> None:
    text = card(place)
    training = lines(text, "Training data")
    assert any(row.startswith("second|AIDA-CoNLL train|") and "|3 times|Reuters" in row for row in training)
    development = {row.split("|")[0]: row for row in lines(text, "Development sets")}
    assert "second trained on those of even position" in development["OKE-2015 train"]
    assert "|the first 2 documents of odd position|" in development["Wikipedia pages of 2014"]
    assert "|not trained on|" in development["Tweeki"]
    # The first recipe names no half of the pages.
    assert "* Wikipedia pages of 2014: first did not keep the measured documents apart" in text
    assert "* OKE-2015 train: " not in text


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("dev/" + RUNS[2].file, "make eval-dev"),
        ("dev/" + SAMPLE_FILE, "make eval-dev"),
        ("bench.json", "make bench"),
        ("model/training.json", "make model"),
    ],
)
def test_a_missing_file_is_named_with_the_command_that_writes_it(
    place: Path, capsys: pytest.CaptureFixture[str], name: str, command: str
) -> None:
    (place / name).unlink()
    said = refused(place, capsys)
    assert f"{place / name}: is not there; `{command}` writes it" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fingerprint": "b" * 64}, "they are another model's"),
        ({"calibration": {**asdict(MODEL.calibration), "mark_bias": 0.25}}, "the model had other thresholds"),
        ({"kb_checksum": "another"}, "the knowledge base was another"),
    ],
)
def test_figures_of_something_else_are_refused(
    place: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], message: str
) -> None:
    path = place / "dev" / Run("meantime-en").file
    write(path, Evaluation(conditions("default", **change), (outcome("meantime-en", 0.7),)))
    said = refused(place, capsys)
    assert message in said and "make eval-dev" in said


def test_a_speed_of_another_model_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "bench.json").write_text(json.dumps({**BENCH, "fingerprint": "b" * 64}))
    assert "bench.json: these figures are another model's; measure again: `make bench`" in refused(
        place, capsys
    )


def test_recipes_must_be_those_of_the_weights(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "second.toml").write_text(SECOND.replace("aida-conll-train", "aida-conll-dev"))
    assert "the model was trained on other corpora than these" in refused(place, capsys)


def test_the_recipes_begin_where_the_weights_did(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "first.toml").write_text(FIRST.replace("some/encoder", "bundled"))
    assert "trains the bundled model on; name the recipes before it first" in refused(place, capsys)


def test_a_corpus_without_a_known_licence_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "first.toml").write_text(FIRST.replace("wikipedia-pages-2014", "found-somewhere"))
    assert "found-somewhere: its source and licence are not in" in refused(place, capsys)


# --- what fills the folder ---


def test_each_run_is_measured_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "dev" / RUNS[2].file).unlink()
    path = place / "dev" / RUNS[7].file
    write(path, Evaluation(conditions("default", fingerprint="b" * 64), (outcome(RUNS[7].corpus, 0.7),)))
    ran: list[list[str]] = []

    def run(command: list[str]) -> Any:
        ran.append(command[3:])
        return type("Finished", (), {"returncode": 0})

    monkeypatch.setattr(eval_dev.subprocess, "run", run)
    model, kb = str(place / "model"), str(place / "kb")
    assert eval_dev.measure(Path("DATA"), place / "dev", model, kb) == 0
    assert [command[1:-3] for command in ran] == [
        ["--gold=DATA/corpora/oke-2015-train.jsonl.gz", "--half=odd", "--examples=0", "--policy=roles"],
        ["--gold=DATA/corpora/wikipedia-pages-2014.jsonl.gz", "--half=odd", "--examples=0", "--documents=30"],
    ]
    assert [command[-1] for command in ran] == [f"--json={place / 'dev' / RUNS[n].file}" for n in (2, 7)]


def test_policies_that_the_model_does_not_know_are_left_out() -> None:
    names = [file for file, *_ in eval_dev.commands(Path("DATA"), ())]
    assert names == [SAMPLE_FILE, *(run.file for run in RUNS if run.policy == "default")]


def test_the_first_run_that_fails_ends_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = type("Finished", (), {"returncode": 2})
    calls: list[Any] = []
    monkeypatch.setattr(eval_dev.subprocess, "run", lambda command: calls.append(command) or failed)
    out, folder = str(place / "new"), str(place)
    arguments = [f"--data={folder}", f"--out={out}", f"--model={folder}/model", f"--kb={folder}/kb"]
    assert eval_dev.main(arguments) == 2
    assert len(calls) == 1
