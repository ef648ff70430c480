"""Dynamic bad-pair mining: positive pairs whose loss stays too small or too large weigh less (Lan et al., ICLR 2024).

A *noisy* pair (two views of noise) is matched too easily, its loss stays small; in a *faulty* pair augmentation destroyed what the
views had in common, its loss stays large. The losses of every training example are remembered over epochs, both tails are
flagged once an epoch, and the current losses of flagged pairs are multiplied by a normal density around the typical history.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from antiphon.common.distributed import gather, row_counts

Form = Literal["paper", "released"]
WARMUP_SHARE = 50 / 80  # of all epochs, as published


def gaussian_weight(losses: Tensor, mean: float | Tensor, std: float | Tensor, *, normalize: bool = True) -> Tensor:
    """The normal density at `losses`; normalised to a peak of 1, so that it is a weight in (0, 1]."""
    density = torch.exp(-0.5 * ((losses - mean) / std) ** 2)
    return density if normalize else density / (std * math.sqrt(2.0 * math.pi))


class BadPairMining(nn.Module):
    """Memory of the losses of `examples` training examples, and the weights that follow from it.

    In a training step: ``weights(index, losses, epoch)``, then ``record(index, losses, epoch)``; both in every epoch, warm-up
    included, with epochs counted from 0. Flags are taken from the memory at the first call of an epoch and stay for that epoch.

    Two forms, since the paper and the authors' code differ:
        paper: an example's history is the plain mean of its losses; a flagged pair weighs exp(-(loss - mu)^2 / (2 sd^2)).
        released: the history is mean_e(loss_e * (1 + e) / max_epochs), and the weight is the density itself, which exceeds 1 where
            sd < 0.4 and is near 0 where raw losses lie far above the discounted mu; `normalize_pdf` divides it by its peak.

    The first `warmup_epochs` (None: 50 of every 80) only fill the memory.

    mu and sd are mean and (population) standard deviation of the histories of all examples seen. A pair is noisy where its history
    is at most mu - beta_noisy sd, faulty where it is at least mu + beta_faulty sd; with equal histories (sd = 0) none is. Weights
    are exactly 1 for unflagged pairs, during warm-up, and with infinite betas.

    All state is in buffers, so checkpoints carry it; across ranks the memory is the same everywhere.
    """

    loss_sum: Tensor
    times_seen: Tensor
    flagged: Tensor
    flagged_in: Tensor
    center: Tensor
    spread: Tensor

    def __init__(
        self,
        examples: int,
        *,
        form: Form = "paper",
        beta_noisy: float = 2.0,
        beta_faulty: float = 3.0,
        max_epochs: int,
        warmup_epochs: int | None = None,
        normalize_pdf: bool = False,
    ) -> None:
        super().__init__()
        if form not in ("paper", "released"):
            raise ValueError(f"form is {form!r}: use 'paper' or 'released'")
        if warmup_epochs is None:
            warmup_epochs = round(WARMUP_SHARE * max_epochs)
        if not 0 <= warmup_epochs <= max_epochs:
            raise ValueError(
                f"warmup_epochs is {warmup_epochs} of max_epochs {max_epochs}: nothing would be weighed: use at most max_epochs"
            )
        if beta_noisy < 0.0 or beta_faulty < 0.0:
            raise ValueError(f"betas are {beta_noisy} and {beta_faulty} standard deviations: use 0 or more, or inf to flag nothing")
        self.form = form
        self.beta_noisy, self.beta_faulty = beta_noisy, beta_faulty
        self.warmup_epochs, self.max_epochs = warmup_epochs, max_epochs
        self.normalize_pdf = normalize_pdf
        self.register_buffer("loss_sum", torch.zeros(examples))
        self.register_buffer("times_seen", torch.zeros(examples, dtype=torch.int64))
        self.register_buffer("flagged", torch.zeros(examples, dtype=torch.int8))
        self.register_buffer("flagged_in", torch.tensor(-1))  # the epoch that the flags belong to
        self.register_buffer("center", torch.tensor(0.0))
        self.register_buffer("spread", torch.tensor(0.0))

    @property
    def history_mean(self) -> Tensor:
        """The history of each example (N,), NaN for one never seen."""
        return self.loss_sum / self.times_seen.where(self.times_seen > 0, torch.nan)

    def _statistics(self) -> tuple[Tensor, Tensor]:
        seen = self.history_mean[self.times_seen > 0]
        if len(seen) == 0:
            return torch.zeros_like(self.center), torch.zeros_like(self.spread)
        return seen.mean(), seen.std(correction=0)

    def limits(self) -> tuple[float, float]:
        """Histories at or below the first are noisy, at or above the second faulty, by what the memory says now."""
        center, spread = self._statistics()
        if spread == 0.0:  # all histories equal: nothing stands out
            return -math.inf, math.inf
        return float(center - self.beta_noisy * spread), float(center + self.beta_faulty * spread)

    def flags(self) -> Tensor:
        """What the memory says now, (N,) int8: -1 noisy, +1 faulty, 0 neither (or never seen)."""
        history, (lower, upper) = self.history_mean, self.limits()
        flags = torch.zeros_like(self.flagged)
        flags[history <= lower] = -1  # NaN (never seen) compares False
        flags[history >= upper] = 1
        return flags

    @torch.no_grad()
    def _begin(self, epoch: int) -> None:
        if int(self.flagged_in) != epoch:
            center, spread = self._statistics()
            self.flagged.copy_(self.flags())
            self.flagged_in.fill_(epoch)
            self.center.copy_(center)
            self.spread.copy_(spread)

    @torch.no_grad()
    def weights(self, index: Tensor, losses: Tensor, epoch: int) -> Tensor:
        """Weights (B,), without gradient, for the `losses` (B,) of the training examples `index` (B,)."""
        self._check(index, losses)
        self._begin(epoch)
        ones = torch.ones_like(losses)
        if epoch < self.warmup_epochs:
            return ones
        normalize = self.form == "paper" or self.normalize_pdf
        density = gaussian_weight(losses, self.center.to(losses.dtype), self.spread.to(losses.dtype), normalize=normalize)
        return torch.where(self.flagged[index] == 0, ones, density)

    @torch.no_grad()
    def record(self, index: Tensor, losses: Tensor, epoch: int) -> None:
        """Remember the `losses` (B,) of the training examples `index` (B,), those of all ranks on every rank."""
        self._check(index, losses)
        self._begin(epoch)
        counts = row_counts(len(index), device=index.device)
        index = gather(index, with_grad=False, counts=counts)
        losses = gather(losses, with_grad=False, counts=counts).to(self.loss_sum.dtype)
        scale = (1.0 + epoch) / self.max_epochs if self.form == "released" else 1.0
        self.loss_sum.index_add_(0, index, losses * scale)
        self.times_seen.index_add_(0, index, torch.ones_like(index))

    def _check(self, index: Tensor, losses: Tensor) -> None:
        if index.ndim != 1 or index.shape != losses.shape:
            raise ValueError(f"index and losses must both be (batch,), got {tuple(index.shape)} and {tuple(losses.shape)}")
        if index.numel():
            low, high = (int(bound) for bound in index.aminmax())
            if low < 0 or high >= len(self.loss_sum):
                raise ValueError(
                    f"training indices run from {low} to {high}, but the memory holds {len(self.loss_sum)} examples: "
                    "build BadPairMining with the size of the training set"
                )

    def extra_repr(self) -> str:
        """What the module prints about itself."""
        return f"examples={len(self.loss_sum)}, form={self.form}, beta_noisy={self.beta_noisy}, beta_faulty={self.beta_faulty}"
