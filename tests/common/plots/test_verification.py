"""What the pictures of verification show: the right rates at the right places."""

import numpy as np
import pytest
from scipy.stats import norm

from antiphon.common.evaluation.verification import AllPairs, equal_error_rate, group_errors, scoring_vectors, sort_scores
from antiphon.common.plots.style import BASELINE
from antiphon.common.plots.verification import det_plot, group_errors_plot, score_histograms


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    targets = rng.random(4000) < 0.2
    return {
        name: sort_scores(rng.normal(size=4000) + gap * targets, targets)
        for name, gap in (("random encoder", 0.5), ("pretrained", 2.5))
    }


def test_det_curves_are_straight_for_normal_scores(scores) -> None:
    [axes] = det_plot(scores).axes
    curves = [line for line in axes.lines if line.get_label().count("EER")]
    assert [line.get_label() for line in curves] == [
        f"{name}: EER {100 * equal_error_rate(one).value:.2f} %" for name, one in scores.items()
    ]
    assert curves[0].get_color() == BASELINE != curves[1].get_color()
    for line, gap in zip(curves, (0.5, 2.5), strict=True):
        x, y = line.get_data()
        middle = (np.abs(x) < 1.5) & (np.abs(y) < 1.5)
        assert x[middle] + y[middle] == pytest.approx(np.full(middle.sum(), -gap), abs=0.25)
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    eer = norm.ppf(equal_error_rate(scores["pretrained"]).value)
    assert [dots[1].get_xdata()[0], dots[1].get_ydata()[0]] == pytest.approx([eer, eer], abs=0.02)


def test_histograms_are_shares_of_each_kind(scores) -> None:
    figure = score_histograms(scores, thresholds={"pretrained": 1.25})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["random encoder", "pretrained"]
    for axes in figure.axes:
        assert [patch.get_data().values.sum() for patch in axes.patches] == pytest.approx([1.0] * 4)
    labels = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert labels[0] == f"two speakers ({len(scores['pretrained'].nontargets):,} trials)" and labels[2] == "threshold 1.25"
    assert len(score_histograms({"constant": sort_scores(np.ones(9), np.arange(9) < 3)}).axes) == 1


def test_groups_show_rates_and_counts() -> None:
    rng = np.random.default_rng(1)
    vectors = scoring_vectors(rng.normal(size=(24, 4)))
    report = group_errors(AllPairs(vectors, np.repeat(np.arange(6), 4)), np.repeat(["f", "m"], 12), threshold=0.1)
    [axes] = group_errors_plot(report).axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["f", "m"]
    assert [line.get_xdata()[0] for line in axes.lines[:3]] == pytest.approx(
        [100 * value for value in (report.groups[0].eer, report.groups[0].fpr, report.groups[0].fnr)]
    )
    assert "18 / 48" in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("draw", [det_plot, score_histograms])
def test_nothing_to_draw_is_an_error(draw) -> None:
    with pytest.raises(ValueError, match="at least one"):
        draw({})
