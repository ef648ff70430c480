"""Contrast against negatives that are really negative, and hard: debiased contrastive loss and HCL."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.distributed import row_counts
from antiphon.common.objectives.info_nce import dcl
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, reduce_rows


def _log_less(log_value: Tensor, subtracted: float) -> Tensor:
    """log(exp(log_value) - subtracted), -inf (and no gradient) where nothing is left."""
    log_subtracted = math.log(subtracted) if subtracted > 0.0 else -math.inf
    left = log_value > log_subtracted
    gap = torch.where(left, log_subtracted - log_value, -1.0)
    return torch.where(left, log_value + (-torch.expm1(gap)).log(), -torch.inf)


@full_precision
def hcl(
    view_a: Tensor,
    view_b: Tensor,
    *,
    temperature: float | Tensor = 0.5,
    positive_prior: float = 0.1,
    hardness: float = 1.0,
    tiled: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """Hard negatives, debiased (HCL, Robinson et al., ICLR 2021); with hardness 0 the debiased loss (Chuang et al., NeurIPS 2020).

    With p = exp(positive / t) and n_k = exp(similarity / t) for the N = 2B - 2 negatives of an anchor,
    ``-log p / (p + G)`` where ``G = max((R - prior N p) / (1 - prior), N exp(-1 / t))`` and
    ``R = sum_k n_k n_k^hardness / mean_k n_k^hardness``: near negatives count more, and a share `positive_prior` of the negatives
    is taken to be of the anchor's own class. Where the floor holds, the negatives get no gradient. The gradient runs through
    n_k^hardness, as in the authors' code. Prior 0 and hardness 0 is NT-Xent.

    Views (B, D) and (B, D) are L2-normalised here; across ranks the negatives come from everywhere. A batch of one gives 0.
    `tiled` never holds the similarities.

    Returns:
        A scalar, or with reduction "none" this rank's losses (2B,), those of `view_a` first.

    Raises:
        ValueError: if `positive_prior` is not in [0, 1) or `hardness` is negative.
    """
    if not 0.0 <= positive_prior < 1.0 or hardness < 0.0:
        raise ValueError(f"positive_prior is {positive_prior} and hardness {hardness}: use a prior in [0, 1) and a hardness >= 0")
    count = 2 * sum(row_counts(len(view_a), device=view_a.device)) - 2
    # A row of DCL at temperature t / c is log sum_k (n_k / p)^c.
    ratio = dcl(view_a, view_b, temperature=temperature / (1.0 + hardness), tiled=tiled, reduction="none")
    if count == 0:
        return reduce_rows(ratio, reduction)
    if hardness > 0.0:
        importance = dcl(view_a, view_b, temperature=temperature / hardness, tiled=tiled, reduction="none")
        ratio = ratio - importance + math.log(count)
    positive = (F.normalize(view_a, dim=-1) * F.normalize(view_b, dim=-1)).sum(dim=-1).repeat(2) / temperature
    floor = math.log(count) - 1.0 / temperature - positive
    debiased = _log_less(ratio, positive_prior * count) - math.log1p(-positive_prior)
    return reduce_rows(F.softplus(torch.maximum(debiased, floor), threshold=50.0), reduction)
