"""What is reported of a classifier on a test set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ProbeResult:
    """Scores of one probe on one test set; all of them between 0 and 1.

    `classes` are the labels of train and test together, in order; `recall` (per class; NaN where the test set has none) and
    `confusion` (rows: true, columns: predicted, counts) follow that order. `unseen` lists test labels that training lacks: they
    count as errors everywhere. `c` is the regularisation constant used and `selection` says in words how it was chosen.
    """

    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    auprc: float
    classes: tuple[Any, ...]
    recall: tuple[float, ...]
    confusion: NDArray[np.int64]
    unseen: tuple[Any, ...]
    n_train: int
    n_test: int
    c: float
    selection: str

    def scores(self) -> dict[str, float]:
        """The four numbers by name."""
        return {name: float(getattr(self, name)) for name in SCORES}


SCORES = ("accuracy", "balanced_accuracy", "macro_f1", "auprc")


def macro_auprc(decision: NDArray[Any], train_classes: NDArray[Any], test_labels: NDArray[Any]) -> float:
    """Mean over classes of the average precision of one class against the rest, as TS2Vec reports it.

    With two classes it is the average precision of the second (larger) label alone. Classes without a test example have no average
    precision and are left out of the mean; NaN if none is left.

    Args:
        decision: (M, C) scores, or (M,) for two classes: the score of the second.
        train_classes: (C,) labels in the order of the columns.
        test_labels: (M,).
    """
    from sklearn.metrics import average_precision_score

    columns = decision[:, None] if decision.ndim == 1 else decision[:, -1:] if len(train_classes) == 2 else decision
    relevant = test_labels[:, None] == (train_classes[1:] if columns.shape[1] == 1 else train_classes)
    present = relevant.any(axis=0)
    if not present.any():
        return float("nan")
    return float(average_precision_score(relevant[:, present], columns[:, present], average="macro"))


def classification_result(
    *,
    predicted: NDArray[Any],
    decision: NDArray[Any],
    train_labels: NDArray[Any],
    test_labels: NDArray[Any],
    c: float,
    selection: str,
) -> ProbeResult:
    """Collect every score; `decision` as in `macro_auprc`, its columns in the order of the sorted training classes."""
    from sklearn.metrics import confusion_matrix, f1_score

    train_classes = np.unique(train_labels)
    classes = np.unique(np.concatenate((train_classes, test_labels)))
    confusion = confusion_matrix(test_labels, predicted, labels=classes)
    support = confusion.sum(axis=1)
    recall = np.divide(np.diag(confusion), support, out=np.full(len(classes), np.nan), where=support > 0)
    return ProbeResult(
        accuracy=float((predicted == test_labels).mean()),
        balanced_accuracy=float(np.nanmean(recall)),
        macro_f1=float(f1_score(test_labels, predicted, average="macro", zero_division=0.0)),  # classes of truth and prediction
        auprc=macro_auprc(decision, train_classes, test_labels),
        classes=tuple(classes.tolist()),
        recall=tuple(recall.tolist()),
        confusion=confusion.astype(np.int64),
        unseen=tuple(np.setdiff1d(test_labels, train_classes).tolist()),
        n_train=len(train_labels),
        n_test=len(test_labels),
        c=float(c),
        selection=selection,
    )
