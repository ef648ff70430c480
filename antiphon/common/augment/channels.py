"""Channels silenced or exchanged."""

from __future__ import annotations

import torch
from torch import Tensor

from antiphon.common.augment.base import Augmentation, Parameters, checked_number
from antiphon.common.random import KeyedRandom


class ChannelDropout(Augmentation):
    """Set each channel to zero with probability `drop_p`; one channel, picked at random, always stays."""

    def __init__(self, drop_p: float = 0.2, *, p: float = 1.0) -> None:
        super().__init__(p)
        self.drop_p = checked_number("drop_p", drop_p, least=0.0, most=1.0)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`dropped` (B, C) bool."""
        draws = random.uniform(signals.shape[1])
        highest = draws.argmax(dim=1, keepdim=True)
        return {"dropped": (draws < self.drop_p).scatter(1, highest, False)}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) with zeros in the dropped channels; a missing value stays missing."""
        return torch.where(parameters["dropped"][..., None] & ~signals.isnan(), 0.0, signals)


class ChannelShuffle(Augmentation):
    """Exchange channels at random: each takes part with probability `shuffle_p` (1: a permutation of all)."""

    def __init__(self, shuffle_p: float = 1.0, *, p: float = 1.0) -> None:
        super().__init__(p)
        self.shuffle_p = checked_number("shuffle_p", shuffle_p, least=0.0, most=1.0)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`source` (B, C) int64: the channel that each one is replaced by."""
        channels = signals.shape[1]
        taking_part = random.bernoulli(channels, p=self.shuffle_p)
        behind = 1.0 + torch.arange(channels, device=signals.device)  # those who stay sort behind, in order
        slots = torch.where(taking_part, behind - 1.0 - channels, behind).argsort(dim=1)
        chosen = torch.where(taking_part, random.uniform(channels), behind).argsort(dim=1)
        return {"source": torch.empty_like(slots).scatter_(1, slots, chosen)}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) with channel c taken from `source`[c]."""
        return signals.gather(1, parameters["source"][..., None].expand_as(signals))
