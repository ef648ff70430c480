"""Losses of any number of views at once: all pairs of views of an example in one logarithm, or alignment apart from uniformity."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from antiphon.common.distributed import world_size
from antiphon.common.objectives.denominators import log_denominators
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, gathered_views, reduce_rows

Energy = Literal["all", "cross"]


def _check(views: tuple[Tensor, ...]) -> None:
    if len(views) < 2:
        raise ValueError(f"a multi-view objective needs two views or more, got {len(views)}")


def _alignment(local: Tensor, temperature: float | Tensor) -> Tensor:
    """Unit views (V, B, D) -> (B,): the logarithm of the sum over unordered pairs of views of exp(cosine / temperature)."""
    first, second = torch.triu_indices(len(local), len(local), offset=1, device=local.device).unbind()
    cosines = torch.einsum("vbd,wbd->vwb", local, local)[first, second]  # (pairs, B)
    return (cosines / temperature).logsumexp(dim=0)


def _spread(local: Tensor, everyone: Tensor, own: Tensor, temperature: float | Tensor, tiled: bool) -> Tensor:
    """Logarithm of each anchor's energy among the other examples of its own view, (V, B)."""
    pairs = [(rows, rows if world_size() == 1 else others) for rows, others in zip(local, everyone, strict=True)]
    itself = own.unsqueeze(-1)
    return torch.stack([log_denominators(*pair, itself, temperature=temperature, tiled=tiled) for pair in pairs])


@full_precision
def mv_dhel(*views: Tensor, temperature: float | Tensor = 0.5, tiled: bool = False, reduction: Reduction = "mean") -> Tensor:
    """MV-DHEL (Koromilas et al., 2025): one alignment term an example, one uniformity term a view.

    ``L_i = sum_l log sum_{j != i} exp(x_li . x_lj / t) - log sum_{l < m} exp(x_li . x_mi / t)`` over views l, m and examples j. The
    views (B, D), two or more, are L2-normalised here. Where paper and released code differ (the paper's formula counts every pair
    of views twice, a constant log 2, and an anchor as its own negative) this follows the code; the product of energies is taken
    as a sum of logarithms. A batch of one has no negative: loss 0. Time and memory: V b n similarities.

    Returns:
        A scalar, or with reduction "none" this rank's losses (B,).
    """
    _check(views)
    local, everyone, own = gathered_views(*views)
    if everyone.shape[1] == 1:
        return reduce_rows(0.0 * local.sum(dim=(0, 2)), reduction)
    rows = _spread(local, everyone, own, temperature, tiled).sum(dim=0) - _alignment(local, temperature)
    return reduce_rows(rows, reduction)


@full_precision
def dhel(
    view_a: Tensor,
    view_b: Tensor,
    *,
    temperature: float | Tensor = 0.3,
    both_spread: bool = True,
    tiled: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """DHEL (Koromilas et al., ICML 2024): NT-Xent whose negatives are of the anchor's own view, with the positive left out.

    ``L_i = -a_i . b_i / t + log sum_{j != i} exp(a_i . a_j / t) + log sum_{j != i} exp(b_i . b_j / t)``; without `both_spread` the
    last term is dropped. The pull on a pair does not depend on its negatives. Otherwise as `mv_dhel`, which it equals on two views.
    """
    if both_spread:
        return mv_dhel(view_a, view_b, temperature=temperature, tiled=tiled, reduction=reduction)
    local, everyone, own = gathered_views(view_a, view_b)
    if everyone.shape[1] == 1:
        return reduce_rows(0.0 * local.sum(dim=(0, 2)), reduction)
    rows = _spread(local[:1], everyone[:1], own, temperature, tiled)[0] - _alignment(local, temperature)
    return reduce_rows(rows, reduction)


@full_precision
def mv_info_nce(
    *views: Tensor,
    temperature: float | Tensor = 0.5,
    energy: Energy = "all",
    tiled: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """MV-InfoNCE (Koromilas et al., 2025): one logarithm for all pairs of views of an example.

    ``L_i = log sum_l E_li - log sum_{l != m} exp(x_li . x_mi / t)``, where E_li sums exp(x_li . x_mj / t) over every other vector
    of the batch (``energy="all"``, the released code) or over those of the other views (``energy="cross"``, the formula of the
    authors' page, sign corrected). The views (B, D), two or more, are L2-normalised here. On two views it is at least NT-Xent,
    and equal where both anchors of an example have the same energy. Time and memory: (V b) (V n) similarities for b of n rows.

    Returns:
        A scalar, or with reduction "none" this rank's losses (B,).
    """
    _check(views)
    if energy not in ("all", "cross"):
        raise ValueError(f"energy is {energy!r}: use 'all' or 'cross'")
    local, everyone, own = gathered_views(*views)
    if energy == "all":
        anchors, count = local.flatten(0, 1), everyone.shape[1]
        itself = torch.cat([own + view * count for view in range(len(views))]).unsqueeze(-1)
        candidates = anchors if world_size() == 1 else everyone.flatten(0, 1)
        energies = log_denominators(anchors, candidates, itself, temperature=temperature, tiled=tiled)
        energies = energies.view(len(views), -1)  # (V, B)
    else:
        others = [torch.cat([*everyone[:view], *everyone[view + 1 :]]) for view in range(len(views))]
        pairs = zip(local, others, strict=True)
        energies = torch.stack([log_denominators(*pair, temperature=temperature, tiled=tiled) for pair in pairs])
    pull = _alignment(local, temperature) + math.log(2.0)  # every pair of views in both orders
    return reduce_rows(energies.logsumexp(dim=0) - pull, reduction)
