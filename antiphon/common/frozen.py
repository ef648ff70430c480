"""Weights that stay as they were drawn while training begins."""

from __future__ import annotations

from torch import Tensor


def updates_in(share: float, steps: int | None, *, name: str) -> int:
    """How many of `steps` updates the `share` (0 .. 1) of training is; `name` is what errors call it.

    Raises:
        ValueError: a share outside 0 .. 1, or more than 0 without `steps`.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"{name} is a share of training, between 0 and 1, got {share}")
    if share and steps is None:
        raise ValueError(f"{name}={share} is a share of training: give steps, the number of updates")
    return round(share * (steps or 0))


def frozen(weight: Tensor) -> Tensor:
    """The same values with a gradient of zero: data-parallel training waits for one, where `detach` alone gives none."""
    return weight.detach() + 0.0 * weight
