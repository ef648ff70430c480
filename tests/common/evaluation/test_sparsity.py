import numpy as np
import pytest
import torch

from antiphon.common.evaluation import active_dimensions, class_consistency, sparsity

# Dimension 0 is active for both examples of class a, 1 for one of each, 2 for none.
EMBEDDINGS = np.array([[2.0, 1.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 1e-7]])
LABELS = np.array(["a", "a", "b", "b"])


def test_by_hand():
    assert active_dimensions(EMBEDDINGS) == 2
    assert sparsity(EMBEDDINGS) == pytest.approx(8 / 12)
    assert class_consistency(EMBEDDINGS, LABELS) == pytest.approx((1.0 + 0.5) / 2)


def test_the_threshold_counts():
    assert active_dimensions(EMBEDDINGS, threshold=1e-8) == 3
    assert class_consistency(EMBEDDINGS, LABELS, threshold=0.9) == 1.0
    assert sparsity(EMBEDDINGS, threshold=10.0) == 1.0


def test_limits():
    one_hot = torch.eye(3).repeat(2, 1)
    assert class_consistency(one_hot, [0, 1, 2, 0, 1, 2]) == 1.0
    assert class_consistency(torch.ones(5, 4), [0, 0, 0, 1, 2]) == pytest.approx(3 / 5)  # the largest class's share
    assert sparsity(torch.randn(20, 8, generator=torch.Generator().manual_seed(0))) == 0.0
    with pytest.raises(ValueError, match="every embedding is zero"):
        class_consistency(np.zeros((3, 2)), [0, 1, 2])
