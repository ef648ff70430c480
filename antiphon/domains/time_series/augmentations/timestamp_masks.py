"""Which time stamps an encoder may see: the masks of TS2Vec (Yue et al., AAAI 2022)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from antiphon.common.augment.masks import inside_spans
from antiphon.common.data.batch import length_mask
from antiphon.common.random import KeyedRandom


def binomial_mask(random: KeyedRandom, lengths: Tensor, size: int, *, keep: float = 0.5) -> Tensor:
    """(B, size) bool: each time stamp is seen with probability `keep`, independently."""
    return random.bernoulli(size, p=keep) & length_mask(lengths, size)


def continuous_mask(random: KeyedRandom, lengths: Tensor, size: int, *, spans: int = 5, fraction: float = 0.1) -> Tensor:
    """(B, size) bool: `spans` spans, each a `fraction` of the length (rounded down, at least 1), are hidden; they may overlap.

    Examples shorter than twice `spans` get half their length of spans, at least one.
    """
    widths = (lengths * fraction).floor().long().clamp(min=1)[:, None].expand(-1, spans)
    allowed = (lengths // 2).clamp(1, spans)[:, None]
    starts = random.integers(spans, high=(lengths[:, None] - widths).clamp(min=0) + 1)
    widths = torch.where(torch.arange(spans, device=lengths.device) < allowed, widths, 0)
    return ~inside_spans(starts, widths, size) & length_mask(lengths, size)


def last_mask(random: KeyedRandom, lengths: Tensor, size: int) -> Tensor:
    """(B, size) bool: only the last time stamp of each example is hidden (anomaly detection); nothing is random."""
    return length_mask(lengths - 1, size)


def all_true_mask(random: KeyedRandom, lengths: Tensor, size: int) -> Tensor:
    """(B, size) bool: every time stamp of each example is seen; nothing is random."""
    return length_mask(lengths, size)


TIMESTAMP_MASKS: dict[str, Callable[..., Tensor]] = {
    "binomial": binomial_mask,
    "continuous": continuous_mask,
    "last": last_mask,
    "all_true": all_true_mask,
}
