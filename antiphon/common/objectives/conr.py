"""Contrast for imbalanced regression: what is predicted alike although its labels differ is pushed apart."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from antiphon.common.distributed import first_row, gather, mean_over_ranks, row_counts
from antiphon.common.objectives.base import Objective, ViewOutputs, labels_of
from antiphon.common.objectives.info_nce import info_nce
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, column_mask, reduce_rows

Push = Literal["exponential", "linear"]


@full_precision
def conr(
    embeddings: Tensor,
    labels: Tensor,
    predictions: Tensor,
    *,
    window: float = 1.0,
    temperature: float | Tensor = 0.07,
    push: Push = "exponential",
    push_rate: float = 0.01,
    rarity: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """ConR (Keramati et al., ICLR 2024), the contrastive regulariser of a regression.

    All others with a label within `window` of the anchor's are positives; those with a label further away whose prediction is
    nevertheless within `window` of the anchor's prediction are negatives. The rest do not count. With similarities s of unit
    vectors, the loss of an anchor is the mean over its positives p of
    ``-log(e^(s_p / t) / (sum_positives e^(s / t) + sum_negatives eta e^(s / t)))``.
    The push eta grows with the difference d of labels: ``rarity * exp(push_rate * d)`` (ages), or ``rarity * push_rate * d``
    if linear (depths). An anchor without a positive or without a negative has loss 0 and counts in the mean.

    Args:
        embeddings: (N, D), L2-normalised here; views are concatenated and their labels repeated.
        labels: (N,), in the unit of the target.
        predictions: (N,), in the same unit. They only choose the negatives: no gradient reaches them.
        window: in the unit of the target.
        temperature: of the softmax.
        push: form of eta.
        push_rate: per unit of the target.
        rarity: (N,) positive weight of each anchor's label, such as its inverse density; None: 1.
        reduction: "mean", "sum", or "none" for this rank's losses (N,).

    Raises:
        ValueError: if shapes do not fit or `push` is unknown.
    """
    if push not in ("exponential", "linear"):
        raise ValueError(f"push is {push!r}: use 'exponential' or 'linear'")
    _check(embeddings, labels=labels, predictions=predictions, rarity=rarity)
    local = F.normalize(embeddings, dim=-1)
    counts = row_counts(len(local), device=local.device)
    labels, predictions = labels.to(local.dtype), predictions.detach().to(local.dtype)
    everyone, everyones = (
        gather(local, counts=counts),
        gather(torch.stack((labels, predictions), 1), with_grad=False, counts=counts),
    )
    own = column_mask(torch.arange(len(local), device=local.device) + first_row(counts), len(everyone))
    differences = (labels[:, None] - everyones[:, 0]).abs()
    positives = (differences <= window) & ~own
    negatives = (differences > window) & ((predictions[:, None] - everyones[:, 1]).abs() <= window)
    log_push = push_rate * differences if push == "exponential" else (push_rate * differences).log()
    if rarity is not None:
        log_push = log_push + rarity.log()[:, None]
    rows = info_nce(
        local,
        everyone,
        positives=positives,
        ignore=~(positives | negatives),
        log_weights=log_push.masked_fill(~negatives, 0.0),
        temperature=temperature,
        reduction="none",
    )
    return reduce_rows(torch.where(negatives.any(dim=-1), rows, 0.0), reduction)


def _check(embeddings: Tensor, **columns: Tensor | None) -> None:
    for name, column in columns.items():
        if embeddings.ndim != 2 or (column is not None and column.shape != embeddings.shape[:1]):
            shape = None if column is None else tuple(column.shape)
            raise ValueError(f"embeddings must be (N, D) and {name} (N,), got {tuple(embeddings.shape)} and {shape}")


class ConR(Objective):
    """Regression of `labels[label]` from the embeddings by a linear map, with `conr` on the projections as a regulariser.

    The loss is ``mean |prediction - label| + weight * conr`` over all views. `window` and `push_rate` are in the unit of the label.

    Raises:
        ValueError: from `forward`, if the training set has no such labels.
    """

    needs = ("embeddings", "projections")

    def __init__(
        self,
        in_dim: int,
        *,
        weight: float = 4.0,
        window: float = 1.0,
        temperature: float = 0.07,
        push: Push = "exponential",
        push_rate: float = 0.01,
        label: str = "label",
    ) -> None:
        super().__init__()
        self.regression = nn.Linear(in_dim, 1)
        self.weight, self.window, self.temperature = weight, window, temperature
        self.push: Push = push
        self.push_rate, self.label = push_rate, label

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        labels = labels_of(outputs, self.label).repeat(len(outputs.embeddings))
        predictions = self.regression(torch.cat(list(outputs.embeddings))).squeeze(-1)
        predictions = predictions.to(torch.promote_types(predictions.dtype, torch.float32))
        labels = labels.to(predictions.dtype)
        contrast = conr(
            torch.cat(list(outputs.projections)),
            labels,
            predictions,
            window=self.window,
            temperature=self.temperature,
            push=self.push,
            push_rate=self.push_rate,
        )
        return mean_over_ranks((predictions - labels).abs()) + self.weight * contrast
