"""Pictures of a training run: its curves, its similarities, the pairs it did not trust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from antiphon.common.plots.style import BASELINE, BLUE, INK, MUTED, ORANGE, PALETTE, VERMILION, dress, legend, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from antiphon.common.evaluation.geometry import PairSimilarity

Line = tuple[ArrayLike, ArrayLike]


def curves(panels: Mapping[str, Mapping[str, Line]], *, x: str = "step", columns: int = 2) -> Figure:
    """Small panels of lines: ``{"loss": {"train": (steps, values)}, "RankMe": {...}}``; NaN values leave gaps.

    A line whose name begins with "random" is drawn grey and dashed: it is what the others are compared with.
    """
    if not panels:
        raise ValueError("curves needs at least one panel, got none")
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure, grid = new_figure(2.5 * rows, rows, columns)
    cells = [axes for row in grid for axes in row]
    for axes, (title, lines) in zip(cells, panels.items(), strict=False):
        colours = iter(PALETTE * len(lines))
        for name, (steps, values) in lines.items():
            baseline = name.lower().startswith("random")
            points = np.asarray(values, dtype=float)
            axes.plot(
                np.asarray(steps, dtype=float),
                points,
                color=BASELINE if baseline else next(colours),
                linestyle="--" if baseline else "-",
                marker="o" if len(points) <= 12 and not baseline else None,
                markersize=3.5,
                linewidth=1.6,
                label=name,
            )
        dress(axes, title=title, x=x)
        if len(lines) > 1:
            legend(axes)
    for axes in cells[len(panels) :]:
        axes.remove()
    return figure


def _density(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return counts / max(1, int(counts.max()))


def similarity_histograms(stages: Mapping[str, PairSimilarity]) -> Figure:
    """Ridges of cosine similarity over training, first stage on top: positives against negatives, each scaled to its own peak."""
    if not stages:
        raise ValueError("similarity_histograms needs at least one stage, got none")
    figure, [[axes]] = new_figure(1.2 + 0.75 * len(stages))
    for row, pairs in enumerate(stages.values()):
        base = float(len(stages) - 1 - row)
        for counts, mean, colour, label in (
            (pairs.negative_counts, pairs.negative_mean, VERMILION, "negatives"),
            (pairs.positive_counts, pairs.positive_mean, BLUE, "positives"),
        ):
            height = base + 0.85 * _density(counts)
            axes.stairs(height, pairs.edges, baseline=base, fill=True, color=colour, alpha=0.35, label=label if row == 0 else None)
            axes.stairs(height, pairs.edges, baseline=None, color=colour, linewidth=1.1)
            axes.plot([mean, mean], [base, base + 0.9], color=colour, linewidth=1.4, linestyle=":")
        axes.axhline(base, color=MUTED, linewidth=0.6)
        axes.annotate(
            f"gap {pairs.gap:+.2f}",
            (1.01, base + 0.12),
            xycoords=("axes fraction", "data"),
            fontsize=8.5,
            color=INK,
            annotation_clip=False,
        )
    dress(axes, x="cosine similarity (dotted: mean)", grid="x")
    axes.set_yticks([len(stages) - 1 - row + 0.2 for row in range(len(stages))], list(stages))
    axes.set_ylim(-0.03, len(stages) + 0.02)
    lows = [pairs.edges[np.flatnonzero(pairs.positive_counts + pairs.negative_counts)[0]] for pairs in stages.values()]
    axes.set_xlim(max(-1.0, float(min(lows)) - 0.05), 1.0)
    legend(axes, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.0)
    return figure


@dataclass(frozen=True)
class FlaggedPair:
    """A pair to show: `first` and `second` (T,) or (C, T), a `name`, and its mean loss."""

    name: str
    first: NDArray[Any]
    second: NDArray[Any]
    mean_loss: float


def _draw_pair(axes: Axes, pair: FlaggedPair, colour: str, kind: str) -> None:
    first, second = np.atleast_2d(pair.first)[0], np.atleast_2d(pair.second)[0]
    span = max(float(np.nanmax(first) - np.nanmin(first)), float(np.nanmax(second) - np.nanmin(second)), 1e-12)
    axes.plot(first + 1.1 * span, color=INK, linewidth=0.9)
    axes.plot(second, color=colour, linewidth=0.9)
    dress(axes, y=kind, grid="none")
    axes.set_title(f"{pair.name} (loss {pair.mean_loss:.2f})", fontsize=8.5, loc="left", color=INK)
    axes.set_xticks([])
    axes.set_yticks([])


def flagged_pairs(
    history: ArrayLike,
    *,
    lower: float,
    upper: float,
    noisy: Sequence[FlaggedPair] = (),
    faulty: Sequence[FlaggedPair] = (),
    columns: int = 4,
) -> Figure:
    """What dynamic bad-pair mining flagged: the mean losses (N,) with both limits, then some flagged pairs.

    Pairs below `lower` are noisy (suspiciously easy), pairs above `upper` faulty (suspiciously hard). The first view is drawn above
    the second; of several channels the first.
    """
    losses = np.asarray(history, dtype=float)
    losses = losses[np.isfinite(losses)]
    if len(losses) == 0:
        raise ValueError("flagged_pairs needs a history of losses, got none that is finite: let the memory warm up first")
    kinds = (("noisy", noisy, ORANGE), ("faulty", faulty, VERMILION))
    shown = [(kind, list(pairs[:columns]), colour) for kind, pairs, colour in kinds if pairs]
    figure, _ = new_figure(2.6 + 1.25 * len(shown))
    figure.clear()
    grid = figure.add_gridspec(1 + len(shown), columns, height_ratios=[2.2] + [1.0] * len(shown))
    axes = figure.add_subplot(grid[0, :])
    edges = np.linspace(min(losses.min(), lower), max(losses.max(), upper) + 1e-9, 61)
    parts = [losses[(losses > lower) & (losses < upper)], losses[losses <= lower], losses[losses >= upper]]
    names = ("kept", "flagged noisy", "flagged faulty")
    for part, colour, name in zip(parts, (BLUE, ORANGE, VERMILION), names, strict=True):
        axes.hist(part, edges.tolist(), color=colour, label=f"{name} ({len(part)})")
    for limit in (lower, upper):
        axes.axvline(limit, color=INK, linewidth=0.9, linestyle=":")
    dress(axes, x="mean loss of a pair over the epochs so far", y="pairs")
    legend(axes, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.0)
    for row, (kind, pairs, colour) in enumerate(shown, start=1):
        for column, pair in enumerate(pairs):
            _draw_pair(figure.add_subplot(grid[row, column]), pair, colour, kind if column == 0 else "")
    return figure
