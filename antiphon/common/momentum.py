"""Copies of modules that follow the original: averaged weights for evaluation, and the moving-average twin that gives targets."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn


class AveragedWeights(nn.Module):
    """A copy of a module whose parameters average those of the original over training.

    `decay=None` is the plain mean of all iterates (TS2Vec); a number is an exponential moving average that starts from the weights
    the copy was made of. Statistics of batch norms are averaged like the weights, counters are copied.
    """

    count: Tensor

    def __init__(self, module: nn.Module, decay: float | None = None) -> None:
        super().__init__()
        if decay is not None and not 0.0 <= decay <= 1.0:
            raise ValueError(f"decay must be between 0 and 1, or None for the mean of all iterates, got {decay}")
        self.decay = decay
        self.module = copy.deepcopy(module).requires_grad_(False)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def share(self) -> float:
        """How much of the present weights the next update takes in."""
        return 1.0 / (self.count.item() + 1) if self.decay is None else 1.0 - self.decay

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take in the present weights of `module`."""
        share = self.share()
        torch._foreach_lerp_(list(self.module.parameters()), list(module.parameters()), share)
        self.count += 1
        self._update_buffers(module, share)

    def _update_buffers(self, module: nn.Module, share: float) -> None:
        for own, other in zip(self.module.buffers(), module.buffers(), strict=True):
            if own.is_floating_point():
                own.lerp_(other, share)
            else:
                own.copy_(other)


class AveragedCheckpoints(AveragedWeights):
    """The plain mean of the weights as they are at the end of each of the `last` epochs of `every` updates.

    Epochs are counted back from the last of `steps` updates, so the final weights are always among them; a shorter run averages
    what it has.
    """

    seen: Tensor

    def __init__(self, module: nn.Module, *, last: int, every: int, steps: int) -> None:
        super().__init__(module)
        if last < 1 or every < 1:
            raise ValueError(f"checkpoints are averaged over at least one epoch of at least one update, got {last} and {every}")
        self.last, self.every, self.steps = last, every, steps
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take in the present weights of `module`, if an epoch that counts has come to its end."""
        self.seen += 1
        epochs, rest = divmod(self.steps - int(self.seen), self.every)
        if rest or not 0 <= epochs < self.last:
            return
        super().update(module)


class MomentumTwin(AveragedWeights):
    """The slow copy of encoder and head whose projections are targets (MoCo, He et al. 2020; BYOL, Grill et al. 2020).

    The decay rises from `decay` to `final_decay` along a half cosine over `steps` updates (BYOL: 0.996 to 1); equal values keep it
    constant (MoCo: 0.999). In training it runs on views, too, so its batch norms collect statistics of their own, which are kept.
    """

    module: nn.ModuleDict

    def __init__(self, encoder: nn.Module, head: nn.Module, *, decay: float = 0.996, final_decay: float = 1.0, steps: int) -> None:
        super().__init__(nn.ModuleDict({"encoder": encoder, "head": head}), decay)
        if not decay <= final_decay <= 1.0:
            raise ValueError(f"final_decay is {final_decay}: use a value between decay ({decay}) and 1")
        self.first_decay, self.final_decay, self.steps = decay, final_decay, steps

    @property
    def encoder(self) -> nn.Module:
        """The slow encoder."""
        return self.module["encoder"]

    @property
    def head(self) -> nn.Module:
        """The slow head."""
        return self.module["head"]

    def share(self) -> float:
        """How much of the present weights the next update takes in."""
        done = min(1.0, self.count.item() / max(1, self.steps))
        return (1.0 - self.final_decay) + (self.final_decay - self.first_decay) * 0.5 * (1.0 + math.cos(math.pi * done))

    def _update_buffers(self, module: nn.Module, share: float) -> None:
        """Nothing: those of the original belong to other weights, and to views that the twin does not see (DINO's short crops)."""

    def follow(self, encoder: nn.Module, head: nn.Module) -> None:
        """Take in the present weights of both."""
        self.update(nn.ModuleDict({"encoder": encoder, "head": head}))
