"""Contrast of angles around the mean of normal data, for encoders that detect anomalies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives.base import Objective, ViewOutputs
from antiphon.common.objectives.info_nce import nt_xent
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, reduce_rows

if TYPE_CHECKING:
    from antiphon.common.data.loader import BatchSource
    from antiphon.common.encoder import Encoder


@full_precision
def mean_shifted(
    view_a: Tensor,
    view_b: Tensor,
    *,
    center: Tensor,
    temperature: float | Tensor = 0.25,
    angular_center: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """Mean-shifted contrastive loss (Reiss & Hoshen, AAAI 2023): NT-Xent on directions as seen from `center` instead of zero.

    Views (B, D) are L2-normalised here; `center` (D,), the mean of the normal data's unit embeddings, is taken off, and what is
    left is normalised again. A pretrained encoder's embeddings of one class lie in a narrow cone, which plain NT-Xent would spread
    over the sphere. With `angular_center` each view adds its mean squared distance to the normalised centre.

    An embedding that lies on the centre has no direction: its shifted vector is zero. `center` zero is NT-Xent.

    Returns:
        A scalar, or with reduction "none" this rank's losses (2B,), those of `view_a` first.
    """
    if view_a.ndim != 2 or center.shape != view_a.shape[1:]:
        raise ValueError(f"views must be (B, D) and the centre (D,), got {tuple(view_a.shape)} and {tuple(center.shape)}")
    center = center.detach().to(view_a)
    unit_a, unit_b = F.normalize(view_a, dim=-1), F.normalize(view_b, dim=-1)
    rows = nt_xent(unit_a - center, unit_b - center, temperature=temperature, reduction="none")
    if angular_center:
        # The sum of two means over B rows is the mean over 2B rows of twice the distance.
        rows = rows + 2.0 * (torch.cat((unit_a, unit_b)) - F.normalize(center, dim=0)).square().sum(dim=-1)
    return reduce_rows(rows, reduction)


class MeanShifted(Objective):
    """`mean_shifted` on the embeddings of two views of normal data, around their mean before training, which stays as it is.

    Made for an encoder that is pretrained already; its initial weights give the centre.

    Raises:
        ValueError: from `forward`, if the batch has not two views or `begin` has not set the centre.
    """

    needs = ("embeddings",)
    center: Tensor

    def __init__(self, in_dim: int, *, temperature: float = 0.25, angular_center: bool = False) -> None:
        super().__init__()
        self.temperature, self.angular_center = temperature, angular_center
        self.register_buffer("center", torch.full((in_dim,), torch.nan))

    def begin(self, encoder: Encoder, train: BatchSource) -> None:
        """Take the mean of the unit embeddings of `train` as the centre."""
        from antiphon.common.evaluation.embedding import embed_examples

        embeddings = torch.from_numpy(embed_examples(encoder, train)).double()
        self.center.copy_(F.normalize(embeddings, dim=-1).mean(dim=0))

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        if len(outputs.embeddings) != 2:
            raise ValueError(f"the mean-shifted loss contrasts two views, got {len(outputs.embeddings)}")
        if bool(self.center.isnan().any()):
            raise ValueError("the centre is not known: call begin(encoder, train) before training")
        return mean_shifted(
            *outputs.embeddings, center=self.center, temperature=self.temperature, angular_center=self.angular_center
        )
