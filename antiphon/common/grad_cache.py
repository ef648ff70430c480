"""Large batches in little memory: the encoder runs in chunks, the loss still sees all rows (GradCache, Gao et al., RepL4NLP 2021).

A contrastive loss needs the representations of the whole batch, not the activations that made them. So the chunks are encoded
without a graph, the loss gives the gradient of every representation, and the backward pass encodes each chunk again, with a graph,
and feeds it its part of that gradient. One more forward pass buys a peak memory that does not depend on the batch.

The second passes run inside one autograd node whose inputs are the encoder's parameters. Whatever calls ``backward()`` sees an
ordinary loss: gradient scaling, accumulation, clipping and data-parallel averaging (one reduction a step, since no parameter gets
its gradient before the last chunk) need no special case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Chunk = TypeVar("Chunk")
BatchNorms = Literal["refuse", "per_chunk", "frozen"]


class _Moment:
    """The generators' states and the autocast setting at one moment, to be lived through again."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.cpu = torch.get_rng_state()
        self.accelerator = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        self.autocast = torch.is_autocast_enabled(device.type)
        self.autocast_dtype = torch.get_autocast_dtype(device.type)

    @contextmanager
    def again(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng([self.device] if self.accelerator is not None else []))
            stack.enter_context(torch.autocast(self.device.type, dtype=self.autocast_dtype, enabled=self.autocast))
            torch.set_rng_state(self.cpu)
            if self.accelerator is not None:
                torch.cuda.set_rng_state(self.accelerator, self.device)
            yield


class _Replay(torch.autograd.Function):
    """The loss's value; its gradient for the loss's own parameters is known, that for the encoder's is made by `encode_again`."""

    @staticmethod
    def forward(
        ctx: Any,
        value: Tensor,
        encode_again: Callable[[Tensor], list[Tensor | None]],
        known: Sequence[Tensor | None],
        *parameters: Tensor,
    ) -> Tensor:
        ctx.encode_again, ctx.known = encode_again, known
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Any, ...]:
        known = [None if gradient is None else gradient * upstream for gradient in ctx.known]
        return None, None, None, *ctx.encode_again(upstream), *known


def cached_loss(
    encode: Callable[[Chunk], Sequence[Tensor]],
    chunks: Sequence[Chunk],
    loss: Callable[[list[Tensor]], Tensor],
    *,
    encoder_parameters: Iterable[Tensor],
    loss_parameters: Iterable[Tensor] = (),
) -> Tensor:
    """The scalar ``loss(representations of all chunks)``, in the memory of one chunk.

    Args:
        encode: a chunk -> tensors whose first dimension counts rows. It runs twice a chunk, with the same random numbers and the
            same autocast setting, and must depend on nothing else that changes (see `check_batch_norms`).
        chunks: at least one.
        loss: the tensors of `encode`, concatenated over the chunks -> a scalar. It runs once, so it may keep a state.
        encoder_parameters: those that `encode` uses; others would get no gradient.
        loss_parameters: those that `loss` uses: heads, temperatures.

    Returns:
        The loss. Its ``backward()`` fills the gradients of both kinds of parameters; it can be differentiated once.
    """
    wanted = [parameter for parameter in encoder_parameters if parameter.requires_grad]
    own = [parameter for parameter in loss_parameters if parameter.requires_grad]
    moments: list[_Moment] = []
    parts: list[list[Tensor]] = []
    device = next(iter(wanted)).device if wanted else torch.device("cpu")
    with torch.no_grad():
        for chunk in chunks:
            moments.append(_Moment(device))
            parts.append(list(encode(chunk)))
    sizes = [[len(tensor) for tensor in part] for part in parts]
    whole = [torch.cat(tensors) for tensors in zip(*parts, strict=True)]
    del parts
    if not torch.is_grad_enabled():
        return loss(whole)
    # Gradients are unscaled here, which float16 cannot hold.
    leaves = [tensor.float() if tensor.dtype == torch.float16 else tensor for tensor in whole]
    for leaf in leaves:
        leaf.requires_grad_(leaf.is_floating_point())
    value = loss(leaves)
    inputs = [leaf for leaf in leaves if leaf.requires_grad]
    found = torch.autograd.grad(value, [*inputs, *own], allow_unused=True, materialize_grads=False)
    gradients: list[Tensor | None] = list(found[: len(inputs)])

    def encode_again(upstream: Tensor) -> list[Tensor | None]:
        totals: list[Tensor | None] = [None] * len(wanted)
        starts = [0] * len(leaves)
        for chunk, moment, rows in zip(chunks, moments, sizes, strict=True):
            with torch.enable_grad(), moment.again():
                tensors = encode(chunk)
            pairs = []
            for tensor, gradient, start, count in zip(tensors, gradients, starts, rows, strict=True):
                if gradient is not None and tensor.requires_grad:
                    pairs.append((tensor, (gradient[start : start + count] * upstream).to(tensor.dtype)))
            starts = [start + count for start, count in zip(starts, rows, strict=True)]
            _add(totals, pairs, wanted)
        return totals

    result: Tensor = _Replay.apply(value.detach(), encode_again, found[len(inputs) :], *wanted, *own)
    return result


def _add(totals: list[Tensor | None], pairs: Sequence[tuple[Tensor, Tensor]], parameters: Sequence[Tensor]) -> None:
    """Add the gradients of one chunk to `totals`."""
    if not pairs or not parameters:
        return
    tensors, gradients = zip(*pairs, strict=True)
    for number, gradient in enumerate(torch.autograd.grad(tensors, parameters, gradients, allow_unused=True)):
        if gradient is not None:
            before = totals[number]
            totals[number] = gradient if before is None else before.add_(gradient)


@contextmanager
def batch_norms(module: nn.Module, how: BatchNorms) -> Iterator[None]:
    """Settle what the batch norms of `module` do while it encodes chunks.

    A batch norm that normalises by the rows it sees makes chunks differ from the batch, and would count every chunk twice.
    refuse: raise a ValueError if there is one in training mode. per_chunk: statistics of each chunk, an approximation; running
    statistics take in the pass without gradients, not its repetition. frozen: running statistics, as in evaluation.
    """
    if how not in ("refuse", "per_chunk", "frozen"):
        raise ValueError(f"batch_norm is {how!r}: use 'refuse', 'per_chunk' or 'frozen'")
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    if norms and how == "refuse":
        raise ValueError(
            f"the encoder has {len(norms)} batch norms, whose statistics would be those of a chunk, not of the batch: build it "
            "with encoder.norm=group or layer, or say learner.batch_norm=per_chunk (an approximation) or learner.batch_norm=frozen"
        )
    tracked = [norm.track_running_stats for norm in norms]
    for norm in norms:
        if how == "frozen":
            norm.eval()
        else:
            norm.track_running_stats = not torch.is_grad_enabled()
    try:
        yield
    finally:
        for norm, before in zip(norms, tracked, strict=True):
            norm.train()
            norm.track_running_stats = before
