"""Contrast among the rows of one group, the loss and its gradient in a single pass.

TS2Vec's and SoftCLT's losses contrast the 2T frames of an example's two views with each other, and the 2B frames of a time stamp:
(G, N, D) groups in which every row is an anchor and every other row a candidate, similarity a plain dot product. Going through
autograd keeps several (G, N, N) matrices alive. But the anchors' weights are known and the loss is a sum, so the gradient is known
as soon as the softmax is: it is computed tile by tile in the forward pass and only scaled in the backward pass. What lives is one
tile and a gradient of the size of the input; and the symmetry of the similarities saves multiplications in both directions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

TILE_ELEMENTS = 1 << 20  # similarities held at a time: 4 MB in float32, so that the passes over them stay in cache
_SPLIT_FROM = 256  # rows from which computing only the upper blocks of a symmetric product pays
_SPLITS = 4

# Computes a loss from frames without autograd; where the second argument is a tensor (of zeros, like the first), adds the loss's
# gradient to it.
Evaluate = Callable[[Tensor, Tensor | None], Tensor]


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, frames: Tensor, evaluate: Evaluate) -> Tensor:
        gradient = frames.new_zeros(frames.shape) if ctx.needs_input_grad[0] else None  # contiguous, so that its reshapes are views
        loss = evaluate(frames, gradient)
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream, None


def fused(frames: Tensor, evaluate: Evaluate) -> Tensor:
    """The scalar loss ``evaluate(frames, gradient)`` as an operation that is differentiable (once) with respect to `frames`."""
    loss: Tensor = _Fused.apply(frames, evaluate)
    return loss


def _similarities(groups: Tensor) -> Tensor:
    """(G, N, D) -> (G, N, N) dot products, -inf on the diagonal. Large groups multiply only blocks on and above the diagonal."""
    size = groups.shape[1]
    if size < _SPLIT_FROM:
        products = groups @ groups.mT
    else:
        products = groups.new_empty(len(groups), size, size)
        step = -(-size // _SPLITS)
        for product, rows in zip(products, groups, strict=True):
            for start in range(0, size, step):
                stop = min(start + step, size)
                torch.mm(rows[start:stop], rows[start:].T, out=product[start:stop, start:])
                product[stop:, start:stop] = product[start:stop, stop:].T
    products.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    return products


def repel(groups: Tensor, row_weights: Tensor | None, gradient: Tensor | None, scale: float) -> Tensor:
    """The denominators of a contrast: ``v_i logsumexp_{j != i} z_i.z_j`` for every row of every group, (G, N).

    `groups` (G, N, D) holds the rows z, N at least 2; `row_weights` (N,) the v_i (None: all 1). `gradient`, like `groups`, is where
    `scale` times the gradient of their sum is added. Not an autograd operation: see `fused`.
    """
    step = max(1, TILE_ELEMENTS // groups.shape[1] ** 2)
    tiles = []
    for start in range(0, len(groups), step):
        rows = groups[start : start + step]
        products = _similarities(rows)
        highest = products.amax(dim=-1)
        softmax = products.softmax(dim=-1)
        lse = highest - softmax.amax(dim=-1).log_()  # the largest softmax entry is exp(highest - lse)
        tiles.append(lse if row_weights is None else lse.mul_(row_weights))
        if gradient is not None:
            if row_weights is not None:
                softmax.mul_(row_weights.unsqueeze(-1))
            # Row i is an anchor and a candidate of every other: d/ds_ij and d/ds_ji meet in one symmetric matrix, one product.
            torch.add(softmax, softmax.mT, out=products)
            target = gradient[start : start + step]
            if target.is_contiguous():
                target.baddbmm_(products, rows, alpha=scale)
            else:
                target.add_(products @ rows, alpha=scale)
    return torch.cat(tiles)
