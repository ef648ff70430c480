"""Momentum contrast: queries against the keys of a moving-average twin, with a queue of older keys or with those of the batch."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives.base import Objective, ViewOutputs
from antiphon.common.objectives.denominators import MarginKind
from antiphon.common.objectives.info_nce import info_nce
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, gathered_views, reduce_rows
from antiphon.common.queue import Queue


@full_precision
def moco(
    queries: Tensor,
    keys: Tensor,
    queue: Tensor,
    *,
    temperature: float | Tensor = 0.2,
    margin: float | Tensor = 0.0,
    margin_kind: MarginKind = "additive",
    tiled: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """InfoNCE of each query with its own key as positive and the queue as negatives (He et al. 2020; v2: Chen et al. 2020).

    `queries` (B, D) and `keys` (B, D) are L2-normalised here, `queue` (K, D) holds unit rows; neither keys nor queue get a
    gradient. The margin, taken off the positive's cosine (or, "angular", added to the angle), makes it MoCo-AM (Lepage & Dehak
    2024). An empty queue gives loss 0. `tiled` never holds the similarities.

    Returns:
        A scalar, this rank's share of the mean over all ranks' queries, or with reduction "none" the losses (B,).
    """
    rows = info_nce(
        F.normalize(queries, dim=-1),
        queue.detach().to(queries.dtype),
        partners=F.normalize(keys.detach(), dim=-1),
        temperature=temperature,
        margin=margin,
        margin_kind=margin_kind,
        tiled=tiled,
        reduction="none",
    )
    return reduce_rows(rows, reduction)


@full_precision
def moco_v3(
    queries: Tensor, keys: Tensor, *, temperature: float = 0.2, tiled: bool = False, reduction: Reduction = "mean"
) -> Tensor:
    """InfoNCE of each query against the keys of the batch, on all ranks, times 2 temperature (MoCo v3, Chen et al. 2021).

    `queries` (B, D) and `keys` (B, D) are L2-normalised here; keys get no gradient. This is one direction: the authors add both,
    `MoCoV3` takes their mean. `tiled` never holds the similarities.

    Returns:
        A scalar, this rank's share of the mean over all ranks' queries, or with reduction "none" the losses (B,).
    """
    _, everyone, own = gathered_views(keys.detach())
    rows = info_nce(
        F.normalize(queries, dim=-1), everyone[0], positives=own, temperature=temperature, tiled=tiled, reduction="none"
    )
    return reduce_rows(2.0 * temperature * rows, reduction)


class MoCo(Objective):
    """`moco` between the projections of every view and the targets of every other, then the targets join the queue.

    `queue_size` counts keys: two views bring two an example. Keep it well below the views of an epoch, or an example will meet its
    own earlier keys as negatives.
    """

    needs = ("projections", "targets")

    def __init__(
        self,
        *,
        projection_dim: int,
        queue_size: int = 65536,
        temperature: float = 0.2,
        margin: float = 0.0,
        margin_kind: MarginKind = "additive",
        tiled: bool = False,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.options: dict[str, Any] = {"margin": margin, "margin_kind": margin_kind, "tiled": tiled}
        self.queue = Queue(queue_size, projection_dim)

    def contrast(self, outputs: ViewOutputs, view: int, other: int, queue: Tensor) -> Tensor:
        """Losses (B,) of the queries of `view` with the keys of `other`."""
        queries, keys = outputs.projections[view], outputs.targets[other]
        return moco(queries, keys, queue, temperature=self.temperature, reduction="none", **self.options)

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch; in training its keys are queued."""
        return reduce_rows(self.per_example(outputs), "mean")

    def per_example(self, outputs: ViewOutputs) -> Tensor:
        """The loss of each example, (B,); in training its keys are queued."""
        if outputs.projections[0].shape[-1] != self.queue.dim:
            raise ValueError(
                f"projections have length {outputs.projections[0].shape[-1]}, the keys of the queue {self.queue.dim}: "
                "set projection_dim to what the head gives"
            )
        queue = self.queue.rows()  # of earlier batches only
        losses = [self.contrast(outputs, *pair, queue) for pair in permutations(range(len(outputs.projections)), 2)]
        if self.training:
            # Views side by side, so that the order in the queue does not depend on how many ranks share the batch.
            self.queue.enqueue(torch.stack(list(outputs.targets), dim=1).flatten(0, 1))
        return torch.stack(losses).mean(dim=0)


class MoCoV3(Objective):
    """`moco_v3` between the predictions of every view and the targets of every other, the mean over directions."""

    needs = ("predictions", "targets")

    def __init__(self, *, temperature: float = 0.2, tiled: bool = False) -> None:
        super().__init__()
        self.options: dict[str, Any] = {"temperature": temperature, "tiled": tiled}

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        return reduce_rows(self.per_example(outputs), "mean")

    def per_example(self, outputs: ViewOutputs) -> Tensor:
        """The loss of each example, (B,)."""
        losses = [
            moco_v3(outputs.predictions[view], outputs.targets[other], reduction="none", **self.options)
            for view, other in permutations(range(len(outputs.targets)), 2)
        ]
        return torch.stack(losses).mean(dim=0)
