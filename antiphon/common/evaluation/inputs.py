"""Checks at the door of every evaluation function: embeddings and labels in, or one readable error."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

Embeddings = ArrayLike | Tensor
Labels = ArrayLike | Tensor


def embedding_tensor(values: Embeddings, name: str = "embeddings") -> Tensor:
    """(N, D) floating tensor without gradient, on the device it came from; float64 stays, everything else becomes float32.

    Raises:
        ValueError: not two-dimensional, empty, or with a NaN or an infinity.
    """
    tensor = values.detach() if isinstance(values, Tensor) else torch.as_tensor(np.asarray(values))
    if tensor.ndim != 2 or 0 in tensor.shape:
        raise ValueError(f"{name} must be (examples, dimensions) and not empty, got shape {tuple(tensor.shape)}")
    tensor = tensor if tensor.dtype == torch.float64 else tensor.float()
    bad = ~torch.isfinite(tensor).all(dim=1)
    if bool(bad.any()):
        raise ValueError(
            f"{name}: {int(bad.sum())} of {len(bad)} rows hold NaN or infinity (first: row {int(bad.nonzero()[0, 0])}): "
            "use an encoder that handles missing values, or drop these rows"
        )
    return tensor


def embedding_array(values: Embeddings, name: str = "embeddings") -> NDArray[np.floating[Any]]:
    """`embedding_tensor` as a numpy array."""
    array: NDArray[np.floating[Any]] = embedding_tensor(values, name).cpu().numpy()
    return array


def label_array(labels: Labels, count: int | None = None, name: str = "labels") -> NDArray[Any]:
    """(count,) array of class labels, whatever their type; `count` None takes any number of them.

    Raises:
        ValueError: not one label an embedding, or a label that is NaN.
    """
    array = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.ndim != 1 or (count is not None and len(array) != count):
        expected = "one label an example" if count is None else f"one label for each of {count} embeddings"
        raise ValueError(f"{name} must hold {expected}, got shape {array.shape}")
    if array.dtype.kind == "f" and bool(np.isnan(array).any()):
        raise ValueError(f"{name}: {int(np.isnan(array).sum())} labels are NaN: drop the unlabelled examples")
    return array


def same_dimension(train: Tensor | NDArray[Any], test: Tensor | NDArray[Any]) -> None:
    """Raise a ValueError where train and test embeddings come from different encoders."""
    if train.shape[1] != test.shape[1]:
        raise ValueError(
            f"train embeddings have {train.shape[1]} dimensions and test embeddings {test.shape[1]}: embed both with one encoder"
        )
