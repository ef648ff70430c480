"""Losses are computed in float32 at least, whatever autocast says."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def _promoted(value: Any) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.to(torch.promote_types(value.dtype, torch.float32))
    return value


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Run `function` without autocast, its half-precision tensors promoted to float32; float64 stays float64.

    A logsumexp over a thousand bfloat16 logits is wrong in the second digit, and the matrix product of a loss is small beside the
    encoder's. The first positional argument must be a tensor: it says which device's autocast to switch off.
    """
    call: Callable[..., R] = function

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        first = args[0]
        if not isinstance(first, Tensor):
            raise ValueError(f"{wrapper.__name__} expects a tensor first, got {type(first).__name__}")
        with torch.autocast(first.device.type, enabled=False):
            return call(*map(_promoted, args), **{name: _promoted(value) for name, value in kwargs.items()})

    return wrapper
