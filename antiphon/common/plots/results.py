"""Pictures of results: few labels, confusion, and methods beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from antiphon.common.plots.style import BASELINE, BLUE, INK, MUTED, PALETTE, dress, legend, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from antiphon.common.evaluation.few_labels import FewLabelCurve
    from antiphon.common.evaluation.intervals import Interval


def few_label_plot(curves: Mapping[str, FewLabelCurve]) -> Figure:
    """Score against the number of labels: mean over the draws and a band of one standard deviation.

    A curve whose name begins with "random" is drawn grey and dashed. All curves need the same unit and metric.
    """
    kinds = {(curve.unit, curve.metric) for curve in curves.values()}
    if len(kinds) != 1:
        raise ValueError(f"few_label_plot needs curves of one unit and metric, got {sorted(kinds)}")
    [(unit, metric)] = kinds
    figure, [[axes]] = new_figure(3.3)
    colours = iter(PALETTE * len(curves))
    for name, curve in curves.items():
        baseline = name.lower().startswith("random")
        colour = BASELINE if baseline else next(colours)
        axes.fill_between(curve.budgets, curve.mean - curve.std, curve.mean + curve.std, color=colour, alpha=0.18, linewidth=0)
        style = "--" if baseline else "-"
        axes.plot(curve.budgets, curve.mean, style, color=colour, marker="o", markersize=4.5, linewidth=1.8, label=name)
    ticks = sorted({budget for curve in curves.values() for budget in curve.budgets})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    dress(axes, x=unit, y=metric.replace("_", " "), grid="both")
    legend(axes, loc="lower right")
    return figure


def confusion_plot(confusion: ArrayLike, classes: Sequence[object]) -> Figure:
    """Confusion counts (rows: true, columns: predicted), coloured by the share of each true class."""
    counts = np.asarray(confusion)
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(f"confusion of {len(classes)} classes must be square of that size, got shape {counts.shape}")
    from matplotlib.colors import LinearSegmentedColormap

    size = len(classes)
    figure, [[axes]] = new_figure(min(7.0, max(3.0, 1.2 + 0.42 * size)))
    figure.set_layout_engine("compressed")  # the matrix is square: keep its colour bar beside it
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shades = LinearSegmentedColormap.from_list("share", ["#ffffff", "#a9cfe6", BLUE, "#003f66"])
    image = axes.imshow(share, cmap=shades, vmin=0, vmax=1)
    names, step = [str(name) for name in classes], max(1, -(-size // 24))
    long = max(map(len, names)) > 4 and size > 4
    axes.set_xticks(
        range(0, size, step), names[::step], rotation=40 if long else 0, ha="right" if long else "center", rotation_mode="anchor"
    )
    axes.set_yticks(range(0, size, step), names[::step])
    if size <= 16:
        for row, column in np.ndindex(size, size):
            if counts[row, column]:
                colour = "white" if share[row, column] > 0.5 else INK
                axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=8.5, color=colour)
    dress(axes, x="predicted class", y="true class", grid="none")
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8.5, colors=MUTED, length=0)
    bar.set_label("share of the true class", fontsize=9, color=MUTED)
    return figure


def comparison_plot(rows: Mapping[str, Interval], *, x: str = "accuracy") -> Figure:
    """Means with their confidence intervals, one row each, best read from top to bottom; names with "random" are grey."""
    if not rows:
        raise ValueError("comparison_plot needs at least one row, got none")
    figure, [[axes]] = new_figure(0.8 + 0.36 * len(rows))
    for place, (name, interval) in enumerate(rows.items()):
        colour = BASELINE if "random" in name.lower() else BLUE
        if np.isfinite(interval.low):
            axes.plot([interval.low, interval.high], [place, place], color=colour, linewidth=3.5, alpha=0.4, solid_capstyle="round")
        axes.plot([interval.mean], [place], "o", color=colour, markersize=7)
        axes.annotate(
            f"{interval.mean:.3f}", (interval.mean, place), (0, 7), textcoords="offset points", ha="center", fontsize=8.5, color=INK
        )
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.8)
    some = next(iter(rows.values()))
    dress(axes, x=f"{x} (mean, {some.confidence:.0%} interval)", grid="x")
    return figure
