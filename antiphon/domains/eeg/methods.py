"""Self-supervision by time (Banville et al., J. Neural Eng. 2021): which windows of a recording lie near each other?

Their CPC, which predicts windows that follow, is the core's `CPC` on an encoder whose frames are windows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from antiphon.common.augment.crops import take_windows
from antiphon.common.data.batch import View
from antiphon.common.objectives.base import Objective, ViewOutputs
from antiphon.common.random import KeyedRandom


class RelativePositionViews:
    """Three windows of `samples` from each example: an anchor, one near it, and one far from it.

    Starts lie at most `near_s` apart for the near one (and at least a window, so that the two share no sample), at least `far_s`
    for the far one. Half of the anchors have both before them, half behind. Each example gives one positive and one negative pair.

    Raises:
        ValueError: distances in the wrong order, and, when called, an example too short for them.
    """

    def __init__(self, samples: int, sample_rate: float | None = None, *, near_s: float = 10.0, far_s: float = 20.0) -> None:
        if sample_rate is None:
            raise ValueError("distances in seconds need the sampling rate: give sample_rate in Hz (views.sample_rate in a command)")
        self.samples, self.near, self.far = samples, round(near_s * sample_rate), round(far_s * sample_rate)
        self.sample_rate = sample_rate
        if not 0 < samples <= self.near <= self.far:
            raise ValueError(
                f"a window of {samples / sample_rate:g} s must not be longer than near_s={near_s:g}, nor that than far_s={far_s:g} "
                "(encoder.window, views.near_s and views.far_s in a command)"
            )

    def __call__(self, signals: Tensor, lengths: Tensor, random: KeyedRandom) -> list[View]:
        """Signals (B, C, T) -> the views anchor, near, far, each (B, C, samples)."""
        last = lengths - self.samples  # the latest start
        if bool((last < self.far).any()):
            needed, given = (self.far + self.samples) / self.sample_rate, float(lengths.min()) / self.sample_rate
            raise ValueError(
                f"examples of {given:g} s are too short for windows far_s apart: read {needed:g} s, or lower far_s "
                "(data.window_s, views.far_s in a command)"
            )
        anchor = random.integers(high=last - self.far + 1)
        far = random.integers(low=anchor + self.far, high=last + 1)
        near = anchor + random.integers(low=self.samples, high=self.near + 1)
        backwards = random.bernoulli()
        sizes = torch.full_like(lengths, self.samples)
        starts = (torch.where(backwards, last - start, start) for start in (anchor, near, far))
        return [View(take_windows(signals, start, self.samples), sizes) for start in starts]


class RelativePositioning(Objective):
    """Logistic regression on |h(a) - h(b)|: near windows against far ones, on the three views of `RelativePositionViews`.

    It is trained on the embeddings; there is no projection.
    """

    needs = ("embeddings",)

    def __init__(self, *, in_dim: int) -> None:
        super().__init__()
        self.compare = nn.Linear(in_dim, 1)

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        return self.per_example(outputs).mean()

    def per_example(self, outputs: ViewOutputs) -> Tensor:
        """The mean logistic loss of each example's two pairs, (B,)."""
        anchor, near, far = (embeddings.float() for embeddings in outputs.embeddings)
        alike, apart = (self.compare((anchor - other).abs())[:, 0] for other in (near, far))
        return (softplus(-alike) + softplus(apart)) / 2
