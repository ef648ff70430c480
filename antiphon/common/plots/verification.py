"""Pictures of verification: DET curves, the scores of both kinds of trials, and whom the errors hit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from antiphon.common.evaluation.verification.groups import GroupReport
from antiphon.common.evaluation.verification.metrics import Scores, det_curve, equal_error_rate, rates_at
from antiphon.common.plots.style import BASELINE, BLUE, INK, MUTED, PALETTE, RULE, VERMILION, dress, legend, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PERCENT_TICKS = (0.01, 0.1, 1, 2, 5, 10, 20, 40, 60, 80, 95)


def _colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name; those that begin with "random" are grey."""
    colours = iter(PALETTE * len(names))
    return {name: BASELINE if name.lower().startswith("random") else next(colours) for name in names}


def det_plot(scores: Mapping[str, Scores]) -> Figure:
    """False rejects against false accepts on normal-deviate axes, the equal error rate as a dot on each curve."""
    if not scores:
        raise ValueError("det_plot needs at least one curve, got none")
    from scipy.stats import norm

    figure, [[axes]] = new_figure(5.0)
    most = [max(len(one[kind]) for one in scores.values()) for kind in (1, 0)]
    lows = [norm.ppf(max(2e-5, min(0.005, 0.5 / count))) for count in most]  # half a trial: there is nothing below
    high = norm.ppf(0.95)
    for name, colour in _colours(list(scores)).items():
        curve, eer = det_curve(scores[name]), equal_error_rate(scores[name])
        style = "--" if colour == BASELINE else "-"
        x, y = (norm.ppf(np.clip(rates, 1e-9, 1 - 1e-9)) for rates in (curve.fpr, curve.fnr))
        axes.plot(x, y, style, color=colour, linewidth=1.8, label=f"{name}: EER {100 * eer.value:.2f} %")
        place = norm.ppf(np.clip(rates_at(scores[name], eer.threshold), 1e-9, 1 - 1e-9))
        axes.plot(*place, "o", color=colour, markersize=5.5)
    axes.plot([max(lows), high], [max(lows), high], color=RULE, linewidth=1.0, zorder=0)
    for axis, low in zip((axes.xaxis, axes.yaxis), lows, strict=True):
        ticks = [tick for tick in _PERCENT_TICKS if low <= norm.ppf(tick / 100) <= high]
        axis.set_ticks(norm.ppf(np.asarray(ticks) / 100), [f"{tick:g}" for tick in ticks])
    axes.set_xlim(lows[0], high)
    axes.set_ylim(lows[1], high)
    axes.set_aspect("equal")
    dress(axes, x="false accepts (%)", y="false rejects (%)", grid="both")
    legend(axes, loc="upper right")
    return figure


def score_histograms(scores: Mapping[str, Scores], *, thresholds: Mapping[str, float] | None = None, bins: int = 80) -> Figure:
    """Scores of target and nontarget trials, each as a share of its kind, with a threshold where given.

    One panel an encoder, each with its own range: the scores of an untrained one often lie within a hundredth.
    """
    if not scores:
        raise ValueError("score_histograms needs at least one set of scores, got none")
    figure, panels = new_figure(0.6 + 2.1 * len(scores), len(scores), 1)
    for (name, one), [axes] in zip(scores.items(), panels, strict=True):
        lowest, highest = (float(end(part[place] for part in one)) for end, place in ((min, 0), (max, -1)))
        edges = np.linspace(lowest, highest if highest > lowest else lowest + 1.0, bins + 1)
        for kind, part, colour in (("two speakers", one.nontargets, VERMILION), ("one speaker", one.targets, BLUE)):
            share = np.histogram(part, edges)[0] / len(part)
            axes.stairs(share, edges, fill=True, color=colour, alpha=0.3)
            axes.stairs(share, edges, color=colour, linewidth=1.4, label=f"{kind} ({len(part):,} trials)")
        if thresholds and name in thresholds:
            axes.axvline(thresholds[name], color=INK, linewidth=1.0, linestyle=":", label=f"threshold {thresholds[name]:.4g}")
        axes.set_ylim(0, None)
        dress(axes, title=name, x="score" if name == list(scores)[-1] else "", y="share of trials")
        legend(axes, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)
    return figure


def group_errors_plot(report: GroupReport) -> Figure:
    """EER, false accepts and false rejects of each group in per cent, with its numbers of trials."""
    if not report.groups:
        raise ValueError(f"group_errors_plot needs at least one {report.column}, got none")
    figure, [[axes]] = new_figure(1.2 + 0.42 * len(report.groups))
    shown = (("EER of the group", "eer", INK, "o"), ("false accepts", "fpr", VERMILION, "D"), ("false rejects", "fnr", BLUE, "s"))
    for place, group in enumerate(report.groups):
        for label, name, colour, marker in shown:
            axes.plot(
                100 * getattr(group, name), place, marker, color=colour, markersize=6, label="" if place else label, clip_on=False
            )
        _write_counts(axes, place, f"{group.targets:,} / {group.nontargets:,}")
    axes.set_yticks(range(len(report.groups)), [group.group for group in report.groups])
    axes.set_ylim(len(report.groups) - 0.5, -0.5)
    axes.set_xlim(0, None)
    dress(axes, x="per cent of trials", grid="both")
    axes.tick_params(axis="y", labelcolor=INK)
    _write_counts(axes, -0.62, "trials: one / two speakers")
    legend(axes, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, borderaxespad=0.0)
    return figure


def _write_counts(axes: Axes, place: float, text: str) -> None:
    axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5, color=MUTED)
