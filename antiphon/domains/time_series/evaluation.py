"""Streaming anomaly detection by masking, the protocol of TS2Vec (AAAI 2022) that SoftCLT uses too.

An encoder that has learnt a series can guess its next point: where the embedding of the last time stamp changes much when that time
stamp is hidden, the point was not to be expected. Only the past is ever looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from antiphon.common.encoder import Encoder

WINDOW = 201  # the time stamp itself and the 200 before it
HISTORY = 21  # alphas that a new alpha is compared with
DROPPED = 22  # relative scores at the start of the train half that do not enter the threshold


@dataclass(frozen=True)
class LabelledSeries:
    """One series to find anomalies in.

    `values` (T,) or (C, T) float, NaN where missing; `labels` (T,), non-zero at anomalies; `train_length`: samples at the start
    that count as training (None: half). `timestamps` (T,) whole numbers, increasing; needed where the grid has gaps (None: none).
    """

    values: NDArray[Any]
    labels: NDArray[Any]
    train_length: int | None = None
    timestamps: NDArray[np.int64] | None = None

    @property
    def split(self) -> int:
        """The first sample of the test part."""
        return self.values.shape[-1] // 2 if self.train_length is None else self.train_length


@dataclass(frozen=True)
class AnomalyResult:
    """Pooled over the test parts of all series.

    `f1`, `precision` and `recall` follow the delayed adjustment of `adjust_predictions`. `roc_auc` and `average_precision` rank
    single points by their relative score, without adjustment, suppression or threshold (NaN where the test parts have no anomaly).
    """

    f1: float
    precision: float
    recall: float
    roc_auc: float
    average_precision: float
    series: int
    points: int
    anomalous_points: int


def prepare_series(values: NDArray[Any], train_length: int, *, differences: int = 0) -> NDArray[np.float32]:
    """Difference a series (..., T) and z-score it with the mean and deviation of its first `train_length` samples.

    The published Yahoo preparation differences each series until a Dickey-Fuller test on its first half calls it stationary. That
    test needs statsmodels, which is no dependency here: say `differences` yourself (0: none, 1: most trends). The first sample has
    no difference and becomes 0, so the length stays.
    """
    if train_length < 2 or differences < 0:
        raise ValueError(f"need train_length >= 2 and differences >= 0, got {train_length} and {differences}")
    array = np.asarray(values, dtype=np.float64)
    for _ in range(differences):
        array = np.diff(array, axis=-1, prepend=array[..., :1])
    train = array[..., :train_length]
    std = np.nanstd(train, axis=-1, keepdims=True)
    return ((array - np.nanmean(train, axis=-1, keepdims=True)) / np.where(std > 0, std, 1.0)).astype(np.float32)


def _last_frames(encoder: Encoder, windows: Tensor) -> Tensor:
    """Windows (B, C, W) -> the last frame seen and hidden, (2, B, D), from one pass."""
    visible = ~torch.isnan(windows).all(dim=1)
    hidden = visible.clone()
    hidden[:, -1] = False
    lengths = torch.full((2 * len(windows),), windows.shape[-1], device=windows.device)
    last = slice(windows.shape[-1] - 1, windows.shape[-1])
    frames = encoder.encode_kept(torch.cat((windows, windows)), lengths, mask=torch.cat((visible, hidden)), keep=last)
    if frames.shape[1] != 1:
        raise ValueError(
            f"streaming scores need one frame a sample, but {type(encoder).__name__} gives fewer than {windows.shape[-1]} for as "
            "many samples: use an encoder without striding, such as ts2vec"
        )
    return frames[:, -1].float().unflatten(0, (2, -1))


def streaming_scores(
    encoder: Encoder, series: NDArray[Any] | Tensor, *, window: int = WINDOW, batch_size: int = 128
) -> NDArray[np.float64]:
    """The alpha of every time stamp: the L1 distance that hiding it makes in its own embedding.

    For time t the window of `window` samples that ends at t is encoded as it is and with its last time stamp masked. Before the
    start of the series the window is padded with NaN, and masked there. The encoder runs in evaluation mode on its own device.

    Args:
        encoder: gives one frame a sample and reads `mask`.
        series: (T,) or (C, T) raw values; the encoder standardises them.
        window: samples a window, the scored one included.
        batch_size: windows at a time (each is encoded twice).

    Returns:
        (T,) alpha; 0 where the sample itself is missing.
    """
    if window < 2 or batch_size < 1:
        raise ValueError(f"need window >= 2 and batch_size >= 1, got {window} and {batch_size}")
    device, training = encoder.input_mean.device, encoder.training
    values = torch.atleast_2d(torch.as_tensor(series, dtype=torch.float32)).to(device)
    encoder.check_input(values[None])
    padded = torch.nn.functional.pad(encoder.standardize(values[None])[0], (window - 1, 0), value=torch.nan)
    windows = padded.unfold(-1, window, 1).transpose(0, 1)  # (T, C, W), no copy
    encoder.eval()
    try:
        with torch.inference_mode():
            parts = []
            for chunk in windows.split(batch_size):
                seen, hidden = _last_frames(encoder, chunk.contiguous())
                parts.append((seen - hidden).abs().sum(dim=-1).double().cpu())
    finally:
        encoder.train(training)
    return torch.cat(parts).numpy()


def relative_scores(alpha: NDArray[np.float64], *, history: int = HISTORY) -> NDArray[np.float64]:
    """(alpha_t - m_t) / m_t with m_t the mean of the `history` alphas before t: (T,); NaN for the first `history`.

    Where m_t is 0 the score is 0 if alpha_t is 0 too, and infinite otherwise.
    """
    scores = np.full(len(alpha), np.nan)
    if len(alpha) > history:
        means = np.lib.stride_tricks.sliding_window_view(alpha, history).mean(axis=-1)[:-1]
        excess = alpha[history:] - means
        with np.errstate(divide="ignore", invalid="ignore"):
            scores[history:] = np.where(excess == 0, 0.0, excess / means)
    return scores


def detect(
    scores: NDArray[np.float64], train_length: int, *, delay: int, deviations: float = 4.0
) -> tuple[NDArray[np.bool_], float]:
    """Alarms in the test part, (T - train_length,) bool, and the threshold that raised them.

    The threshold is mean + `deviations` standard deviations of the relative scores of the train part, its first 22 dropped. An
    alarm is suppressed if another one was given within the `delay` steps before it.
    """
    train = scores[DROPPED:train_length]
    train = train[np.isfinite(train)]
    if len(train) == 0:
        raise ValueError(
            f"no train scores left for the threshold after the first {DROPPED} of {train_length}: use a longer train part"
        )
    threshold = float(train.mean() + deviations * train.std())
    alarms = np.zeros(len(scores) - train_length, dtype=np.bool_)
    quiet_until = 0
    for step in np.flatnonzero(scores[train_length:] > threshold):
        if step >= quiet_until:
            alarms[step] = True
            quiet_until = step + delay + 1
    return alarms, threshold


def on_regular_grid(timestamps: NDArray[np.int64], values: NDArray[Any]) -> NDArray[Any]:
    """Spread `values` over a grid of the smallest step between `timestamps`; points that were not there get 0 (False)."""
    steps = np.diff(timestamps)
    if len(steps) == 0:
        return values
    if steps.min() <= 0:
        raise ValueError("timestamps must increase from sample to sample: sort the series and drop duplicates")
    places = (timestamps - timestamps[0]) // steps.min()
    grid = np.zeros(int(places[-1]) + 1, dtype=values.dtype)
    grid[places] = values
    return grid


def adjust_predictions(predictions: NDArray[Any], labels: NDArray[Any], delay: int) -> NDArray[np.bool_]:
    """Delayed point adjustment: a true segment counts as found, whole, if an alarm falls within its first `delay` + 1 points.

    Otherwise the whole segment counts as missed, later alarms in it included. Points outside true segments stay as they are.
    """
    alarms, truth = np.asarray(predictions).astype(bool), np.asarray(labels).astype(bool)
    if alarms.shape != truth.shape or alarms.ndim != 1 or delay < 0:
        raise ValueError(f"need two arrays of one length and delay >= 0, got {alarms.shape}, {truth.shape} and delay={delay}")
    adjusted = alarms.copy()
    changes = np.diff(np.concatenate(([0], truth.astype(np.int8), [0])))
    for start, stop in zip(np.flatnonzero(changes == 1), np.flatnonzero(changes == -1), strict=True):
        adjusted[start:stop] = alarms[start : min(start + delay + 1, stop)].any()
    return adjusted


def score_anomalies(
    scores: Sequence[NDArray[np.float64]], series: Sequence[LabelledSeries], *, delay: int, deviations: float = 4.0
) -> AnomalyResult:
    """Score the relative scores (T,) of each of several series against its labels; see `evaluate_streaming`."""
    from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

    alarms, truths, ranks, plain = [], [], [], []
    for values, item in zip(scores, series, strict=True):
        raised, _ = detect(values, item.split, delay=delay, deviations=deviations)
        truth = np.asarray(item.labels[item.split :]).astype(bool)
        ranks.append(np.nan_to_num(values[item.split :], nan=-1.0))  # -1 is the least a relative score can be
        plain.append(truth)
        if item.timestamps is not None:
            times = np.asarray(item.timestamps[item.split :])
            raised, truth = on_regular_grid(times, raised), on_regular_grid(times, truth)
        alarms.append(adjust_predictions(raised, truth, delay))
        truths.append(truth)
    found, truth, rank, points = (np.concatenate(parts) for parts in (alarms, truths, ranks, plain))
    precision, recall, f1, _ = precision_recall_fscore_support(truth, found, average="binary", zero_division=0.0)
    rankable = 0 < points.sum() < len(points)
    return AnomalyResult(
        f1=float(f1),
        precision=float(precision),
        recall=float(recall),
        roc_auc=float(roc_auc_score(points, rank)) if rankable else float("nan"),
        average_precision=float(average_precision_score(points, rank)) if rankable else float("nan"),
        series=len(series),
        points=len(points),
        anomalous_points=int(points.sum()),
    )


def evaluate_streaming(
    encoder: Encoder,
    series: Sequence[LabelledSeries],
    *,
    delay: int,
    window: int = WINDOW,
    deviations: float = 4.0,
    batch_size: int = 128,
) -> AnomalyResult:
    """The whole protocol: `streaming_scores`, `relative_scores`, `detect`, `adjust_predictions`, then F1 pooled over all series.

    Train the encoder on the train parts and prepare each series with `prepare_series` first.

    Args:
        encoder: as in `streaming_scores`.
        series: what to find anomalies in.
        delay: steps within which an alarm is in time: 7 for minutely KPI, 3 for hourly Yahoo.
        window: samples a window.
        deviations: standard deviations above the mean that make an alarm.
        batch_size: windows at a time.
    """
    scores = [relative_scores(streaming_scores(encoder, item.values, window=window, batch_size=batch_size)) for item in series]
    return score_anomalies(scores, series, delay=delay, deviations=deviations)
