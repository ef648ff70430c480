"""What travels from the data to the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """(B, size) bool, True where a position lies inside its example."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


@dataclass(frozen=True)
class SignalBatch:
    """A batch of signals and all that is known about each of them.

    `signals` (B, C, T) float, padded behind with NaN or zeros where an example is shorter than T; a NaN inside is a missing value.
    `lengths` (B,) int64 in samples. `index` (B,) int64: row in the training set, which keyed randomness and per-example memories
    need. `labels`: name -> (B, ...) tensor. `groups` (B,): speaker, subject or track as a number. `context`: whatever else an
    encoder declares it needs (electrode positions, subject ids). `epoch` and `step` say where in the schedule the loader drew it.
    """

    signals: Tensor
    lengths: Tensor
    index: Tensor
    labels: Mapping[str, Tensor] = field(default_factory=dict)
    texts: list[str] | None = None
    groups: Tensor | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    epoch: int = 0
    step: int = 0

    def __post_init__(self) -> None:
        if self.signals.ndim != 3:
            raise ValueError(f"signals must be (batch, channels, time), got shape {tuple(self.signals.shape)}")
        for name in ("lengths", "index"):
            if getattr(self, name).shape != self.signals.shape[:1]:
                raise ValueError(f"{name} must be ({len(self.signals)},), got shape {tuple(getattr(self, name).shape)}")

    def __len__(self) -> int:
        return len(self.signals)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> SignalBatch:
        """The same batch with every tensor on `device`."""

        def move(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.to(device, non_blocking=non_blocking)
            return {key: move(item) for key, item in value.items()} if isinstance(value, Mapping) else value

        return replace(self, **{item.name: move(getattr(self, item.name)) for item in fields(self)})


@dataclass(frozen=True)
class View:
    """One augmented version of a batch, as it enters an encoder.

    `signals` (B, C, T), `lengths` (B,). `mask` (B, T) bool: the time stamps that the encoder may see (None: all).
    `shared` says which frames of this view both views have in common (None: all), for frame-level objectives.
    """

    signals: Tensor
    lengths: Tensor
    mask: Tensor | None = None
    shared: slice | None = None

    def __getitem__(self, rows: slice) -> View:
        """The same view of some examples."""
        mask = None if self.mask is None else self.mask[rows]
        return View(self.signals[rows], self.lengths[rows], mask, self.shared)
