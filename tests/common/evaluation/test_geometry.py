import math
from itertools import combinations

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from antiphon.common.evaluation import (
    alignment,
    collapse_reasons,
    effective_rank,
    is_collapsed,
    mean_cosine,
    modality_gap,
    positive_negative_similarity,
    rankme,
    tolerance,
    uniformity,
)

U, V = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.6, 0.8], [0.0, 1.0]])


def draw(count, dim, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dim))


def test_goldens():
    assert alignment(U, V) == pytest.approx(0.4, abs=1e-12)
    assert uniformity(U) == pytest.approx(-4.0, abs=1e-12)
    assert uniformity(V) == pytest.approx(-0.8, abs=1e-12)


def test_alignment_is_zero_on_equal_views_and_follows_alpha():
    rows = draw(20, 4)
    assert alignment(rows, 3 * rows) == pytest.approx(0.0, abs=1e-12)  # length does not count
    a, b = normalize(torch.tensor(rows), dim=1), normalize(torch.tensor(draw(20, 4, 1)), dim=1)
    assert alignment(a, b, alpha=1.0) == pytest.approx(float((a - b).norm(dim=1).mean()))


def test_uniformity_equals_a_loop_and_its_bounds():
    unit = normalize(torch.tensor(draw(30, 3)), dim=1)
    loop = math.log(np.mean([math.exp(-2.0 * float((unit[i] - unit[j]).square().sum())) for i, j in combinations(range(30), 2)]))
    assert uniformity(unit) == pytest.approx(loop, abs=1e-12)
    assert uniformity(np.ones((5, 3))) == pytest.approx(0.0, abs=1e-12)
    assert uniformity(np.array([[1.0, 0.0], [-1.0, 0.0]])) == pytest.approx(-8.0)


def test_chunks_change_nothing(monkeypatch):
    from antiphon.common.evaluation import geometry

    a, b = draw(50, 6), draw(50, 6, 1)
    whole = uniformity(a), positive_negative_similarity(a, b, bins=20)
    monkeypatch.setattr(geometry, "_CHUNK_ROWS", 7)
    assert uniformity(a) == pytest.approx(whole[0], abs=1e-12)
    parts = positive_negative_similarity(a, b, bins=20)
    assert np.array_equal(parts.negative_counts, whole[1].negative_counts)
    assert parts.negative_std == pytest.approx(whole[1].negative_std)


@pytest.mark.parametrize("rank", [effective_rank, rankme])
def test_ranks_of_known_matrices(rank):
    orthonormal = np.linalg.qr(draw(40, 8))[0]
    assert rank(orthonormal) == pytest.approx(8.0, rel=1e-4)
    assert rank(np.ones((30, 8))) == pytest.approx(1.0, abs=1e-3)
    assert rank(100 * orthonormal) == pytest.approx(rank(orthonormal))
    assert rank(np.zeros((4, 3))) == 0.0
    shares = np.array([0.5, 0.25, 0.25])
    assert rank(np.diag(shares)) == pytest.approx(math.exp(-(shares * np.log(shares)).sum()), rel=1e-4)


def test_rankme_adds_its_epsilon():
    shares = np.array([0.75, 0.25]) + 1e-2
    assert rankme(np.diag([3.0, 1.0]), eps=1e-2) == pytest.approx(math.exp(-(shares * np.log(shares)).sum()))


def test_pair_similarity_equals_the_matrix():
    a, b = draw(40, 5), draw(40, 5, 1)
    matrix = (normalize(torch.tensor(a), dim=1) @ normalize(torch.tensor(b), dim=1).T).numpy()
    negatives = matrix[~np.eye(40, dtype=bool)]
    pairs = positive_negative_similarity(a, b, bins=50)
    assert (pairs.positive_mean, pairs.positive_std) == pytest.approx((np.diag(matrix).mean(), np.diag(matrix).std()))
    assert (pairs.negative_mean, pairs.negative_std) == pytest.approx((negatives.mean(), negatives.std()))
    assert np.array_equal(pairs.negative_counts, np.histogram(negatives, pairs.edges)[0])
    assert np.array_equal(pairs.positive_counts, np.histogram(np.diag(matrix), pairs.edges)[0])
    assert pairs.gap == pytest.approx(pairs.positive_mean - pairs.negative_mean)


def test_identical_views_have_all_positives_in_the_last_bin():
    rows = draw(10, 4)
    pairs = positive_negative_similarity(rows, rows, bins=10)
    assert pairs.positive_counts.tolist() == [0] * 9 + [10]
    assert pairs.negative_counts.sum() == 90


def test_tolerance_equals_a_loop():
    rows, labels = draw(12, 4), np.array(list("aaabbbbccccd"))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    loop = np.mean([unit[i] @ unit[j] for i, j in combinations(range(12), 2) if labels[i] == labels[j]])
    assert tolerance(rows, labels) == pytest.approx(loop)
    with pytest.raises(ValueError, match="a class with two examples"):
        tolerance(rows[:2], ["a", "b"])


def test_mean_cosine_equals_a_loop():
    unit = normalize(torch.tensor(draw(9, 3)), dim=1)
    assert mean_cosine(unit) == pytest.approx(np.mean([float(unit[i] @ unit[j]) for i, j in combinations(range(9), 2)]))


def test_collapse_is_seen():
    healthy = draw(64, 16)
    assert collapse_reasons(healthy) == []
    assert not is_collapsed(healthy + 20.0, reference=healthy + 20.0)  # an untrained encoder: one cone, yet all dimensions alive
    assert mean_cosine(healthy + 20.0) > 0.99
    assert collapse_reasons(np.zeros((8, 4))) == ["all embeddings are zero"]
    assert "mean cosine" in collapse_reasons(1 + 1e-4 * healthy)[0]
    line = healthy[:, :1] * np.ones((1, 16)) + 1e-4 * healthy
    assert "effective rank" in collapse_reasons(line)[0]
    assert "spread" in collapse_reasons(healthy + 20.0, reference=healthy + 1.0)[0]


def test_errors_name_the_remedy():
    with pytest.raises(ValueError, match="aligned row by row"):
        alignment(np.ones((2, 3)), np.ones((3, 3)))
    with pytest.raises(ValueError, match="at least 2"):
        uniformity(np.ones((1, 3)))
    with pytest.raises(ValueError, match="NaN or infinity"):
        rankme(np.array([[np.inf, 1.0]]))
    with pytest.raises(ValueError, match="not empty"):
        effective_rank(np.ones((0, 3)))


def test_modality_gap():
    assert modality_gap(U, V) == pytest.approx(math.hypot(0.2, 0.4))
    rows = draw(20, 4)
    assert modality_gap(rows, 5 * rows[::-1]) == pytest.approx(0.0, abs=1e-12)
    assert modality_gap(np.array([[2.0, 0.0]]), np.array([[-1.0, 0.0]] * 3)) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="one dimension"):
        modality_gap(rows, rows[:, :2])
