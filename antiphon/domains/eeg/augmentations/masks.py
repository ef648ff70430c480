"""A span of time faded out on all channels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from antiphon.common.augment.base import Augmentation, Parameters, checked_interval, checked_number
from antiphon.common.random import KeyedRandom


class SmoothTimeMask(Augmentation):
    """Fade a random span out and in again, on all channels (Mohsenvand et al., 2020).

    The span's duration is drawn uniformly from `duration_s`, in seconds, its place uniformly inside the example. The edges are
    logistic curves of time constant `edge_s`: at the border of the span half of the amplitude is left. (braindecode's mask has a
    time constant of a thousandth of the window.) A span of the core's `TimeMask` has hard edges, which are broadband clicks.
    """

    def __init__(
        self, duration_s: Sequence[float] = (0.1, 0.4), *, sample_rate: float, edge_s: float = 0.004, p: float = 1.0
    ) -> None:
        super().__init__(p)
        self.duration_s = checked_interval("duration_s", duration_s, least=0.0)
        self.edge_s = checked_number("edge_s", edge_s, least=1e-9)
        self.sample_rate = sample_rate

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`start_s` and `duration_s`, each (B,); a span is at most as long as its example."""
        whole = lengths / self.sample_rate
        duration = random.uniform(low=self.duration_s[0], high=self.duration_s[1]).minimum(whole)
        return {"duration_s": duration, "start_s": random.uniform() * (whole - duration)}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) times one minus the span."""
        times = torch.arange(signals.shape[-1], device=signals.device) / self.sample_rate
        start, duration = parameters["start_s"][:, None], parameters["duration_s"][:, None]
        kept = torch.sigmoid((start - times) / self.edge_s) + torch.sigmoid((times - start - duration) / self.edge_s)
        return signals * kept.clamp(max=1.0)[:, None].to(signals.dtype)
