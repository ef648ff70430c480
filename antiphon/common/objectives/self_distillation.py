"""Learning from one's own targets, without negatives: BYOL, SimSiam, DirectPred, DINO.

Targets never carry a gradient. What keeps the network from giving every example the same embedding is the predictor and the slow
twin (BYOL), the predictor alone (SimSiam, DirectPred), or the centre and the sharpness of the targets (DINO).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from antiphon.common.distributed import row_counts, sum_over_ranks
from antiphon.common.objectives.base import Objective, ViewOutputs
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, reduce_rows

DirectForm = Literal["paper", "released", "copy"]


@full_precision
def simsiam(predictions: Tensor, targets: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """SimSiam (Chen & He, CVPR 2021), one direction: minus the cosine of predictions (B, P) and targets (B, P); -1 .. 1.

    Returns:
        A scalar, or with reduction "none" this rank's losses (B,).
    """
    if predictions.ndim != 2 or predictions.shape != targets.shape:
        raise ValueError(
            f"predictions and targets must both be (batch, dim), got {tuple(predictions.shape)} and {tuple(targets.shape)}: "
            "the predictor must keep the head's out_dim"
        )
    return reduce_rows(-(F.normalize(predictions, dim=-1) * F.normalize(targets.detach(), dim=-1)).sum(dim=-1), reduction)


@full_precision
def byol(predictions: Tensor, targets: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """BYOL (Grill et al., NeurIPS 2020), one direction: the squared distance of unit vectors, ``2 - 2 cosine``; 0 .. 4.

    Returns:
        A scalar, or with reduction "none" this rank's losses (B,).
    """
    return reduce_rows(2.0 + 2.0 * simsiam(predictions, targets, reduction="none"), reduction)


class SelfDistillation(Objective):
    """The prediction of each view against the target of every other: ``weight`` times the mean over such ordered pairs.

    `function` is `byol` or `simsiam`. BYOL adds up the two directions of a pair: ``weight=2``. There may be fewer targets than
    predictions (multi-crop): then these are the targets of the first views.
    """

    needs = ("predictions", "targets")

    def __init__(self, function: Callable[..., Tensor], *, weight: float = 1.0) -> None:
        super().__init__()
        self.function = function
        self.weight = weight

    def _over_pairs(self, outputs: ViewOutputs, **options: Any) -> Tensor:
        losses = [
            self.function(prediction, target, **options) for prediction, target in _pairs(outputs.predictions, outputs.targets)
        ]
        return self.weight * torch.stack(losses).mean(dim=0)

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        return self._over_pairs(outputs)

    def per_example(self, outputs: ViewOutputs) -> Tensor:
        """The loss of each example, (B,)."""
        return self._over_pairs(outputs, reduction="none")


def _pairs(students: Sequence[Tensor], targets: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Every student's view with the target of every other view."""
    pairs = [(student, target) for i, student in enumerate(students) for j, target in enumerate(targets) if i != j]
    if not pairs:
        raise ValueError(f"self-distillation needs two views or more, got {len(students)} and targets of {len(targets)}")
    return pairs


@full_precision
def direct_weight(moment: Tensor, *, form: DirectForm = "paper", eps: float = 0.1) -> Tensor:
    """The predictor's matrix (P, P) for the second moment F = E[z z^T] (P, P) of its input; symmetric, positive, commutes with F.

    With the eigenvalues s of F, in its eigenvectors: "paper" has sqrt(s) + eps max(s) (DirectPred, Tian et al., ICML 2021),
    "released" sqrt(s / max(s)) + eps, at least 1e-4 (their code); "copy" is F + eps I (DirectCopy, Wang et al. 2021).
    """
    if form == "copy":
        return moment + eps * torch.eye(len(moment), dtype=moment.dtype, device=moment.device)
    values, vectors = torch.linalg.eigh(moment)
    values = values.clamp_min(0.0)  # rounding
    largest = values[-1]
    if form == "paper":
        scales = values.sqrt() + eps * largest
    elif form == "released":
        scales = ((values / largest.clamp_min(torch.finfo(values.dtype).tiny)).sqrt() + eps).clamp_min(1e-4)
    else:
        raise ValueError(f"form is {form!r}: use 'paper', 'released' or 'copy'")
    weight = (vectors * scales) @ vectors.T
    return (weight + weight.T) / 2


@full_precision
def _second_moment(rows: Tensor) -> Tensor:
    return rows.T @ rows


class DirectPredictor(nn.Module):
    """A linear predictor without parameters: its matrix follows from the statistics of its input (see `direct_weight`).

    Projections (B, in_dim) -> predictions (B, in_dim). In training `forward` collects the second moment of all views of a step, and
    `after_update`, which the learner calls after each optimiser step, takes that of all ranks into the moving average
    ``F <- decay F + (1 - decay) E[z z^T]`` (the first one is taken whole) and sets the matrix, every `frequency` updates. Until
    then it is the identity.
    """

    moment: Tensor
    weight: Tensor
    collected: Tensor
    rows: Tensor
    updates: Tensor

    def __init__(
        self, in_dim: int, *, form: DirectForm = "paper", decay: float = 0.3, eps: float = 0.1, frequency: int = 1
    ) -> None:
        super().__init__()
        if not 0.0 <= decay < 1.0 or eps < 0.0 or frequency < 1:
            raise ValueError(
                f"a direct predictor needs 0 <= decay < 1, eps >= 0 and frequency >= 1, got {decay}, {eps} and {frequency}"
            )
        direct_weight(torch.eye(1), form=form)  # an unknown form is an error now, not after the first step
        self.form, self.decay, self.eps, self.frequency = form, decay, eps, frequency
        self.register_buffer("moment", torch.zeros(in_dim, in_dim))
        self.register_buffer("weight", torch.eye(in_dim))
        self.register_buffer("collected", torch.zeros(in_dim, in_dim), persistent=False)
        self.register_buffer("rows", torch.zeros((), dtype=torch.int64), persistent=False)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(self, projections: Tensor) -> Tensor:
        """(B, in_dim) -> (B, in_dim)."""
        if projections.ndim != 2 or projections.shape[1] != len(self.weight):
            raise ValueError(f"the predictor was made for projections (batch, {len(self.weight)}), got {tuple(projections.shape)}")
        if self.training:
            self.collected += _second_moment(projections.detach())
            self.rows += len(projections)
        return projections @ self.weight.to(projections.dtype)

    @torch.no_grad()
    def after_update(self) -> None:
        """Take in what was collected since the last call."""
        rows = sum_over_ranks(self.rows)
        if rows == 0:
            return
        batch = sum_over_ranks(self.collected) / rows
        self.moment.lerp_(batch, 1.0 - self.decay if self.updates else 1.0)
        if self.updates % self.frequency == 0:
            self.weight.copy_(direct_weight(self.moment, form=self.form, eps=self.eps))
        self.updates += 1
        self.collected.zero_()
        self.rows.zero_()


@full_precision
def dino(
    student: Tensor,
    teacher: Tensor,
    *,
    center: Tensor,
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
    reduction: Reduction = "mean",
) -> Tensor:
    """DINO (Caron et al., ICCV 2021), one pair of views: cross-entropy of the student's softmax under the teacher's.

    Logits (B, K) of both; the teacher's, less `center` (K,), are sharpened by the lower temperature and carry no gradient.

    Returns:
        A scalar, or with reduction "none" this rank's losses (B,).
    """
    if student.ndim != 2 or student.shape != teacher.shape or center.shape != student.shape[1:]:
        raise ValueError(
            f"student and teacher must both be (batch, K) and the centre (K,), got {tuple(student.shape)}, {tuple(teacher.shape)} "
            f"and {tuple(center.shape)}: build Dino with projection_dim={student.shape[-1]}"
        )
    targets = ((teacher.detach() - center) / teacher_temperature).softmax(dim=-1)
    return reduce_rows(F.cross_entropy(student / student_temperature, targets, reduction="none"), reduction)


class Dino(Objective):
    """`dino` between the targets of the first `teacher_views` views and the projections of every other view, averaged over pairs.

    The centre is the moving average of the targets' mean over views and over the examples of all ranks; a batch is taken in after
    its loss. `projection_dim`: the number K of logits, the out_dim of the head.
    """

    needs = ("projections", "targets")
    center: Tensor

    def __init__(
        self,
        *,
        projection_dim: int = 65536,
        student_temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        center_decay: float = 0.9,
        teacher_views: int = 2,
    ) -> None:
        super().__init__()
        if not 0.0 <= center_decay < 1.0 or teacher_views < 1:
            raise ValueError(f"dino needs 0 <= center_decay < 1 and teacher_views >= 1, got {center_decay} and {teacher_views}")
        self.student_temperature, self.teacher_temperature = student_temperature, teacher_temperature
        self.center_decay, self.target_views = center_decay, teacher_views
        self.register_buffer("center", torch.zeros(projection_dim))

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        targets = outputs.targets[: self.target_views]
        losses = [
            dino(
                student,
                teacher,
                center=self.center,
                student_temperature=self.student_temperature,
                teacher_temperature=self.teacher_temperature,
            )
            for student, teacher in _pairs(outputs.projections, targets)
        ]
        if self.training:
            self._recenter(torch.stack(list(targets)))
        return torch.stack(losses).mean()

    @torch.no_grad()
    def _recenter(self, targets: Tensor) -> None:
        """Take in targets (V, B, K)."""
        views, rows, _ = targets.shape
        count = sum(row_counts(rows, device=targets.device)) * views
        mean = sum_over_ranks(targets.to(self.center.dtype).sum(dim=(0, 1))) / count
        self.center.lerp_(mean, 1.0 - self.center_decay)
