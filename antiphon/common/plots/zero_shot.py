"""Pictures of zero-shot scores: how well each label fits, window by window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from antiphon.common.plots.style import MUTED, PALETTE, dress, legend, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ScoredRecording:
    """`scores` (w, K) of windows that begin at `times_s` (w,) and last `window_s`."""

    name: str
    times_s: NDArray[np.float64]
    window_s: float
    scores: NDArray[np.float64]


def scores_over_time(
    recordings: Sequence[ScoredRecording], labels: Sequence[str], *, threshold: float | None = None, most: int = 6
) -> Figure:
    """A panel a recording: the score of each label as a line through its windows, each window a flat piece; `threshold` is dotted.

    Of more than `most` labels those are drawn that come highest anywhere.
    """
    if not recordings:
        raise ValueError("scores_over_time needs at least one recording, got none")
    highest = np.max([recording.scores.max(axis=0) for recording in recordings], axis=0)
    shown = sorted(np.argsort(-highest, kind="stable")[:most].tolist())
    figure, grid = new_figure(0.9 + 1.5 * len(recordings), len(recordings), 1, share_y="all")
    for row, recording in enumerate(recordings):
        axes = grid[row][0]
        order = np.argsort(recording.times_s, kind="stable")
        starts = recording.times_s[order]
        ends = np.minimum(starts + recording.window_s, np.append(starts[1:], np.inf))
        times = np.stack((starts, ends), axis=1).ravel()
        for number, k in enumerate(shown):
            values = np.repeat(recording.scores[order, k], 2)
            axes.plot(times, values, color=PALETTE[number % len(PALETTE)], linewidth=1.8, label=labels[k] if row == 0 else None)
        if threshold is not None:
            axes.axhline(threshold, color=MUTED, linewidth=1.0, linestyle=":")
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlim(times[0], times[-1])
        dress(axes, title=recording.name, x="time (s)" if row == len(recordings) - 1 else "", y="score")
    legend(grid[0][0], ncols=min(3, len(shown)), loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.1)
    return figure
