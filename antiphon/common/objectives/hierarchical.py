"""TS2Vec's hierarchical contrast, hard or soft."""

from __future__ import annotations

import torch
from torch import Tensor

from antiphon.common.data.loader import BatchSource
from antiphon.common.objectives.base import Objective, ViewOutputs
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.self_contrast import fused
from antiphon.common.objectives.soft import Distances, SoftTargets, gathered_pairs, instance_term, temporal_term


def _halve(pairs: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 2, T, D) -> the maximum of neighbours in time (B, 2, T // 2, D), a last odd one dropped; True where the first was it."""
    even = pairs.shape[2] // 2 * 2
    first, second = pairs[:, :, 0:even:2], pairs[:, :, 1:even:2]
    return torch.maximum(first, second), first >= second


def _add_unpooled(gradient: Tensor, pooled: Tensor, from_first: Tensor) -> None:
    """Hand the gradient of pooled frames to the frames that they came from; the first of two equal ones gets it."""
    even = 2 * pooled.shape[2]
    to_first = pooled * from_first
    gradient[:, :, 0:even:2].add_(to_first)
    gradient[:, :, 1:even:2].add_(pooled).sub_(to_first)


def _levels(
    pairs: Tensor,
    gradient: Tensor | None,
    own: slice,
    weights: Tensor | None,
    sharpness: float,
    instance_scale: float,
    temporal_scale: float,
) -> Tensor:
    """The sum over this level and all coarser ones, without autograd; adds its gradient to `gradient`."""
    total = instance_term(pairs, gradient, weights, instance_scale)
    if pairs.shape[2] == 1:
        return total
    total = total + temporal_term(pairs[own], None if gradient is None else gradient[own], sharpness, temporal_scale)
    pooled, from_first = _halve(pairs)
    pooled_gradient = None if gradient is None else pooled.new_zeros(pooled.shape)
    total = total + _levels(pooled, pooled_gradient, own, weights, 2.0 * sharpness, instance_scale, temporal_scale)
    if gradient is not None and pooled_gradient is not None:
        _add_unpooled(gradient, pooled_gradient, from_first)
    return total


@full_precision
def hierarchical(
    frames_a: Tensor,
    frames_b: Tensor,
    *,
    instance_weights: Tensor | None = None,
    temporal_sharpness: float | None = None,
    instance_share: float = 0.5,
) -> Tensor:
    """Instance and temporal contrast at every time scale (TS2Vec, Yue et al., AAAI 2022; soft: SoftCLT, Lee et al., ICLR 2024).

    Frames (B, T, D) of the part that two views share are contrasted, then max-pooled by 2 along time and contrasted again until
    one frame is left, where only the instance term remains; the result is the mean over levels. Temporal sharpness doubles with
    each pooling, so that weights depend on the gap in original time stamps.

    Args:
        frames_a: (B, T, D).
        frames_b: (B, T, D).
        instance_weights: (B, B) from `soft_instance_weights`, B counting the examples of all ranks in rank order; None: hard.
        temporal_sharpness: tau_T of SoftCLT; None or 0: hard.
        instance_share: weight of the instance term, the temporal one has the rest; 0 is temporal only (anomaly detection).

    A batch of one has no instance term. Across ranks examples are contrasted with those of all ranks, whose frames must be of one
    length.
    """
    everyone, own, share = gathered_pairs(frames_a, frames_b)
    levels = everyone.shape[2].bit_length()  # 1 + floor(log2(T))
    scales = instance_share / levels, share * (1.0 - instance_share) / levels
    return fused(
        everyone, lambda pairs, gradient: _levels(pairs, gradient, own, instance_weights, temporal_sharpness or 0.0, *scales)
    )


class Hierarchical(Objective):
    """`hierarchical` on the frames of two views.

    `distances` maps a batch's rows in the training set (B,) to normalised distances (B, B), for soft instance weights of sharpness
    `instance_sharpness` (tau_I); None or 0 is the hard loss. `temporal_sharpness` is tau_T.
    """

    needs = ("frames",)

    def __init__(
        self,
        *,
        distances: Distances | None = None,
        instance_sharpness: float | None = None,
        temporal_sharpness: float | None = None,
        instance_share: float = 0.5,
    ) -> None:
        super().__init__()
        self.targets = SoftTargets(distances, instance_sharpness, temporal_sharpness, instance_share)

    def prepare(self, train: BatchSource) -> None:
        """Compute the distances between the training series."""
        self.targets.prepare(train)

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        first, second = outputs.frames
        return hierarchical(
            first,
            second,
            instance_weights=self.targets.instance_weights(outputs.index, first),
            temporal_sharpness=self.targets.temporal_sharpness,
            instance_share=self.targets.instance_share,
        )
