"""SoftCLT: contrast across examples and across time with soft positives (Lee et al., ICLR 2024); hard weights give TS2Vec's terms.

Similarities are plain dot products, without temperature or normalisation, and target weights are not renormalised, as in the
authors' code. The terms are `info_nce` with frames as anchors, in a form that is several times faster (`self_contrast`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from antiphon.common.data.loader import BatchSource
from antiphon.common.distributed import first_row, gather, row_counts, world_size
from antiphon.common.objectives.base import Objective, ViewOutputs
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.self_contrast import fused, repel

Distances = Callable[[Tensor], Tensor]
_NEGLIGIBLE = 1e-6  # temporal weights below this are set to 0


def soft_instance_weights(distances: Tensor, *, sharpness: float, upper_bound: float = 0.5) -> Tensor:
    """Distances (B, B) between series, normalised to [0, 1] -> how much each is a positive of each other, (B, B).

    ``2 upper_bound sigmoid(-sharpness * distance)`` off the diagonal; the other view of the same series weighs 1.
    """
    if distances.ndim != 2 or distances.shape[0] != distances.shape[1]:
        raise ValueError(f"distances must be square (batch, batch), got {tuple(distances.shape)}")
    weights = torch.sigmoid(distances * -sharpness) * (2.0 * upper_bound)
    return weights.fill_diagonal_(1.0)


def soft_temporal_weights(
    length: int, *, sharpness: float, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """How much time stamps are positives of each other, (length, length).

    ``2 sigmoid(-sharpness |t - t'|)``, with weights below 1e-6 cut to 0.
    """
    steps = torch.arange(length, device=device, dtype=dtype)
    by_gap = torch.sigmoid(steps * -sharpness) * 2.0
    by_gap = by_gap.masked_fill(by_gap < _NEGLIGIBLE, 0.0)
    return by_gap[(steps[:, None] - steps).abs().long()]


def stack_views(frames_a: Tensor, frames_b: Tensor) -> Tensor:
    """Frames of two views, each (B, T, D) -> (B, 2, T, D), the layout from which both terms are cut without copying."""
    if frames_a.ndim != 3 or frames_a.shape != frames_b.shape:
        shapes = f"{tuple(frames_a.shape)} and {tuple(frames_b.shape)}"
        raise ValueError(f"frames of two views must both be (batch, time, dim), got {shapes}")
    return torch.stack((frames_a, frames_b), dim=1)


def gathered_pairs(frames_a: Tensor, frames_b: Tensor) -> tuple[Tensor, slice, float]:
    """Stacked views (n, 2, T, D) of all ranks, which of the rows are this rank's, and its share of them times the number of ranks.

    The instance term is taken over all rows on every rank, the temporal one over the rank's own and weighted by the share, so that
    the mean over ranks is the loss of all examples.

    Raises:
        ValueError: on every rank, if ranks hold frames of different lengths.
    """
    pairs = stack_views(frames_a, frames_b)
    if world_size() == 1:
        return pairs, slice(None), 1.0
    times = row_counts(pairs.shape[2], device=pairs.device)
    if len(set(times)) > 1:
        raise ValueError(
            f"processes hold {times} time stamps, but examples are contrasted time stamp by time stamp: use series of one length "
            "or one process"
        )
    counts = row_counts(len(pairs), device=pairs.device)
    start = first_row(counts)
    own = slice(start, start + len(pairs))
    return gather(pairs, counts=counts), own, world_size() * len(pairs) / sum(counts)


def _attract(pairs: Tensor, pull: Tensor | None, gradient: Tensor | None, scale: float) -> Tensor:
    """The numerators of a contrast: ``sum_j y_ij z_i.z_j`` for every frame, (B, 2, T).

    `pull` (B, 2, T, D) is ``sum_j y_ij z_j`` for symmetric target weights y; None: the same frame in the other view. Takes `scale`
    times the gradient of their sum off `gradient`.
    """
    if pull is None:
        first, second = pairs.unbind(dim=1)
        if gradient is not None:
            gradient[:, 0].sub_(second, alpha=2.0 * scale)
            gradient[:, 1].sub_(first, alpha=2.0 * scale)
        return (first * second).sum(dim=-1).unsqueeze(1).expand(-1, 2, -1)
    if gradient is not None:
        gradient.sub_(pull, alpha=2.0 * scale)
    return (pairs * pull).sum(dim=-1)


def instance_term(pairs: Tensor, gradient: Tensor | None, weights: Tensor | None, scale: float) -> Tensor:
    """`scale` times `softclt_instance` on stacked views (B, 2, T, D), without autograd; adds its gradient to `gradient`."""
    batch, views, time, dim = pairs.shape
    if batch == 1 or scale == 0.0:
        return pairs.new_zeros(())
    scale = scale / (views * batch * time)
    row_weights, pull = None, None
    if weights is not None:
        if weights.shape != (batch, batch):
            raise ValueError(f"instance weights must be ({batch}, {batch}) for a batch of {batch}, got {tuple(weights.shape)}")
        own = weights.diagonal()
        row_weights = (2.0 * weights.sum(dim=1) - own).repeat_interleave(views)
        symmetric = (weights + weights.T) / 2.0  # the sum over anchors sees no other part
        pull = (symmetric @ pairs.sum(dim=1).flatten(1)).view(batch, 1, time, dim) - own.view(-1, 1, 1, 1) * pairs

    def by_time(tensor: Tensor) -> Tensor:
        return tensor.flatten(0, 1).transpose(0, 1)  # (B, 2, T, ...) -> (T, 2B, ...)

    attraction = by_time(_attract(pairs, pull, gradient, scale))
    repulsion = repel(by_time(pairs), row_weights, None if gradient is None else by_time(gradient), scale)
    return (repulsion - attraction).sum() * scale


def temporal_term(pairs: Tensor, gradient: Tensor | None, sharpness: float | None, scale: float) -> Tensor:
    """`scale` times `softclt_temporal` on stacked views (B, 2, T, D), without autograd; adds its gradient to `gradient`."""
    batch, views, time, _ = pairs.shape
    if time == 1 or scale == 0.0:
        return pairs.new_zeros(())
    scale = scale / (views * batch * time)
    row_weights, pull = None, None
    if sharpness:
        weights = soft_temporal_weights(time, sharpness=sharpness, device=pairs.device, dtype=pairs.dtype)
        row_weights = (2.0 * weights.sum(dim=1) - 1.0).repeat(views)
        pull = (weights @ pairs.sum(dim=1)).unsqueeze(1) - pairs
    attraction = _attract(pairs, pull, gradient, scale).flatten(1, 2)
    repulsion = repel(pairs.flatten(1, 2), row_weights, None if gradient is None else gradient.flatten(1, 2), scale)
    return (repulsion - attraction).sum() * scale


@full_precision
def softclt_instance(frames_a: Tensor, frames_b: Tensor, weights: Tensor | None = None) -> Tensor:
    """Contrast of examples at each time stamp: an anchor's candidates are the 2B - 1 other frames of its time stamp.

    `frames_a`, `frames_b` (B, T, D); `weights` (B, B) from `soft_instance_weights`, row i for anchor i, applied to both views of
    the other example; None: only the other view of the same example is positive (TS2Vec). Returns the mean over the 2BT anchors;
    a batch of one gives 0. Across ranks B counts the examples of all, in rank order, and every rank returns the same.
    """
    everyone, _, _ = gathered_pairs(frames_a, frames_b)
    return fused(everyone, lambda pairs, gradient: instance_term(pairs, gradient, weights, 1.0))


@full_precision
def softclt_temporal(frames_a: Tensor, frames_b: Tensor, *, sharpness: float | None = None) -> Tensor:
    """Contrast of time stamps in each example: an anchor's candidates are the 2T - 1 other frames of its two views.

    `frames_a`, `frames_b` (B, T, D); `sharpness` as in `soft_temporal_weights`; None or 0: only the same time stamp in the other
    view is positive (TS2Vec). Returns the mean over the 2BT anchors; one time stamp gives 0. Across ranks it is this rank's share.
    """
    pairs = stack_views(frames_a, frames_b)
    share = world_size() * len(pairs) / sum(row_counts(len(pairs), device=pairs.device))
    return fused(pairs, lambda pairs, gradient: temporal_term(pairs, gradient, sharpness, share))


@full_precision
def softclt(
    frames_a: Tensor,
    frames_b: Tensor,
    *,
    instance_weights: Tensor | None = None,
    temporal_sharpness: float | None = None,
    instance_share: float = 0.5,
) -> Tensor:
    """``instance_share * softclt_instance + (1 - instance_share) * softclt_temporal`` on frames (B, T, D) of two views.

    Across ranks `instance_weights` are those of all ranks' examples, in rank order.
    """
    everyone, own, share = gathered_pairs(frames_a, frames_b)

    def evaluate(pairs: Tensor, gradient: Tensor | None) -> Tensor:
        instance = instance_term(pairs, gradient, instance_weights, instance_share)
        owned = None if gradient is None else gradient[own]
        return instance + temporal_term(pairs[own], owned, temporal_sharpness, share * (1.0 - instance_share))

    return fused(everyone, evaluate)


class SoftTargets:
    """Where an objective's soft weights come from.

    `distances` maps a batch's rows in the training set (B,) to normalised distances (B, B) between their series.
    `instance_sharpness` (tau_I) and `temporal_sharpness` (tau_T): None or 0 is the hard loss.
    """

    def __init__(
        self, distances: Distances | None, instance_sharpness: float | None, temporal_sharpness: float | None, instance_share: float
    ) -> None:
        if instance_sharpness and distances is None:
            raise ValueError(
                f"instance_sharpness is {instance_sharpness} but there are no distances: pass distances=..., "
                "or instance_sharpness=None for the hard loss"
            )
        if not 0.0 <= instance_share <= 1.0:
            raise ValueError(f"instance_share is {instance_share}: use a value between 0 (temporal only) and 1 (instance only)")
        self.distances = distances
        self.instance_sharpness = instance_sharpness
        self.temporal_sharpness = temporal_sharpness
        self.instance_share = instance_share

    def prepare(self, train: BatchSource) -> None:
        """Let `distances` look at the training set, if it has not been made from one already."""
        prepare = getattr(self.distances, "prepare", None)
        if self.instance_sharpness and prepare is not None:
            prepare(train)

    def instance_weights(self, index: Tensor, like: Tensor) -> Tensor | None:
        """Weights (n, n) for the examples `index` (B,) of all ranks, on the device and in the dtype of `like`; None: hard."""
        if not self.instance_sharpness or self.distances is None or self.instance_share == 0.0:
            return None
        distances = self.distances(gather(index, with_grad=False)).to(
            device=like.device, dtype=torch.promote_types(like.dtype, torch.float32)
        )
        return soft_instance_weights(distances, sharpness=self.instance_sharpness)


class StageSoftContrast(Objective):
    """SoftCLT as an auxiliary loss on intermediate maps: both terms after every stage of the encoder, summed.

    The temporal sharpness doubles from stage to stage, since each halves the time axis; `weight` multiplies the sum (the authors'
    lambda_aux, 0.5).
    """

    needs = ("stages",)

    def __init__(
        self,
        *,
        distances: Distances | None = None,
        instance_sharpness: float | None = None,
        temporal_sharpness: float | None = None,
        instance_share: float = 0.5,
        weight: float = 0.5,
    ) -> None:
        super().__init__()
        self.targets = SoftTargets(distances, instance_sharpness, temporal_sharpness, instance_share)
        self.weight = weight

    def prepare(self, train: BatchSource) -> None:
        """Compute the distances between the training series."""
        self.targets.prepare(train)

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        first, second = outputs.stages
        weights = self.targets.instance_weights(outputs.index, first[0])
        terms = [
            softclt(
                a,
                b,
                instance_weights=weights,
                temporal_sharpness=(self.targets.temporal_sharpness or 0.0) * 2.0**depth,
                instance_share=self.targets.instance_share,
            )
            for depth, (a, b) in enumerate(zip(first, second, strict=True))
        ]
        return self.weight * torch.stack(terms).sum()
