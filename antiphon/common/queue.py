"""A queue of keys: negatives from the steps before, so that their number does not depend on the batch (MoCo, He et al. 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from antiphon.common.distributed import gather


class Queue(nn.Module):
    """The last `size` keys of length `dim`, L2-normalised; first in, first out.

    It starts empty and `rows` gives only what was put in, where MoCo starts from random vectors: those would be negatives that no
    encoder made. Every rank takes in the keys of all ranks, so the buffers are the same everywhere; checkpoints carry them.
    """

    keys: Tensor
    position: Tensor
    filled: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        if size < 1 or dim < 1:
            raise ValueError(f"a queue of {size} keys of length {dim} holds nothing: both must be at least 1")
        self.size, self.dim = size, dim
        self.register_buffer("keys", torch.zeros(size, dim))
        self.register_buffer("position", torch.tensor(0))  # where the next key goes
        self.register_buffer("filled", torch.tensor(0))

    def __len__(self) -> int:
        return int(self.filled)

    def rows(self) -> Tensor:
        """The keys held, (at most size, dim), in no particular order; a copy, for a backward pass after the next `enqueue`."""
        return self.keys[: len(self)].clone()

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Put in `keys` (n, dim) of all ranks, in rank order, over the oldest; any number of them, different on each rank.

        Raises:
            ValueError: if keys have another length.
        """
        if keys.ndim != 2 or keys.shape[1] != self.dim:
            raise ValueError(f"the queue holds keys of length {self.dim}, got {tuple(keys.shape)}")
        everyones = gather(keys, with_grad=False)
        kept = F.normalize(everyones[-self.size :].to(self.keys.dtype), dim=-1)
        places = (self.position + torch.arange(len(kept), device=self.keys.device)) % self.size
        self.keys[places] = kept
        self.position.copy_((self.position + len(kept)) % self.size)
        self.filled.add_(len(kept)).clamp_(max=self.size)

    def extra_repr(self) -> str:
        """What the module prints about itself."""
        return f"size={self.size}, dim={self.dim}"
