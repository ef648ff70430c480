"""Accuracy in motor imagery: of the classifier that was trained, or of a linear one on frozen embeddings."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from antiphon.common.classifier import Classifier
from antiphon.common.encoder import Encoder
from antiphon.common.evaluation.embedding import embed_set
from antiphon.common.evaluation.probes import linear_probe
from antiphon.common.evaluation.protocols import LabelledSet, labels_of
from antiphon.common.evaluation.scores import SCORES, ProbeResult, classification_result


def motor_imagery(
    encoder: Encoder, train: LabelledSet, test: LabelledSet, *, classifier: Classifier | None = None, seed: int = 0
) -> dict[str, float]:
    """Accuracy, balanced accuracy, macro F1 and average precision: the mean over the subjects (groups) of the test set.

    Args:
        encoder: frozen; its embeddings are classified by logistic regression trained on `train`, unless there is a `classifier`.
        train: labelled.
        test: labelled with the same classes.
        classifier: an encoder with the layer that was trained with it (MVCNet), which is then measured as it is.
        seed: of the folds that choose the regression's C.
    """
    train_y, test_y = labels_of(train, "training"), labels_of(test, "test")
    owners = np.zeros(len(test_y), np.int64) if test.groups is None else test.groups
    parts = [np.flatnonzero(owners == owner) for owner in np.unique(owners)]
    if classifier is None:
        train_x, test_x = embed_set(encoder, train), embed_set(encoder, test)
        found = [linear_probe(train_x, train_y, test_x[rows], test_y[rows], groups=train.groups, seed=seed) for rows in parts]
    else:
        scores = _scores(classifier, test)
        found = [_result(scores[rows], test_y[rows]) for rows in parts]
    return {name: float(np.mean([getattr(result, name) for result in found])) for name in SCORES}


def _scores(classifier: Classifier, test: LabelledSet) -> NDArray[np.float32]:
    embeddings = torch.from_numpy(embed_set(classifier.encoder, test))
    with torch.inference_mode():
        scores: NDArray[np.float32] = classifier.linear(embeddings.to(classifier.linear.weight.device)).cpu().numpy()
    return scores


def _result(scores: NDArray[np.float32], labels: NDArray[np.generic]) -> ProbeResult:
    return classification_result(
        predicted=scores.argmax(axis=1),
        decision=scores if scores.shape[1] > 2 else scores[:, 1] - scores[:, 0],
        train_labels=np.arange(scores.shape[1]),
        test_labels=labels,
        c=float("nan"),
        selection="trained with the encoder",
    )
