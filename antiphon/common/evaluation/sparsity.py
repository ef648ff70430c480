"""Which dimensions of an embedding are used, by how many examples, and of which class: for non-negative representations.

Apply the activation first (ReLU); a dimension is active for an example where its value is further from zero than `threshold`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from antiphon.common.evaluation.inputs import Embeddings, Labels, embedding_tensor, label_array

_THRESHOLD = 1e-5


def _active(embeddings: Embeddings, threshold: float) -> Tensor:
    return embedding_tensor(embeddings).abs() >= threshold


def active_dimensions(embeddings: Embeddings, *, threshold: float = _THRESHOLD) -> int:
    """How many of the D dimensions are active for any example of (N, D)."""
    return int(_active(embeddings, threshold).any(dim=0).sum())


def sparsity(embeddings: Embeddings, *, threshold: float = _THRESHOLD) -> float:
    """The share of the N D entries that are not active: 0 is dense, 1 is all zero."""
    return float(1.0 - _active(embeddings, threshold).double().mean())


def class_consistency(embeddings: Embeddings, labels: Labels, *, threshold: float = _THRESHOLD) -> float:
    """Of the examples that a dimension is active for, the share in its most frequent class; the mean over active dimensions.

    1 where each dimension belongs to one class (Wang et al., ICLR 2024); the largest class's share where they say nothing.

    Raises:
        ValueError: if no dimension is active.
    """
    active = _active(embeddings, threshold).double()
    _, codes = np.unique(label_array(labels, len(active)), return_inverse=True)
    members = torch.nn.functional.one_hot(torch.as_tensor(codes, device=active.device)).double()
    counts = members.T @ active  # (classes, D)
    used = counts.sum(dim=0) > 0
    if not bool(used.any()):
        raise ValueError("class consistency is defined on active dimensions, but every embedding is zero")
    return float((counts.amax(dim=0)[used] / counts.sum(dim=0)[used]).mean())
