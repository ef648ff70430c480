"""Classifiers on frozen embeddings. The test set is read once, for the scores; every choice is made on the training set."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from antiphon.common.evaluation.inputs import Embeddings, Labels, embedding_array, label_array, same_dimension
from antiphon.common.evaluation.scores import ProbeResult, classification_result

LINEAR_GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2)
UNSELECTED_LINEAR_C = 1.0
INFINITE_C = 1e8  # scikit-learn no longer takes an infinite C
_SVM_DECADES = tuple(10.0**power for power in range(-4, 5))
_SVM_MAX_TRAIN = 10_000

Folds = list[tuple[NDArray[np.int64], NDArray[np.int64]]]
Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


def _checked(train_x: Embeddings, train_y: Labels, test_x: Embeddings, test_y: Labels) -> Arrays:
    train, test = embedding_array(train_x, "train embeddings"), embedding_array(test_x, "test embeddings")
    same_dimension(train, test)
    train_labels = label_array(train_y, len(train), "train labels")
    if len(np.unique(train_labels)) < 2:
        raise ValueError(
            f"a probe needs at least two classes in the training labels, got only {train_labels[0]!r}: "
            "draw the training set stratified by class, or check the label column"
        )
    return train, train_labels, test, label_array(test_y, len(test), "test labels")


def _cross_validation_folds(labels: NDArray[Any], groups: NDArray[Any] | None, folds: int, seed: int) -> Folds:
    """Stratified folds that never split a group, as many as the data allow; empty where fewer than two are possible."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if groups is None:
        count = min(folds, int(np.unique(labels, return_counts=True)[1].min()))
    else:
        count = min(folds, len(np.unique(groups)))
    if count < 2:
        return []
    splitter = (StratifiedKFold if groups is None else StratifiedGroupKFold)(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # a class in fewer groups than folds: the check below is the one that matters
        warnings.filterwarnings("ignore", message="The least populated class")
        pairs = list(splitter.split(np.zeros(len(labels)), labels, groups))
    return [(fit, held) for fit, held in pairs if len(np.unique(labels[fit])) > 1 and len(held)]


def linear_probe(
    train_x: Embeddings,
    train_y: Labels,
    test_x: Embeddings,
    test_y: Labels,
    *,
    groups: Labels | None = None,
    c_grid: Sequence[float] = LINEAR_GRID,
    folds: int = 5,
    class_weight: str | None = None,
    max_iterations: int = 1000,
    seed: int = 0,
) -> ProbeResult:
    """Logistic regression on standardised embeddings, C chosen by cross-validated accuracy on the training set.

    The mean and deviation of the standardisation come from the training set (inside each fold: from that fold's part of it). Equal
    accuracies go to the stronger regularisation. Where no two folds can be made (a class with a single example), C is 1.

    Args:
        train_x: (N, D) embeddings, array or tensor.
        train_y: (N,) labels of any type.
        test_x: (M, D).
        test_y: (M,).
        groups: (N,) speaker, subject or recording of each training example; no group is on both sides of a fold.
        c_grid: values of C (inverse regularisation) to choose from.
        folds: number of folds, fewer where classes or groups are too small.
        class_weight: None, or "balanced" to weigh classes by their inverse frequency.
        max_iterations: limit of the L-BFGS solver.
        seed: of the shuffling into folds.

    Raises:
        ValueError: a single class in `train_y`, NaN in the embeddings, shapes that do not fit.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    train, train_labels, test, test_labels = _checked(train_x, train_y, test_x, test_y)
    group_names = None if groups is None else label_array(groups, len(train), "groups")
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=max_iterations, class_weight=class_weight))
    pairs = _cross_validation_folds(train_labels, group_names, folds, seed)
    # One BLAS thread: the solver's many small products spend most of their time in hand-overs between threads otherwise.
    # Convergence: a nearly unregularised C on separable data has no optimum to converge to.
    with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="The number of unique classes")  # few labels of many classes are no mistake
        if len(pairs) > 1 and len(c_grid) > 1:
            search = GridSearchCV(model, {"logisticregression__C": sorted(c_grid)}, cv=pairs, scoring="accuracy")
            fitted = search.fit(train, train_labels).best_estimator_
            kind = "grouped folds" if groups is not None else "folds"
            selection = f"best accuracy over {len(pairs)} {kind} of the training set"
        else:
            fixed = float(c_grid[0]) if len(c_grid) == 1 else UNSELECTED_LINEAR_C
            fitted = model.set_params(logisticregression__C=fixed).fit(train, train_labels)
            selection = "the only value given" if len(c_grid) == 1 else "default: too few training examples for two folds"
    return classification_result(
        predicted=fitted.predict(test),
        decision=fitted.decision_function(test),
        train_labels=train_labels,
        test_labels=test_labels,
        c=fitted.named_steps["logisticregression"].C,
        selection=selection,
    )


def _subsample(embeddings: NDArray[Any], labels: NDArray[Any], size: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """At most `size` training examples, stratified by class; a class too small to stratify is kept whole."""
    if len(labels) <= size:
        return embeddings, labels
    generator = np.random.default_rng(seed)
    shares = []
    for name in np.unique(labels):
        rows = np.flatnonzero(labels == name)
        shares.append(generator.permutation(rows)[: max(1, round(len(rows) * size / len(labels)))])
    keep = np.sort(np.concatenate(shares))
    return embeddings[keep], labels[keep]


def svm_probe(
    train_x: Embeddings,
    train_y: Labels,
    test_x: Embeddings,
    test_y: Labels,
    *,
    max_c: float = INFINITE_C,
    seed: int = 0,
) -> ProbeResult:
    """The probe of TS2Vec (AAAI 2022): an SVM with RBF kernel, gamma='scale', on the embeddings as they are.

    C comes from the grid 1e-4, 1e-3, ..., 1e4, infinity by 5-fold cross-validation on the training set. With fewer than 50
    training examples, or fewer than 5 a class on average, there is no grid and C is infinite. More than 10,000 training examples
    are cut to 10,000, stratified. Infinity is 1e8 here. SoftCLT stops at 1e4, on the grid and without it: ``max_c=1e4``.

    Args:
        train_x: (N, D) embeddings, array or tensor.
        train_y: (N,) labels of any type.
        test_x: (M, D).
        test_y: (M,).
        max_c: the largest C of the grid, and C where there is no grid.
        seed: of the subsample of large training sets.

    Raises:
        ValueError: a single class in `train_y`, NaN in the embeddings, shapes that do not fit.
    """
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    train, train_labels, test, test_labels = _checked(train_x, train_y, test_x, test_y)
    model = SVC(C=max_c, gamma="scale")
    per_class = len(train) / len(np.unique(train_labels))
    if len(train) < 50 or per_class < 5:
        fitted = model.fit(train, train_labels)
        selection = f"no grid: {len(train)} training examples, {per_class:.1f} a class"
    else:
        train, train_labels = _subsample(train, train_labels, _SVM_MAX_TRAIN, seed)
        grid = sorted({c for c in _SVM_DECADES if c < max_c} | {max_c})
        with warnings.catch_warnings():  # rare classes may miss a fold: the protocol has it so
            warnings.filterwarnings("ignore", message="The least populated class")
            fitted = GridSearchCV(model, {"C": grid}, cv=5).fit(train, train_labels).best_estimator_
        selection = f"best accuracy over 5 folds of {len(train)} training examples"
    return classification_result(
        predicted=fitted.predict(test),
        decision=fitted.decision_function(test),
        train_labels=train_labels,
        test_labels=test_labels,
        c=fitted.C,
        selection=selection,
    )
