"""What is kept and shown of a training run: a JSON line for every log, and a progress bar on stderr.

Knows what transformers' Trainer reports to its callbacks and the names of the numbers; does not train.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from math import isfinite
from pathlib import Path
from time import monotonic
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from onegen_el.errors import InputError

logger = logging.getLogger(__name__)

DEV_SCORES = (
    ("dev_mark_f1", "marks F1 {:.3f}"),
    ("dev_recall_1", "R@1 {:.2f}"),
    ("dev_recall_10", "R@10 {:.2f}"),
)


def read_log(path: Path) -> list[dict[str, float | None]]:
    """The lines of a log that `Record` wrote, in the order of the file; a value is None if it was not finite.

    A line that was cut off by the end of the process is left out; damaged lines elsewhere are left out
    too, and their number is logged as a warning. A file that does not exist has no lines. Raises
    InputError if there is one that cannot be read.
    """
    try:
        text = path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path}: the log of the training cannot be read ({error.strerror})") from None
    rows = text.split("\n")
    lines = [_parse(row) for row in rows]
    damaged = sum(line is None and bool(row) for row, line in zip(rows[:-1], lines, strict=False))
    if damaged:
        logger.warning("%s: %d damaged lines are left out", path, damaged)
    return [line for line in lines if line is not None]


def _parse(row: str) -> dict[str, float | None] | None:
    try:
        line = json.loads(row, parse_constant=lambda _: None)
    except ValueError:
        return None
    return line if isinstance(line, dict) and type(line.get("step")) is int else None


class Record(TrainerCallback):
    """Writes every log of a Trainer as a line of `log` and shows how far the training is.

    A line is `{"step": ..., "time": ..., ...}`: steps made, seconds since this process began to train, and
    the numbers of the log; what is not finite becomes null. When a run goes on from a checkpoint, lines of
    steps beyond it are dropped first, and all of them when it begins anew, so no step is there twice.

    On a terminal there is a bar, elsewhere (or with `bar=False`) a plain line for every log. `console` is
    one on stderr if not given; nothing is ever written to stdout. The bar hides the cursor, so call `close`
    whatever ends the training, say with `contextlib.closing`. Only the world's process zero does anything.

    The Trainer needs `disable_tqdm=True`; it then brings a PrinterCallback, which is to be removed.
    """

    def __init__(self, log: Path, console: Console | None = None, bar: bool = True) -> None:
        self._log = log
        self._console = console or Console(stderr=True)
        self._wants_bar = bar and self._console.is_interactive
        self._bar: _Bar | None = None
        self._stack = ExitStack()
        self._begin(0)

    def _begin(self, step: int) -> None:
        self._first_step = step
        self._started = self._mark = monotonic()
        self._tokens, self._seconds = 0, 0.0

    def count(self, tokens: int) -> None:
        """Adds tokens that were put through the model, for `tokens_per_second` of the next log."""
        self._tokens += tokens

    def close(self) -> None:
        """Takes the bar down, where there is one; may be called again."""
        self._stack.close()
        self._bar = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Cuts the log back to the checkpoint, starts the clock and the bar.

        Raises InputError if the log cannot be written.
        """
        if not state.is_world_process_zero:
            return
        self.close()
        self._cut_log(state.global_step)
        self._begin(state.global_step)
        if self._wants_bar:
            stderr = sys.stderr
            self._bar = _Bar(self._console, state.global_step, state.max_steps)
            self._stack.enter_context(self._bar)
            self._stack.enter_context(_logging_moved(stderr))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Moves the bar."""
        now = monotonic()
        self._seconds += now - self._mark
        self._mark = now
        if self._bar:
            self._bar.move(state.global_step, self._time_left(state))

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leaves the time a checkpoint took out of the throughput."""
        self._mark = monotonic()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Writes the line and shows its numbers. Raises InputError if the log cannot be written."""
        if not state.is_world_process_zero:
            return
        numbers = {
            name: number for name, value in (logs or {}).items() if (number := _number(value)) is not None
        }
        if "loss" in numbers:
            if self._tokens and self._seconds:
                numbers.setdefault("tokens_per_second", self._tokens / self._seconds)
            self._tokens, self._seconds = 0, 0.0
        else:
            # Scores of a dev set: the time they took is no time of training.
            self._mark = monotonic()
        line = {"step": state.global_step, "time": round(monotonic() - self._started, 3)}
        self._write({**line, **{name: numbers[name] for name in numbers if name not in line}})
        if scores := ", ".join(form.format(numbers[name]) for name, form in DEV_SCORES if name in numbers):
            self._say(f"step {state.global_step}: dev {scores}")
        if "loss" in numbers:
            self._show(state, _in_words(numbers))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leaves the bar as it is last."""
        self.close()

    def _show(self, state: TrainerState, words: list[str]) -> None:
        if self._bar:
            self._bar.numbers = "  ".join(words)
            return
        left = self._time_left(state)
        words = [f"step {state.global_step}/{state.max_steps}", *words, *([f"{left} left"] if left else [])]
        self._say("  ".join(words))

    def _say(self, line: str) -> None:
        # A line above the bar; rich would fold it at the width it believes a file to have.
        self._console.print(Text(line), soft_wrap=True)

    def _time_left(self, state: TrainerState) -> str:
        """By the mean of the steps this process made, evaluations and checkpoints included."""
        made = state.global_step - self._first_step
        if made <= 0:
            return ""
        return _clock((monotonic() - self._started) / made * (state.max_steps - state.global_step))

    def _cut_log(self, step: int) -> None:
        """Keeps the lines up to `step`; of a run that begins anew, none."""
        kept = [line for line in read_log(self._log) if step and (line["step"] or 0) <= step]
        part = self._log.with_name(self._log.name + ".partial")
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            part.write_text("".join(map(_as_json, kept)), "utf-8", newline="\n")
            part.replace(self._log)
        except OSError as error:
            raise self._unwritable(error) from None

    def _write(self, line: dict[str, float]) -> None:
        try:
            with self._log.open("a", encoding="utf-8", newline="\n") as file:
                file.write(_as_json(line))
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(
            f"{self._log}: the log of the training cannot be written ({error.strerror}); "
            "make room or choose another folder, and start the training again to go on"
        )


class _Bar(Progress):
    """Steps and times on one line, the numbers of the last log on a second."""

    def __init__(self, console: Console, step: int, steps: int) -> None:
        # Set before Progress draws for the first time, which it does when it is made.
        self.numbers = ""
        super().__init__(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(bar_width=None),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            expand=True,
            refresh_per_second=4,
            redirect_stdout=False,
        )
        self._steps = self.add_task("", total=steps, completed=step, left="")

    def move(self, step: int, left: str) -> None:
        """Shows `step` as the steps done."""
        self.update(self._steps, completed=step, left=f"{left} left" if left else "")

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield Text(self.numbers, no_wrap=True, overflow="ellipsis")


@contextmanager
def _logging_moved(stderr: TextIO) -> Iterator[None]:
    """Lets handlers that log to `stderr` write to what the bar has put in its place, above the bar."""
    moved: list[logging.StreamHandler[TextIO]] = []
    for name in ("", "onegen_el", "transformers"):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is stderr:
                handler.setStream(sys.stderr)
                moved.append(handler)
    try:
        yield
    finally:
        for handler in moved:
            handler.setStream(stderr)


def _number(value: Any) -> float | None:
    """The number that a log has under a name, numpy's and torch's as Python's; None for anything else."""
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, int | float) else None


def _as_json(line: Mapping[str, float | None]) -> str:
    numbers = {name: None if value is None or not isfinite(value) else value for name, value in line.items()}
    return json.dumps(numbers, allow_nan=False) + "\n"


def _in_words(numbers: Mapping[str, float]) -> list[str]:
    """The numbers of a log that tell how a training goes, those it has."""
    loss = numbers["loss"]
    words = [f"loss {loss:.2f}" if loss >= 1 else f"loss {loss:.3f}"]
    if "mark_errors" in numbers:
        words.append(f"marks wrong {100 * numbers['mark_errors']:.1f} %")
    if "recall_in_pool" in numbers:
        words.append(f"recall {numbers['recall_in_pool']:.2f}")
    elif "recall_in_batch" in numbers:
        words.append(f"recall in batch {numbers['recall_in_batch']:.2f}")
    if "tokens_per_second" in numbers:
        words.append(f"{numbers['tokens_per_second']:,.0f} tokens/s")
    return words


def _clock(seconds: float) -> str:
    """`12:40`, `3:05:00`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
