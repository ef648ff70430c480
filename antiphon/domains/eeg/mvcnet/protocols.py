"""How motor imagery is split: in time, in folds of a subject, and by subject. A subject's rows are in order of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from antiphon.domains.eeg.data.preprocessing import euclidean_alignment
from antiphon.domains.eeg.data.splits import chronological

Protocol = Literal["co", "cv", "loso"]
Rows = NDArray[np.int64]
Folds = Iterator[tuple[Rows, Rows]]


def first_of_each_class(labels: ArrayLike, subjects: ArrayLike | None = None, *, test_share: float = 0.2) -> Folds:
    """CO: of each subject and class the first trials (1 - `test_share`, rounded up) to train on, the rest to test."""
    codes = np.unique(np.asarray(labels), return_inverse=True)[1]
    for rows in _by_subject(len(codes), subjects):
        early = chronological(codes[rows], np.zeros(len(rows), np.int64), test_share)
        yield rows[early], rows[~early]


def within_subject(labels: ArrayLike, subjects: ArrayLike | None = None, *, folds: int = 5) -> Folds:
    """CV: each subject's trials in `folds` blocks of time, one of them to test. Neither shuffled nor stratified, as published."""
    from sklearn.model_selection import KFold

    for rows in _by_subject(len(np.asarray(labels)), subjects):
        for train, test in KFold(folds).split(rows):
            yield rows[train], rows[test]


def leave_one_subject_out(labels: ArrayLike, subjects: ArrayLike | None) -> Folds:
    """LOSO: all trials of one subject to test, those of the others to train on."""
    groups = list(_by_subject(len(np.asarray(labels)), subjects))
    if len(groups) < 2:
        raise ValueError("leaving one subject out needs two subjects or more: give the subject of every trial")
    for test in groups:
        yield np.sort(np.concatenate([rows for rows in groups if rows is not test])), test


def protocol_folds(protocol: Protocol, labels: ArrayLike, subjects: ArrayLike | None = None) -> Folds:
    """The folds of a protocol by its published name: co, cv or loso."""
    if protocol not in get_args(Protocol):
        raise ValueError(f"unknown protocol {protocol!r}: use one of {', '.join(get_args(Protocol))}")
    return {"co": first_of_each_class, "cv": within_subject, "loso": leave_one_subject_out}[protocol](labels, subjects)


def _by_subject(count: int, subjects: ArrayLike | None) -> Iterator[Rows]:
    """The rows of each subject, in order."""
    names = np.zeros(count, np.int64) if subjects is None else np.asarray(subjects)
    if len(names) != count:
        raise ValueError(f"{count} trials, but {len(names)} subjects: give one for every trial")
    for name in np.unique(names):
        yield np.flatnonzero(names == name)


@dataclass(frozen=True)
class FoldScore:
    """`correct` of `total` test trials of one fold; `subject` is None where its trials are of several."""

    correct: int
    total: int
    subject: Any = None

    @property
    def accuracy(self) -> float:
        """Share of test trials whose class was found."""
        return self.correct / self.total


def cross_validate(
    estimator: Any,
    signals: NDArray[Any],
    labels: ArrayLike,
    folds: Iterable[tuple[Rows, Rows]],
    *,
    subjects: ArrayLike | None = None,
    align: bool = False,
) -> list[FoldScore]:
    """Fit a fresh copy of a scikit-learn `estimator` on every fold and count what it gets right.

    Args:
        estimator: takes trials (n, C, T); `MVCNetClassifier`, or a pipeline of anybody's.
        signals: (n, C, T).
        labels: (n,).
        folds: (training rows, test rows): `protocol_folds`, or a splitter of moabb's.
        subjects: (n,); None: all of one.
        align: Euclidean alignment of each subject, its training and its test trials apart; the test trials' labels are not used.
    """
    from sklearn.base import clone

    truth = np.asarray(labels)
    names = np.zeros(len(truth), np.int64) if subjects is None else np.asarray(subjects)
    scores = []
    for train, test in folds:
        train_x, test_x = (euclidean_alignment(signals[part], names[part]) if align else signals[part] for part in (train, test))
        predicted = clone(estimator).fit(train_x, truth[train]).predict(test_x)
        tested = np.unique(names[test])
        subject = tested[0].item() if subjects is not None and len(tested) == 1 else None
        scores.append(FoldScore(int((predicted == truth[test]).sum()), len(test), subject))
    return scores


def subject_accuracy(scores: Iterable[FoldScore]) -> dict[Any, float]:
    """Accuracy over all test trials of each subject, whatever fold they were in; what is reported is the mean of these."""
    counts: dict[Any, tuple[int, int]] = {}
    for score in scores:
        correct, total = counts.get(score.subject, (0, 0))
        counts[score.subject] = correct + score.correct, total + score.total
    return {subject: correct / total for subject, (correct, total) in counts.items()}
