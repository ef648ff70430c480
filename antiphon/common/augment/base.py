"""The augmentation contract: sample parameters per example, then apply them to the whole batch."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from antiphon.common.data.batch import View, length_mask
from antiphon.common.random import KeyedRandom

Parameters = Mapping[str, Tensor]


def checked_interval(
    name: str, interval: Sequence[float], *, least: float = -math.inf, most: float = math.inf
) -> tuple[float, float]:
    """The pair (low, high) of an option called `name`; raises a ValueError unless least <= low <= high <= most."""
    if len(interval) != 2 or not least <= interval[0] <= interval[1] <= most:
        raise ValueError(f"{name} must be a pair (low, high) with {least} <= low <= high <= {most}, got {tuple(interval)}")
    return interval[0], interval[1]


def checked_number(name: str, value: float, *, least: float = -math.inf, most: float = math.inf) -> float:
    """`value` of an option called `name`; raises a ValueError unless least <= value <= most."""
    if not least <= value <= most:
        raise ValueError(f"{name} must be a number from {least} to {most}, got {value}")
    return value


class Augmentation(ABC):
    """A random transformation of signals (B, C, T) that keeps shape, dtype and device.

    `sample` draws one set of parameters per example, each tensor (B, ...); `apply` is deterministic. `p` is the probability, per
    example, that it is applied at all; only the examples that it falls on are computed. A batch equals its examples one by one,
    unless a subclass says that it `mixes_rows`. Padding (what lies beyond an example's length) comes back as it was, whatever
    `apply` writes there, and does not influence the rest; a missing value (NaN) stays missing, or moves with its neighbours where
    time is rearranged.
    """

    mixes_rows = False  # what one example becomes depends on others of its batch, so all of them must be there

    def __init__(self, p: float = 1.0) -> None:
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"p is a probability, got {p}: use a value between 0 and 1")
        self.p = p

    @abstractmethod
    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """Parameters for the examples of `signals` (B, C, T), `lengths` (B,) samples long."""

    @abstractmethod
    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Transform (B, C, T) by `parameters`; never in place. What it writes beyond `lengths` is discarded by the call."""

    def __call__(self, signals: Tensor, lengths: Tensor, random: KeyedRandom) -> Tensor:
        """Sample, apply, and keep the original in the padding and where the example's coin says so."""
        if self.p == 0.0:
            return signals
        if self.p == 1.0:
            return self._changed(signals, lengths, random)
        coin = random.fold("p").bernoulli(p=self.p)
        if self.mixes_rows:
            return torch.where(coin[:, None, None], self._changed(signals, lengths, random), signals)
        rows = coin.nonzero()[:, 0]
        if not len(rows):
            return signals
        return signals.index_copy(0, rows, self._changed(signals[rows], lengths[rows], random.take(rows)))

    def _changed(self, signals: Tensor, lengths: Tensor, random: KeyedRandom) -> Tensor:
        changed = self.apply(signals, lengths, self.sample(random.fold("parameters"), signals, lengths))
        if bool((lengths == signals.shape[-1]).all()):  # no padding to give back: a pass over the batch less
            return changed
        return torch.where(length_mask(lengths, signals.shape[-1])[:, None], changed, signals)


class Compose(Augmentation):
    """Several augmentations one after the other, each with its own random numbers; `p` is that of the whole chain."""

    def __init__(self, steps: Sequence[Augmentation], p: float = 1.0) -> None:
        super().__init__(p)
        self.steps = list(steps)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """Not available: what a step draws may depend on what the step before it made."""
        raise TypeError("Compose has no parameters of its own: call it")

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Not available, see `sample`."""
        raise TypeError("Compose has no parameters of its own: call it")

    def __call__(self, signals: Tensor, lengths: Tensor, random: KeyedRandom) -> Tensor:
        """All steps in order, or none where the example's coin says so."""
        if self.p == 0.0:
            return signals
        changed = signals
        for position, step in enumerate(self.steps):
            changed = step(changed, lengths, random.fold(position))
        return changed if self.p == 1.0 else torch.where(random.fold("p").bernoulli(1, 1, p=self.p), changed, signals)


class AugmentedViews:
    """One view of the batch per augmentation; the same augmentation twice gives two different views."""

    def __init__(self, augmentations: Sequence[Augmentation]) -> None:
        self.augmentations = list(augmentations)

    def __call__(self, signals: Tensor, lengths: Tensor, random: KeyedRandom) -> list[View]:
        """Signals (B, C, T) -> views, in order."""
        return [
            View(augmentation(signals, lengths, random.fold("view", number)), lengths)
            for number, augmentation in enumerate(self.augmentations)
        ]
