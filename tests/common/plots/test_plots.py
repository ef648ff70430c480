import base64
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import torch

from antiphon.common import plots
from antiphon.common.evaluation import few_label_curve, mean_interval, positive_negative_similarity
from antiphon.common.plots.style import PALETTE, class_style


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_drawing_leaves_no_global_state():
    code = (
        "import sys, matplotlib, antiphon.common.plots as p; before = matplotlib.rcParams.copy();"
        "p.figure_to_data_uri(p.curves({'loss': {'train': ([0, 1], [2.0, 1.0])}}));"
        "print('matplotlib.pyplot' in sys.modules, before == matplotlib.rcParams.copy())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False True"


def test_curves_draw_every_line_and_mark_the_baseline():
    figure = plots.curves(
        {
            "loss": {"train": (range(50), np.linspace(3, 1, 50))},
            "accuracy": {"probe": ([0, 1], [0.5, 0.8]), "random encoder": ([0, 1], [0.6, 0.6])},
        }
    )
    loss, accuracy = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["loss", "accuracy"]
    assert np.allclose(loss.lines[0].get_ydata(), np.linspace(3, 1, 50))
    assert [line.get_linestyle() for line in accuracy.lines] == ["-", "--"]
    assert accuracy.lines[0].get_color() == PALETTE[0]
    assert len(plots.curves({str(number): {"a": ([0], [0])} for number in range(3)}).axes) == 3  # the empty fourth cell is gone


def test_projection_keeps_the_plane(rng):
    plane = rng.normal(size=(40, 2)) * [5.0, 1.0]
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0][:2]
    found = plots.project(torch.tensor(plane @ rotation + 3.0))
    distances = [np.linalg.norm(rows[:, None] - rows[None], axis=-1) for rows in (plane, found)]
    assert np.allclose(*distances)
    assert plots.project(rng.normal(size=(12, 4)), method="tsne").shape == (12, 2)
    assert plots.project(rng.normal(size=(5, 1))).shape == (5, 2)


def test_scatter_shows_the_same_examples_in_each_panel(rng):
    labels = np.array(["b", "a", "c"])[np.arange(60) % 3]
    figure = plots.embedding_scatter(
        {"random encoder": rng.normal(size=(60, 5)), "pretrained": rng.normal(size=(60, 8))}, labels, max_points=30
    )
    counts = [[len(dots.get_offsets()) for dots in axes.collections] for axes in figure.axes]
    assert counts[0] == counts[1] and sum(counts[0]) == 30
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c"]
    assert not plots.embedding_scatter({"x": rng.normal(size=(60, 5))}, np.arange(60)).legends  # sixty names are no legend
    with pytest.raises(ValueError, match="same examples"):
        plots.embedding_scatter({"a": np.ones((4, 2)), "b": np.ones((5, 2))})


def test_classes_stay_distinguishable():
    assert len({class_style(number) for number in range(49)}) == 49


def test_similarity_ridges(rng):
    rows = rng.normal(size=(50, 8))
    stages = {
        f"epoch {n}": positive_negative_similarity(rows, rows + noise * rng.normal(size=rows.shape))
        for n, noise in ((0, 3.0), (9, 0.2))
    }
    [axes] = plots.similarity_histograms(stages).axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["epoch 0", "epoch 9"]
    assert [text.get_text() for text in axes.texts] == [f"gap {pairs.gap:+.2f}" for pairs in stages.values()]


def test_views_show_evenly_spread_channels(rng):
    original = rng.normal(size=(10, 80))
    figure = plots.view_examples(
        torch.tensor(original), {"jitter": original + 1, "crop": original[:, 20:50]}, sample_rate=40.0, max_channels=3
    )
    assert len(figure.axes) == 9
    assert [figure.axes[place].get_ylabel() for place in (0, 3, 6)] == ["channel 0", "channel 4", "channel 9"]
    jitter, crop = figure.axes[1], figure.axes[2]
    assert len(jitter.lines) == 2 and len(crop.lines) == 1  # the original lies behind views of its own length
    assert jitter.lines[0].get_xdata()[-1] == pytest.approx(79 / 40)
    with pytest.raises(ValueError, match="channels"):
        plots.view_examples(original, {"other": np.ones((2, 80))})


def test_flagged_pairs_count_the_tails(rng):
    history = np.concatenate((rng.normal(3, 0.2, 100), [1.0, 1.1], [5.0, 5.5, 6.0], [np.nan]))
    pair = plots.FlaggedPair("row 3", rng.normal(size=50), rng.normal(size=(2, 50)), 1.0)
    figure = plots.flagged_pairs(history, lower=1.5, upper=4.5, noisy=[pair] * 6, faulty=[pair])
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "kept (100)",
        "flagged noisy (2)",
        "flagged faulty (3)",
    ]
    assert len(figure.axes) == 1 + 4 + 1
    with pytest.raises(ValueError, match="warm up"):
        plots.flagged_pairs([np.nan], lower=0, upper=1)


def test_anomalies_mark_segments_and_alarms(rng):
    labels = np.zeros(100)
    labels[[60, 61, 80]] = 1
    figure = plots.anomaly_scores(
        rng.normal(size=100), np.arange(100.0), labels=labels, alarms=np.arange(100) == 60, threshold=5, train_length=50
    )
    top, bottom = figure.axes
    assert len(top.patches) == 2
    assert [text.get_text() for text in bottom.get_legend().get_texts()] == ["true anomaly", "threshold", "alarm (1)"]
    assert bottom.lines[-1].get_xydata().tolist() == [[60.0, 60.0]]


def test_few_label_plot_draws_mean_and_refuses_mixed_units(rng):
    labels = np.arange(40) % 2
    rows = rng.normal(size=(40, 3)) + labels[:, None]
    shots, fractions = (
        few_label_curve(rows, labels, rows, labels, repeats=2, **budget)
        for budget in ({"shots": (1, 4)}, {"fractions": (0.1, 1.0)})
    )
    [axes] = plots.few_label_plot({"pretrained": shots, "random encoder": shots}).axes
    assert np.allclose(axes.lines[0].get_ydata(), shots.mean)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "4"]
    with pytest.raises(ValueError, match="one unit"):
        plots.few_label_plot({"a": shots, "b": fractions})


def test_confusion_and_comparison():
    figure = plots.confusion_plot([[8, 2], [0, 5]], ["no", "yes"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["8", "2", "5"]
    assert np.allclose(figure.axes[0].images[0].get_array(), [[0.8, 0.2], [0.0, 1.0]])
    with pytest.raises(ValueError, match="square"):
        plots.confusion_plot([[1, 2]], ["a", "b"])
    [axes] = plots.comparison_plot({"random encoder": mean_interval([0.5, 0.6]), "one seed": mean_interval([0.7])}).axes
    assert [text.get_text() for text in axes.texts] == ["0.550", "0.700"]


def test_data_uri_picks_its_format_and_repeats(rng):
    small = plots.curves({"loss": {"train": ([0, 1], [1.0, 0.0])}})
    large = plots.curves({str(n): {"noise": (range(4000), rng.normal(size=4000))} for n in range(6)})
    svg = plots.figure_to_data_uri(small)
    assert svg.startswith("data:image/svg+xml;base64,") and svg == plots.figure_to_data_uri(small)
    assert plots.figure_to_data_uri(large).startswith("data:image/png;base64,")
    png = base64.b64decode(plots.figure_to_data_uri(small, "png").partition(",")[2])
    assert png.startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="'svg', 'png' or 'auto'"):
        plots.figure_to_data_uri(small, "pdf")


@pytest.mark.parametrize(
    "draw", [plots.curves, plots.embedding_scatter, plots.similarity_histograms, plots.few_label_plot, plots.comparison_plot]
)
def test_nothing_to_draw_is_an_error(draw):
    with pytest.raises(ValueError, match="needs"):
        draw({})


def test_every_picture_survives_both_formats():
    assert matplotlib.rcParams["svg.hashsalt"] is None
    figure = plots.confusion_plot(np.eye(30), range(30))
    assert not figure.axes[0].texts  # thirty classes: colours only
    for kind in ("svg", "png"):
        assert len(plots.figure_to_data_uri(figure, kind)) > 1000
