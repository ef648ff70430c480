"""Scores over time: every window where it is, few labels of many."""

import numpy as np
import pytest

from antiphon.common.plots import ScoredRecording, scores_over_time


def test_windows_are_flat_pieces_where_they_are() -> None:
    scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    figure = scores_over_time([ScoredRecording("a.wav", np.array([0.0, 2.0, 1.0]), 1.5, scores)], ["rain", "dog"], threshold=0.5)
    (axes,) = figure.axes
    rain, dog, limit = axes.lines
    assert rain.get_xdata().tolist() == [0.0, 1.0, 1.0, 2.0, 2.0, 3.5]  # they overlap: each lasts until the next
    assert rain.get_ydata().tolist() == [0.9, 0.9, 0.2, 0.2, 0.4, 0.4]
    assert axes.get_title(loc="left") == "a.wav" and axes.get_xlim() == (0.0, 3.5)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["rain", "dog"]
    assert limit.get_ydata()[0] == 0.5 and dog.get_color() != rain.get_color()


def test_of_many_labels_the_highest_are_drawn() -> None:
    scores = np.linspace(0.0, 1.0, 10)[None]
    recordings = [ScoredRecording(name, np.array([0.0]), 2.0, scores) for name in "ab"]
    figure = scores_over_time(recordings, [f"label {k}" for k in range(10)], most=3)
    assert len(figure.axes) == 2 and all(len(axes.lines) == 3 for axes in figure.axes)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["label 7", "label 8", "label 9"]
    with pytest.raises(ValueError, match="at least one recording"):
        scores_over_time([], ["a", "b"])
