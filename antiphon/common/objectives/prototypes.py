"""Contrast with prototypes instead of examples: SwAV, whose targets are balanced soft assignments."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from antiphon.common.distributed import gather, rank, world_size
from antiphon.common.objectives.base import Objective, ViewOutputs
from antiphon.common.objectives.info_nce import info_nce
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, reduce_rows

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

    `projection_dim`: the size of the projections. `freeze_steps`: for so many updates the prototypes stay as they were drawn.
    `queue_size` rows of earlier batches balance the codes too (see `swav`), collected from update number `queue_from_step` on
    and used once there are that many; 0: no queue.
    """

    queue: Tensor
    queued: Tensor
    updates: Tensor

    def __init__(
        self,
        *,
        projection_dim: int = 128,
        prototypes: int = 3000,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        iterations: int = 3,
        freeze_steps: int = 313,
        queue_size: int = 0,
        queue_from_step: int = 0,
    ) -> None:
        super().__init__()
        if projection_dim < 1 or prototypes < 1 or queue_size < 0:
            raise ValueError(
                "swav needs positive projection_dim and prototypes and no negative queue_size, "
                f"got {projection_dim}, {prototypes} and {queue_size}"
            )
        self.prototypes = nn.Parameter(F.normalize(torch.randn(prototypes, projection_dim), dim=-1))
        self.temperature, self.epsilon, self.iterations = temperature, epsilon, iterations
        self.freeze_steps, self.queue_from_step = freeze_steps, queue_from_step
        self.register_buffer("queue", torch.zeros(CODE_VIEWS, queue_size, projection_dim))
        self.register_buffer("queued", torch.zeros((), dtype=torch.int64))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        prototypes: Tensor = self.prototypes
        if self.updates < self.freeze_steps:
            prototypes = prototypes.detach() + 0.0 * prototypes  # a zero gradient, since data-parallel training waits for one
        size = self.queue.shape[1]
        loss = swav(
            *outputs.projections,
            prototypes=prototypes,
            temperature=self.temperature,
            epsilon=self.epsilon,
            iterations=self.iterations,
            queue=self.queue if size and self.queued == size else None,
        )
        if self.training and size and self.updates >= self.queue_from_step:
            self._enqueue(torch.stack(list(outputs.projections[:CODE_VIEWS]), dim=1))
        return loss

    @torch.no_grad()
    def _enqueue(self, projections: Tensor) -> None:
        """Take the rows (B, 2, P) of all ranks in, newest first."""
        rows = gather(F.normalize(projections.to(self.queue.dtype), dim=-1), with_grad=False).transpose(0, 1)
        size = self.queue.shape[1]
        self.queue.copy_(torch.cat((rows, self.queue), dim=1)[:, :size])
        self.queued.add_(rows.shape[1]).clamp_(max=size)

    @torch.no_grad()
    def after_update(self) -> None:
        """Bring the prototypes back to length 1 and count the update."""
        self.prototypes.copy_(F.normalize(self.prototypes, dim=-1))
        self.updates += 1
