"""Smooth random curves: natural cubic splines through equally spaced knots, as one matrix product."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


@cache
def _curvature(knots: int) -> tuple[tuple[float, ...], ...]:
    """The matrix that turns knot values into second derivatives at the knots (zero at both ends), spacing 1."""
    system = torch.eye(knots, dtype=torch.float64)
    differences = torch.zeros(knots, knots, dtype=torch.float64)
    for row in range(1, knots - 1):
        system[row, row - 1 : row + 2] = torch.tensor([1.0, 4.0, 1.0], dtype=torch.float64)
        differences[row, row - 1 : row + 2] = torch.tensor([6.0, -12.0, 6.0], dtype=torch.float64)
    return tuple(map(tuple, torch.linalg.solve(system, differences).tolist()))


def smooth_curve(values: Tensor, lengths: Tensor, size: int) -> Tensor:
    """The natural cubic spline through `values` (B, C, knots), the first at sample 0 and the last at length - 1: (B, C, size).

    Beyond its length an example's curve keeps its last value.
    """
    knots = values.shape[-1]
    curvature = torch.tensor(_curvature(knots), dtype=values.dtype, device=values.device)
    times = torch.arange(size, device=values.device, dtype=values.dtype)
    last = (lengths[:, None] - 1).clamp(min=1)
    places = (times / last).clamp(max=1.0)[:, None] * (knots - 1)  # (B, 1, size), in knots
    hats = (1.0 - (places - torch.arange(knots, device=values.device)[:, None]).abs()).clamp(min=0.0)  # (B, knots, size)
    return values @ hats + values @ curvature.T @ ((hats**3 - hats) / 6.0)
