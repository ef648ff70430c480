"""Learning by sorting: a differentiable sorting network puts positives behind negatives (GroCo, Shvetsova et al., ICCV 2023)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, column_mask, gathered_views, reduce_rows

_TIE = 1e-6  # differences of cosines below this are rounding; the slope at a tie would be infinite without it


def _exchanged(values: Tensor, keep: Tensor, first: int) -> Tensor:
    """One layer of exchanges between neighbours from position `first` on: each pair (..., 2) keeps its order by a share `keep`."""
    width = 2 * keep.shape[-1]
    pairs = values[..., first : first + width].unflatten(-1, (-1, 2))
    mixed = pairs.lerp(pairs.flip(-1), 1.0 - keep.unsqueeze(-1)).flatten(-2)
    return torch.cat((values[..., :first], mixed, values[..., first + width :]), dim=-1)


def mass_at_the_end(values: Tensor, last: int, *, steepness: float | Tensor, art: float) -> Tensor:
    """How much of each of `values` (..., M) is among the `last` largest after a differentiable odd-even sort: (..., M) in [0, 1].

    Neighbours a, b keep their order by ``atan(steepness phi(b - a)) / pi + 1/2`` with ``phi(x) = x / |x|^art``. The sorted order is
    a doubly stochastic matrix times the values; its last rows, summed, are carried back through the layers, so that the matrix
    is never formed.
    """
    size = values.shape[-1]
    layers = []
    for first in (layer % 2 for layer in range(size)):
        gap = values[..., first + 1 :: 2] - values[..., first : size - 1 : 2]  # of (0, 1), (2, 3), ... or (1, 2), (3, 4), ...
        keep = (steepness * gap / gap.abs().clamp_min(_TIE) ** art).atan() / math.pi + 0.5
        values = _exchanged(values, keep, first)
        layers.append((keep, first))
    mass = (torch.arange(size, device=values.device) >= size - last).to(values.dtype).expand(values.shape)
    for keep, first in reversed(layers):
        mass = _exchanged(mass, keep, first)
    return mass


@full_precision
def groco(
    *views: Tensor,
    negatives: int = 10,
    steepness: float | Tensor = 1.0,
    art: float = 0.25,
    stop_gradient: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """GroCo of two or more views (B, D), L2-normalised here.

    For every vector, its cosines with the other views of its example (positives) and with the `negatives` nearest other examples in
    its own view, on all ranks, are sorted by `mass_at_the_end`; the loss is the binary cross-entropy between the mass of each at
    the places of the positives and whether it is one. (The authors average this with the same for the places of the negatives,
    which is equal, since the mass of an element sums to one.) With `stop_gradient`, the published form, only the anchor learns
    from a comparison. A batch of one gives 0. There is no temperature.

    One positive and one negative: -log of the share by which the pair is in order.

    Returns:
        A scalar, or with reduction "none" this rank's losses (V B,), those of the first view first.

    Raises:
        ValueError: if there are fewer than two views, or `negatives` is below 1.
    """
    if len(views) < 2 or negatives < 1:
        raise ValueError(f"GroCo needs two views and one negative at least, got {len(views)} views and negatives={negatives}")
    local, everyone, own = gathered_views(*views)  # (V, b, D), (V, n, D)
    compared, everyone = (local.detach(), everyone.detach()) if stop_gradient else (local, everyone)
    itself = column_mask(own, everyone.shape[1])
    nearest = min(negatives, everyone.shape[1] - 1)
    rows = []
    for view, anchors in enumerate(local):
        others = [other for other in range(len(views)) if other != view]
        positive = torch.einsum("bd,wbd->bw", anchors, compared[others]).sort(dim=-1).values
        hard = (anchors @ everyone[view].T).masked_fill(itself, -torch.inf).topk(nearest, dim=-1).values.flip(-1)
        mass = mass_at_the_end(torch.cat((hard, positive), dim=-1), len(others), steepness=steepness, art=art)
        target = torch.cat((torch.zeros_like(hard), torch.ones_like(positive)), dim=-1)
        rows.append(F.binary_cross_entropy(mass.clamp(0.0, 1.0), target, reduction="none").mean(dim=-1))
    return reduce_rows(torch.cat(rows), reduction)
