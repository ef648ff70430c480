"""What the anomaly recipes need beside the protocol: sets to train and test on, metrics by name, and a picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from antiphon.common.encoder import Encoder
from antiphon.domains.time_series.data import TimeSeriesSet, load_anomaly, split_long
from antiphon.domains.time_series.evaluation import (
    WINDOW,
    LabelledSeries,
    detect,
    evaluate_streaming,
    prepare_series,
    relative_scores,
    streaming_scores,
)


@dataclass(frozen=True)
class AnomalySeries:
    """The series that anomalies are to be found in, each prepared and with its labels."""

    series: tuple[LabelledSeries, ...]

    def __len__(self) -> int:
        return len(self.series)


def anomaly_sets(name: str, *, differences: int = 0, max_length: int = 3000) -> tuple[TimeSeriesSet, AnomalySeries]:
    """Train parts, cut into sections of at most `max_length` samples, and whole series with their labels.

    `name` is a set or a CSV file that `load_anomaly` reads, or several of them separated by commas; all need the same number of
    channels. Each series is differenced `differences` times and z-scored by its own train part.
    """
    found = []
    for part in name.split(","):
        item = load_anomaly(part.strip())
        found.append(replace(item, values=np.atleast_2d(prepare_series(item.values, item.split, differences=differences))))
    channels = {item.values.shape[0] for item in found}
    if len(channels) > 1:
        raise ValueError(f"{name}: the series have {sorted(channels)} channels: give series with the same number of channels")
    longest = max(item.split for item in found)
    signals = np.full((len(found), channels.pop(), longest), np.nan, np.float32)
    for row, item in zip(signals, found, strict=True):
        row[:, : item.split] = item.values[:, : item.split]
    sections, lengths, _ = split_long(signals, np.asarray([item.split for item in found]), max_length=max_length)
    return TimeSeriesSet.from_arrays(sections, lengths=lengths, name=name), AnomalySeries(tuple(found))


def anomaly_detection(
    encoder: Encoder, train: TimeSeriesSet, test: AnomalySeries, *, delay: int = 7, window: int = WINDOW
) -> dict[str, float]:
    """F1, precision and recall with TS2Vec's delayed adjustment, and ROC-AUC and average precision of the plain scores."""
    result = evaluate_streaming(encoder, test.series, delay=delay, window=window)
    return {name: getattr(result, name) for name in ("f1", "precision", "recall", "roc_auc", "average_precision")}


def anomaly_pictures(
    untrained: Encoder, encoder: Encoder, train: TimeSeriesSet, test: AnomalySeries, *, delay: int = 7, window: int = WINDOW
) -> list[tuple[str, str, Any]]:
    """The first series with the scores, threshold and alarms of the pretrained encoder."""
    from antiphon.common.plots.signals import anomaly_scores

    item = test.series[0]
    scores = relative_scores(streaming_scores(encoder, item.values, window=window))
    alarms, threshold = detect(scores, item.split, delay=delay)
    raised = np.concatenate([np.zeros(item.split, bool), alarms])
    figure = anomaly_scores(item.values[0], scores, labels=item.labels, alarms=raised, threshold=threshold, train_length=item.split)
    caption = (
        "How much hiding each time stamp changes its embedding, relative to the recent past. "
        f"An alarm silences the next {delay} steps."
    )
    return [("Anomaly scores", caption, figure)]
