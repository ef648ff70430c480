"""Supervised training on known speakers: the reference that label-free methods are measured against."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from antiphon.common.objectives.base import Objective, ViewOutputs, labels_of
from antiphon.common.objectives.denominators import with_margin
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, reduce_rows


@full_precision
def aam_softmax(
    embeddings: Tensor, speakers: Tensor, labels: Tensor, *, scale: float = 30.0, margin: float = 0.2, reduction: Reduction = "mean"
) -> Tensor:
    """Softmax over speakers with an additive angular margin (ArcFace, Deng et al., CVPR 2019).

    Cross-entropy of `scale` times the cosines of embeddings (B, D) and the vectors of all speakers (K, D), where the cosine with
    the true speaker, `labels` (B,) int64, is that of an angle larger by `margin` in radians.

    Returns:
        A scalar, this rank's share of the mean over all ranks' rows, or with reduction "none" the losses (B,).
    """
    cosines = F.normalize(embeddings, dim=-1) @ F.normalize(speakers, dim=-1).T
    own = labels[:, None]
    logits = scale * cosines.scatter(1, own, with_margin(cosines.gather(1, own), margin, "angular"))
    return reduce_rows(F.cross_entropy(logits, labels, reduction="none"), reduction)


class SpeakerSoftmax(Objective):
    """`aam_softmax` of all views with a learned vector for each of `classes`, the speakers of the training set."""

    def __init__(self, *, classes: Sequence[str], projection_dim: int, scale: float = 30.0, margin: float = 0.2) -> None:
        super().__init__()
        if len(classes) < 2:
            raise ValueError(
                f"a softmax over speakers needs at least two of them, the training set has {len(classes)}: give a column "
                "`speaker`, or use a recipe that needs none, such as speaker_verification/simclr_am"
            )
        self.scale, self.margin = scale, margin
        self.speakers = nn.Parameter(nn.init.xavier_normal_(torch.empty(len(classes), projection_dim)))

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        return reduce_rows(self.per_example(outputs), "mean")

    def per_example(self, outputs: ViewOutputs) -> Tensor:
        """The loss of each example, (B,): the mean over its views."""
        labels = labels_of(outputs)
        losses = [
            aam_softmax(projections, self.speakers, labels, scale=self.scale, margin=self.margin, reduction="none")
            for projections in outputs.projections
        ]
        return torch.stack(losses).mean(dim=0)
