"""The curve of the score threshold as a picture: precision, recall and F1 of links, and how many are NIL.

Knows curves and matplotlib; chooses no threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from onegen_el.evaluation.outcome import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Told apart without colour vision and in grey (M. Okabe, K. Ito, "Color Universal Design", 2008).
BLUE, VERMILION, BLACK, GREY = "#0072B2", "#D55E00", "#000000", "#777777"
COLUMNS = 4


def draw(curves: Sequence[tuple[str, Curve]], picture: Path) -> None:
    """Writes the PNG file `picture`, a panel a curve, as a whole or not at all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(curves))
    lines = -(-len(curves) // columns)
    figure = Figure(figsize=(3.1 * columns, 0.5 + 2.6 * lines), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    for axes, (title, curve) in zip(grid, curves, strict=False):
        _panel(axes, title, curve)
    for axes in grid[len(curves) :]:
        axes.remove()
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=8)
    part = picture.with_name(picture.name + ".partial")
    # No date in the file: the same figures give the same bytes.
    figure.savefig(part, format="png", metadata={"Software": None})
    part.replace(picture)


def _panel(axes: Axes, title: str, curve: Curve) -> None:
    at = [point.threshold for point in curve.points]
    lines = (
        ("precision", [point.precision for point in curve.points], BLUE, "-"),
        ("recall", [point.recall for point in curve.points], VERMILION, "-"),
        ("F1", [point.f1 for point in curve.points], BLACK, "-"),
        ("part of the mentions that are NIL", [point.nil_rate for point in curve.points], GREY, "--"),
    )
    for label, values, color, style in lines:
        axes.plot(at, values, color=color, linestyle=style, linewidth=1.4, label=label)
    if curve.own is not None:
        axes.axvline(curve.own, color=GREY, linestyle=":", linewidth=1.2, label="threshold in force")
    axes.set_title(title, loc="left", fontsize=9)
    axes.set_xlabel("threshold", color=GREY, fontsize=8)
    axes.set_ylim(0, 1)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#AAAAAA")
    axes.tick_params(colors=GREY, labelsize=8)
