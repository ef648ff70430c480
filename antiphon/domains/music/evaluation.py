"""How music encoders are measured: heads on static features with tracks averaged, few labels, and finding a track by a segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from antiphon.common.data.audio_set import AudioSet
from antiphon.common.encoder import Encoder
from antiphon.common.evaluation.embedding import embed_examples, embed_set, mean_by_owner
from antiphon.common.evaluation.few_labels import draw_labels
from antiphon.common.evaluation.retrieval import retrieval
from antiphon.common.evaluation.trained_head import HeadSettings, tag_scores, train_head
from antiphon.common.random import shuffled

Head = Literal["linear", "mlp"]
MLP_SIZE = 512


class _Features(NamedTuple):
    """What the heads see: one random window of each training recording, all whole windows of each test recording."""

    train: NDArray[np.float32]  # (n, D)
    test: NDArray[np.float32]  # (m, D)
    owners: NDArray[np.int64]  # (m,) the test recording of each window


def one_window_each(encoder: Encoder, data: AudioSet) -> NDArray[np.float32]:
    """Embeddings (n, D) of one random window of every recording: CLMR's static training set, drawn from the seed of the data."""
    return embed_examples(encoder, _as_wide_as(encoder, data))


def all_windows(encoder: Encoder, data: AudioSet) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings (m, D) of the windows of every recording, side by side, the partial last one dropped; and whose they are (m,)."""
    windows, owners = replace(_as_wide_as(encoder, data), evaluation="tile", partial="drop").fixed_windows()
    return embed_set(encoder, windows), owners


def _as_wide_as(encoder: Encoder, data: AudioSet) -> AudioSet:
    return data if encoder.input_spec.window is None else replace(data, window=encoder.input_spec.window)


def track_probe(
    encoder: Encoder, train: AudioSet, test: AudioSet, *, head: Head = "linear", valid_share: float = 0.1, seed: int = 0
) -> dict[str, float]:
    """CLMR's evaluation: a head on frozen embeddings of one random window a training recording, test windows averaged by recording.

    Recordings with several labels are tagged (macro ROC-AUC and PR-AUC), those with one are classified (accuracy). The head is
    trained with Adam until the loss on `valid_share` of the training recordings, whole groups of them, stands still; the released
    code does so on an official validation set. The probabilities of a test recording are the mean over its whole windows.

    Args:
        encoder: frozen.
        train: labelled.
        test: labelled with the same classes.
        head: "linear", or "mlp": one hidden layer of 512.
        valid_share: of the training recordings.
        seed: of the validation part, initial weights and order.
    """
    return _scores(_features(encoder, train, test), train, test, np.arange(len(train)), head, valid_share, seed)


def label_fractions(
    encoder: Encoder,
    train: AudioSet,
    test: AudioSet,
    *,
    fractions: Sequence[float] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
    head: Head = "linear",
    valid_share: float = 0.1,
    seed: int = 0,
) -> dict[str, float]:
    """`track_probe` on shares of the training labels, the same draws for every encoder: ``{"pr_auc_1_percent": ...}``.

    Classes are drawn each by its share, at least one recording; tagged recordings all together.
    """
    features = _features(encoder, train, test)
    found: dict[str, float] = {}
    labels = _labels(train)
    for fraction in fractions:
        kinds = labels if labels.ndim == 1 else np.zeros(len(labels), np.int64)
        rows = draw_labels(kinds, seed=seed, fraction=fraction)
        scores = _scores(features, train, test, rows, head, valid_share, seed)
        found |= {f"{name}_{100 * fraction:g}_percent": value for name, value in scores.items() if name != "tags_scored"}
    return found


def _labels(data: AudioSet) -> NDArray[np.generic]:
    if data.labels is None:
        raise ValueError(f"{data.name} has no labels: tags and genres need them")
    return data.labels


def _features(encoder: Encoder, train: AudioSet, test: AudioSet) -> _Features:
    return _Features(one_window_each(encoder, train), *all_windows(encoder, test))


def _scores(
    features: _Features, train: AudioSet, test: AudioSet, rows: NDArray[np.int64], head: Head, valid_share: float, seed: int
) -> dict[str, float]:
    if head not in ("linear", "mlp"):
        raise ValueError(f"unknown head {head!r}: use linear or mlp")
    labels, truth = _labels(train), _labels(test)
    fit, valid = _held_out(rows, train.groups, valid_share, seed)
    trained = train_head(
        features.train[fit],
        labels[fit],
        features.train[valid],
        labels[valid],
        classes=len(train.classes),
        settings=HeadSettings(hidden_dim=MLP_SIZE if head == "mlp" else None),
        seed=seed,
    )
    chances = mean_by_owner(trained.probabilities(features.test), features.owners)
    return tag_scores(chances, truth) if truth.ndim == 2 else {"accuracy": float((chances.argmax(axis=1) == truth).mean())}


def _held_out(
    rows: NDArray[np.int64], groups: NDArray[np.int64] | None, share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`rows` in two, whole groups in each: to fit, and to stop by. Both are all rows where there is only one group."""
    owners = rows if groups is None else groups[rows]
    names = np.unique(owners)
    chosen = names[shuffled(len(names), seed, 0).numpy()[: max(1, round(share * len(names)))]]
    valid = np.isin(owners, chosen)
    return (rows, rows) if valid.all() else (rows[~valid], rows[valid])


def segment_retrieval(
    encoder: Encoder, train: AudioSet, test: AudioSet, *, segment_s: float = 5.0, ks: Sequence[int] = (1, 5, 10)
) -> dict[str, float]:
    """Find the track that a segment comes from: recall@k, mAP@10 and median rank over the segments of the test recordings.

    Each recording is cut into segments of `segment_s` seconds (whole windows, at least one). Every second one is a query; the mean
    of the others stands for the recording, so no sample is on both sides. Embeddings are brought to mean 0 and deviation 1 over the
    recordings first. A recording of fewer than two segments takes no part; `tracks` counts those that do. `train` is not looked at.
    """
    embeddings, owners = all_windows(encoder, test)
    window = _as_wide_as(encoder, test).window
    size = max(1, int(segment_s * test.sample_rate) // window)
    queries, names, tracks, kept = [], [], [], []
    for owner in np.unique(owners).tolist():
        rows = embeddings[owners == owner]
        segments = [rows[start : start + size].mean(axis=0) for start in range(0, len(rows) - size + 1, size)]
        if len(segments) < 2:
            continue
        tracks.append(np.mean(segments[0::2], axis=0))
        kept.append(owner)
        queries += segments[1::2]
        names += [owner] * len(segments[1::2])
    if len(kept) < 2:
        raise ValueError(f"{len(kept)} of {len(test)} recordings hold two segments of {segment_s} s: lower segment_s")
    mean, spread = np.mean(tracks, axis=0), np.std(tracks, axis=0) + 1e-6
    found = retrieval((np.stack(queries) - mean) / spread, names, (np.stack(tracks) - mean) / spread, kept, ks=ks)
    return {**found.scores(), "tracks": float(len(kept))}
