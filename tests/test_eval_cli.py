"""The commands `onegen-el eval` and `eval compare`: predictions scored, corpora found or not, files."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from tiny import tiny_backbone
from typer.testing import CliRunner

from onegen_el.cli.eval import Half, Part, eval_app
from onegen_el.cli.main import Program
from onegen_el.corpora import find, location
from onegen_el.corpora.store import Receipt, write_receipt
from onegen_el.document import Entity
from onegen_el.errors import InputError
from onegen_el.evaluation.outcome import read_figures
from onegen_el.knowledge import build_kb

SAMPLE = Path(__file__).parents[1] / "corpora" / "sample" / "first.jsonl"
TEXTS = {"a": "Lisbon beat Oslo.", "b": "Oslo was quiet.", "c": "Nobody came to Lisbon."}
GOLD = {"a": [("Lisbon", "Q1"), ("Oslo", "Q2")], "b": [("Oslo", "Q2")], "c": [("Lisbon", "Q1")]}

app = typer.Typer(cls=Program)
app.add_typer(eval_app, name="eval")


def onegen(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["eval", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def cells(line: str) -> list[str]:
    return re.split(r"  +", line.strip())


def row(
    identity: str, mentions: Sequence[tuple[str, str | None]], score: float | None = None
) -> dict[str, Any]:
    text = TEXTS[identity]
    spans = [(text.index(name), text.index(name) + len(name), entity) for name, entity in mentions]
    scored = {} if score is None else {"score": score}
    found = [{"start": start, "end": end, "entity": entity, **scored} for start, end, entity in spans]
    return {"id": identity, "text": text, "mentions": found}


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), "utf-8")
    return path


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    backbone, folder = tiny_backbone("llama"), tmp_path_factory.mktemp("kb") / "kb"
    entities = [
        Entity(f"Q{n}", title, "city", qid=f"Q{n}", wikipedia_title=title)
        for n, title in enumerate(("Lisbon", "Oslo"), 1)
    ]
    build_kb(
        entities, backbone.embed_entities, folder, fingerprint=backbone.fingerprint, model_name=backbone.name
    )
    return folder


@pytest.fixture
def files(tmp_path: Path, kb: Path) -> list[object]:
    """Options that score predictions: of four links the second is wrong, the last is missed."""
    gold = write(tmp_path / "gold.jsonl", [row(name, GOLD[name]) for name in TEXTS])
    answers = [row("c", []), row("a", [("Lisbon", "Q1"), ("Oslo", "Q1")], 0.5), row("b", GOLD["b"], 0.9)]
    return ["--gold", gold, "--system", write(tmp_path / "answers.jsonl", answers), "--kb", kb]


def test_predictions_are_scored_by_id_and_written_everywhere(files: list[object], tmp_path: Path) -> None:
    out = {kind: tmp_path / f"report.{kind}" for kind in ("json", "markdown", "html")}
    code, output = onegen(*files, *(part for kind, path in out.items() for part in (f"--{kind}", path)))
    assert code == 0, output
    heads, line = map(cells, output.splitlines())
    assert heads[:4] == ["corpus", "documents", "marks P", "R"]
    # Marks: 3 of 3 and 3 of 4; links: 2 of 3 and 2 of 4. No candidates, so nobody can tell the best one.
    assert line == [
        "gold",
        "3",
        *["1.000", "0.750", "0.857"],
        *["0.667", "0.500", "0.571"],
        "1.000",
        "-",
        "-",
    ]
    figures = read_figures(out["json"])
    assert figures.conditions.model == "answers.jsonl"
    assert (figures.conditions.kb, figures.conditions.entities) == ("kb", 2)
    assert figures.outcomes[0].curve is not None, "the predictions have scores"
    assert "| gold | 3 | 1.000 |" in out["markdown"].read_text("utf-8")
    assert "<h2>gold</h2>" in out["html"].read_text("utf-8")
    assert str(tmp_path) not in "".join(path.read_text("utf-8") for path in out.values())


def test_details_and_other_experiments_print_gerbils_tables(files: list[object]) -> None:
    assert "GERBIL" not in onegen(*files)[1]
    _, output = onegen(*files, "--details")
    lines = [cells(line) for line in output.splitlines()]
    assert ["A2KB", "A2KB", "InKB", "0.667", "0.500", "0.571"] in [line[:6] for line in lines]
    for experiment, part in (("d2kb", "D2KB"), ("c2kb", "C2KB"), ("erec", "ERec")):
        _, output = onegen(*files, "--experiment", experiment)
        assert f"{experiment.upper()}  " in output and f"  {part}  " in output
    assert "weak match, without its oddities" in onegen(*files, "--match", "weak", "--no-oddities")[1]


def test_corpora_have_the_names_they_are_given(files: list[object], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = write(tmp_path / "other" / "gold.jsonl", [row("b", GOLD["b"])])
    odd = write(tmp_path / "x=y.jsonl", [row("b", GOLD["b"])])
    code, output = onegen(*files, "--gold", other, "--gold", f"mine={other}", "--gold", odd)
    assert code == 0, output
    assert [cells(line)[0] for line in output.splitlines()[1:]] == ["gold", str(other), "mine", "x=y"]
    code, output = onegen(*files, "--gold", f"gold={other}")
    assert code == 0 and [cells(line)[0] for line in output.splitlines()[1:]] == ["gold", str(other)]


def test_half_of_the_documents(files: list[object]) -> None:
    code, output = onegen(*files, "--half", "odd")
    assert code == 0
    assert cells(output.splitlines()[1])[:5] == ["gold", "1", "1.000", "1.000", "1.000"]


def test_the_first_documents_of_a_half(files: list[object], tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    for options, ids in (
        (("--documents", "2"), ("a", "b")),
        (("--documents", "1", "--half", "even"), ("a",)),
        (("--documents", "1", "--half", "odd"), ("b",)),
        (("--documents", "9"), ("a", "b", "c")),
    ):
        code, output = onegen(*files, *options, "-o", figures)
        assert code == 0 and "are in none of the corpora" not in output
        assert read_figures(figures).outcomes[0].ids == ids
    assert onegen(*files, "--documents", "0")[0] == 2


def test_figures_of_before_policies_were_noted_are_read(files: list[object], tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    onegen(*files, "-o", path)
    row = json.loads(path.read_text())
    for name in ("policy", "calibration", "kb_checksum"):
        del row[name]
    path.write_text(json.dumps(row))
    assert read_figures(path).conditions.policy == ""
    del row["fingerprint"]
    path.write_text(json.dumps(row))
    with pytest.raises(InputError, match="not figures"):
        read_figures(path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "a", "text": "Lisbon beats Oslo.", "mentions": []}], "differs from gold's at character 11"),
        ([row("a", []), row("a", [])], "document 'a' is there twice"),
        ([row("a", [])], "2 of 3 documents have no answer"),
        (
            [{"id": "a", "text": "x", "mentions": [{"start": 0, "end": 2, "entity": None}]}],
            "line 1: not a row",
        ),
        (
            [{"id": "a", "text": "x", "mentions": [{"start": 0, "end": 1, "entity": "Q1", "score": "0.1"}]}],
            "score is '0.1'",
        ),
        ([], "cannot tell the format"),
    ],
)
def test_predictions_that_cannot_be_used(
    files: list[object], tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    write(tmp_path / "answers.jsonl", rows)
    code, output = onegen(*files)
    assert code == 2
    assert message in output and "Traceback" not in output


def test_predictions_for_no_corpus_are_told(files: list[object], tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    write(tmp_path / "answers.jsonl", [*rows, {"id": "z", "text": "More.", "mentions": []}])
    code, output = onegen(*files)
    assert code == 0
    assert "1 document of it are in none of the corpora" in " ".join(output.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "nothing to measure on"),
        (("--gold", "missing.jsonl"), "missing.jsonl: no such corpus file"),
        (("--corpus", "aida-testt"), "no such corpus; did you mean aida-test"),
        (("--gold", SAMPLE, "--system", SAMPLE, "--model", "m"), "leave out --model"),
        (("--gold", SAMPLE, "--html", "nowhere/at/all.html"), "there is no such folder"),
        (("--gold", SAMPLE, "--experiment", "typing"), "experiment"),
    ],
)
def test_options_that_cannot_be_meant(options: tuple[object, ...], message: str) -> None:
    code, output = onegen(*options)
    assert (code, message in " ".join(output.split())) == (2, True), output


# --- corpora of the registry ---


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONEGEN_EL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fetched(name: str, rows: Sequence[dict[str, Any]]) -> None:
    path = location(find(name))
    path.parent.mkdir(parents=True)
    write(path, rows)
    write_receipt(path.parent, Receipt("here", "", 0))


def test_corpora_that_are_not_here_are_listed(files: list[object], tmp_path: Path, cache: Path) -> None:
    labels = [{"span": [0, 4], "entity_id": "Q2"}]
    fetched("news-fair", [{"id": "b", "text": TEXTS["b"], "labels": labels}])
    figures = tmp_path / "figures.json"
    wanted = [part for name in ("msnbc", "news-fair", "aida-testb", "msnbc") for part in ("--corpus", name)]
    code, output = onegen(*files, *wanted, "-o", figures)
    assert code == 0, output
    assert [cells(line)[0] for line in output.splitlines()[1:3]] == ["gold", "news-fair"]
    assert "msnbc: not here: onegen-el corpora fetch msnbc\n" in output
    assert "aida-testb: not here: Its texts are CoNLL-2003's" in output
    assert "onegen-el corpora fetch aida-testb --from DIR" in output
    assert [one.name for one in read_figures(figures).missing] == ["msnbc", "aida-testb"]


def test_nothing_here_is_an_error(cache: Path) -> None:
    code, output = onegen("--corpus", "msnbc")
    assert code == 2
    assert "msnbc: not here: " in output
    assert "none of the corpora is here" in " ".join(output.split())


def test_a_corpus_in_a_format_that_is_not_read(files: list[object], cache: Path) -> None:
    entry = find("aquaint")
    location(entry).mkdir(parents=True)
    write_receipt(location(entry).parent, Receipt("here", "", 0))
    code, output = onegen(*files, "--corpus", "aquaint")
    assert code == 0
    assert "aquaint: not here: it is in unpacked, but" in output


# --- compare ---


def test_compare_tells_what_b_gains(files: list[object], tmp_path: Path) -> None:
    a, b, result = (tmp_path / name for name in ("a.json", "b.json", "result.json"))
    onegen(*files, "-o", a)
    write(tmp_path / "answers.jsonl", [row(name, GOLD[name]) for name in TEXTS])
    onegen(*files, "--gold", f"more={tmp_path / 'gold.jsonl'}", "-o", b)
    code, output = onegen("compare", a, b, "--json", result)
    assert code == 0, output
    links, marks = output.splitlines()[-3:-1]
    # F1 of links 2 * 2 / (3 + 4), then 1.
    assert cells(links)[:6] == ["gold", "links", "3", "0.571", "1.000", "+0.429"]
    assert cells(marks)[:6] == ["gold", "marks", "3", "0.857", "1.000", "+0.143"]
    assert output.splitlines()[-1] == "more: only in b.json"
    first = json.loads(result.read_text())[0]
    assert (first["corpus"], first["figure"]) == ("gold", "links")
    assert first["difference"] == pytest.approx(3 / 7)
    assert first["low"] <= 3 / 7 <= first["high"] and 0 < first["p"] <= 1
    assert onegen("compare", a, b)[1] == onegen("compare", a, b)[1], "the drawing is seeded"


def test_compare_with_itself_finds_nothing(files: list[object], tmp_path: Path) -> None:
    a = tmp_path / "a.json"
    onegen(*files, "-o", a)
    code, output = onegen("compare", a, a, "--resamples", "50")
    assert code == 0
    assert cells(output.splitlines()[-1])[5:] == ["+0.000", "+0.000 to +0.000", "1.0000"]


def test_compare_refuses_what_cannot_be_compared(files: list[object], tmp_path: Path) -> None:
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    onegen(*files, "-o", a)
    onegen(*files, "--half", "odd", "-o", b)
    code, output = onegen("compare", a, b)
    assert (code, "the two runs differ in documents" in " ".join(output.split())) == (2, True)
    code, output = onegen("compare", a, files[1])
    assert (code, "not figures of this onegen-el" in " ".join(output.split())) == (2, True)


# --- with the model that ships ---


def test_the_bundled_model_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    code, output = onegen("--gold", SAMPLE, "--half", "even", "--html", tmp_path / "x.html", "-o", out)
    assert code == 0, output
    heads, line = map(cells, output.splitlines())
    assert (len(heads), line[:2]) == (11, ["first", "6"])
    conditions, outcome = read_figures(out).conditions, read_figures(out).outcomes[0]
    assert conditions.policy == "default" and len(conditions.kb_checksum) == 64
    assert conditions.calibration and conditions.calibration["min_score"] == conditions.threshold
    assert outcome.links.f1 > 0.5
    # Given the spans the linker answers on each of them.
    spans = outcome.block("D2KB, given spans", "D2KB", "all")
    assert spans and spans.counts.fp == spans.counts.fn and outcome.unasked == 0
    recognised = outcome.block("A2KB", "Entity Recognition", "all")
    assert recognised and recognised.micro.f1 == pytest.approx(outcome.marks.f1)
    inside = outcome.block("A2KB", "A2KB", "InKB")
    assert inside and inside.micro.f1 == pytest.approx(outcome.links.f1)
    assert outcome.seconds and outcome.seconds.documents == 5


def test_help_names_both_commands() -> None:
    for arguments, words in (
        (["--help"], ["--gold", "compare"]),
        (["compare", "--help"], ["A.json", "seed"]),
    ):
        code, output = onegen(*arguments)
        assert code == 0
        assert all(word in output for word in words)


def test_parts_of_a_corpus() -> None:
    documents = list(range(9))
    assert Part(Half.ODD).of(documents) == [1, 3, 5, 7]
    assert Part(Half.EVEN, first=2, skipped=1).of(documents) == [2, 4]
    assert Part(skipped=7).of(documents) == [7, 8]
    assert Part(skipped=9).of(documents) == []
