"""Echoes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from antiphon.common.augment.base import Augmentation, Parameters, checked_interval, checked_number
from antiphon.common.augment.noise import observed
from antiphon.common.random import KeyedRandom
from antiphon.common.signal.delay import echo


class Delay(Augmentation):
    """Mix each example with a copy of itself that is `level` times as strong and later, and halve the sum.

    The delay is one of `delay_s`, in seconds, each as likely as any other; `level` is drawn uniformly. The defaults are CLMR's.
    What an echo reaches beyond the end of its example is lost; that of a missing value is zero.
    """

    def __init__(
        self,
        delay_s: Sequence[float] = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45),
        *,
        sample_rate: float,
        level: Sequence[float] = (0.5, 0.5),
        p: float = 1.0,
    ) -> None:
        super().__init__(p)
        if not delay_s:
            raise ValueError("delay_s names no delay: give at least one, in seconds")
        self.delay_s = tuple(checked_number("delay_s", delay, least=0.0, most=60.0) for delay in delay_s)
        self.level, self.sample_rate = checked_interval("level", level), sample_rate
        self._samples = torch.tensor([round(delay * sample_rate) for delay in self.delay_s])

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`delay` (B,) int64 in samples and `level` (B,)."""
        chosen = random.integers(high=len(self._samples))
        return {"delay": self._samples.to(signals.device)[chosen], "level": random.uniform(low=self.level[0], high=self.level[1])}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals with their echo; a missing value stays missing."""
        known = observed(signals, lengths)
        filled = torch.where(known, signals, 0.0)
        changed = echo(filled, parameters["delay"], parameters["level"], longest=int(self._samples.max()))
        return torch.where(known, changed, signals)
