"""Examples mixed with others of their batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from antiphon.common.augment.base import Augmentation, Parameters, checked_interval
from antiphon.common.augment.noise import observed
from antiphon.common.random import KeyedRandom


def ring_partners(random: KeyedRandom) -> Tensor:
    """For each example another one of the batch, (B,) int64: the next in a ring ordered by a keyed draw.

    The order of the rows does not matter and nobody gets itself, unless it is alone.
    """
    ring = random.integers(high=2**53).argsort()
    return torch.empty_like(ring).scatter_(0, ring, ring.roll(-1))


class Mixing(Augmentation):
    """Mix each example with another one: (1 - w) * own + w * other, w uniform in `weight` (below 0.5 the own one leads).

    This operation **mixes rows**: the weights are keyed on the example, but the partner depends on who else is in the batch (not
    on their order), so a batch does not equal its examples one by one; an example alone in its batch is unchanged. Where the other
    example has ended or misses a value the own one stays as it is.
    """

    mixes_rows = True

    def __init__(self, weight: Sequence[float] = (0.0, 0.5), *, p: float = 1.0) -> None:
        super().__init__(p)
        self.weight = checked_interval("weight", weight, least=0.0, most=1.0)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`partner` (B,) int64, a row of the batch, and `weight` (B, 1, 1)."""
        low, high = self.weight
        return {"partner": ring_partners(random), "weight": random.uniform(1, 1, low=low, high=high)}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) drawn towards those of their partners."""
        other = signals[parameters["partner"]]
        present = observed(signals, lengths)[parameters["partner"]]
        return signals + torch.where(present, other - signals, 0.0) * parameters["weight"].to(signals.dtype)
