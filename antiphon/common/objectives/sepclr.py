"""Contrastive analysis: what targets share with a background, apart from what only targets have."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.distributed import first_row, gather, mean_over_ranks, row_counts
from antiphon.common.objectives.base import Objective, ViewOutputs, labels_of
from antiphon.common.objectives.info_nce import info_nce
from antiphon.common.objectives.precision import full_precision


def _kernel_rows(points: Tensor, *, temperature: float | Tensor, itself: bool) -> tuple[Tensor, int]:
    """The log of the sum of ``exp(-d^2 / (2 temperature))`` from each point (B, D) to those of all ranks, and how many those are.

    -d^2 / 2 = x.y - x^2 / 2 - y^2 / 2 is a dot product in two more dimensions, and zero from a point to itself; so the sum is the
    denominator of InfoNCE, coupled (with the point `itself`) or decoupled, where each point is its own positive.
    """
    counts = row_counts(len(points), device=points.device)
    halves = points.square().sum(dim=1, keepdim=True) / -2.0
    everyone = gather(torch.cat((points, halves, torch.ones_like(halves)), dim=1), counts=counts)
    rows = info_nce(
        torch.cat((points, torch.ones_like(halves), halves), dim=1),
        everyone,
        positives=torch.arange(len(points), device=points.device) + first_row(counts),
        temperature=temperature,
        positives_in_denominator=itself,
        reduction="none",
    )
    return rows, len(everyone)


@full_precision
def gaussian_uniformity(points: Tensor, *, temperature: float | Tensor = 0.5) -> Tensor:
    """The log of the mean of ``exp(-d^2 / (2 temperature))`` over all pairs of different rows of all ranks; the same on each.

    `points` (B, D) are not normalised; on the sphere it is `uniformity` with t = 1 / (2 temperature). A single row gives 0.
    """
    rows, count = _kernel_rows(points, temperature=temperature, itself=False)
    return gather(rows).logsumexp(dim=0) - math.log(count * (count - 1)) if count > 1 else rows.sum()


@full_precision
def joint_entropy(common: Tensor, salient: Tensor, *, temperature: float | Tensor = 0.5) -> Tensor:
    """k-JEM: the negative of a kernel estimate of the entropy of (common, salient), (B, D) and (B, S), together.

    The mean over i of the log of the mean over j, i among them, of ``K(c_i, c_j) K(s_i, s_j)`` with
    K = exp(-d^2 / (2 temperature)). To minimise it spreads the pairs, which parts of a representation that repeat each other
    hinder. The product of Gaussian kernels is the Gaussian kernel of the concatenation.

    Returns:
        This rank's share of the mean.
    """
    rows, count = _kernel_rows(torch.cat((common, salient), dim=1), temperature=temperature, itself=True)
    return mean_over_ranks(rows - math.log(count))


@full_precision
def sepclr(
    view_a: Tensor,
    view_b: Tensor,
    *,
    is_target: Tensor,
    common_dim: int,
    temperature: float | Tensor = 0.5,
    salient_weight: float = 1000.0,
    background_weight: float = 1000.0,
    joint_weight: float = 10.0,
) -> Tensor:
    """SepCLR with k-JEM (Louiset et al., ICLR 2024).

    The first `common_dim` entries of each projection are the common part c, L2-normalised here; the others are the salient part
    s, in Euclidean space. With align the mean of ``d^2 / (2 temperature)``, unif `gaussian_uniformity`, and s~ equal to s for
    targets and to zero for the background::

        align(c, c') + 2 unif(c)                                          common: instances differ
        + salient_weight (align(s, s' | targets) + 2 unif(s~))            salient: targets differ, also from zero
        + background_weight align(0, s | background)                      the background has no salient part
        + joint_weight JEM(c, s~)                                         the parts do not repeat each other

    unif and JEM are means over both views, and so is the term of the background.

    Args:
        view_a: (B, common_dim + S).
        view_b: the same of the other view.
        is_target: (B,) bool; False is background.
        common_dim: of the common part.
        temperature: of all kernels.
        salient_weight: published 1000, for images of two mixed sources.
        background_weight: published 1000.
        joint_weight: published 10.

    Raises:
        ValueError: if shapes do not fit or `common_dim` leaves nothing for the salient part.
    """
    if view_a.ndim != 2 or view_a.shape != view_b.shape or is_target.shape != view_a.shape[:1]:
        shapes = tuple(view_a.shape), tuple(view_b.shape), tuple(is_target.shape)
        raise ValueError(f"views must be (B, P) both and is_target (B,), got {shapes}")
    if not 0 < common_dim < view_a.shape[1]:
        raise ValueError(f"common_dim={common_dim} of {view_a.shape[1]} dimensions leaves no common or no salient part")
    common = [F.normalize(view[:, :common_dim], dim=-1) for view in (view_a, view_b)]
    salient = [view[:, common_dim:] for view in (view_a, view_b)]
    only_targets = [torch.where(is_target[:, None], part, 0.0) for part in salient]

    def align(differences: Tensor, rows: Tensor | None = None) -> Tensor:
        squares = differences.square().sum(dim=1) / (2.0 * temperature)
        return mean_over_ranks(squares if rows is None else torch.where(rows, squares, 0.0), rows)

    loss = align(common[0] - common[1]) + salient_weight * align(salient[0] - salient[1], is_target)
    for c, s, kept in zip(common, salient, only_targets, strict=True):
        spread = gaussian_uniformity(c, temperature=temperature)
        salient_spread = gaussian_uniformity(kept, temperature=temperature)
        joint = joint_entropy(c, kept, temperature=temperature)
        loss = loss + spread + salient_weight * salient_spread
        loss = loss + 0.5 * (background_weight * align(s, ~is_target) + joint_weight * joint)
    return loss


class SepCLR(Objective):
    """`sepclr` on the projections of two views; `labels["label"]` is 0 for the background and anything else for targets.

    Raises:
        ValueError: from `forward`, if the training set has no labels or the batch has not two views.
    """

    def __init__(
        self,
        *,
        common_dim: int,
        temperature: float = 0.5,
        salient_weight: float = 1000.0,
        background_weight: float = 1000.0,
        joint_weight: float = 10.0,
    ) -> None:
        super().__init__()
        self.common_dim, self.temperature = common_dim, temperature
        self.salient_weight, self.background_weight, self.joint_weight = salient_weight, background_weight, joint_weight

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        if len(outputs.projections) != 2:
            raise ValueError(f"SepCLR aligns two views, got {len(outputs.projections)}")
        return sepclr(
            *outputs.projections,
            is_target=labels_of(outputs) != 0,
            common_dim=self.common_dim,
            temperature=self.temperature,
            salient_weight=self.salient_weight,
            background_weight=self.background_weight,
            joint_weight=self.joint_weight,
        )
