import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score

from antiphon.common.evaluation.scores import classification_result, macro_auprc


def test_scores_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    train, test = np.array([0, 1, 2, 3]), rng.integers(0, 4, 200)
    decision = rng.normal(size=(200, 4)) + 2 * np.eye(4)[test]
    predicted = decision.argmax(axis=1)
    result = classification_result(
        predicted=predicted, decision=decision, train_labels=train, test_labels=test, c=1.0, selection="given"
    )
    assert result.balanced_accuracy == pytest.approx(balanced_accuracy_score(test, predicted))
    assert result.macro_f1 == pytest.approx(f1_score(test, predicted, average="macro"))
    assert result.auprc == pytest.approx(np.mean([average_precision_score(test == c, decision[:, c]) for c in range(4)]))
    assert result.confusion.sum() == 200
    assert result.accuracy == pytest.approx(np.trace(result.confusion) / 200)


def test_two_classes_rank_the_second():
    classes, labels = np.array(["no", "yes"]), np.array(["yes", "no", "yes", "no"])
    scores = np.array([3.0, 2.0, 1.0, 0.0])
    expected = average_precision_score(labels == "yes", scores)
    assert macro_auprc(scores, classes, labels) == pytest.approx(expected)
    assert macro_auprc(np.stack((-scores, scores), axis=1), classes, labels) == pytest.approx(expected)


def test_a_class_without_test_examples_is_left_out():
    decision = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.5]])
    assert macro_auprc(decision, np.arange(3), np.array([0, 1])) == 1.0
    assert np.isnan(macro_auprc(decision, np.arange(3), np.array([8, 9])))
