"""MoCHi: hard negatives mixed from the hardest of MoCo's queue (Kalantidis et al., NeurIPS 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives.base import ViewOutputs, streams_of
from antiphon.common.objectives.info_nce import info_nce
from antiphon.common.objectives.moco import MoCo, moco
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, reduce_rows
from antiphon.common.random import KeyedRandom


def mixed(first: Tensor, second: Tensor, share: float | Tensor) -> Tensor:
    """The point share * first + (1 - share) * second, (..., D), L2-normalised."""
    return F.normalize(second + share * (first - second), dim=-1)


@torch.no_grad()
def synthetic_negatives(
    queries: Tensor, queue: Tensor, *, random: KeyedRandom, hardest: int, pairs: int, with_query: int
) -> Tensor:
    """Points (B, pairs + with_query, D) made for each unit query (B, D) from the `hardest` of the unit `queue` (K, D).

    `pairs` of them lie between two of the hardest, uniformly; `with_query` between one of the hardest and the query itself, up to
    half of the way. They carry no gradient, not even that of the query inside.
    """
    nearest = (queries @ queue.T).topk(min(hardest, len(queue)), dim=-1).indices  # (B, N)

    def drawn(count: int) -> Tensor:
        return queue[nearest.gather(1, random.integers(count, high=nearest.shape[1]))]  # (B, count, D)

    between = mixed(drawn(pairs), drawn(pairs), random.uniform(pairs, 1).to(queries.dtype))
    towards = mixed(queries[:, None], drawn(with_query), random.uniform(with_query, 1, high=0.5).to(queries.dtype))
    return torch.cat((between, towards), dim=1)


@full_precision
def mochi(
    queries: Tensor,
    keys: Tensor,
    queue: Tensor,
    *,
    random: KeyedRandom,
    hardest: int = 1024,
    pairs: int = 1024,
    with_query: int = 128,
    temperature: float | Tensor = 0.2,
    reduction: Reduction = "mean",
) -> Tensor:
    """`moco` with `synthetic_negatives` beside the queue in each query's denominator; arguments and result as there.

    The authors write MoCHi(hardest, pairs, with_query). `random` holds the streams of the B examples.
    """
    if len(queue) == 0 or pairs + with_query == 0:
        return moco(queries, keys, queue, temperature=temperature, reduction=reduction)
    anchors, partners, queue = F.normalize(queries, dim=-1), F.normalize(keys.detach(), dim=-1), queue.detach().to(queries.dtype)
    points = synthetic_negatives(anchors, queue, random=random, hardest=hardest, pairs=pairs, with_query=with_query)
    # Both are log sum_negatives exp - positive, so their logaddexp is that of all negatives, and softplus adds the positive.
    from_queue = info_nce(
        anchors, queue, partners=partners, temperature=temperature, positives_in_denominator=False, reduction="none"
    )
    from_points = info_nce(
        anchors[:, None],
        points,
        partners=partners[:, None],
        temperature=temperature,
        positives_in_denominator=False,
        reduction="none",
    )
    rows = F.softplus(torch.logaddexp(from_queue, from_points.squeeze(1)), threshold=50.0)  # torch's 20 is too coarse for float64
    return reduce_rows(rows, reduction)


class MoCHi(MoCo):
    """`MoCo` with mixed hard negatives, which start after `warmup_steps` training steps.

    Published: a queue of 16k, temperature 0.2, and a warm-up of about ten epochs, which is for you to convert; the default is that
    of an unofficial code.
    """

    step: Tensor

    def __init__(
        self,
        *,
        projection_dim: int,
        queue_size: int = 16384,
        temperature: float = 0.2,
        hardest: int = 1024,
        pairs: int = 1024,
        with_query: int = 128,
        warmup_steps: int = 1024,
    ) -> None:
        super().__init__(projection_dim=projection_dim, queue_size=queue_size, temperature=temperature)
        if hardest < 1 or pairs < 0 or with_query < 0:
            raise ValueError(f"MoCHi({hardest}, {pairs}, {with_query}) cannot mix: take hardest >= 1 and counts of 0 or more")
        self.mixing = {"hardest": hardest, "pairs": pairs, "with_query": with_query}
        self.warmup_steps = warmup_steps
        self.register_buffer("step", torch.tensor(0))

    def contrast(self, outputs: ViewOutputs, view: int, other: int, queue: Tensor) -> Tensor:
        """Losses (B,) of the queries of `view` with the keys of `other`."""
        if self.step < self.warmup_steps:
            return super().contrast(outputs, view, other, queue)
        queries, keys, random = outputs.projections[view], outputs.targets[other], streams_of(outputs).fold(view, other)
        return mochi(queries, keys, queue, random=random, temperature=self.temperature, reduction="none", **self.mixing)

    def per_example(self, outputs: ViewOutputs) -> Tensor:
        """The loss of each example, (B,); in training its keys are queued."""
        losses = super().per_example(outputs)
        if self.training:
            self.step.add_(1)
        return losses
