"""The parts of the brain module that know of heads: where sensors are, and whose head it is."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

UnseenSubject = Literal["error", "mean"]
MARGIN = 0.2  # around the unit square of sensors: the Fourier code has a period of 1 + 2 * MARGIN


def flat_positions(positions: Tensor) -> Tensor:
    """Sensors (..., 3) in metres, x to the right, y to the front, z up, as points (..., 2) of the plane.

    Azimuthal equidistant, as topographic maps are drawn: the distance from the middle is the angle from the vertex, in radians,
    seen from the origin (in the head frame of mne it lies between the ears). How large a head is does not count.
    """
    across = positions[..., :2].norm(dim=-1, keepdim=True)
    angle = torch.atan2(across, positions[..., 2:])
    return positions[..., :2] * (angle / across.clamp_min(1e-9))


def fourier_code(places: Tensor, frequencies: int) -> Tensor:
    """Points (..., 2), those of the montage within [0, 1], -> (..., 2 * frequencies^2), cosines before sines.

    cos and sin of 2 pi (k x + l y) / 1.4 for k and l of 0 to `frequencies` - 1, with x and y moved by the margin of 0.2.
    """
    steps = torch.arange(frequencies, device=places.device, dtype=places.dtype) * (2 * math.pi / (1 + 2 * MARGIN))
    x, y = (places + MARGIN).unbind(dim=-1)
    phase = (x[..., None, None] * steps[:, None] + y[..., None, None] * steps).flatten(-2)
    return torch.cat((phase.cos(), phase.sin()), dim=-1)


class SpatialAttention(nn.Module):
    """Sensors at any places, any number of them, -> `out_channels` fixed channels, each a weighted mean of the sensors.

    The weights are a softmax over the sensors of <h_o, code of the place>, with learned h_o. In training a disc of `dropout_radius`
    (in sides of the unit square) is drawn for each example and its sensors are left out, unless none would remain. It draws from
    torch's generator, as dropout layers do: seed that around the step (`antiphon.common.random.seeded_scope`; the learners do).
    """

    def __init__(self, out_channels: int = 270, *, frequencies: int = 32, dropout_radius: float = 0.2) -> None:
        super().__init__()
        if dropout_radius < 0:
            raise ValueError(f"dropout_radius is {dropout_radius}: use 0 for no spatial dropout, or a share of the montage's width")
        size = 2 * frequencies**2
        self.frequencies, self.dropout_radius = frequencies, dropout_radius
        self.heads = nn.Parameter(torch.randn(out_channels, size) / math.sqrt(size))

    def weights(self, places: Tensor, present: Tensor) -> Tensor:
        """Places (C, 2) or (B, C, 2) and which sensors are there (B, C) bool -> (B, out_channels, C)."""
        kept = present
        if self.training and self.dropout_radius > 0:
            centre = torch.rand(len(present), 1, 2, device=places.device)
            outside = (places - centre).norm(dim=-1) > self.dropout_radius
            kept = present & outside
            kept = torch.where(kept.any(dim=1, keepdim=True), kept, present)
        scores = self.heads @ fourier_code(places, self.frequencies).mT
        return scores.expand(len(present), -1, -1).masked_fill(~kept[:, None], -torch.inf).softmax(dim=-1)

    def forward(self, signals: Tensor, places: Tensor, present: Tensor) -> Tensor:
        """Signals (B, C, T) -> (B, out_channels, T)."""
        return self.weights(places, present) @ signals


class SubjectLayer(nn.Module):
    """A linear map of the channels for each participant, without bias: what differs from head to head."""

    def __init__(self, subjects: int, channels: int) -> None:
        super().__init__()
        if subjects < 1:
            raise ValueError(f"a subject layer needs at least one participant, got {subjects}")
        self.matrices = nn.Parameter(torch.randn(subjects, channels, channels) / math.sqrt(channels))

    def forward(self, signals: Tensor, subject: Tensor | None, *, unseen: UnseenSubject = "error") -> Tensor:
        """Signals (B, C, T) of participants `subject` (B,) -> (B, C, T).

        Numbers outside of 0 to subjects - 1, or None, are participants that it has never seen: an error, or the mean matrix.

        Raises:
            ValueError: an unseen participant, unless `unseen` is "mean".
        """
        if unseen not in get_args(UnseenSubject):
            raise ValueError(f"unknown unseen_subject {unseen!r}: use one of {', '.join(get_args(UnseenSubject))}")
        count = len(self.matrices)
        if subject is None:
            subject = torch.full((len(signals),), -1, device=signals.device)
        known = (subject >= 0) & (subject < count)
        chosen = self.matrices[torch.where(known, subject, 0)]
        if not bool(known.all()):
            if unseen == "error":
                strange = sorted({int(number) for number in subject[~known]})
                raise ValueError(
                    f"the subject layer knows participants 0 to {count - 1}, got {', '.join(map(str, strange))} (-1: nobody): "
                    "give context={'subject': (B,) numbers}, or set encoder.unseen_subject = 'mean' for somebody new"
                )
            chosen = torch.where(known[:, None, None], chosen, self.matrices.mean(dim=0))
        return chosen.mT @ signals
