"""Supervised contrast of examples with the prototypes of their classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.distributed import gather, sum_over_ranks
from antiphon.common.objectives.base import Objective, ViewOutputs, labels_of
from antiphon.common.objectives.info_nce import info_nce
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, reduce_rows


@full_precision
def protoclr(embeddings: Tensor, labels: Tensor, *, temperature: float | Tensor = 0.1, reduction: Reduction = "mean") -> Tensor:
    """ProtoCLR (Moummad et al., 2024): each example finds the prototype of its class among those of the classes in the batch.

    `embeddings` (N, D), L2-normalised here, and `labels` (N,); for several views, concatenate them and repeat the labels. A
    prototype is the mean of its class's unit vectors on all ranks, the anchor's own among them; it is not normalised again, so a
    scattered class has a short one, and gradients flow through it. A batch of one class has loss 0.

    Returns:
        A scalar, or with reduction "none" this rank's losses (N,).
    """
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise ValueError(f"embeddings must be (N, D) and labels (N,), got {tuple(embeddings.shape)} and {tuple(labels.shape)}")
    unit = F.normalize(embeddings, dim=-1)
    classes, counts = gather(labels, with_grad=False).unique(return_counts=True)
    own_class = torch.searchsorted(classes, labels.contiguous())
    sums = unit.new_zeros(len(classes), unit.shape[1]).index_add(0, own_class, unit)
    prototypes = sum_over_ranks(sums) / counts[:, None]  # (classes, D)
    rows = info_nce(unit, prototypes, positives=own_class, temperature=temperature, reduction="none")
    return reduce_rows(rows, reduction)


class ProtoCLR(Objective):
    """`protoclr` on the projections of all views together, with `labels["label"]`.

    Raises:
        ValueError: from `forward`, if the training set has no labels.
    """

    def __init__(self, *, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        labels = labels_of(outputs).repeat(len(outputs.projections))
        return protoclr(torch.cat(list(outputs.projections)), labels, temperature=self.temperature)
