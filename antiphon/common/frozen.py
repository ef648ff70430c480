"""Weights that stay as they were drawn while training begins."""

from __future__ import annotations

from torch import Tensor


def share_of(steps: int | None, **share: float) -> int:
    """How many of `steps` updates one named share (0 .. 1) of training is: `share_of(1000, freeze=0.01)` is 10.

    Raises:
        ValueError: a share outside 0 .. 1, or more than 0 without `steps`.
    """
    ((name, value),) = share.items()
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is a share of training, between 0 and 1, got {value}")
    if value and steps is None:
        raise ValueError(f"{name}={value} is a share of training: give steps, the number of updates")
    return round(value * (steps or 0))


def frozen(weight: Tensor) -> Tensor:
    """The same values with a gradient of zero: data-parallel training waits for one, where `detach` alone gives none."""
    return weight.detach() + 0.0 * weight
