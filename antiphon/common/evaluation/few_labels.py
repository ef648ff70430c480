"""How good is a probe with few labels: repeated stratified draws from the training set, always the whole test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from antiphon.common.evaluation.inputs import Embeddings, Labels, embedding_array, label_array
from antiphon.common.evaluation.probes import linear_probe
from antiphon.common.evaluation.scores import SCORES, ProbeResult


class Probe(Protocol):
    """`linear_probe`, `svm_probe` or anything called like them."""

    def __call__(self, train_x: Embeddings, train_y: Labels, test_x: Embeddings, test_y: Labels, /) -> ProbeResult:
        """Fit on train, score on test."""


@dataclass(frozen=True)
class FewLabelCurve:
    """`scores` (budgets, repeats) of `metric`; `budgets` are labels a class or fractions of the training set, as `unit` says.

    `n_train` is how many labels each budget came to.
    """

    budgets: tuple[float, ...]
    unit: str
    metric: str
    n_train: tuple[int, ...]
    scores: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """(budgets,) mean over the draws."""
        return np.asarray(self.scores.mean(axis=1))

    @property
    def std(self) -> NDArray[np.float64]:
        """(budgets,) sample standard deviation over the draws (0 for a single one)."""
        return np.asarray(self.scores.std(axis=1, ddof=1)) if self.scores.shape[1] > 1 else np.zeros(len(self.budgets))


def draw_labels(
    labels: Labels, *, seed: int, repeat: int = 0, shots: int | None = None, fraction: float | None = None
) -> NDArray[np.int64]:
    """Rows of a class-stratified draw, sorted: `shots` a class, or `fraction` of each class (at least one).

    A class with fewer than `shots` examples gives all it has. Draws of one (seed, repeat) are nested: a larger budget holds the
    smaller ones, so that a curve moves by its labels and not by its luck.
    """
    if (shots is None) == (fraction is None):
        raise ValueError(f"give either shots or fraction, got shots={shots} and fraction={fraction}")
    if (shots is not None and shots < 1) or (fraction is not None and not 0 < fraction <= 1):
        raise ValueError(f"shots must be at least 1 and fraction in (0, 1], got shots={shots}, fraction={fraction}")
    array = label_array(labels)
    generator = np.random.default_rng([seed, repeat])
    chosen = []
    for name in np.unique(array):
        rows = generator.permutation(np.flatnonzero(array == name))
        chosen.append(rows[: shots if shots is not None else max(1, round((fraction or 0.0) * len(rows)))])
    return np.sort(np.concatenate(chosen))


def few_label_curve(
    train_x: Embeddings,
    train_y: Labels,
    test_x: Embeddings,
    test_y: Labels,
    *,
    shots: Sequence[int] | None = None,
    fractions: Sequence[float] | None = None,
    repeats: int = 5,
    seed: int = 0,
    probe: Probe = linear_probe,
    metric: str = "accuracy",
) -> FewLabelCurve:
    """Score of `probe` on the whole test set, trained on few labels drawn from the training set (see `draw_labels`).

    Args:
        train_x: (N, D) embeddings, array or tensor.
        train_y: (N,) labels.
        test_x: (M, D).
        test_y: (M,).
        shots: labels a class, for instance (1, 2, 5, 10). Give this or `fractions`.
        fractions: shares of the training set, for instance (0.01, 0.05, 0.1, 1.0).
        repeats: draws a budget. The same (seed, repeat) draws the same rows for another encoder: curves are paired.
        seed: of the draws.
        probe: the classifier.
        metric: "accuracy", "balanced_accuracy", "macro_f1" or "auprc".

    Raises:
        ValueError: both or neither of `shots` and `fractions`, no repeat, an unknown metric; whatever the probe raises.
    """
    if metric not in SCORES:
        raise ValueError(f"metric must be one of {', '.join(SCORES)}, got {metric!r}")
    if (shots is None) == (fractions is None) or repeats < 1:
        raise ValueError(f"give shots or fractions, and repeats >= 1: got shots={shots}, fractions={fractions}, repeats={repeats}")
    train, test = embedding_array(train_x, "train embeddings"), embedding_array(test_x, "test embeddings")
    labels: NDArray[Any] = label_array(train_y, len(train), "train labels")
    kind, values = ("fraction", fractions or ()) if shots is None else ("shots", shots)
    requests: list[dict[str, Any]] = [{kind: value} for value in values]
    scores, sizes = np.empty((len(requests), repeats)), []
    for row, request in enumerate(requests):
        for repeat in range(repeats):
            rows = draw_labels(labels, seed=seed, repeat=repeat, **request)
            scores[row, repeat] = getattr(probe(train[rows], labels[rows], test, test_y), metric)
        sizes.append(len(rows))
    unit = "labels a class" if shots is not None else "fraction of the labels"
    return FewLabelCurve(tuple(map(float, values)), unit, metric, tuple(sizes), scores)
