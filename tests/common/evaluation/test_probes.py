import subprocess
import sys

import numpy as np
import pytest
import torch

from antiphon.common.evaluation import linear_probe, svm_probe
from antiphon.common.evaluation.probes import INFINITE_C, _subsample


def blobs(count, classes=3, dim=6, spread=0.6, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = np.random.default_rng(99).normal(size=(classes, dim))
    return centres[labels] + spread * rng.normal(size=(count, dim)), labels


@pytest.mark.parametrize("probe", [linear_probe, svm_probe])
def test_separable_classes_are_read_and_scored(probe):
    (train, y), (test, z) = blobs(90, spread=0.1), blobs(30, spread=0.1, seed=1)
    result = probe(torch.tensor(train), torch.tensor(y), test, z)
    assert result.scores() == {"accuracy": 1.0, "balanced_accuracy": 1.0, "macro_f1": 1.0, "auprc": pytest.approx(1.0)}
    assert np.array_equal(result.confusion, 10 * np.eye(3, dtype=int))
    assert (result.n_train, result.n_test, result.classes) == (90, 30, (0, 1, 2))


@pytest.mark.parametrize("probe", [linear_probe, svm_probe])
def test_the_test_set_chooses_nothing(probe):
    """Whatever the test labels say, C is the same: it comes from the training set."""
    (train, y), (test, z) = blobs(90, spread=2.0), blobs(40, spread=2.0, seed=1)
    assert probe(train, y, test, z).c == probe(train, y, test, (z + 1) % 3).c == probe(train, y, test[:3], z[:3]).c


@pytest.mark.parametrize(
    ("count", "classes", "gridded"),
    [(49, 2, False), (50, 2, True), (50, 10, True), (52, 13, False), (60, 13, False), (65, 13, True)],
)
def test_svm_rule_for_small_training_sets(count, classes, gridded):
    train, y = blobs(count, classes)
    result = svm_probe(train, y, train, y)
    assert result.selection.startswith("best accuracy" if gridded else "no grid")
    assert gridded or result.c == INFINITE_C == 1e8


def test_svm_grid_and_softclts_limit(monkeypatch):
    import sklearn.model_selection

    grids = []
    original = sklearn.model_selection.GridSearchCV

    def spy(model, grid, **options):
        grids.append((grid["C"], options["cv"], model.kernel, model.gamma))
        return original(model, grid, **options)

    monkeypatch.setattr(sklearn.model_selection, "GridSearchCV", spy)
    train, y = blobs(60)
    svm_probe(train, y, train, y)
    svm_probe(train, y, train, y, max_c=1e4)
    decades = [10.0**power for power in range(-4, 5)]
    assert grids == [([*decades, 1e8], 5, "rbf", "scale"), (decades, 5, "rbf", "scale")]
    assert svm_probe(train[:30], y[:30], train, y, max_c=1e4).c == 1e4


def test_large_training_sets_are_cut_stratified():
    labels = np.repeat([0, 1, 2], [900, 90, 10])
    rows = np.arange(1000)[:, None]
    kept, names = _subsample(rows, labels, 100, seed=0)
    assert np.bincount(names).tolist() == [90, 9, 1]
    assert np.array_equal(labels[kept[:, 0]], names)
    assert np.array_equal(kept, _subsample(rows, labels, 100, seed=0)[0])
    assert not np.array_equal(kept, _subsample(rows, labels, 100, seed=1)[0])
    assert _subsample(rows, labels, 1000, seed=0)[0] is rows


def test_groups_are_never_split():
    """Each group's own offset gives its label away, so folds that split groups think C = 100 is best."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 10)
    labels = groups % 2
    train = rng.normal(size=(120, 20)) * 0.1 + rng.normal(size=(12, 20))[groups]
    split = linear_probe(train, labels, train, labels)
    whole = linear_probe(train, labels, train, labels, groups=groups)
    assert "grouped folds" in whole.selection
    assert whole.c != split.c


def test_linear_probe_without_folds_says_so():
    result = linear_probe(np.eye(2), ["a", "b"], np.eye(2), ["a", "b"])
    assert (result.c, result.accuracy) == (1.0, 1.0)
    assert result.selection.startswith("default")
    assert linear_probe(np.eye(2), ["a", "b"], np.eye(2), ["a", "b"], c_grid=(0.5,)).c == 0.5


def test_standardisation_makes_scale_irrelevant():
    train, y = blobs(60, spread=1.5)
    test, z = blobs(60, spread=1.5, seed=1)
    scale = np.array([1e-3, 1.0, 1e3, 10.0, 0.1, 5.0])
    plain, scaled = linear_probe(train, y, test, z), linear_probe(train * scale + 7, y, test * scale + 7, z)
    assert (plain.accuracy, plain.c) == (scaled.accuracy, scaled.c)


def test_unseen_test_labels_are_errors_and_reported():
    train, y = blobs(60, classes=2, spread=0.1)
    test, z = blobs(20, classes=2, spread=0.1, seed=1)
    z = z.copy()
    z[:5] = 9
    result = linear_probe(train, y, test, z)
    assert (result.accuracy, result.unseen, result.classes) == (0.75, (9,), (0, 1, 9))
    assert result.recall == (1.0, 1.0, 0.0)
    assert result.balanced_accuracy == pytest.approx(2 / 3)


@pytest.mark.parametrize("probe", [linear_probe, svm_probe])
def test_errors_name_the_remedy(probe):
    train, y = blobs(20)
    with pytest.raises(ValueError, match=r"at least two classes.*stratified"):
        probe(train, np.zeros(20), train, y)
    broken = train.copy()
    broken[4, 1] = np.nan
    with pytest.raises(ValueError, match=r"train embeddings: 1 of 20 rows.*row 4"):
        probe(broken, y, train, y)
    with pytest.raises(ValueError, match="labels are NaN"):
        probe(train, np.where(y == 0, np.nan, y), train, y)


def test_importing_evaluation_loads_neither_sklearn_nor_matplotlib():
    code = "import sys, antiphon.common.evaluation as e; print([m for m in ('sklearn', 'scipy', 'matplotlib') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
