"""Contrastive attraction and contrastive repulsion: far positives are pulled more, near negatives pushed more."""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor

from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, column_mask, gathered_views, reduce_rows


def expected_cost(
    costs: Tensor, sharpness: float | Tensor, *, ignore: Tensor | None = None, detach_weights: bool = False
) -> Tensor:
    """The mean of `costs` (..., K) by weights softmax(sharpness * costs), leaving out where `ignore` is True: (...)."""
    logits = sharpness * costs
    weights = (logits if ignore is None else logits.masked_fill(ignore, -torch.inf)).softmax(dim=-1)
    return ((weights.detach() if detach_weights else weights) * costs).sum(dim=-1)


@full_precision
def cacr(
    *views: Tensor,
    attraction_sharpness: float | Tensor = 1.0,
    repulsion_sharpness: float | Tensor = 2.0,
    attraction_weight: float = 1.0,
    repulsion_weight: float = 1.0,
    detach_weights: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """CACR (Zheng et al. 2021) of two or more views (B, D), L2-normalised here; the cost c is the squared distance.

    Every vector is an anchor. It is attracted by the other views of its example, weighted by softmax(+sharpness c), and repelled by
    the other examples in each other view, on all ranks, weighted by softmax(-sharpness c) within the view and averaged over views.
    The loss is the expected cost of the former less that of the latter, each times its weight; with weights of 1 it is in [-4, 4].
    Gradients run through the softmax weights unless `detach_weights` (the authors' small-scale and ImageNet codes differ in that).
    `repulsion_sharpness` is 2 in most of their settings, 0.9 in the others. A batch of one has attraction only.

    Returns:
        A scalar, or with reduction "none" this rank's losses (V B,), those of the first view first.

    Raises:
        ValueError: if there are fewer than two views.
    """
    if len(views) < 2:
        raise ValueError(f"CACR needs two views or more, got {len(views)}")
    local, everyone, own = gathered_views(*views)  # (V, b, D), (V, n, D)
    costs = 2.0 - 2.0 * torch.einsum("vbd,wbd->vbw", local, local)
    itself = torch.eye(len(views), dtype=torch.bool, device=costs.device)[:, None]
    attraction = expected_cost(costs, attraction_sharpness, ignore=itself, detach_weights=detach_weights)  # (V, b)
    rows = attraction_weight * attraction
    if everyone.shape[1] > 1:
        ignore = column_mask(own, everyone.shape[1])
        repulsion = [
            expected_cost(
                2.0 - 2.0 * local[view] @ everyone[other].T, -repulsion_sharpness, ignore=ignore, detach_weights=detach_weights
            )
            for view, other in permutations(range(len(views)), 2)  # all others of the first view, then of the second, ...
        ]
        rows = rows - repulsion_weight * torch.stack(repulsion).unflatten(0, (len(views), -1)).mean(dim=1)
    return reduce_rows(rows.flatten(), reduction)
