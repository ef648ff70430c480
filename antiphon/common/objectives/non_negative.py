"""Contrast of vectors without negative entries, whose dimensions then mean something each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives.info_nce import nt_xent
from antiphon.common.objectives.precision import full_precision

_SMALLEST_LENGTH = 1e-12  # of F.normalize


def rep_relu(values: Tensor) -> Tensor:
    """ReLU whose gradient is GELU's, so that a unit that is off for every example can come back (Wang et al., ICLR 2024)."""
    smooth = F.gelu(values)
    return smooth + (values.relu() - smooth).detach()


def _activated(values: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """`activation` of (B, D), where a row that becomes zero has a gradient of ordinary size.

    To normalise a zero row divides its gradient by the smallest length that is told from zero. Multiplying the row by that length,
    and dividing it by the one that it had before, leaves it zero and its gradient as if it had been as long as that.
    """
    active = activation(values)
    length = torch.linalg.vector_norm(values.detach(), dim=-1, keepdim=True)
    dead = ~active.any(dim=-1, keepdim=True) & (length > _SMALLEST_LENGTH)
    return torch.where(dead, active * (_SMALLEST_LENGTH / length.clamp_min(_SMALLEST_LENGTH)), active)


@full_precision
def non_negative(
    view_a: Tensor,
    view_b: Tensor,
    *,
    activation: Callable[[Tensor], Tensor] = rep_relu,
    loss: Callable[..., Tensor] = nt_xent,
    **options: Any,
) -> Tensor:
    """Non-negative contrastive learning (Wang et al., ICLR 2024): `loss` of both views (B, D) after `activation`.

    Cosines are then in [0, 1], and the loss tells coordinates apart: it changes under a rotation of the space, though not under an
    exchange of coordinates, so a dimension comes to stand for a cluster of examples. A vector without a positive entry becomes
    zero, equally far from everything, and `rep_relu` lets it come back. The authors use `rep_relu` on CIFAR and
    ReLU on ImageNet-100. `options` are those of `loss`.
    """
    return loss(_activated(view_a, activation), _activated(view_b, activation), **options)
