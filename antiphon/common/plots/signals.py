"""Pictures of signals: an example with its views, and anomaly scores over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from antiphon.common.plots.style import BASELINE, BLUE, INK, MUTED, ORANGE, PALETTE, VERMILION, dress, legend, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def _signal(values: Any) -> NDArray[np.float64]:
    array = np.atleast_2d(values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)).astype(float)
    if array.ndim != 2:
        raise ValueError(f"a signal to draw must be (time,) or (channels, time), got shape {array.shape}")
    return array


def view_examples(
    original: Any,
    views: Mapping[str, Any],
    *,
    channel_names: Sequence[str] | None = None,
    sample_rate: float | None = None,
    max_channels: int = 4,
) -> Figure:
    """One example and its views, (T,) or (C, T) each: a row a channel, a column a version, on one scale a channel.

    The original is drawn in grey behind each view of the same length. `sample_rate` in Hz puts seconds on the axis. Of many
    channels `max_channels` are shown, evenly spread.
    """
    source = _signal(original)
    versions = {name: _signal(view) for name, view in views.items()}
    for name, view in versions.items():
        if len(view) != len(source):
            raise ValueError(f"view {name!r} has {len(view)} channels and the original {len(source)}: draw them apart")
    rows = np.unique(np.linspace(0, len(source) - 1, min(max_channels, len(source))).round().astype(int))
    figure, grid = new_figure(0.55 + 1.35 * len(rows), len(rows), 1 + len(versions), share_y="row", share_x="all")
    for row, channel in enumerate(rows):
        for column, (title, signal) in enumerate({"original": source, **versions}.items()):
            axes = grid[row][column]
            rate = sample_rate or 1.0
            if column and signal.shape == source.shape:
                axes.plot(np.arange(source.shape[1]) / rate, source[channel], color=BASELINE, alpha=0.45, linewidth=0.8)
            colour = INK if column == 0 else PALETTE[(column - 1) % len(PALETTE)]
            dot = "." if np.isnan(signal[channel]).any() else None  # a value between two gaps makes no line
            axes.plot(np.arange(signal.shape[1]) / rate, signal[channel], color=colour, linewidth=1.0, marker=dot, markersize=2)
            last = row == len(rows) - 1
            name = channel_names[channel] if channel_names else f"channel {channel}" if len(source) > 1 else ""
            time = ("time (s)" if sample_rate else "sample") if last else ""
            dress(axes, title=title if row == 0 else "", x=time, y=name if column == 0 else "")
    return figure


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    changes = np.diff(np.concatenate(([0], mask.astype(np.int8), [0])))
    return list(zip(np.flatnonzero(changes == 1).tolist(), np.flatnonzero(changes == -1).tolist(), strict=True))


def _shade(axes: Axes, labels: NDArray[np.bool_]) -> None:
    for number, (start, stop) in enumerate(_runs(labels)):
        axes.axvspan(start - 0.5, stop - 0.5, color=ORANGE, alpha=0.3, linewidth=0, label="true anomaly" if number == 0 else None)


def anomaly_scores(
    values: ArrayLike,
    scores: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    alarms: ArrayLike | None = None,
    threshold: float | None = None,
    train_length: int | None = None,
) -> Figure:
    """A series (T,) above its anomaly scores (T,), true anomalies (T,), threshold, alarms (T,) and the end of the train part."""
    series, score = np.asarray(values, dtype=float), np.asarray(scores, dtype=float)
    if series.shape != score.shape or series.ndim != 1:
        raise ValueError(f"values and scores must be (T,) alike, got {series.shape} and {score.shape}")
    figure, [[top], [bottom]] = new_figure(3.9, 2, 1, share_x="all")
    top.plot(series, color=BLUE, linewidth=0.9)
    bottom.plot(score, color=INK, linewidth=0.9)
    for axes in (top, bottom):
        if labels is not None:
            _shade(axes, np.asarray(labels).astype(bool))
        if train_length is not None:
            axes.axvline(train_length - 0.5, color=MUTED, linewidth=1.0, linestyle="--")
    if train_length is not None:
        top.annotate(
            "train | test", (train_length, 1.01), xycoords=("data", "axes fraction"), ha="center", fontsize=8.5, color=MUTED
        )
    if threshold is not None:
        bottom.axhline(threshold, color=VERMILION, linewidth=1.0, linestyle=":", label="threshold")
    if alarms is not None:
        steps = np.flatnonzero(np.asarray(alarms).astype(bool))
        bottom.plot(steps, score[steps], "v", color=VERMILION, markersize=6, linestyle="none", label=f"alarm ({len(steps)})")
    dress(top, y="value")
    dress(bottom, x="time step", y="relative score")
    bottom.set_xlim(0, len(series) - 1)
    legend(bottom, ncols=3, loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.1)
    return figure
