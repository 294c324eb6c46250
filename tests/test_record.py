"""What a training run leaves and shows: the log of a real Trainer, resumed logs, lines, bar and curves."""

from __future__ import annotations

import builtins
import io
import json
import logging
import re
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor
from transformers import PrinterCallback, Trainer, TrainerState, TrainingArguments

from onegen_el.errors import InputError
from onegen_el.training import curves, record
from onegen_el.training.curves import draw
from onegen_el.training.record import Record, read_log

STEPS = 6


class Line(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"loss": (self.layer(x).squeeze(-1) - labels).square().mean()}


class KilledError(Exception):
    pass


class Counting(Trainer):
    """Counts 10 tokens a step, scores a dev set every three steps, and dies before step `dies_after` + 1."""

    dies_after = STEPS

    def __init__(self, record: Record, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.record = record
        self.add_callback(record)
        self.remove_callback(PrinterCallback)

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        if self.state.global_step >= self.dies_after:
            raise KilledError
        self.record.count(10)
        return super().training_step(*args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        scores = {"dev_mark_f1": 0.912, "dev_recall_1": 0.85, "dev_recall_10": 0.97}
        self.log({**scores})
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, scores)
        return scores


def trainer(folder: Path, record: Record, dies_after: int = STEPS) -> Trainer:
    torch.manual_seed(0)
    data = [{"x": torch.randn(3), "labels": torch.tensor(1.0)} for _ in range(2 * STEPS)]
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=STEPS,
        per_device_train_batch_size=2,
        logging_steps=1,
        save_steps=2,
        eval_strategy="steps",
        eval_steps=3,
        disable_tqdm=True,
        use_cpu=True,
        report_to=[],
    )
    made = Counting(record, model=Line(), args=arguments, train_dataset=data, eval_dataset=data)
    made.dies_after = dies_after
    return made


def state(step: int, steps: int = 1700, zero: bool = True) -> TrainerState:
    return TrainerState(global_step=step, max_steps=steps, is_world_process_zero=zero)


def told(record: Record, event: str, state: TrainerState, **kwargs: Any) -> None:
    """Calls the callback as Trainer does."""
    getattr(record, event)(SimpleNamespace(), state, SimpleNamespace(), **kwargs)


def file_console() -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream), stream


def terminal(width: int = 80) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, force_terminal=True, width=width, color_system=None), stream


def seen(stream: io.StringIO) -> list[str]:
    """What was written to a terminal, line by line, without its control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()).replace("\r", "\n").split("\n")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    time = SimpleNamespace(now=100.0)
    monkeypatch.setattr(record, "monotonic", lambda: time.now)
    return time


# --- a real Trainer ---


def test_every_step_of_a_run_is_logged_and_shown_on_stderr_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "new" / "log.jsonl"
    trainer(tmp_path, Record(log)).train()
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    trained = [line for line in lines if "loss" in line]
    assert [line["step"] for line in trained] == list(range(1, STEPS + 1))
    assert all(
        {"time", "loss", "learning_rate", "grad_norm", "tokens_per_second"} <= set(line) for line in trained
    )
    assert [line["step"] for line in lines if "dev_mark_f1" in line] == [3, 6]
    assert sorted(line["time"] for line in lines) == [line["time"] for line in lines]
    assert [line.split("  ")[0] for line in shown.err.splitlines() if "loss" in line] == [
        f"step {step}/6" for step in range(1, STEPS + 1)
    ]
    assert "step 3: dev marks F1 0.912, R@1 0.85, R@10 0.97" in shown.err.splitlines()


def test_resumed_run_has_the_lines_of_one_that_was_not_killed(tmp_path: Path) -> None:
    log, quiet = tmp_path / "log.jsonl", Console(quiet=True)
    with pytest.raises(KilledError):
        trainer(tmp_path / "run", Record(log, quiet), dies_after=5).train()
    with log.open("a") as file:
        file.write('{"step": 5, "ti')
    assert read_log(log)[-1]["step"] == 5  # beyond checkpoint 4
    trainer(tmp_path / "run", Record(log, quiet)).train(resume_from_checkpoint=True)
    whole = tmp_path / "whole.jsonl"
    trainer(tmp_path / "other", Record(whole, quiet)).train()

    def steps_and_names(path: Path) -> list[tuple[Any, list[str]]]:
        return [(line["step"], sorted(line)) for line in read_log(path)]

    assert steps_and_names(log) == steps_and_names(whole)
    assert not list(tmp_path.glob("*.partial"))


def test_bar_of_a_run_ends_at_the_last_step_and_gives_the_terminal_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    console, stream = terminal()
    before = sys.stderr, sys.stdout
    trainer(tmp_path, Record(tmp_path / "log.jsonl", console)).train()
    assert (sys.stderr, sys.stdout) == before
    assert capsys.readouterr().out == ""
    assert stream.getvalue().rstrip().endswith("\x1b[?25h")  # the cursor is shown again
    bar = [line for line in seen(stream) if line.startswith("step 6/6 ")]
    assert bar and "0:00:0" in bar[-1]
    assert "tokens/s" in seen(stream)[-2]
    assert "step 3: dev marks F1 0.912, R@1 0.85, R@10 0.97" in [line.rstrip() for line in seen(stream)]


def test_closing_takes_the_bar_down_when_the_training_dies(tmp_path: Path) -> None:
    console, stream = terminal()
    before = sys.stderr
    with pytest.raises(KilledError), closing(Record(tmp_path / "log.jsonl", console)) as watched:
        trainer(tmp_path, watched, dies_after=2).train()
    assert sys.stderr is before
    assert stream.getvalue().rstrip().endswith("\x1b[?25h")
    watched.close()


# --- the log ---


def test_values_that_are_no_json_numbers(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    made = Record(log, Console(quiet=True))
    told(made, "on_train_begin", state(0))
    logs = {
        "loss": float("nan"),
        "grad_norm": float("inf"),
        "generation": np.float32(0.5),
        "retrieval": torch.tensor(0.25),
        "epoch": np.int64(2),
        "note": "text",
        "step": 7,
    }
    told(made, "on_log", state(20), logs=logs)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    line = json.loads(log.read_text("utf-8"), parse_constant=refuse)
    assert line.pop("time") >= 0
    assert line == {
        "step": 20,
        "loss": None,
        "grad_norm": None,
        "generation": 0.5,
        "retrieval": 0.25,
        "epoch": 2,
    }


def write_lines(log: Path, steps: list[int]) -> None:
    log.write_text("".join(f'{{"step": {step}, "time": 1.5, "loss": 0.1}}\n' for step in steps), "utf-8")


@pytest.mark.parametrize(("begins", "kept"), [(40, [0, 20, 40, 40]), (99, [0, 20, 40, 40, 60]), (0, [])])
def test_lines_beyond_the_checkpoint_are_dropped(tmp_path: Path, begins: int, kept: list[int]) -> None:
    log = tmp_path / "log.jsonl"
    write_lines(log, [0, 20, 40, 40, 60])
    told(Record(log, Console(quiet=True)), "on_train_begin", state(begins))
    assert [line["step"] for line in read_log(log)] == kept
    assert all(line == {"step": line["step"], "time": 1.5, "loss": 0.1} for line in read_log(log))


def test_damaged_lines_are_counted_but_for_one_that_was_cut_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "log.jsonl"
    write_lines(log, [20, 40])
    with log.open("a") as file:
        file.write('{"step": 60, "lo')
    assert [line["step"] for line in read_log(log)] == [20, 40]
    assert not caplog.records
    with log.open("a") as file:
        file.write('\n\x00\x00\n[3]\n{"loss": 1}\n{"step": 80}\n')
    assert [line["step"] for line in read_log(log)] == [20, 40, 80]
    assert [entry.getMessage() for entry in caplog.records] == [f"{log}: 4 damaged lines are left out"]


def test_other_processes_write_and_show_nothing(tmp_path: Path) -> None:
    log, (console, stream) = tmp_path / "log.jsonl", terminal()
    made = Record(log, console)
    for event, more in (
        ("on_train_begin", {}),
        ("on_step_end", {}),
        ("on_log", {"logs": {"loss": 1.0}}),
        ("on_train_end", {}),
    ):
        told(made, event, state(1, zero=False), **more)
    assert not log.exists() and stream.getvalue() == ""


def test_log_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for log in (tmp_path / "file" / "log.jsonl", tmp_path):
        with pytest.raises(InputError, match=re.escape(str(log))):
            told(Record(log), "on_train_begin", state(0))


# --- throughput and lines ---


def trained(made: Record, clock: SimpleNamespace, first: int, last: int, seconds: float, tokens: int) -> None:
    for step in range(first, last + 1):
        made.count(tokens)
        clock.now += seconds
        told(made, "on_step_end", state(step))


def test_throughput_is_of_the_time_spent_on_steps(tmp_path: Path, clock: SimpleNamespace) -> None:
    log = tmp_path / "log.jsonl"
    made = Record(log, Console(quiet=True))
    told(made, "on_train_begin", state(0))
    trained(made, clock, 1, 10, 2.0, 1000)
    told(made, "on_log", state(10), logs={"loss": 1.0})
    trained(made, clock, 11, 15, 2.0, 3000)
    clock.now += 500  # a dev set is scored
    told(made, "on_log", state(15), logs={"dev_mark_f1": 0.5})
    trained(made, clock, 16, 18, 2.0, 3000)
    clock.now += 100  # a checkpoint is written
    told(made, "on_save", state(18))
    trained(made, clock, 19, 20, 2.0, 3000)
    told(made, "on_log", state(20), logs={"loss": 1.0})
    trained(made, clock, 21, 30, 2.0, 1000)
    told(made, "on_log", state(30), logs={"loss": 1.0, "tokens_per_second": 77.0})
    told(made, "on_log", state(30), logs={"loss": 1.0})
    assert [line.get("tokens_per_second") for line in read_log(log)] == [500.0, None, 1500.0, 77.0, None]
    assert [line["time"] for line in read_log(log)] == [20.0, 530.0, 640.0, 660.0, 660.0]


def test_line_of_a_log_in_a_file(tmp_path: Path, clock: SimpleNamespace) -> None:
    console, stream = file_console()
    made = Record(tmp_path / "log.jsonl", console)
    told(made, "on_train_begin", state(20))
    trained(made, clock, 21, 40, 0.4578, 2203)
    logs = {"loss": 1.2345, "mark_errors": 0.0213, "recall_in_batch": 0.9, "recall_in_pool": 0.6149}
    told(made, "on_log", state(40), logs=logs)
    told(
        made, "on_log", state(40), logs={"dev_mark_f1": 0.9119, "dev_recall_10": 0.5, "dev_mark_recall": 0.1}
    )
    told(made, "on_log", state(1700), logs={"loss": float("nan"), "recall_in_batch": 0.9})
    told(made, "on_log", state(1700), logs={"train_runtime": 3.0, "train_loss": 0.5})
    # 1,660 steps are left at the pace of the 20 that this process made: 759.9 s
    assert stream.getvalue().splitlines() == [
        "step 40/1700  loss 1.23  marks wrong 2.1 %  recall 0.61  4,812 tokens/s  12:40 left",
        "step 40: dev marks F1 0.912, R@10 0.50",
        "step 1700/1700  loss nan  recall in batch 0.90  0:00 left",
    ]


def test_hours_left(tmp_path: Path, clock: SimpleNamespace) -> None:
    console, stream = file_console()
    made = Record(tmp_path / "log.jsonl", console)
    told(made, "on_train_begin", state(0))
    clock.now += 10
    told(made, "on_log", state(1, steps=1113), logs={"loss": 0.01234})
    assert stream.getvalue() == "step 1/1113  loss 0.012  3:05:20 left\n"


def test_no_bar_where_none_is_wanted(tmp_path: Path) -> None:
    console, stream = terminal()
    made = Record(tmp_path / "log.jsonl", console, bar=False)
    told(made, "on_train_begin", state(0))
    told(made, "on_log", state(20), logs={"loss": 1.0})
    told(made, "on_train_end", state(20))
    assert re.fullmatch(r"step 20/1700  loss 1.00  \d.* left\n", stream.getvalue())


# --- the bar ---


def test_bar_fits_a_narrow_terminal(tmp_path: Path, clock: SimpleNamespace) -> None:
    console, stream = terminal(width=60)
    with closing(Record(tmp_path / "log.jsonl", console)) as made:
        told(made, "on_train_begin", state(0))
        trained(made, clock, 1, 400, 2.0, 9624)
        logs = {"loss": 1.23, "mark_errors": 0.02, "recall_in_pool": 0.6, "tokens_per_second": 123456.0}
        told(made, "on_log", state(400), logs=logs)
    lines = [line.rstrip() for line in seen(stream) if line.strip()]
    assert all(len(line) <= 60 for line in lines)
    assert lines[-2].startswith("step 400/1700 ") and lines[-2].endswith(" 43:20 left")
    assert lines[-1] == "loss 1.23  marks wrong 2.0 %  recall 0.60  123,456 tokens/s"


def test_messages_to_stderr_are_shown_above_the_bar_and_stdout_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    console, stream = terminal()
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    handler = logging.StreamHandler()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with closing(Record(tmp_path / "log.jsonl", console)) as made:
            told(made, "on_train_begin", state(0))
            logging.getLogger("onegen_el.training").warning("pool embedded in 12 s")
            sys.stdout.write("a result\n")
        assert handler.stream is sys.stderr
    finally:
        root.removeHandler(handler)
    assert sys.stderr.getvalue() == ""
    assert capsys.readouterr().out == "a result\n"
    assert "pool embedded in 12 s" in [line.rstrip() for line in seen(stream)]


# --- curves ---


def write_run(log: Path, steps: int, every: int = 20) -> None:
    """A log with all numbers a run has, none of them at zero."""
    with log.open("w", encoding="utf-8") as file:
        for step in range(every, steps + 1, every):
            left = 1.01 - step / steps
            line = {"step": step, "time": 2.0 * step, "loss": 2 * left, "generation": left, "retrieval": left}
            line |= {"mark_errors": 0.1 * left, "learning_rate": 3e-4 * left, "tokens_per_second": 4800.0}
            line |= {"recall_in_batch": 1 - 0.3 * left, "recall_in_pool": 1 - 0.5 * left, "epoch": 1 - left}
            file.write(json.dumps(line) + "\n")
            if step % 200 == 0:
                dev = dict.fromkeys(("dev_mark_precision", "dev_mark_recall", "dev_mark_f1"), 1 - left)
                dev |= {"dev_mark_accuracy": 1 - 0.1 * left, "dev_recall_1": 0.5, "dev_recall_10": 0.7}
                file.write(json.dumps({"step": step, "time": 2.0 * step, **dev}) + "\n")


def panels(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, tuple[list[float], list[float], str]]]:
    """Fills with what is drawn: title -> label -> steps, values and scale of the last line of that label."""
    figure = pytest.importorskip("matplotlib.figure").Figure
    drawn: dict[str, dict[str, tuple[list[float], list[float], str]]] = {}
    save = figure.savefig

    def look(self: Any, *args: Any, **kwargs: Any) -> None:
        for axes in self.axes:
            drawn[axes.get_title(loc="left")] = {
                line.get_label(): (list(line.get_xdata()), list(line.get_ydata()), axes.get_yscale())
                for line in axes.lines
            }
        save(self, *args, **kwargs)

    monkeypatch.setattr(figure, "savefig", look)
    return drawn


def test_curves_of_a_whole_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = panels(monkeypatch)
    log, picture = tmp_path / "log.jsonl", tmp_path / "curves.png"
    write_run(log, 1000)
    with log.open("a") as file:
        file.write('{"step": 1020, "loss": 9')
    assert draw(log, picture) is True
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "log.jsonl"]
    assert list(drawn) == [panel.title for panel in curves.PANELS]
    names = [len(panel.curves) for panel in curves.PANELS]
    assert [len(lines) for lines in drawn.values()] == names
    steps, values, scale = drawn["Loss"]["total"]
    assert steps == list(range(20, 1001, 20)) and scale == "log"
    assert values[-1] == pytest.approx(0.02)
    steps, values, _ = drawn["Marks wrong, %"]["dev"]
    assert steps == [200, 400, 600, 800, 1000]
    assert values[-1] == pytest.approx(0.1)  # 1 - 0.999 in per cent


def test_panels_without_data_are_left_out_and_lost_values_are_gaps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = panels(monkeypatch)
    log = tmp_path / "log.jsonl"
    rows = [
        '{"step": 40, "loss": 0.0, "mark_errors": null}',
        '{"step": 20, "loss": 2.5, "mark_errors": null}',
        '{"step": 60, "loss": null}',
    ]
    log.write_text("\n".join(rows) + "\n", "utf-8")
    assert draw(log, tmp_path / "curves.png")
    assert list(drawn) == ["Loss"] and list(drawn["Loss"]) == ["total"]
    steps, values, scale = drawn["Loss"]["total"]
    assert steps == [20, 40, 60] and scale == "linear"  # a logarithm would hide the zero
    assert values[:2] == [2.5, 0.0] and np.isnan(values[2])


def test_many_points_are_smoothed_about_their_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = panels(monkeypatch)
    log = tmp_path / "log.jsonl"
    with log.open("w") as file:
        for step in range(1000):
            row = {"step": step, "loss": 3.0 + (-1) ** step, "learning_rate": 1.0 if step == 500 else 0.5}
            file.write(json.dumps(row) + "\n")
    assert draw(log, tmp_path / "curves.png")
    _, values, _ = drawn["Loss"]["total"]
    assert len(values) == 1000 and np.ptp(values[20:-20]) < 0.2
    assert np.mean(values) == pytest.approx(3.0, abs=0.01)
    assert [max(values) for _, values, _ in drawn["Learning rate"].values()] == [1.0]


@pytest.mark.parametrize("text", [None, "", '{"step": 20, "epo', '{"step": 20, "time": 1.0, "epoch": 0.5}\n'])
def test_nothing_to_draw(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "log.jsonl").write_text(text)
    assert draw(tmp_path / "log.jsonl", tmp_path / "curves.png") is False
    assert not (tmp_path / "curves.png").exists()


def test_no_picture_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    write_run(tmp_path / "log.jsonl", 100)
    monkeypatch.setattr(builtins, "__import__", missing)
    assert draw(tmp_path / "log.jsonl", tmp_path / "curves.png") is False
    assert not (tmp_path / "curves.png").exists()


def test_picture_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_run(tmp_path / "log.jsonl", 100)
    with pytest.raises(InputError, match=re.escape(str(tmp_path / "no" / "curves.png"))):
        draw(tmp_path / "log.jsonl", tmp_path / "no" / "curves.png")
