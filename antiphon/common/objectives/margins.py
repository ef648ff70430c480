"""Margins of NT-Xent that are not one fixed number: scheduled over training, learned, or that of a larger batch (SIMO)."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from antiphon.common.distributed import row_counts
from antiphon.common.objectives.base import PairObjective, ViewOutputs
from antiphon.common.objectives.info_nce import nt_xent


def cosine_margin(step: int, steps: int, *, margin: float, rise: float = 0.5) -> float:
    """The margin of update number `step` of `steps`: from 0 to `margin` along a half cosine over the share `rise` of training."""
    last = rise * steps
    return margin if step >= last else margin * 0.5 * (1.0 - math.cos(math.pi * step / last))


def simo_margin(temperature: float, *, negatives: int, pretended: int = 65_536) -> float:
    """The margin with which few negatives weigh as much as many: temperature x ln(pretended / negatives), at least 0.

    A margin multiplies the share of the negatives in the softmax by exp(margin / temperature), so `negatives` of them then count
    like `pretended` (the SIMO margin of sslsv, where 65,536 stand for the 510 of a batch of 256).
    """
    if negatives < 1:
        return 0.0
    return max(0.0, temperature * math.log(pretended / negatives))


class MarginObjective(PairObjective):
    """`nt_xent` of every two views with the margin that `margin` says for the batch. Further options are those of `nt_xent`."""

    def __init__(self, *, temperature: float = 0.03, **options: Any) -> None:
        super().__init__(nt_xent, temperature=temperature, **options)
        self.temperature = temperature

    @abstractmethod
    def margin(self, outputs: ViewOutputs) -> float | Tensor:
        """The margin of a batch."""

    def _over_pairs(self, outputs: ViewOutputs, **options: Any) -> Tensor:
        return super()._over_pairs(outputs, margin=self.margin(outputs), **options)


class ScheduledMargin(MarginObjective):
    """The margin rises from 0 to `highest` over the share `rise` of the `steps` of training (see `cosine_margin`).

    It depends on the number of the batch alone, so there is no state that a checkpoint could lose.
    """

    def __init__(self, *, steps: int, highest: float = 0.1, rise: float = 0.5, temperature: float = 0.03, **options: Any) -> None:
        super().__init__(temperature=temperature, **options)
        if not 0.0 <= rise <= 1.0 or highest < 0.0:
            raise ValueError(f"a scheduled margin needs rise between 0 and 1 and highest of at least 0, got {rise} and {highest}")
        self.steps, self.highest, self.rise = steps, highest, rise

    def margin(self, outputs: ViewOutputs) -> float:
        """That of update number `outputs.step`."""
        return cosine_margin(outputs.step, self.steps, margin=self.highest, rise=self.rise)


class LearnedMargin(MarginObjective):
    """A margin that is learned, between 0 and `highest`.

    The loss alone would drive it to 0, since every margin makes pairs harder. Therefore ``(reward / temperature) margin`` is taken
    off the loss, after AdaptiveFace (Liu et al., CVPR 2019): the margin grows as long as negatives have, on the mean, less than the
    share `reward` of an anchor's softmax, and shrinks when they have more. (For the additive kind; an angular margin turns around
    nearby.) With ``reward=0`` it is what sslsv calls learnable, and falls to 0.
    """

    def __init__(
        self, *, initial: float = 0.1, highest: float = 0.5, reward: float = 0.5, temperature: float = 0.03, **options: Any
    ) -> None:
        super().__init__(temperature=temperature, **options)
        if not 0.0 <= initial <= highest or not 0.0 <= reward < 1.0:
            raise ValueError(
                f"a learned margin needs 0 <= initial <= highest and 0 <= reward < 1, got {initial}, {highest} and {reward}"
            )
        self.highest, self.reward = highest, reward
        self.learned = nn.Parameter(torch.tensor(float(initial)))

    def margin(self, outputs: ViewOutputs) -> Tensor:
        """The parameter."""
        return self.learned

    def _over_pairs(self, outputs: ViewOutputs, **options: Any) -> Tensor:
        return super()._over_pairs(outputs, **options) - (self.reward / self.temperature) * self.learned

    @torch.no_grad()
    def after_update(self) -> None:
        """Bring the margin back between 0 and `highest`."""
        self.learned.clamp_(0.0, self.highest)


class SimoMargin(MarginObjective):
    """The margin with which the negatives of the batch, on all ranks, weigh as much as `pretended` ones (see `simo_margin`)."""

    def __init__(self, *, pretended: int = 65_536, temperature: float = 0.03, symmetric: bool = True, **options: Any) -> None:
        super().__init__(temperature=temperature, symmetric=symmetric, **options)
        self.pretended, self.symmetric = pretended, symmetric

    def margin(self, outputs: ViewOutputs) -> float:
        """That of a batch of this size."""
        others = sum(row_counts(len(outputs.index), device=outputs.index.device)) - 1
        return simo_margin(self.temperature, negatives=others * (2 if self.symmetric else 1), pretended=self.pretended)
