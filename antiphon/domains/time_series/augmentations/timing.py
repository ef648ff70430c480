"""Time warped, cut into pieces, or zoomed into; all channels of an example alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from antiphon.common.augment.base import Augmentation, Parameters, checked_interval, checked_number
from antiphon.common.augment.shift import take_times
from antiphon.common.data.batch import length_mask
from antiphon.common.random import KeyedRandom
from antiphon.domains.time_series.augmentations.splines import smooth_curve


def interpolate(signals: Tensor, places: Tensor) -> Tensor:
    """Signals (B, C, T) at the fractional samples `places` (B, S), linearly between neighbours: (B, C, S).

    Exactly on a sample only that sample counts, so a missing neighbour does no harm.
    """
    left = take_times(signals, places.floor().long())
    right = take_times(signals, places.ceil().long())
    return left + (right - left) * places.frac().to(signals.dtype)[:, None]


class TimeWarp(Augmentation):
    """Run faster here and slower there (after Um et al. 2017): the speed is a smooth random curve, both ends stay in place.

    The logarithm of the speed is a cubic spline through `knots` + 2 values from N(0, `std`^2), so time never runs backwards.
    """

    def __init__(self, std: float = 0.2, knots: int = 4, *, p: float = 1.0) -> None:
        super().__init__(p)
        self.std = checked_number("std", std, least=0.0)
        self.knots = int(checked_number("knots", knots, least=0))

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`log_speed` (B, 1, knots + 2), at the knots."""
        return {"log_speed": random.normal(1, self.knots + 2, std=self.std)}

    def places(self, log_speed: Tensor, lengths: Tensor, size: int) -> Tensor:
        """Where each of `size` samples is read, (B, size) float64: increasing from 0 to length - 1."""
        speed = smooth_curve(log_speed.double(), lengths, size)[:, 0].exp()
        steps = (speed[:, 1:] + speed[:, :-1]) / 2.0
        travelled = torch.cat((torch.zeros_like(speed[:, :1]), steps.cumsum(dim=1)), dim=1)
        last = (lengths[:, None] - 1).clamp(min=0)
        whole = travelled.gather(1, last)
        return (travelled / whole.clamp(min=torch.finfo(whole.dtype).tiny)).clamp(max=1.0) * last

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) read at the warped places."""
        return interpolate(signals, self.places(parameters["log_speed"], lengths, signals.shape[-1]))


class WindowSlice(Augmentation):
    """Cut out a random window, a fraction of the example's length uniform in `fraction`, and stretch it to the whole length."""

    def __init__(self, fraction: Sequence[float] = (0.8, 1.0), *, p: float = 1.0) -> None:
        super().__init__(p)
        self.fraction = checked_interval("fraction", fraction, least=0.0, most=1.0)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`fraction` (B, 1) of the length, and `start` (B, 1), from 0 (leftmost possible) to 1 (rightmost)."""
        low, high = self.fraction
        return {"fraction": random.uniform(1, low=low, high=high), "start": random.uniform(1)}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) read from the window."""
        last = (lengths[:, None] - 1).clamp(min=0)
        fraction, start = parameters["fraction"].double(), parameters["start"].double()
        times = torch.arange(signals.shape[-1], device=signals.device).minimum(last)
        return interpolate(signals, ((1.0 - fraction) * start * last + fraction * times).minimum(last.double()))


class Permutation(Augmentation):
    """Cut an example into k segments of random lengths and put them in random order; k is uniform in `segments`, ends included.

    The k - 1 cuts are distinct and uniform over the example. (2, 8) is the strong view of DBPM before its jitter; that of TS-TCC
    with a max_seg of 8 is (1, 7). An example of fewer than k samples is cut into single samples.
    """

    def __init__(self, segments: Sequence[int] = (2, 8), *, p: float = 1.0) -> None:
        super().__init__(p)
        low, high = checked_interval("segments", segments, least=1)
        self.segments = int(low), int(high)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`ends` (B, k_max) int64: where each segment ends, repeating the length past the last; `order` (B, k_max) int64."""
        low, high = self.segments
        size = signals.shape[-1]
        wanted = random.integers(1, low=low, high=high + 1)
        times = torch.arange(size, device=signals.device)
        # The k - 1 smallest of one draw for each inner position are k - 1 distinct positions, uniform.
        draws = random.uniform(size).masked_fill((times == 0) | (times >= lengths[:, None]), math.inf)
        smallest, cuts = draws.topk(min(high - 1, size), largest=False, sorted=True)
        unused = smallest.isinf() | (torch.arange(cuts.shape[1], device=signals.device) >= wanted - 1)
        ends = torch.where(unused, lengths[:, None], cuts).sort(dim=1).values
        return {"ends": torch.cat((ends, lengths[:, None]), dim=1), "order": random.permutation(ends.shape[1] + 1)}

    def source(self, ends: Tensor, order: Tensor, lengths: Tensor, size: int) -> Tensor:
        """The sample that each of `size` positions is taken from, (B, size) int64."""
        starts = torch.cat((torch.zeros_like(ends[:, :1]), ends[:, :-1]), dim=1)
        widths = (ends - starts).gather(1, order)  # in the new order, some of them 0
        new_ends = widths.cumsum(dim=1)
        moved_by = starts.gather(1, order) - (new_ends - widths)
        times = torch.arange(size, device=ends.device).expand(len(ends), -1)
        segment = torch.searchsorted(new_ends, times.contiguous(), right=True).clamp(max=ends.shape[1] - 1)
        return torch.where(length_mask(lengths, size), times + moved_by.gather(1, segment), times)

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) with their segments in the new order."""
        return take_times(signals, self.source(parameters["ends"], parameters["order"], lengths, signals.shape[-1]))
