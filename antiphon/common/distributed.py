"""Contrast across processes: what a loss needs so that W ranks compute what one process would.

The convention of the whole suite: every rank takes its own rows as anchors and the gathered rows of all ranks as candidates,
gradients flow through the gathering (its backward pass sums over ranks), and data-parallel training averages parameter gradients
over ranks. Encoder and temperature gradients then equal those of a single process on the concatenated batch. Every function is
a no-op where no process group is initialised.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def _grouped() -> bool:
    return dist.is_available() and dist.is_initialized()


def is_first_process() -> bool:
    """Whether this process is rank 0; known before a process group exists, since launchers say it in the environment."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


def rank() -> int:
    """The number of this process, 0 without a process group."""
    return dist.get_rank() if _grouped() else 0


def world_size() -> int:
    """How many processes train together, 1 without a process group."""
    return dist.get_world_size() if _grouped() else 1


def row_counts(count: int, *, device: torch.device | str = "cpu") -> list[int]:
    """How many rows each rank holds, in rank order; `count` is this rank's, `device` one that the process group can talk over."""
    if world_size() == 1:
        return [count]
    counts = torch.zeros(world_size(), dtype=torch.int64, device=device)
    counts[rank()] = count
    dist.all_reduce(counts)
    return [int(value) for value in counts.tolist()]


def first_row(counts: Sequence[int]) -> int:
    """Where this rank's rows begin among the gathered ones."""
    return sum(counts[: rank()])


def _gather_rows(tensor: Tensor, counts: Sequence[int]) -> Tensor:
    """Rows of all ranks in rank order. Every rank sends as many rows as the longest has, since collectives want equal shapes."""
    longest = max(counts)
    padded = F.pad(tensor, (0, 0) * (tensor.ndim - 1) + (0, longest - len(tensor))).contiguous()
    pieces = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(pieces, padded)
    return torch.cat([piece[:count] for piece, count in zip(pieces, counts, strict=True)])


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, counts: Sequence[int]) -> Tensor:
        ctx.counts = counts
        return _gather_rows(tensor, counts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # Every rank's loss depends on these rows, so their gradient is the sum over ranks. Gloo has no reduce-scatter for
        # uneven pieces; an all-reduce followed by a cut gives the same numbers on every backend.
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        start = first_row(ctx.counts)
        return total[start : start + ctx.counts[rank()]], None


def gather(tensor: Tensor, *, with_grad: bool = True, counts: Sequence[int] | None = None) -> Tensor:
    """Concatenate the rows (first dimension) of all ranks, in rank order; the other dimensions must agree.

    Ranks may hold different numbers of rows. `counts`, the result of `row_counts`, saves asking for them again. With `with_grad`
    the backward pass hands each rank the sum over ranks of the gradient of its own rows; it is a collective operation, so every
    rank must run it. Without a process group the tensor itself comes back.
    """
    if world_size() == 1:
        return tensor if with_grad else tensor.detach()
    counts = row_counts(len(tensor), device=tensor.device) if counts is None else counts
    if with_grad and tensor.requires_grad:
        gathered: Tensor = _GatherRows.apply(tensor, counts)
        return gathered
    return _gather_rows(tensor.detach(), counts)


def _shift(rows: Tensor, count: int, step: int) -> Tensor:
    """Hand `rows` to the rank `step` further on, and receive `count` rows from the rank as far behind."""
    received = rows.new_empty(count, *rows.shape[1:])
    here, world = rank(), world_size()
    transfers = []  # both sides know the counts, and nobody sends an empty tensor
    if len(rows):
        transfers.append(dist.P2POp(dist.isend, rows.contiguous(), (here + step) % world))
    if count:
        transfers.append(dist.P2POp(dist.irecv, received, (here - step) % world))
    for request in dist.batch_isend_irecv(transfers) if transfers else ():
        request.wait()
    return received


class _Hop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, count: int) -> Tensor:
        ctx.sent = len(rows)
        return _shift(rows, count, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _shift(gradient, ctx.sent, -1), None  # the rows went forwards, their gradient comes back


def ring(tensor: Tensor, *, counts: Sequence[int] | None = None) -> Iterator[Tensor]:
    """The rows of one rank after another: this rank's, then those of the rank before it, and so on round the ring.

    What `gather` would concatenate, a block at a time and from neighbour to neighbour. The backward pass sends gradients the
    opposite way, so that each rank gets the sum over ranks of the gradient of its own rows. Every rank must go through the whole
    iterator and use every block in its loss, since each hop is a transfer, forwards and backwards. `counts` as for `gather`.
    """
    counts = row_counts(len(tensor), device=tensor.device) if counts is None else counts
    yield tensor
    for hop in range(1, len(counts)):
        tensor = _Hop.apply(tensor, counts[rank() - hop])  # a negative place counts from the end, as ranks on a ring do
        yield tensor


class _SumOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # Every rank's loss depends on the sum, hence on every rank's part of it.
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """The sum of all ranks' tensors (of one shape), for batch statistics; its backward pass sums the ranks' gradients.

    A loss that every rank computes alike from such sums has, averaged over ranks, the gradient of a single process.
    """
    if world_size() == 1:
        return tensor
    total: Tensor = _SumOverRanks.apply(tensor)
    return total


def mean_over_ranks(rows: Tensor, valid: Tensor | None = None) -> Tensor:
    """The share of one rank in the mean of all ranks' rows: the mean of it over ranks is the mean over all rows.

    `rows` is any shape, with zeros where `valid` (same shape, bool; None: everywhere) is False; those do not count. Scaling by
    counts keeps the identity exact for uneven batches, where a mean of means is not. No valid row anywhere gives 0.
    """
    count = torch.tensor(rows.numel(), device=rows.device) if valid is None else valid.sum()
    if world_size() > 1:
        dist.all_reduce(count)
    return rows.sum() * world_size() / count.clamp_min(1)
