"""A learnable temperature."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class LearnedScale(nn.Module):
    """A positive number that is learned: the scale of similarities, which is 1 / temperature.

    What is learned is its logarithm, 0-dimensional, so that it is never weight-decayed. `clamp` belongs after every optimiser step
    (`Objective.after_update`), not into the forward pass, where it would cut off the gradient that leads back inside. The defaults
    are CLIP's: 1 / 0.07 at first, between 1 and 100 ever after.
    """

    def __init__(self, initial: float = 1.0 / 0.07, *, lowest: float = 1.0, highest: float = 100.0) -> None:
        super().__init__()
        if not 0.0 < lowest <= initial <= highest:
            raise ValueError(f"scale must satisfy 0 < lowest <= initial <= highest, got {lowest}, {initial} and {highest}")
        self.bounds = math.log(lowest), math.log(highest)
        self.log_scale = nn.Parameter(torch.tensor(math.log(initial)))

    def forward(self) -> Tensor:
        """The scale, a 0-dimensional tensor."""
        return self.log_scale.exp()

    @torch.no_grad()
    def clamp(self) -> None:
        """Bring the scale back between its bounds."""
        self.log_scale.clamp_(*self.bounds)


class PlainScale(nn.Module):
    """A scale that is learned as it stands, without a logarithm and without bounds: EEG-CLIP's released code.

    There the initial value is ln(1 / 0.07) = 2.66, CLIP's logarithm, taken for the scale itself.
    """

    def __init__(self, initial: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(float(initial)))

    def forward(self) -> Tensor:
        """The scale, a 0-dimensional tensor."""
        return self.scale

    def clamp(self) -> None:
        """Nothing: this scale goes where it likes."""
