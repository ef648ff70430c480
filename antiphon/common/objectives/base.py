"""What an objective module receives and gives back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from itertools import combinations
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from antiphon.common.data.batch import View
from antiphon.common.data.loader import BatchSource
from antiphon.common.random import KeyedRandom

if TYPE_CHECKING:
    from antiphon.common.classifier import Classifier
    from antiphon.common.encoder import Encoder


@dataclass(frozen=True)
class ViewOutputs:
    """What the learner computed from the views of one batch; only the fields that the objective `needs` are filled.

    `index` (B,): rows in the training set; `groups` (B,) int64: which examples belong together. Each list has one entry a view:
    `frames` (B, T', D), cut to the part that the views share where they share one; `embeddings` (B, D); `projections` (B, P), the
    head's output; `stages`, lists of (B, T_k, D_k); `predictions` (B, P), the predictor's output; `targets` (B, P), without
    gradient: the projections of the moving-average twin, or the learner's own where there is no twin. `random`: streams of this
    batch for objectives that draw (TS-TCC's time stamp).
    `step`: how many updates came before this one, for objectives that follow a schedule.
    """

    index: Tensor
    views: Sequence[View] = ()
    frames: Sequence[Tensor] = ()
    embeddings: Sequence[Tensor] = ()
    projections: Sequence[Tensor] = ()
    stages: Sequence[Sequence[Tensor]] = ()
    predictions: Sequence[Tensor] = ()
    targets: Sequence[Tensor] = ()
    labels: Mapping[str, Tensor] = field(default_factory=dict)
    groups: Tensor | None = None
    random: KeyedRandom | None = None
    step: int = 0


def labels_of(outputs: ViewOutputs, name: str = "label") -> Tensor:
    """The labels `name` of a batch, for objectives that cannot do without.

    Raises:
        ValueError: if the training set has none.
    """
    if name not in outputs.labels:
        known = ", ".join(outputs.labels) or "no labels at all"
        raise ValueError(
            f"this objective learns from labels[{name!r}], but the training set has {known}: use another objective, such as nt_xent"
        )
    return outputs.labels[name]


def streams_of(outputs: ViewOutputs) -> KeyedRandom:
    """The random streams of a batch, for objectives that draw.

    Raises:
        ValueError: if `outputs` has none.
    """
    if outputs.random is None:
        raise ValueError("this objective draws at random: fill ViewOutputs.random with the batch's KeyedRandom")
    return outputs.random


class Objective(nn.Module, ABC):
    """A loss with its parameters and its state, if it has any. `needs` names the fields of `ViewOutputs` that it reads.

    State (a queue, a memory) lives in buffers and is taken in by `forward` while the module is in training mode.
    """

    needs: tuple[str, ...] = ("projections",)
    target_views: int | None = None  # how many views, the first ones, it wants `targets` of; None: all

    def prepare(self, train: BatchSource) -> None:
        """Called once before training with the training set, for what depends on the data (SoftCLT's distances)."""

    def begin(self, encoder: Encoder, train: BatchSource) -> None:
        """Called once before training with the encoder as it then is, for what depends on both (the centre of normal data)."""

    def after_update(self) -> None:
        """Called after every optimiser step, for constraints on parameters (a clamped temperature, unit prototypes)."""

    def classifier(self, encoder: Encoder) -> Classifier | None:
        """`encoder` with the classifier that was trained beside it; None for objectives that train none (nearly all)."""
        return None

    @abstractmethod
    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""

    def per_example(self, outputs: ViewOutputs) -> Tensor:
        """The loss of each example, (B,), whose mean is `forward`; needed by bad-pair mining."""
        name = type(self).__name__
        raise TypeError(f"{name} has no loss per example: bad-pair mining needs a pairwise objective (nt_xent, dcl, ...)")


class PairObjective(Objective):
    """Any function of two views' projections, ``function(a, b, **options)``, as an objective; more views: the mean over pairs."""

    def __init__(self, function: Callable[..., Tensor], **options: Any) -> None:
        super().__init__()
        self.function = function
        self.options = options

    def _over_pairs(self, outputs: ViewOutputs, **options: Any) -> Tensor:
        if len(outputs.projections) < 2:
            raise ValueError(f"a pairwise objective needs two views or more, got {len(outputs.projections)}")
        losses = [self.function(a, b, **self.options, **options) for a, b in combinations(outputs.projections, 2)]
        return torch.stack(losses).mean(dim=0)

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        return self._over_pairs(outputs)

    def per_example(self, outputs: ViewOutputs) -> Tensor:
        """The loss of each example, (B,): the mean of its anchors' losses."""
        if "reduction" not in signature(self.function).parameters:
            raise TypeError(f"{self.function} has no loss per example: bad-pair mining needs a pairwise one (nt_xent, dcl, ...)")
        rows = self._over_pairs(outputs, reduction="none")
        return rows.view(-1, len(outputs.index)).mean(dim=0)  # (2B,) or (B,) anchors -> (B,)

    def extra_repr(self) -> str:
        """What the module prints about itself."""
        options = ", ".join(f"{key}={value}" for key, value in self.options.items())
        return f"{getattr(self.function, '__name__', self.function)}, {options}"


class ViewsObjective(Objective):
    """Any function of all views' projections at once, ``function(*views, **options)``, as an objective."""

    def __init__(self, function: Callable[..., Tensor], **options: Any) -> None:
        super().__init__()
        self.function = function
        self.options = options

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        return self.function(*outputs.projections, **self.options)
