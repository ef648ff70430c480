"""Contrast with all of the training set: SogCLR's moving averages, and individual temperatures on top of them (iSogCLR)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.data.loader import BatchSource
from antiphon.common.distributed import gather, row_counts
from antiphon.common.objectives.base import Objective, ViewOutputs
from antiphon.common.objectives.info_nce import dcl
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, reduce_rows


def _moved(averages: Tensor, log_means: Tensor, gamma: float) -> Tensor:
    """log((1 - gamma) u + gamma g) from log u and log g; g itself where u was never seen (-inf)."""
    share = math.log(gamma) if gamma > 0.0 else -math.inf
    rest = math.log1p(-gamma) if gamma < 1.0 else -math.inf
    return torch.where(averages.isneginf(), log_means, torch.logaddexp(averages + rest, log_means + share))


def _negatives(view: Tensor) -> int:
    return 2 * sum(row_counts(len(view), device=view.device)) - 2


@full_precision
def sogclr(
    view_a: Tensor,
    view_b: Tensor,
    averages: Tensor,
    *,
    temperature: float = 0.1,
    gamma: float = 0.9,
    reduction: Reduction = "mean",
) -> tuple[Tensor, Tensor]:
    """The loss, and the moved `averages` (SogCLR, Yuan et al., ICML 2022).

    For an anchor with positive s_p, negatives s_k and g = mean_k exp(s_k / t), the moving average is u = (1 - gamma) u_i + gamma g,
    where u_i belongs to the training example, and the gradient is that of ``-s_p + mean_k stopped(exp(s_k / t) / u) s_k``: small
    batches then follow the loss over all of the training set. `averages` (B,) holds log u_i, -inf for an example never seen, which
    starts from its g; the logarithm takes the place of the authors' running maxima. The new u_i is the mean over both views.

    The value is ``t ((g / u) log sum_k exp(s_k / t)) - s_p`` with g / u constant, which has that gradient and is t times `dcl`, in
    value and gradient, if gamma is 1. The authors add the views where this is the mean over anchors. A batch of one gives 0.

    Views (B, D) are L2-normalised here; across ranks the negatives come from everywhere.

    Returns:
        A scalar (with reduction "none" this rank's losses (2B,), those of `view_a` first), and log u_i (B,) without gradient.
    """
    rows = dcl(view_a, view_b, temperature=temperature, reduction="none")
    count = _negatives(view_a)
    if count == 0:
        return reduce_rows(rows, reduction), averages
    positive = (F.normalize(view_a, dim=-1) * F.normalize(view_b, dim=-1)).sum(dim=-1).repeat(2) / temperature
    log_sums = rows + positive
    log_means = log_sums.detach() - math.log(count)
    moved = _moved(averages.repeat(2), log_means, gamma)
    losses = temperature * ((log_means - moved).exp() * log_sums - positive)
    return reduce_rows(losses, reduction), torch.logaddexp(*moved.chunk(2)) - math.log(2.0)


@full_precision
def isogclr(
    view_a: Tensor,
    view_b: Tensor,
    averages: Tensor,
    temperatures: Tensor,
    *,
    gamma: float = 0.8,
    rho: float = 0.4,
    reduction: Reduction = "mean",
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss, the moved `averages`, and the slope of the objective in the `temperatures` (iSogCLR, Qiu et al., ICML 2023).

    As `sogclr`, with a temperature t_i (B,) for each example that minimises ``t_i log mean_k exp(h_k / t_i) + t_i rho`` where
    h_k = s_k - s_p, and with u the average of mean_k exp(h_k / t_i). The gradient is that of
    ``mean_k stopped(exp(h_k / t_i) / u) h_k``.

    Returns:
        A scalar (with reduction "none" this rank's losses (2B,)), log u_i (B,), and the slope (B,), the mean over both views, which
        is estimated with u as well; the latter two without gradient.
    """
    tau = temperatures.detach().repeat(2)
    with torch.enable_grad():  # the slope is wanted, whatever becomes of the loss
        leaf = tau.clone().requires_grad_()
        rows = dcl(view_a, view_b, temperature=leaf[:, None], reduction="none")  # log sum_k exp(h_k / t)
        (falling,) = torch.autograd.grad(rows.sum(), leaf, retain_graph=True)  # -mean_softmax(h) / t^2
    count = _negatives(view_a)
    if count == 0:
        return reduce_rows(rows, reduction), averages, torch.zeros_like(temperatures)
    log_means = rows.detach() - math.log(count)
    moved = _moved(averages.repeat(2), log_means, gamma)
    ratio = (log_means - moved).exp()
    slopes = moved + rho + ratio * tau * falling
    loss = reduce_rows(tau * ratio * rows, reduction)
    return loss, torch.logaddexp(*moved.chunk(2)) - math.log(2.0), slopes.view(2, -1).mean(dim=0)


class SogCLR(Objective):
    """`sogclr` between two views, with an average for each training example, the same on all ranks. 4 bytes an example."""

    averages: Tensor

    def __init__(self, *, temperature: float = 0.1, gamma: float = 0.9) -> None:
        super().__init__()
        if not 0.0 <= gamma <= 1.0:
            raise ValueError(f"gamma is {gamma}: the share of the new batch in the averages is in [0, 1]")
        self.temperature, self.gamma = temperature, gamma
        self.register_buffer("averages", torch.empty(0))  # as long as the training set, see `prepare`

    def prepare(self, train: BatchSource) -> None:
        """Make room for the examples of the training set."""
        self.averages = torch.full((len(train),), -torch.inf)

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch; in training its averages are remembered."""
        first, second = self._two_views(outputs)
        averages = self.averages[outputs.index]
        loss, moved = sogclr(first, second, averages, temperature=self.temperature, gamma=self.gamma)
        if self.training:
            self._remember(outputs.index, averages=moved)
        return loss

    def _two_views(self, outputs: ViewOutputs) -> tuple[Tensor, Tensor]:
        if len(outputs.projections) != 2:
            raise ValueError(f"{type(self).__name__} contrasts two views, got {len(outputs.projections)}")
        if outputs.index.numel() and int(outputs.index.max()) >= len(self.averages):
            raise ValueError(
                f"training index {int(outputs.index.max())} is beyond the memory of {len(self.averages)} examples: call prepare "
                "with the training set before training"
            )
        return outputs.projections[0], outputs.projections[1]

    @torch.no_grad()
    def _remember(self, index: Tensor, **memories: Tensor) -> None:
        """Write the (B,) values of all ranks into the buffers of these names."""
        counts = row_counts(len(index), device=index.device)
        index = gather(index, with_grad=False, counts=counts)
        columns = gather(torch.stack(list(memories.values()), dim=1), with_grad=False, counts=counts)
        for name, column in zip(memories, columns.unbind(dim=1), strict=True):
            buffer = self.get_buffer(name)
            buffer[index] = column.to(buffer.dtype)


class ISogCLR(SogCLR):
    """`isogclr` between two views: each training example has a temperature, which descends its own slope. 12 bytes an example.

    The slope is clipped to +-`slope_limit`, averaged with weight `slope_share` on the new one, and moves the temperature by
    `temperature_lr`, within `temperature_range`. Defaults are those of the authors' script for CIFAR; the range is that of their
    bimodal code.
    """

    temperatures: Tensor
    slopes: Tensor

    def __init__(
        self,
        *,
        temperature: float = 0.1,
        gamma: float = 0.8,
        rho: float = 0.4,
        temperature_lr: float = 0.03,
        temperature_range: tuple[float, float] = (0.005, 1.0),
        slope_share: float = 0.5,
        slope_limit: float = 3.0,
    ) -> None:
        super().__init__(temperature=temperature, gamma=gamma)
        self.rho, self.temperature_lr, self.temperature_range = rho, temperature_lr, temperature_range
        self.slope_share, self.slope_limit = slope_share, slope_limit
        self.register_buffer("temperatures", torch.empty(0))
        self.register_buffer("slopes", torch.empty(0))

    def prepare(self, train: BatchSource) -> None:
        """Make room for the examples of the training set."""
        super().prepare(train)
        self.temperatures = torch.full((len(train),), self.temperature)
        self.slopes = torch.zeros(len(train))

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch; in training its averages are remembered and its temperatures move."""
        first, second = self._two_views(outputs)
        averages, temperatures = self.averages[outputs.index], self.temperatures[outputs.index]
        loss, moved, slopes = isogclr(first, second, averages, temperatures, gamma=self.gamma, rho=self.rho)
        if self.training:
            slopes = slopes.clamp(-self.slope_limit, self.slope_limit)
            slopes = torch.lerp(self.slopes[outputs.index].to(slopes.dtype), slopes, self.slope_share)
            temperatures = (temperatures - self.temperature_lr * slopes).clamp(*self.temperature_range)
            self._remember(outputs.index, averages=moved, temperatures=temperatures, slopes=slopes)
        return loss
