"""Spans of time, or of neighbouring channels, set to zero."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from antiphon.common.augment.base import Augmentation, Parameters, checked_interval, checked_number
from antiphon.common.random import KeyedRandom


def inside_spans(starts: Tensor, widths: Tensor, size: int) -> Tensor:
    """(B, size) bool, True inside any of an example's spans: `starts` and `widths` are (B, spans) int64, in samples."""
    # +1 where a span begins and -1 where it ends: the running sum counts the spans that cover a position.
    edges = torch.zeros(len(starts), size + 1, dtype=torch.int32, device=starts.device)
    edges.scatter_add_(1, starts.clamp(max=size), torch.ones_like(starts, dtype=torch.int32))
    edges.scatter_add_(1, (starts + widths).clamp(max=size), -torch.ones_like(starts, dtype=torch.int32))
    return edges[:, :size].cumsum(dim=1) > 0


class TimeMask(Augmentation):
    """Set `spans` random spans to zero on all channels; each is a fraction of the example's length drawn uniformly from `fraction`.

    Spans lie fully inside the example and may overlap each other.
    """

    def __init__(self, spans: int = 1, fraction: Sequence[float] = (0.0, 0.1), *, p: float = 1.0) -> None:
        super().__init__(p)
        self.spans = int(checked_number("spans", spans, least=1))
        self.fraction = checked_interval("fraction", fraction, least=0.0, most=1.0)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`starts` and `widths`, each (B, spans) int64 in samples."""
        low, high = self.fraction
        widths = (random.uniform(self.spans, low=low, high=high) * lengths[:, None]).round().long()
        return {"starts": random.integers(self.spans, high=lengths[:, None] - widths + 1), "widths": widths}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) with zeros in the spans; a missing value in a span stays missing."""
        hidden = inside_spans(parameters["starts"], parameters["widths"], signals.shape[-1])[:, None]
        return torch.where(hidden & ~signals.isnan(), 0.0, signals)


class FrequencyMask(Augmentation):
    """Set `spans` random spans of neighbouring channels to zero, each a fraction of all channels drawn uniformly from `fraction`.

    For signals whose channels are the bands of a spectrogram: with `TimeMask` it is SpecAugment (Park et al. 2019). What takes a
    band out of waves is `filters.BandStop`.
    """

    def __init__(self, spans: int = 1, fraction: Sequence[float] = (0.0, 0.2), *, p: float = 1.0) -> None:
        super().__init__(p)
        self.spans = int(checked_number("spans", spans, least=1))
        self.fraction = checked_interval("fraction", fraction, least=0.0, most=1.0)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`starts` and `widths`, each (B, spans) int64 in channels."""
        low, high = self.fraction
        widths = (random.uniform(self.spans, low=low, high=high) * signals.shape[1]).round().long()
        return {"starts": random.integers(self.spans, high=signals.shape[1] - widths + 1), "widths": widths}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) with zeros in the spans; a missing value in a span stays missing."""
        hidden = inside_spans(parameters["starts"], parameters["widths"], signals.shape[1])[..., None]
        return torch.where(hidden & ~signals.isnan(), 0.0, signals)
