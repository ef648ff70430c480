"""Feature transformation: harder positives and more diverse negatives for MoCo, made from its features (Zhu et al., ICCV 2021)."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives.base import ViewOutputs, streams_of
from antiphon.common.objectives.info_nce import info_nce
from antiphon.common.objectives.moco import MoCo
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, reduce_rows
from antiphon.common.random import KeyedRandom


def symmetric_beta(random: KeyedRandom, *shape: int, concentration: float) -> Tensor:
    """(B, *shape) from Beta(concentration, concentration), for a concentration of 0.5 or more.

    Without rejection, so that every position needs exactly two draws (Ulrich 1984): one coordinate of a point in the unit disc
    whose squared distance to the rim, relative to the radius, is a power of a uniform draw.
    """
    if concentration < 0.5:
        raise ValueError(f"the concentration of the Beta distribution is {concentration}: use 0.5 or more (1 is uniform)")
    power = math.inf if concentration == 0.5 else 2.0 / (2.0 * concentration - 1.0)
    radius = (1.0 - random.uniform(*shape) ** power).sqrt()
    return 0.5 + 0.5 * radius * (2.0 * math.pi * random.uniform(*shape)).cos()


def extrapolated(queries: Tensor, keys: Tensor, share: float | Tensor) -> tuple[Tensor, Tensor]:
    """Queries and keys (..., D) pushed apart by `share` > 1: share q + (1 - share) k, and the same with q and k exchanged.

    For unit vectors at cosine s and one share for all elements, their product is s + 2 share (1 - share) (1 - s), never above s.
    """
    return keys + share * (queries - keys), queries + share * (keys - queries)


@full_precision
def feature_transformation(
    queries: Tensor,
    keys: Tensor,
    queue: Tensor,
    *,
    random: KeyedRandom,
    positive_concentration: float | None = 2.0,
    negative_concentration: float | None = 1.6,
    temperature: float | Tensor = 0.2,
    reduction: Reduction = "mean",
) -> Tensor:
    """`moco` on transformed features; arguments and result as there.

    Each query and its key are `extrapolated` by a share of 1 + Beta(c, c), and each vector of the queue is replaced by one between
    it and another by a share of Beta(c, c); a share for every element of every vector, and all results L2-normalised again, as in
    the authors' commands. None leaves positives or negatives as they are. `random` holds the streams of the B examples; the queue
    is transformed by its batch-wide stream, alike on all ranks. Keys and queue get no gradient, the queries through both sides.
    """
    anchors, partners, queue = F.normalize(queries, dim=-1), F.normalize(keys.detach(), dim=-1), queue.detach().to(queries.dtype)
    if positive_concentration is not None:
        share = 1.0 + symmetric_beta(random, anchors.shape[-1], concentration=positive_concentration).to(anchors.dtype)
        anchors, partners = (F.normalize(side, dim=-1) for side in extrapolated(anchors, partners, share))
    if negative_concentration is not None and len(queue):
        share = symmetric_beta(random.shared, *queue.shape, concentration=negative_concentration)[0].to(queue.dtype)
        others = queue[random.shared.permutation(len(queue))[0]]
        queue = F.normalize(others + share * (queue - others), dim=-1)
    rows = info_nce(anchors, queue, partners=partners, temperature=temperature, reduction="none")
    return reduce_rows(rows, reduction)


class FeatureTransformation(MoCo):
    """`MoCo` on transformed features. The queue keeps the original keys."""

    def __init__(
        self,
        *,
        projection_dim: int,
        queue_size: int = 65536,
        temperature: float = 0.2,
        positive_concentration: float | None = 2.0,
        negative_concentration: float | None = 1.6,
    ) -> None:
        super().__init__(projection_dim=projection_dim, queue_size=queue_size, temperature=temperature)
        self.positive_concentration = positive_concentration
        self.negative_concentration = negative_concentration

    def contrast(self, outputs: ViewOutputs, view: int, other: int, queue: Tensor) -> Tensor:
        """Losses (B,) of the queries of `view` with the keys of `other`."""
        return feature_transformation(
            outputs.projections[view],
            outputs.targets[other],
            queue,
            random=streams_of(outputs).fold(view, other),
            positive_concentration=self.positive_concentration,
            negative_concentration=self.negative_concentration,
            temperature=self.temperature,
            reduction="none",
        )
