"""CO, CV and LOSO on arrays, with moabb's splitters, and the classifier that they are for."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.dummy import DummyClassifier

from antiphon.domains.eeg.data import EpochSet
from antiphon.domains.eeg.data.simulation.motor_imagery import simulate_motor_imagery
from antiphon.domains.eeg.mvcnet import MVCNetClassifier, cross_validate, protocol_folds, subject_accuracy
from antiphon.domains.eeg.mvcnet.protocols import FoldScore

pytest.importorskip("mne")

LABELS = np.array(["r", "l", "r", "r", "l", "l", "r", "l", "r", "l"])
TWO = np.repeat(["a", "b"], 10)


def test_co_trains_on_the_first_eighty_percent_of_each_class() -> None:
    ((train, test),) = protocol_folds("co", LABELS)
    assert test.tolist() == [8, 9] and train.tolist() == list(range(8))
    (first, second) = protocol_folds("co", np.tile(LABELS, 2), TWO)
    assert first[1].tolist() == [8, 9] and second[0].tolist() == list(range(10, 18)) and second[1].tolist() == [18, 19]
    ((train, test),) = protocol_folds("co", np.repeat(["x", "y"], [7, 12]))  # 5.6 and 9.6 are rounded up
    assert (len(train), test.tolist()) == (16, [6, 17, 18])


def test_cv_takes_blocks_of_time_within_a_subject() -> None:
    folds = list(protocol_folds("cv", np.tile(LABELS, 2), TWO))
    assert [test.tolist() for _, test in folds[:5]] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert [test.tolist() for _, test in folds[5:]] == [[10, 11], [12, 13], [14, 15], [16, 17], [18, 19]]
    assert all(sorted([*train, *test]) == list(range(10)) for train, test in folds[:5])


def test_loso_leaves_each_subject_out_once() -> None:
    subjects = np.array([2, 1, 1, 3, 2, 3])
    folds = list(protocol_folds("loso", np.zeros(6), subjects))
    assert [test.tolist() for _, test in folds] == [[1, 2], [0, 4], [3, 5]]
    assert all(not set(subjects[train]) & set(subjects[test]) and len(train) + len(test) == 6 for train, test in folds)


def test_wrong_protocols_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown protocol 'lo': use one of co, cv, loso"):
        protocol_folds("lo", LABELS)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="two subjects"):
        list(protocol_folds("loso", LABELS))
    with pytest.raises(ValueError, match="10 trials, but 3 subjects"):
        list(protocol_folds("cv", LABELS, [1, 2, 3]))


class Remembers(DummyClassifier):  # type: ignore[misc]
    """Keeps the covariances that it was fitted and tested on."""

    seen: list[np.ndarray] = []  # noqa: RUF012

    def fit(self, X: np.ndarray, y: np.ndarray) -> "Remembers":
        self.seen.append(X @ X.transpose(0, 2, 1) / X.shape[2])
        return super().fit(X, y)

    def predict(self, X: np.ndarray) -> np.ndarray:
        self.seen.append(X @ X.transpose(0, 2, 1) / X.shape[2])
        return super().predict(X)


def test_alignment_whitens_train_and_test_apart() -> None:
    random = np.random.default_rng(0)
    signals, labels = random.normal(size=(20, 3, 50)) * [[1.0], [5.0], [9.0]], np.tile(LABELS, 2)
    Remembers.seen.clear()
    scores = cross_validate(Remembers(), signals, labels, protocol_folds("co", labels, TWO), subjects=TWO, align=True)
    assert [(score.total, score.subject) for score in scores] == [(2, "a"), (2, "b")] and len(Remembers.seen) == 4
    for covariances in Remembers.seen:
        np.testing.assert_allclose(covariances.mean(axis=0), np.eye(3), atol=1e-6)


def test_subjects_are_averaged_over_their_trials() -> None:
    scores = [FoldScore(1, 2, "a"), FoldScore(4, 4, "a"), FoldScore(1, 4, "b")]
    assert subject_accuracy(scores) == {"a": 5 / 6, "b": 0.25} and scores[0].accuracy == 0.5


@pytest.fixture(scope="module")
def imagery() -> EpochSet:
    return simulate_motor_imagery(1, 60, duration_s=2.0, sample_rate=100.0, names=("C3", "Cz", "C4"), desynchronisation=0.8)


def words(data: EpochSet) -> np.ndarray:
    assert data.labels is not None
    return np.asarray(data.classes)[data.labels]


def small(**options: object) -> MVCNetClassifier:
    return MVCNetClassifier(("C3", "Cz", "C4"), 100.0, pool=50, samples=32, batch_size=16, **{"epochs": 8, **options})  # type: ignore[arg-type]


def test_the_classifier_learns_lateralised_imagery_and_is_repeatable(imagery: EpochSet) -> None:
    (score,) = cross_validate(small(epochs=12), imagery.signals, words(imagery), protocol_folds("co", words(imagery)))
    assert score.accuracy >= 0.8
    fitted = [small(epochs=2).fit(imagery.signals, words(imagery)) for _ in range(2)]
    probabilities = [one.predict_proba(imagery.signals) for one in fitted]
    np.testing.assert_array_equal(probabilities[0], probabilities[1])
    np.testing.assert_allclose(probabilities[0].sum(axis=1), 1)
    assert fitted[0].transform(imagery.signals[:2]).shape == (2, 256) and set(fitted[0].classes_) == {"left", "right"}
    predicted = fitted[0].classes_[probabilities[0].argmax(axis=1)]
    np.testing.assert_array_equal(fitted[0].predict(imagery.signals), predicted)


def test_it_is_an_estimator_like_others(imagery: EpochSet, tmp_path: Path) -> None:
    import antiphon

    assert clone(small(fusion=True)).get_params() == small(fusion=True).get_params()
    fused = small(fusion=True, epochs=1).fit(imagery.signals, words(imagery))
    assert fused.transform(imagery.signals[:1]).shape == (1, 512)
    fused.classifier_.save(tmp_path / "classifier")
    loaded = antiphon.load_classifier(tmp_path / "classifier")
    assert loaded.predict(imagery.signals[:5]) == fused.predict(imagery.signals[:5]).tolist()
    with pytest.raises(ValueError, match="without NaN"):
        small().fit(np.full((4, 3, 200), np.nan), [0, 1, 0, 1])


def test_moabbs_data_and_splitters() -> None:
    pytest.importorskip("moabb")
    from moabb.datasets.fake import FakeDataset
    from moabb.evaluations.splitters import CrossSubjectSplitter, WithinSessionSplitter
    from moabb.paradigms import LeftRightImagery

    dataset = FakeDataset(["left_hand", "right_hand"], n_subjects=2, n_sessions=1, n_runs=1, n_events=12, duration=40, seed=1)
    signals, labels, table = LeftRightImagery().get_data(dataset)
    subjects = table["subject"].to_numpy()
    classifier = MVCNetClassifier(("C3", "Cz", "C4"), 128.0, samples=64, epochs=1, batch_size=8)
    for splitter, folds in ((WithinSessionSplitter(n_folds=2, random_state=0), 4), (CrossSubjectSplitter(), 2)):
        scores = cross_validate(classifier, signals, labels, splitter.split(labels, table), subjects=subjects, align=True)
        assert len(scores) == folds and set(subject_accuracy(scores)) == set(subjects)
    assert len(cross_validate(classifier, signals, labels, protocol_folds("loso", labels, subjects), subjects=subjects)) == 2
