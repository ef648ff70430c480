"""Alignment and uniformity: positives close together, everything else spread over the sphere.

The metrics of the same names in `antiphon.common.evaluation` work on arrays of any size without gradient, and never talk to
other processes.
"""

from __future__ import annotations

import math
from itertools import combinations

import torch
from torch import Tensor

from antiphon.common.distributed import gather, world_size
from antiphon.common.objectives.denominators import log_denominators
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, gathered_views, reduce_rows


def _distances(first: Tensor, second: Tensor, alpha: float) -> Tensor:
    if alpha < 1.0:
        raise ValueError(f"alpha is {alpha}: use 1 or more, since the gradient of equal views is infinite below")
    return (first - second).norm(dim=-1).pow(alpha)


def _log_mean_potential(anchors: Tensor, candidates: Tensor, own: Tensor, t: float, tiled: bool) -> Tensor:
    """The log of the mean of exp(-t d_ij^2) over all ranks' anchors i and candidates j != i, those at `own` (B,).

    On the sphere -t d^2 = 2t (s - 1), so an anchor's sum is the denominator of a softmax: no square root, whose gradient is
    undefined for equal vectors.
    """
    count = len(candidates)
    if count < 2:
        return 0.0 * anchors.sum()
    potentials = log_denominators(anchors, candidates, own.unsqueeze(-1), temperature=0.5 / t, tiled=tiled) - 2.0 * t
    return gather(potentials).logsumexp(dim=0) - math.log(count * (count - 1))


@full_precision
def alignment(first: Tensor, second: Tensor, *, alpha: float = 2.0, reduction: Reduction = "mean") -> Tensor:
    """Mean distance of positives to the power `alpha` (Wang & Isola, ICML 2020), rows (B, D) L2-normalised here; 0 is perfect.

    Returns:
        A scalar, or with reduction "none" this rank's distances (B,).

    Raises:
        ValueError: if `alpha` is below 1 or the shapes differ.
    """
    local, _, _ = gathered_views(first, second)
    return reduce_rows(_distances(local[0], local[1], alpha), reduction)


@full_precision
def uniformity(embeddings: Tensor, *, t: float = 2.0, tiled: bool = False) -> Tensor:
    """The log of mean exp(-t d^2) over pairs of different rows of (B, D) on all ranks (Wang & Isola, ICML 2020).

    Rows are L2-normalised here. 0 if all are equal, lower the more evenly they cover the sphere, never below -4t; a single row
    gives 0. `tiled` never holds the similarities.
    """
    local, everyone, own = gathered_views(embeddings)
    return _spread(local[0], everyone[0], own, t, tiled)


def _spread(rows: Tensor, everyone: Tensor, own: Tensor, t: float, tiled: bool) -> Tensor:
    """Uniformity of one view; on one process its rows are everyone, and the very same tensor needs half of the tiles."""
    return _log_mean_potential(rows, rows if world_size() == 1 else everyone, own, t, tiled)


@full_precision
def cross_uniformity(first: Tensor, second: Tensor, *, t: float = 2.0, tiled: bool = False) -> Tensor:
    """The log of mean exp(-t d^2) between rows of `first` and of `second` that are no pair, (B, D) each, L2-normalised here.

    It spreads the two modalities over one another instead of over a cone each (Fahim et al., 2024). A single pair gives 0.
    """
    local, everyone, own = gathered_views(first, second)
    return _log_mean_potential(local[0], everyone[1], own, t, tiled)


@full_precision
def align_uniform(
    *views: Tensor,
    alpha: float = 2.0,
    t: float = 2.0,
    alignment_weight: float = 1.0,
    uniformity_weight: float = 1.0,
    cross_weight: float = 0.0,
    tiled: bool = False,
) -> Tensor:
    """A weighted sum of the mean alignment of pairs of views, the mean uniformity of views, and cross-modal uniformity of pairs.

    Two views or more, (B, D) each, L2-normalised here. With the default weights it is the loss of Wang & Isola (ICML 2020); added
    to CLIP with all weights 1 it closes the gap between modalities (Fahim et al., 2024; the paper's weights are not confirmed).
    A weight of 0 skips its term. All ranks' rows count. `tiled` never holds the similarities.

    Raises:
        ValueError: if there are fewer than two views, shapes differ, or `alpha` is below 1.
    """
    if len(views) < 2:
        raise ValueError(f"alignment is defined on pairs of views, got {len(views)}: pass two or more")
    local, everyone, own = gathered_views(*views)
    pairs = list(combinations(range(len(views)), 2))
    loss = local.new_zeros(())
    if alignment_weight:
        rows = torch.stack([_distances(local[i], local[j], alpha) for i, j in pairs])
        loss = loss + alignment_weight * reduce_rows(rows, "mean")
    if uniformity_weight:
        each = [_spread(rows, others, own, t, tiled) for rows, others in zip(local, everyone, strict=True)]
        loss = loss + uniformity_weight * torch.stack(each).mean()
    if cross_weight:
        each = [_log_mean_potential(local[i], everyone[j], own, t, tiled) for i, j in pairs]
        loss = loss + cross_weight * torch.stack(each).mean()
    return loss
