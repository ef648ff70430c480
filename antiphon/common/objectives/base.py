"""What an objective module receives and gives back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from antiphon.common.data.batch import View
from antiphon.common.data.loader import BatchSource
from antiphon.common.random import KeyedRandom


@dataclass(frozen=True)
class ViewOutputs:
    """What the learner computed from the views of one batch; only the fields that the objective `needs` are filled.

    `index` (B,): rows in the training set. Each list has one entry a view: `frames` (B, T', D), cut to the part that the views
    share where they share one; `embeddings` (B, D); `projections` (B, P), the head's output; `stages`, lists of (B, T_k, D_k).
    `random`: streams of this batch for objectives that draw (TS-TCC's time stamp).
    """

    index: Tensor
    views: Sequence[View] = ()
    frames: Sequence[Tensor] = ()
    embeddings: Sequence[Tensor] = ()
    projections: Sequence[Tensor] = ()
    stages: Sequence[Sequence[Tensor]] = ()
    labels: Mapping[str, Tensor] = field(default_factory=dict)
    random: KeyedRandom | None = None


class Objective(nn.Module, ABC):
    """A loss with its parameters, if it has any. `needs` names the fields of `ViewOutputs` that it reads."""

    needs: tuple[str, ...] = ("projections",)

    def prepare(self, train: BatchSource) -> None:
        """Called once before training with the training set, for what depends on the data (SoftCLT's distances)."""

    @abstractmethod
    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""

    def per_example(self, outputs: ViewOutputs) -> Tensor:
        """The loss of each example, (B,), whose mean is `forward`; needed by bad-pair mining."""
        raise TypeError(
            f"{type(self).__name__} has no loss per example: bad-pair mining needs a pairwise objective (nt_xent, dcl, ...)"
        )


class PairObjective(Objective):
    """Any function of two views' projections, ``function(a, b, **options)``, as an objective."""

    def __init__(self, function: Callable[..., Tensor], **options: Any) -> None:
        super().__init__()
        self.function = function
        self.options = options

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        first, second = outputs.projections
        return self.function(first, second, **self.options)

    def per_example(self, outputs: ViewOutputs) -> Tensor:
        """The loss of each pair, (B,): the mean of its anchors' losses."""
        first, second = outputs.projections
        rows = self.function(first, second, **self.options, reduction="none")
        return rows.view(-1, len(first)).mean(dim=0)  # (2B,) or (B,) anchors -> (B,) pairs

    def extra_repr(self) -> str:
        """What the module prints about itself."""
        options = ", ".join(f"{key}={value}" for key, value in self.options.items())
        return f"{getattr(self.function, '__name__', self.function)}, {options}"
