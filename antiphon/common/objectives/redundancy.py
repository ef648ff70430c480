"""Losses of batch statistics: two views agree, and the columns of an embedding say different things. No negatives.

Means, variances and covariances are those of all ranks' rows together; ranks may hold different numbers of rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from antiphon.common.distributed import mean_over_ranks, row_counts, sum_over_ranks
from antiphon.common.objectives.precision import full_precision

_VICREG_EPS = 1e-4  # under the root of the variance
_BARLOW_EPS = 1e-5  # batch norm's


def _centred(view_a: Tensor, view_b: Tensor) -> tuple[Tensor, int]:
    """Views (b, D) -> both with the columns' means taken off, (2, b, D), and the number of rows on all ranks."""
    if view_a.ndim != 2 or view_a.shape != view_b.shape:
        raise ValueError(f"views must both be (batch, dim) of one shape, got {[tuple(view_a.shape), tuple(view_b.shape)]}")
    count = sum(row_counts(len(view_a), device=view_a.device))
    if count < 2:
        raise ValueError(f"batch statistics need at least 2 examples over all processes, got {count}: raise training.batch_size")
    views = torch.stack((view_a, view_b))
    return views - sum_over_ranks(views.sum(dim=1, keepdim=True)) / count, count


def _off_diagonal(matrix: Tensor) -> Tensor:
    """Sum of squares off the diagonal, (..., D, D) -> (...)."""
    return (matrix - torch.diag_embed(matrix.diagonal(dim1=-2, dim2=-1))).square().sum(dim=(-2, -1))


@full_precision
def vicreg(
    view_a: Tensor,
    view_b: Tensor,
    *,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    halve_variance: bool = True,
) -> Tensor:
    """VICReg (Bardes, Ponce & LeCun, ICLR 2022): ``invariance * I + variance * V + covariance * C``.

    Views (B, D), not normalised. I is the mean squared difference over all B D numbers; V the mean over columns of
    ``relu(1 - sqrt(var + 1e-4))``, averaged over the views; C the sum over the views of the squared covariances off the diagonal,
    divided by D. Variances and covariances divide by B - 1. Two forms of V are published: the authors average it over the views,
    sslsv and solo-learn add the views up (``halve_variance=False``).

    Raises:
        ValueError: if shapes differ, or the batch of all ranks has fewer than 2 examples.
    """
    centred, count = _centred(view_a, view_b)
    covariances = sum_over_ranks(centred.mT @ centred) / (count - 1)  # (2, D, D)
    deviations = (covariances.diagonal(dim1=-2, dim2=-1) + _VICREG_EPS).sqrt()  # (2, D)
    hinge = (1.0 - deviations).relu().mean(dim=1).sum() * (0.5 if halve_variance else 1.0)
    redundancy = _off_diagonal(covariances).sum() / view_a.shape[1]
    difference = mean_over_ranks((view_a - view_b).square().mean(dim=1))
    return invariance * difference + variance * hinge + covariance * redundancy


@full_precision
def barlow_twins(view_a: Tensor, view_b: Tensor, *, off_diagonal: float = 0.005, scale: float = 1.0) -> Tensor:
    """Barlow Twins (Zbontar et al., ICML 2021): the cross-correlation matrix of the views' columns is driven to the identity.

    ``scale * (sum_d (1 - c_dd)^2 + off_diagonal * sum_{d != e} c_de^2)``. Views (B, D); columns are standardised here as batch
    norm does (division by B, 1e-5 added to the variance), so neither their scale nor their mean matters. The sums grow with D:
    solo-learn and sslsv take ``scale=0.025``.

    Raises:
        ValueError: if shapes differ, or the batch of all ranks has fewer than 2 examples.
    """
    centred, count = _centred(view_a, view_b)
    variances = sum_over_ranks(centred.square().sum(dim=1, keepdim=True)) / count  # (2, 1, D)
    standardised = centred / (variances + _BARLOW_EPS).sqrt()
    correlations = sum_over_ranks(standardised[0].T @ standardised[1]) / count  # (D, D)
    return scale * ((1.0 - correlations.diagonal()).square().sum() + off_diagonal * _off_diagonal(correlations))
