"""Contrast by labels: SupCon, whose positives are all examples of the anchor's class."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.distributed import first_row, gather, row_counts, world_size
from antiphon.common.objectives.base import Objective, ViewOutputs, labels_of
from antiphon.common.objectives.denominators import exclude_
from antiphon.common.objectives.info_nce import info_nce
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, reduce_rows

SupConForm = Literal["out", "in"]


def _mean_positives(everyone: Tensor, classes: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of the other vectors of the class of rows `own`, (B, D), and how many they are, (B,). `classes` (n,) from 0."""
    count = int(classes.max()) + 1 if len(classes) else 0
    sums = everyone.new_zeros(count, everyone.shape[1]).index_add(0, classes, everyone)
    others = classes.bincount(minlength=count)[classes[own]] - 1
    return (sums[classes[own]] - everyone[own]) / others.clamp_min(1).unsqueeze(-1), others


@full_precision
def supcon(
    embeddings: Tensor,
    labels: Tensor,
    *,
    temperature: float | Tensor = 0.1,
    form: SupConForm = "out",
    tiled: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """Supervised contrastive loss (Khosla et al. 2020), with the sum over positives outside the logarithm or inside.

    ``out_i = logsumexp_{j != i} s_ij / t - mean_p s_ip / t`` and ``in_i = logsumexp_{j != i} s_ij / t - log mean_p exp(s_ip / t)``,
    which is never larger. `embeddings` (N, D), L2-normalised here, and `labels` (N,): the positives p of an anchor are all others
    with its label, on every rank; for several views, concatenate them and repeat the labels. An anchor with no positive has loss 0
    and does not count in the mean (the authors' code counts it). `tiled` never holds the similarities; the form "out" needs of
    the positives only the sums of classes.

    Returns:
        A scalar, or with reduction "none" this rank's losses (N,).

    Raises:
        ValueError: if shapes do not fit, `form` is unknown, or the form "in" shall be tiled.
    """
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise ValueError(f"embeddings must be (N, D) and labels (N,), got {tuple(embeddings.shape)} and {tuple(labels.shape)}")
    if form not in ("out", "in") or (form == "in" and tiled):
        raise ValueError(f"form is {form!r} with tiled={tiled}: use 'out', or 'in' with tiled=False")
    local = F.normalize(embeddings, dim=-1)
    counts = row_counts(len(local), device=local.device)
    everyone = local if world_size() == 1 else gather(local, counts=counts)
    _, classes = gather(labels, with_grad=False, counts=counts).unique(return_inverse=True)
    own = torch.arange(len(local), device=local.device) + first_row(counts)
    means, others = _mean_positives(everyone, classes, own)
    if form == "out":
        rows = info_nce(
            local,
            everyone,
            partners=means,
            ignore=own.unsqueeze(-1),
            temperature=temperature,
            positives_in_denominator=False,  # all positives are among the candidates already
            tiled=tiled,
            reduction="none",
        )
    else:
        rows = _inside(local, everyone, own, classes, others, temperature)
    return reduce_rows(torch.where(others > 0, rows, 0.0), reduction, others > 0)


def _inside(local: Tensor, everyone: Tensor, own: Tensor, classes: Tensor, others: Tensor, temperature: float | Tensor) -> Tensor:
    logits = (local / temperature) @ everyone.T
    positives = logits.clone()
    exclude_(logits, own.unsqueeze(-1))
    exclude_(positives, own.unsqueeze(-1), classes[own].unsqueeze(-1) != classes)
    return logits.logsumexp(dim=-1) - positives.logsumexp(dim=-1) + others.clamp_min(1).log()


class SupCon(Objective):
    """Supervised contrast on `labels["label"]`: `supcon` on the projections of all views together.

    Raises:
        ValueError: from `forward`, if the training set has no labels.
    """

    def __init__(self, *, temperature: float = 0.1, form: SupConForm = "out", tiled: bool = False) -> None:
        super().__init__()
        self.temperature, self.form, self.tiled = temperature, form, tiled

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        labels = labels_of(outputs).repeat(len(outputs.projections))
        projections = torch.cat(list(outputs.projections))
        return supcon(projections, labels, temperature=self.temperature, form=self.form, tiled=self.tiled)
