"""What every objective does before and after its own idea: gather views across ranks, mask columns, reduce the anchors' losses."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.distributed import first_row, gather, mean_over_ranks, row_counts

Reduction = Literal["mean", "sum", "none"]


def reduce_rows(rows: Tensor, reduction: Reduction, valid: Tensor | None = None) -> Tensor:
    """Losses of anchors -> what `reduction` asks for. The mean is over all ranks' valid anchors, the sum over this rank's."""
    if reduction == "mean":
        return mean_over_ranks(rows, valid)
    if reduction not in ("sum", "none"):
        raise ValueError(f"reduction is {reduction!r}: use 'mean', 'sum' or 'none'")
    return rows.sum() if reduction == "sum" else rows


def gathered_views(*views: Tensor, normalize: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """V views (B, D) -> this rank's rows (V, B, D), all ranks' (V, n, D), and places (B,) of the former in the latter.

    Rows are L2-normalised unless `normalize` is False. One gathering for all views; ranks may hold different numbers of rows.
    """
    if not views or views[0].ndim != 2 or any(view.shape != views[0].shape for view in views):
        raise ValueError(f"views must all be (batch, dim) of one shape, got {[tuple(view.shape) for view in views]}")
    local = torch.stack(views, dim=1)
    if normalize:
        local = F.normalize(local, dim=-1)
    counts = row_counts(len(local), device=local.device)
    columns = torch.arange(len(local), device=local.device) + first_row(counts)
    return local.transpose(0, 1), gather(local, counts=counts).transpose(0, 1), columns


def column_mask(columns: Tensor, size: int) -> Tensor:
    """(N,) column numbers -> (N, size) bool, one True a row."""
    return torch.zeros(len(columns), size, dtype=torch.bool, device=columns.device).scatter_(1, columns[:, None], True)
