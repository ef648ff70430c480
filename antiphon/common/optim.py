"""Optimisers and schedules by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

OptimizerName = Literal["adamw", "adam", "sgd", "lars"]
ScheduleName = Literal["constant", "cosine", "linear", "multistep", "step"]


class LARS(Optimizer):
    """Layer-wise adaptive rate scaling with momentum (You et al., 2017), as SimCLR and Barlow Twins use it.

    Groups with ``adapt=False`` (biases, norms, temperatures) take plain momentum steps.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
            "adapt": True,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update; `closure` recomputes the loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        step = parameter.grad.add(parameter, alpha=group["weight_decay"])  # type: ignore[union-attr]
        if group["adapt"]:
            weight_norm, step_norm = parameter.norm(), step.norm()
            ratio = group["trust_coefficient"] * weight_norm / step_norm
            step = step * torch.where((weight_norm > 0) & (step_norm > 0), ratio, torch.ones_like(ratio))
        buffer = self.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))
        buffer.mul_(group["momentum"]).add_(step)
        parameter.add_(buffer, alpha=-group["lr"])


def decay_groups(module: nn.Module, weight_decay: float, *, decay_all: bool = False) -> list[dict[str, Any]]:
    """Parameters in two groups: matrices and kernels; and biases, norms, temperatures and other 0- and 1-D ones.

    The second group does not decay (unless `decay_all`), and LARS does not adapt its steps.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    large = [parameter for parameter in parameters if parameter.ndim > 1]
    small = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups = [
        {"params": large, "weight_decay": weight_decay},
        {"params": small, "weight_decay": weight_decay if decay_all else 0.0, "adapt": False},
    ]
    return [group for group in groups if group["params"]]


@dataclass(frozen=True)
class OptimizerSettings:
    """An optimiser and its schedule.

    `warmup` is a share of all steps (0 .. 1) with a linear rise; then `schedule` takes over: `constant`, `cosine` or `linear` down
    to `final_lr_share` of `lr`; `multistep`, times `gamma` at each share of all steps in `milestones`; or `step`, times `gamma`
    after every share `every` of all steps (0.05 is five epochs of a hundred).
    `decay_all` applies weight decay to biases and norms too, as plain torch does.
    """

    name: OptimizerName = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.9
    schedule: ScheduleName = "constant"
    warmup: float = 0.0
    final_lr_share: float = 0.0
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    every: float = 0.05
    decay_all: bool = False

    def build(
        self, module: nn.Module, steps: int, *, lr_factors: Sequence[tuple[nn.Module, float]] = ()
    ) -> tuple[Optimizer, LambdaLR]:
        """The optimiser of the parameters of `module`, and its schedule over `steps` updates.

        The modules in `lr_factors`, no part of `module`, learn with that share of the rate.
        """
        groups = decay_groups(module, self.weight_decay, decay_all=self.decay_all)
        for part, factor in lr_factors:
            slower = decay_groups(part, self.weight_decay, decay_all=self.decay_all)
            groups += [{**group, "lr": factor * self.lr} for group in slower]
        if self.name != "lars":
            groups = [{key: value for key, value in group.items() if key != "adapt"} for group in groups]
        optimizer: Optimizer
        if self.name in ("adam", "adamw"):
            kind = torch.optim.AdamW if self.name == "adamw" else torch.optim.Adam
            optimizer = kind(groups, lr=self.lr, betas=self.betas, fused=True)
        elif self.name == "sgd":
            optimizer = torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum)
        elif self.name == "lars":
            optimizer = LARS(groups, self.lr, momentum=self.momentum)
        else:
            raise ValueError(f"unknown optimizer {self.name!r}: use adamw, adam, sgd or lars")
        return optimizer, LambdaLR(optimizer, self._factor(steps))

    def _factor(self, steps: int) -> Callable[[int], float]:
        if self.schedule not in get_args(ScheduleName):
            raise ValueError(f"unknown schedule {self.schedule!r}: use one of {', '.join(get_args(ScheduleName))}")
        if not 0.0 < self.every <= 1.0:
            raise ValueError(f"every is a share of all steps, above 0 and at most 1, got {self.every}")
        rise = round(self.warmup * steps)

        def factor(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            done = (step - rise) / max(1, steps - rise)
            if self.schedule == "multistep":
                return self.gamma ** sum(step / steps >= milestone for milestone in self.milestones)
            if self.schedule == "step":
                return self.gamma ** int(step / (self.every * steps) + 1e-9)
            shape = {"constant": 1.0, "cosine": 0.5 * (1 + math.cos(math.pi * min(1.0, done))), "linear": max(0.0, 1 - done)}
            return self.final_lr_share + (1 - self.final_lr_share) * shape[self.schedule]

        return factor
