"""Whitened embeddings as views: shuffled group whitening, and the loss that contrasts several whitenings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from antiphon.common.distributed import row_counts, sum_over_ranks
from antiphon.common.objectives.base import Objective, ViewOutputs, streams_of
from antiphon.common.objectives.info_nce import info_nce
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, gathered_views, reduce_rows


class _InverseRoot(torch.autograd.Function):
    """S^(-1/2) of symmetric positive definite matrices (..., d, d).

    Autograd through eigh divides by differences of eigenvalues and overflows where two are equal. The function itself is smooth
    there: the divided difference of x^(-1/2) is -1 / (ab (a + b)) with a and b the roots of the eigenvalues, so this backward pass
    is exact and never divides by a difference.
    """

    @staticmethod
    def forward(ctx: Any, matrices: Tensor, smallest: float) -> Tensor:
        values, vectors = torch.linalg.eigh(matrices)
        roots = values.clamp_min(smallest).sqrt()  # rounding may take an eigenvalue below what was added to the diagonal
        ctx.save_for_backward(roots, vectors)
        return (vectors / roots.unsqueeze(-2)) @ vectors.mT

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        roots, vectors = ctx.saved_tensors
        rows, columns = roots.unsqueeze(-1), roots.unsqueeze(-2)
        inner = vectors.mT @ ((gradient + gradient.mT) / 2) @ vectors
        return vectors @ (-inner / (rows * columns * (rows + columns))) @ vectors.mT, None


@full_precision
def group_whiten(embeddings: Tensor, permutation: Tensor, *, groups: int, eps: float = 1e-5) -> Tensor:
    """Shuffled group whitening (Zhuo et al., ACL 2023): dimensions are shuffled, and each group of them is whitened.

    A group of D / `groups` dimensions is centred and multiplied by the inverse root of its covariance (ZCA, the whitening that
    moves vectors least), then the shuffle is undone. One group is full ZCA; a group a dimension is batch norm without its affine
    map. Mean and covariance are those of all ranks' rows, and gradients flow through both.

    Args:
        embeddings: (N, D).
        permutation: (D,) int64.
        groups: how many; must divide D.
        eps: added to the diagonal of each covariance.

    Raises:
        ValueError: if `groups` does not divide D, or there are no more rows, over all ranks, than dimensions in a group.
    """
    rows, dim = embeddings.shape
    if groups < 1 or dim % groups:
        raise ValueError(f"{groups} groups do not divide {dim} dimensions: choose a divisor of {dim}")
    size, count = dim // groups, sum(row_counts(rows, device=embeddings.device))
    if count <= size:
        raise ValueError(
            f"{count} embeddings cannot whiten groups of {size} dimensions: use a batch of more than {size}, or more groups"
        )
    grouped = embeddings[:, permutation].view(rows, groups, size).transpose(0, 1)  # (G, N, D / G)
    centred = grouped - sum_over_ranks(grouped.sum(dim=1, keepdim=True)) / count
    covariance = sum_over_ranks(centred.mT @ centred) / count
    root: Tensor = _InverseRoot.apply(covariance + eps * torch.eye(size).to(covariance), eps)
    return (centred @ root).transpose(0, 1).flatten(1)[:, permutation.argsort()]


@full_precision
def whitened_cse(
    view_a: Tensor,
    view_b: Tensor,
    *,
    permutations: Tensor,
    groups: int,
    pooler: Callable[[Tensor], Tensor] | None = None,
    temperature: float | Tensor = 0.05,
    eps: float = 1e-5,
    reduction: Reduction = "mean",
) -> Tensor:
    """WhitenedCSE (Zhuo et al., ACL 2023): InfoNCE of one whitening of `view_a` with several of `view_b`, averaged.

    Views (B, D); both may be the same tensor, since whitenings under different shuffles differ. The first of `permutations`
    (1 + K, D) shuffles `view_a`, each of the others makes a positive of `view_b`. `pooler` maps what was whitened (None: nothing)
    before it is L2-normalised here. Anchors are those of `view_a`, candidates all ranks' positives of the same shuffle.

    Returns:
        A scalar, or with reduction "none" this rank's losses (B,).

    Raises:
        ValueError: as `group_whiten`, or if `permutations` has fewer than two rows.
    """
    if permutations.ndim != 2 or len(permutations) < 2:
        raise ValueError(f"permutations must be (1 + positives, D) with a positive at least, got {tuple(permutations.shape)}")
    sides = [view_a] + [view_b] * (len(permutations) - 1)
    whitened = [group_whiten(side, order, groups=groups, eps=eps) for side, order in zip(sides, permutations, strict=True)]
    local, everyone, own = gathered_views(*(whitened if pooler is None else map(pooler, whitened)))
    positives = len(everyone) - 1
    rows = info_nce(
        local[:1].expand(positives, -1, -1),
        everyone[1:],
        positives=own.expand(positives, -1),
        temperature=temperature,
        reduction="none",
    )
    return reduce_rows(rows.mean(dim=0), reduction)


class WhitenedCSE(Objective):
    """`whitened_cse` on the embeddings of the first and the last view, with a linear map and tanh after whitening.

    One view is enough. Shuffles are drawn anew for each batch.

    Raises:
        ValueError: at once if `groups` does not divide `in_dim`; from `forward` if the batch is too small to be whitened.
    """

    needs = ("embeddings",)

    def __init__(self, in_dim: int, *, groups: int, positives: int = 3, temperature: float = 0.05, eps: float = 1e-5) -> None:
        super().__init__()
        if groups < 1 or in_dim % groups:
            raise ValueError(f"groups={groups} does not divide the encoder's {in_dim} dimensions: choose a divisor of {in_dim}")
        self.pooler = nn.Sequential(nn.Linear(in_dim, in_dim), nn.Tanh())
        self.groups, self.positives, self.temperature, self.eps = groups, positives, temperature, eps

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        first, last = outputs.embeddings[0], outputs.embeddings[-1]
        shuffles = streams_of(outputs).shared
        return whitened_cse(
            first,
            last,
            permutations=torch.cat([shuffles.permutation(first.shape[1]) for _ in range(1 + self.positives)]),
            groups=self.groups,
            pooler=self.pooler,
            temperature=self.temperature,
            eps=self.eps,
        )
