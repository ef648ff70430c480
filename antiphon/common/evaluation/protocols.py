"""From an encoder and two labelled sets to a handful of numbers: what a recipe's `evaluation` config names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from antiphon.common.data.loader import BatchSource
from antiphon.common.encoder import Encoder
from antiphon.common.evaluation.embedding import embed_set
from antiphon.common.evaluation.few_labels import few_label_curve
from antiphon.common.evaluation.knn import knn_accuracy
from antiphon.common.evaluation.probes import linear_probe, svm_probe
from antiphon.common.evaluation.scores import ProbeResult

Probe = Literal["svm", "linear", "knn"]


class LabelledSet(BatchSource, Protocol):
    """Examples for `embed_set` with labels (n,) in order of `classes` or None, and groups (n,) or None."""

    @property
    def labels(self) -> NDArray[Any] | None:
        """(n,) in order of `classes`."""

    @property
    def classes(self) -> Sequence[str]:
        """Their names."""

    @property
    def groups(self) -> NDArray[Any] | None:
        """(n,) speaker, subject or recording."""


def labels_of(data: LabelledSet, name: str) -> NDArray[Any]:
    """The labels of a set, or a ValueError that says which set has none."""
    if data.labels is None:
        raise ValueError(f"the {name} set has no labels: an evaluation by classification needs them")
    return data.labels


def run_probe(
    train_x: NDArray[Any],
    train: LabelledSet,
    test_x: NDArray[Any],
    test: LabelledSet,
    *,
    probe: Probe = "svm",
    max_c: float | None = None,
    seed: int = 0,
) -> ProbeResult:
    """An SVM (TS2Vec's protocol; `max_c` ends its grid) or a linear probe on embeddings (n, D) of two sets."""
    train_y, test_y = labels_of(train, "training"), labels_of(test, "test")
    if probe == "svm":
        return svm_probe(train_x, train_y, test_x, test_y, seed=seed, **({} if max_c is None else {"max_c": max_c}))
    if probe == "linear":
        return linear_probe(train_x, train_y, test_x, test_y, groups=train.groups, seed=seed)
    raise ValueError(f"unknown probe {probe!r}: use svm, linear or knn")


def classification(
    encoder: Encoder, train: LabelledSet, test: LabelledSet, *, probe: Probe = "svm", max_c: float | None = None, seed: int = 0
) -> dict[str, float]:
    """Scores of a probe trained on frozen embeddings of `train` and read once on `test`, beside a 20-nearest-neighbour vote."""
    train_x, test_x = embed_set(encoder, train), embed_set(encoder, test)
    knn = knn_accuracy(train_x, labels_of(train, "training"), test_x, labels_of(test, "test"))
    if probe == "knn":
        return {"knn_accuracy": knn}
    return {**run_probe(train_x, train, test_x, test, probe=probe, max_c=max_c, seed=seed).scores(), "knn_accuracy": knn}


def few_labels(
    encoder: Encoder,
    train: LabelledSet,
    test: LabelledSet,
    *,
    shots: Sequence[int] = (1, 2, 5, 10),
    repeats: int = 5,
    seed: int = 0,
) -> dict[str, float]:
    """Accuracy of a linear probe on a few labels a class, the mean of `repeats` stratified draws: ``{"accuracy_5_shot": ...}``.

    The draws are the same for every encoder. A class with fewer examples than shots gives all it has.
    """
    train_x, test_x = embed_set(encoder, train), embed_set(encoder, test)
    train_y, test_y = labels_of(train, "training"), labels_of(test, "test")
    curve = few_label_curve(train_x, train_y, test_x, test_y, shots=shots, repeats=repeats, seed=seed)
    return {f"accuracy_{budget}_shot": float(mean) for budget, mean in zip(shots, curve.mean, strict=True)}
