"""The logarithm of a softmax's denominator, from the whole matrix of similarities or tile by tile, and the margin of a positive."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from antiphon.common import tiled as tiles

MarginKind = Literal["additive", "angular"]


def exclude_(logits: Tensor, *exclusions: Tensor | None) -> Tensor:
    """Write -inf into `logits` (..., N, M) where `exclusions` say so; returns which rows (..., N) have a candidate left.

    An exclusion is a bool mask that broadcasts against `logits` or int64 columns (..., N, k), negative ones meaning none. A row
    with nothing left becomes all zeros, so that its logsumexp has a finite gradient. It happens outside autograd: the gradient of
    logsumexp at -inf is zero anyway, and a copy of the matrix is saved. No operation may have kept `logits` for its backward pass.
    """
    width, columns = logits.shape[-1], 0
    with torch.no_grad():
        for exclusion in exclusions:
            if exclusion is None:
                continue
            if exclusion.dtype == torch.bool:
                logits.masked_fill_(exclusion, -torch.inf)
                columns += width
            else:
                exclusion = exclusion.reshape(-1, exclusion.shape[-1])
                row, place = (exclusion >= 0).nonzero().unbind(1)
                logits.view(-1, width)[row, exclusion[row, place]] = -torch.inf
                columns += exclusion.shape[-1]
        if width == 0 or columns < width:  # no need to look
            return torch.full(logits.shape[:-1], width > 0, device=logits.device)
        left = logits.amax(dim=-1) != -torch.inf  # nan stays
        if not left.all():
            logits.masked_fill_(~left.unsqueeze(-1), 0.0)
        return left


def log_denominators(
    anchors: Tensor, candidates: Tensor, *exclusions: Tensor | None, temperature: float | Tensor, tiled: bool = False
) -> Tensor:
    """Log sum_j exp(a_i . c_j / temperature) over the candidates that are not excluded: (..., N, D), (..., M, D) -> (..., N).

    -inf, without a gradient, where none is left. Exclusions as in `exclude_`. With `tiled` the matrix is never there as a whole
    (see `antiphon.common.tiled`): (N, D) and (M, D) only, exclusions as columns; if `candidates` is the very tensor `anchors`, the
    temperature one number, and exclusions mutual, every pair is computed once.

    Raises:
        ValueError: with `tiled`, for anything but two matrices and columns.
    """
    if not tiled:
        logits = (anchors / temperature) @ candidates.mT
        left = exclude_(logits, *exclusions)
        return torch.where(left, logits.logsumexp(dim=-1), -torch.inf)
    columns = [exclusion for exclusion in exclusions if exclusion is not None]
    if anchors.ndim != 2 or any(exclusion.dtype != torch.int64 for exclusion in columns):
        raise ValueError(
            f"tiled=True takes anchors (N, D) and ignored candidates as int64 columns (N, k), got {tuple(anchors.shape)} and "
            f"{[str(exclusion.dtype) for exclusion in columns]}: use tiled=False"
        )
    exclude = torch.cat(columns, dim=1) if columns else None
    if candidates is anchors and not (isinstance(temperature, Tensor) and temperature.numel() > 1):
        both = anchors / temperature**0.5
        return tiles.logsumexp(both, both, exclude=exclude)
    return tiles.logsumexp(anchors / temperature, candidates, exclude=exclude)


def with_margin(cosines: Tensor, margin: float | Tensor, kind: MarginKind = "additive") -> Tensor:
    """The positive's cosine made harder: cos - m, or ("angular", in radians) cos(angle + m).

    Where angle + m would pass pi, the angular form goes on as cos - m sin m, so that it falls with the angle everywhere (ArcFace).
    Its gradient is finite at cosines of +-1.

    Raises:
        ValueError: if `kind` is unknown.
    """
    if kind == "additive":
        return cosines - margin if isinstance(margin, Tensor) or margin != 0.0 else cosines
    if kind != "angular":
        raise ValueError(f"margin_kind is {kind!r}: use 'additive' or 'angular'")
    margin = torch.as_tensor(margin, dtype=cosines.dtype, device=cosines.device)
    squared_sine = 1.0 - cosines.square()
    inside = squared_sine > 0.0
    sines = torch.where(inside, torch.where(inside, squared_sine, 1.0).sqrt(), 0.0)
    turned = cosines * margin.cos() - sines * margin.sin()
    return torch.where(cosines > -margin.cos(), turned, cosines - margin * margin.sin())
