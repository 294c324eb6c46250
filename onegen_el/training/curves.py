"""Draws the log of a training run as one page of curves.

Knows the names of the logged numbers and matplotlib, which it does without if it is not there; does not
know where they come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from onegen_el.errors import InputError
from onegen_el.training.record import read_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Numbers = NDArray[np.float64]

# Told apart without colour vision and in grey (M. Okabe, K. Ito, "Color Universal Design", 2008).
BLUE, VERMILION, GREEN, BLACK = "#0072B2", "#D55E00", "#009E73", "#000000"
GREY = "#666666"
FEW, MANY = 25, 200  # points of a curve: so few are marked one by one, more than so many are smoothed


@dataclass(frozen=True, slots=True)
class Curve:
    """A logged number and how it is drawn.

    `share_wrong` draws 1 minus it, `percent` a hundred times it; `noisy=False` is never smoothed.
    """

    name: str
    label: str
    color: str
    dashed: bool = False
    share_wrong: bool = False
    percent: bool = False
    noisy: bool = True


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves with a scale of their own; `scale` "log" holds as far as all values are above zero."""

    title: str
    curves: tuple[Curve, ...]
    scale: str = "linear"


PANELS = (
    Panel(
        "Loss",
        (
            Curve("loss", "total", BLACK),
            Curve("generation", "generation", BLUE),
            Curve("retrieval", "retrieval", VERMILION),
        ),
        "log",
    ),
    Panel(
        "Recall of the right entity",
        (
            Curve("recall_in_batch", "in batch", BLUE),
            Curve("recall_in_pool", "in pool", VERMILION),
            Curve("dev_recall_1", "dev, first", GREEN, dashed=True),
            Curve("dev_recall_10", "dev, first ten", BLACK, dashed=True),
        ),
    ),
    Panel(
        "Marks wrong, %",
        (
            Curve("mark_errors", "training", BLUE, percent=True),
            Curve("dev_mark_accuracy", "dev", VERMILION, dashed=True, share_wrong=True, percent=True),
        ),
        "log",
    ),
    Panel(
        "Marks of the dev set",
        (
            Curve("dev_mark_precision", "precision", BLUE, dashed=True),
            Curve("dev_mark_recall", "recall", VERMILION, dashed=True),
            Curve("dev_mark_f1", "F1", BLACK, dashed=True),
        ),
    ),
    Panel("Learning rate", (Curve("learning_rate", "", BLACK, noisy=False),)),
    Panel("Tokens per second", (Curve("tokens_per_second", "", BLACK),)),
)


def draw(log: Path, picture: Path) -> bool:
    """Draws the lines of `log` (see `record.Record`) as the PNG file `picture`.

    Losses, recalls, errors of the marks, scores of the dev set, learning rate and throughput over the
    steps; what was never logged has no panel. False, and no picture, if there is nothing to draw or
    matplotlib is not installed. Raises InputError if a file cannot be read or written.
    """
    lines = sorted(read_log(log), key=lambda line: line["step"] or 0)
    found = [(panel, curves) for panel in PANELS if (curves := _curves(panel, lines))]
    if not found:
        return False
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    columns = 2 if len(found) > 1 else 1
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(5.5 * columns, 0.4 + 2.7 * rows), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    for axes, (panel, curves) in zip(grid, found, strict=False):
        _draw_panel(axes, panel, curves)
    for axes in grid[len(found) :]:
        axes.remove()
    for axes in grid[max(0, len(found) - columns) : len(found)]:
        axes.set_xlabel("step", color=GREY)
        axes.tick_params(labelbottom=True)
    part = picture.with_name(picture.name + ".partial")
    try:
        figure.savefig(part, format="png")
        part.replace(picture)
    except OSError as error:
        raise InputError(f"{picture}: the curves cannot be written ({error.strerror})") from None
    return True


def _curves(panel: Panel, lines: list[dict[str, float | None]]) -> list[tuple[Curve, Numbers, Numbers]]:
    """Steps and values of the panel's curves that have any; values that were not finite are gaps."""
    found = []
    for curve in panel.curves:
        points = [(line["step"], line[curve.name]) for line in lines if curve.name in line]
        steps = np.array([step for step, _ in points], dtype=np.float64)
        values = np.array([nan if value is None else value for _, value in points], dtype=np.float64)
        if np.isfinite(values).any():
            values = 1 - values if curve.share_wrong else values
            found.append((curve, steps, 100 * values if curve.percent else values))
    return found


def _draw_panel(axes: Axes, panel: Panel, curves: list[tuple[Curve, Numbers, Numbers]]) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    for curve, steps, values in curves:
        if curve.noisy and len(values) > MANY:
            axes.plot(steps, values, color=curve.color, linewidth=0.6, alpha=0.25)
            values = _running_mean(values, len(values) // 50)
        axes.plot(
            steps,
            values,
            color=curve.color,
            label=curve.label,
            linestyle="--" if curve.dashed else "-",
            linewidth=1.5,
            marker="o" if len(values) <= FEW else "",
            markersize=3,
        )
    axes.set_title(panel.title, loc="left", fontsize=10)
    if panel.scale == "log" and all(np.nanmin(values) > 0 for _, _, values in curves):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#AAAAAA")
    axes.tick_params(colors=GREY, labelsize=8)
    if any(curve.label for curve, _, _ in curves):
        axes.legend(frameon=False, fontsize=8)


def _running_mean(values: Numbers, width: int) -> Numbers:
    """Mean of the finite values at most `width` // 2 places away; a gap stays one."""
    finite = np.isfinite(values)
    around = np.ones(width // 2 * 2 + 1)
    sums = np.convolve(np.where(finite, values, 0), around, mode="same")
    return np.where(finite, sums / np.maximum(np.convolve(finite, around, mode="same"), 1), nan)
