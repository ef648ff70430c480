import numpy as np
import pytest
import torch

from antiphon.common.evaluation import knn_accuracy, knn_predict


def _loop_vote(train, labels, query, k, temperature):
    unit = train / np.linalg.norm(train, axis=1, keepdims=True)
    similarity = unit @ (query / np.linalg.norm(query))
    votes: dict[object, float] = {}
    for row in np.argsort(-similarity)[:k]:
        votes[labels[row]] = votes.get(labels[row], 0.0) + np.exp(similarity[row] / temperature)
    return max(sorted(votes), key=lambda name: votes[name])


def test_agrees_with_a_loop_and_across_chunks():
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(60, 5)), rng.normal(size=(1500, 5))  # more than one chunk
    labels = np.array(["a", "b", "c"])[rng.integers(0, 3, 60)]
    predicted = knn_predict(train, labels, test, k=7, temperature=0.2)
    expected = [_loop_vote(train, labels, query, 7, 0.2) for query in test]
    assert predicted.tolist() == expected


def test_cosine_ignores_length_and_euclidean_does_not():
    train, labels = np.array([[1.0, 0.0], [0.0, 5.0]]), [0, 1]
    query = np.array([[0.9, 1.0]])
    assert knn_predict(train, labels, query, k=1)[0] == 1
    assert knn_predict(train, labels, query, k=1, metric="euclidean")[0] == 0


def test_a_low_temperature_listens_to_the_nearest_only():
    train = np.array([[1.0, 0.0], [0.8, 0.6], [0.8, -0.6]])
    labels, query = ["near", "far", "far"], np.array([[1.0, 0.02]])
    assert knn_predict(train, labels, query, k=3, temperature=0.01)[0] == "near"
    assert knn_predict(train, labels, query, k=3, temperature=10.0)[0] == "far"


def test_k_is_capped_and_tensors_are_welcome():
    train = torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    assert knn_accuracy(train, torch.tensor([3, 7]), train, torch.tensor([3, 7]), k=20, temperature=0.01) == 1.0
    assert knn_accuracy(train, [3, 7], train, [3, 9], k=1) == 0.5  # 9 is unknown to training


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k >= 1"),
        ({"temperature": 0.0}, "temperature > 0"),
        ({"metric": "manhattan"}, "'cosine' or 'euclidean'"),
        ({"test_embeddings": np.ones((2, 3))}, "embed both with one encoder"),
        ({"test_embeddings": np.array([[1.0, np.nan]])}, "first: row 0"),
        ({"train_labels": [0]}, "one label for each of 2"),
    ],
)
def test_errors_name_the_remedy(change, message):
    call = {"train_embeddings": np.eye(2), "train_labels": [0, 1], "test_embeddings": np.eye(2), **change}
    with pytest.raises(ValueError, match=message):
        knn_predict(**call)
