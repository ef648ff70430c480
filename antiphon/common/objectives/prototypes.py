"""Contrast with prototypes instead of examples: SwAV, whose targets are balanced soft assignments."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from antiphon.common.distributed import gather, rank, world_size
from antiphon.common.frozen import frozen, updates_in
from antiphon.common.objectives.base import Objective, ViewOutputs
from antiphon.common.objectives.info_nce import info_nce
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, reduce_rows
from antiphon.common.queue import Queue

CODE_VIEWS = 2  # the first two views give codes, further (short) ones are only to predict them


@torch.no_grad()
@full_precision
def sinkhorn(scores: Tensor, *, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Scores of examples against prototypes (B, K) -> codes (B, K): soft assignments that use all prototypes alike.

    Each iteration scales the prototypes' total mass over the examples of all ranks to be equal, then each example's mass to 1; so
    rows sum to 1 exactly and columns to B / K in the limit. In the log domain: exp(1 / epsilon) would overflow half precision.
    Without gradient.
    """
    if epsilon <= 0 or iterations < 1:
        raise ValueError(f"sinkhorn needs epsilon > 0 and iterations of at least 1, got {epsilon} and {iterations}")
    logits = scores / epsilon
    for _ in range(iterations):
        mass = gather(logits.logsumexp(dim=0, keepdim=True), with_grad=False, counts=[1] * world_size())  # (ranks, K)
        logits = logits - mass.logsumexp(dim=0)
        logits = logits - logits.logsumexp(dim=1, keepdim=True)
    return logits.exp()


@full_precision
def swav(
    *views: Tensor,
    prototypes: Tensor,
    temperature: float | Tensor = 0.1,
    epsilon: float = 0.05,
    iterations: int = 3,
    queue: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """SwAV (Caron et al., NeurIPS 2020): each view predicts the code of the others.

    The cross-entropy between the code of one of the first two views (see `sinkhorn`, without gradient) and the softmax of another
    view's scores, averaged over all such pairs of views. Views (B, P), two or more, are L2-normalised here; the prototypes (K, P)
    are taken as they are, so keep their rows at length 1.

    `queue` (2, Q, P), the same on every rank, holds earlier unit vectors of the first two views. They take part in balancing the
    codes, which a batch smaller than K cannot do alone, and nowhere else.

    Returns:
        A scalar, or with reduction "none" this rank's losses (B,).

    Raises:
        ValueError: if there are fewer than two views or the prototypes have another size than they.
    """
    if len(views) < 2 or any(view.shape != views[0].shape for view in views):
        raise ValueError(f"swav needs two views or more of one shape (batch, dim), got {[tuple(view.shape) for view in views]}")
    if views[0].shape[1] != prototypes.shape[1]:
        raise ValueError(
            f"projections have {views[0].shape[1]} dimensions, but the prototypes {prototypes.shape[1]}: build SwAV with "
            f"projection_dim={views[0].shape[1]}"
        )
    units = [F.normalize(view, dim=-1) for view in views]
    losses = []
    for coded in range(CODE_VIEWS):
        balanced = units[coded] if queue is None else torch.cat((units[coded], queue[coded, rank() :: world_size()]))
        codes = sinkhorn(balanced.detach() @ prototypes.detach().T, epsilon=epsilon, iterations=iterations)[: len(units[coded])]
        losses += [
            info_nce(unit, prototypes, positives=codes, temperature=temperature, normalize_targets=False, reduction="none")
            for number, unit in enumerate(units)
            if number != coded
        ]
    return reduce_rows(torch.stack(losses).mean(dim=0), reduction)


class SwAV(Objective):
    """`swav` with its prototypes, which are trained with the encoder and kept at length 1.

    `projection_dim`: the size of the projections. For the share `freeze` of all `steps` updates the prototypes stay as they were
    drawn. `queue_size` rows of earlier batches balance the codes too (see `swav`), collected after the share `queue_from` of
    training and used once there are that many; 0: no queue.
    """

    updates: Tensor

    def __init__(
        self,
        *,
        projection_dim: int = 128,
        prototypes: int = 3000,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        iterations: int = 3,
        steps: int | None = None,
        freeze: float = 0.0,
        queue_size: int = 0,
        queue_from: float = 0.0,
    ) -> None:
        super().__init__()
        if projection_dim < 1 or prototypes < 1 or queue_size < 0:
            raise ValueError(
                "swav needs positive projection_dim and prototypes and no negative queue_size, "
                f"got {projection_dim}, {prototypes} and {queue_size}"
            )
        self.prototypes = nn.Parameter(F.normalize(torch.randn(prototypes, projection_dim), dim=-1))
        self.temperature, self.epsilon, self.iterations = temperature, epsilon, iterations
        self.frozen_updates = updates_in(freeze, steps, name="freeze")
        self.updates_before_queue = updates_in(queue_from, steps, name="queue_from")
        self.queue = Queue(queue_size, CODE_VIEWS * projection_dim) if queue_size else None  # both views of an example side by side
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        prototypes: Tensor = self.prototypes
        if self.updates < self.frozen_updates:
            prototypes = frozen(prototypes)
        loss = swav(
            *outputs.projections,
            prototypes=prototypes,
            temperature=self.temperature,
            epsilon=self.epsilon,
            iterations=self.iterations,
            queue=self._earlier(),
        )
        if self.training and self.queue is not None and self.updates >= self.updates_before_queue:
            units = [F.normalize(view.detach(), dim=-1) for view in outputs.projections[:CODE_VIEWS]]
            self.queue.enqueue(torch.cat(units, dim=1))
        return loss

    def _earlier(self) -> Tensor | None:
        """Unit vectors (2, Q, P) of earlier batches, once there are as many as the queue holds."""
        if self.queue is None or len(self.queue) < self.queue.size:
            return None
        return F.normalize(self.queue.rows().unflatten(1, (CODE_VIEWS, -1)), dim=-1).transpose(0, 1)

    @torch.no_grad()
    def after_update(self) -> None:
        """Bring the prototypes back to length 1 and count the update."""
        self.prototypes.copy_(F.normalize(self.prototypes, dim=-1))
        self.updates += 1
