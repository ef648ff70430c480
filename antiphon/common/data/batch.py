"""What travels from the data to the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """(B, size) bool, True where a position lies inside its example."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def context_rows(context: Mapping[str, Any] | None, rows: slice, device: torch.device | str | None = None) -> dict[str, Any] | None:
    """The context of some examples: of tensors and arrays (B, ...) their rows, as tensors on `device`; the rest as it is."""
    if not context:
        return None
    arrays = {key: torch.as_tensor(value)[rows] for key, value in context.items() if isinstance(value, Tensor | np.ndarray)}
    return {**context, **{key: value.to(device) for key, value in arrays.items()}}


@dataclass(frozen=True)
class SignalBatch:
    """A batch of signals and all that is known about each of them.

    `signals` (B, C, T) float, padded behind with NaN or zeros where an example is shorter than T; a NaN inside is a missing value.
    `lengths` (B,) int64 in samples. `index` (B,) int64: row in the training set, which keyed randomness and per-example memories
    need. `labels`: name -> (B, ...) tensor. `groups` (B,): speaker, subject or track as a number. `context`: whatever else an
    encoder declares it needs (electrode positions, subject ids); tensors in it have a row for each example. `epoch` and `step` say
    where in the schedule the loader drew it.
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
class PairedBatch:
    """Two batches whose rows belong together, one of each modality: EEG and the sound that was heard, IMU and skeleton.

    Row and place in the schedule are the first batch's; `epoch` and `step` say where the loader drew the pair.
    """

    first: SignalBatch
    second: SignalBatch
    epoch: int = 0
    step: int = 0

    def __post_init__(self) -> None:
        if len(self.first) != len(self.second):
            raise ValueError(f"the batches of a pair need the same examples, got {len(self.first)} and {len(self.second)}")

    def __len__(self) -> int:
        return len(self.first)

    @property
    def index(self) -> Tensor:
        """(B,) row in the training set."""
        return self.first.index

    def to(self, device: torch.device | str, non_blocking: bool = False) -> PairedBatch:
        """The same pair with every tensor on `device`."""
        return replace(self, first=self.first.to(device, non_blocking), second=self.second.to(device, non_blocking))


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
