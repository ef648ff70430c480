"""A stack of dilated residual convolutions over time (the body of TS2Vec; Yue et al., AAAI 2022), made fast without being changed.

Three facts save most of the work of the textbook `nn.Conv1d` stack, exactly:

* Where the dilation reaches past the series (dilation >= T), the outer two taps only ever see padding: the convolution is its
  centre tap, a third of the arithmetic. With T <= 256 that holds for the wide last block and two more.
* Channels-last maps spare oneDNN a reordering of every activation on the CPU.
* TS2Vec's loss reads only the frames that two crops share: `keep` stops the rest from being computed where nothing needs them.

Maps are (B, C, 1, T): two-dimensional convolutions, because torch has no channels-last format in one dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

FAR = 1024  # from this dilation on, separate taps beat oneDNN's dilated convolution, whose weight gradient multiplies padding


def to_maps(frames: Tensor) -> Tensor:
    """Frames (B, T, C) -> maps (B, C, 1, T) in the memory format that convolves fastest on their device."""
    fastest = torch.channels_last if frames.device.type == "cpu" else torch.contiguous_format
    return frames.unsqueeze(1).permute(0, 3, 1, 2).contiguous(memory_format=fastest)


def to_frames(maps: Tensor) -> Tensor:
    """Maps (B, C, 1, T) -> frames (B, T, C)."""
    return maps.squeeze(2).transpose(1, 2)


def _taps(size: int, dilation: int, start: int, stop: int) -> list[tuple[int, slice, slice]]:
    """For each tap that sees more than padding: its number, the outputs it reaches (counted from `start`) and their inputs."""
    found = []
    for tap in (1, 0, 2):  # the centre first: it reaches every output
        shift = (tap - 1) * dilation
        first, last = max(start, -shift), min(stop, size - shift)
        if first < last:
            found.append((tap, slice(first - start, last - start), slice(first + shift, last + shift)))
    return found


class _SumOfTaps(torch.autograd.Function):
    """A dilated convolution as a sum of pointwise ones, each only where its tap is inside the series."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor | None, dilation: int, start: int, stop: int) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.taps = _taps(maps.shape[-1], dilation, start, stop)
        (centre, _, source), *others = ctx.taps
        out = F.conv2d(maps[..., source], weight[:, :, centre, None, None], bias)
        for tap, target, source in others:
            out[..., target] += F.conv2d(maps[..., source], weight[:, :, tap, None, None])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight = ctx.saved_tensors
        wanted = [ctx.needs_input_grad[0], ctx.needs_input_grad[1], False]
        grad_maps, grad_weight = torch.zeros_like(maps), torch.zeros_like(weight)
        for tap, target, source in ctx.taps:
            kernel = weight[:, :, tap, None, None]
            part_maps, part_weight, _ = torch.ops.aten.convolution_backward(
                grad[..., target], maps[..., source], kernel, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, wanted
            )
            if wanted[0]:
                grad_maps[..., source] += part_maps
            if wanted[1]:
                grad_weight[..., tap] = part_weight[..., 0, 0]
        grad_bias = grad.sum(dim=(0, 2, 3)) if ctx.needs_input_grad[2] else None
        return grad_maps if wanted[0] else None, grad_weight if wanted[1] else None, grad_bias, None, None, None


def dilated_conv(maps: Tensor, weight: Tensor, bias: Tensor | None, *, dilation: int, keep: slice | None = None) -> Tensor:
    """`F.conv1d(x, weight, bias, padding=dilation, dilation=dilation)` of maps (B, C, 1, T), kernel 3, at the frames `keep`.

    `weight` (out, in, 3) in `nn.Conv1d`'s layout. Returns (B, out, 1, T'). Every path can be differentiated twice except the one
    for dilations of `FAR` and more.
    """
    size = maps.shape[-1]
    if not torch.compiler.is_compiling():  # a program for all lengths, as an export is, cannot choose by length
        if dilation >= size:
            return F.conv2d(maps if keep is None else maps[..., keep], weight[:, :, 1:2, None], bias)
        if dilation >= FAR and not torch.is_autocast_enabled(maps.device.type):
            start, stop, _ = (keep or slice(None)).indices(size)
            return _SumOfTaps.apply(maps, weight, bias, dilation, start, stop)
    out = F.conv2d(maps, weight[:, :, None], bias, padding=(0, dilation), dilation=(1, dilation))
    return out if keep is None else out[..., keep]


class DilatedBlock(nn.Module):
    """GELU, convolution, GELU, convolution, plus the input (through a 1x1 convolution if `project`)."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int, *, project: bool) -> None:
        super().__init__()
        self.dilation = dilation
        self.conv1 = nn.Conv1d(in_channels, out_channels, 3, padding=dilation, dilation=dilation)
        self.conv2 = nn.Conv1d(out_channels, out_channels, 3, padding=dilation, dilation=dilation)
        self.projector = nn.Conv1d(in_channels, out_channels, 1) if project else None

    def forward(self, maps: Tensor, inside: Tensor | None = None, keep: slice | None = None) -> Tensor:
        """Maps (B, C, 1, T) -> (B, C', 1, T'). Both convolutions read zeros where `inside` (B, 1, 1, T) is 0."""
        hidden = self._convolve(self.conv1, maps, inside)
        hidden = self._convolve(self.conv2, hidden, inside, keep)
        skipped = maps if keep is None else maps[..., keep]
        if self.projector is not None:
            skipped = F.conv2d(skipped, self.projector.weight[:, :, None], self.projector.bias)
        return hidden + skipped

    def _convolve(self, conv: nn.Conv1d, maps: Tensor, inside: Tensor | None, keep: slice | None = None) -> Tensor:
        active = F.gelu(maps)
        if inside is not None:
            active = active * inside
        return dilated_conv(active, conv.weight, conv.bias, dilation=self.dilation, keep=keep)


class DilatedStack(nn.Module):
    """Residual blocks of dilation 1, 2, 4, ...: frames (B, T, C) -> (B, T, channels[-1]).

    `channels` holds the width of each block; a block that changes the width has a 1x1 projector, the last one always has. The
    weights are those of the `nn.Conv1d` layers that the stack is equal to, initialised as those are.
    """

    def __init__(self, in_channels: int, channels: Sequence[int]) -> None:
        super().__init__()
        widths = [in_channels, *channels]
        last = len(channels) - 1
        self.dilations = [2**i for i in range(len(channels))]
        self.blocks = nn.ModuleList(
            DilatedBlock(widths[i], widths[i + 1], dilation, project=i == last or widths[i] != widths[i + 1])
            for i, dilation in enumerate(self.dilations)
        )

    def forward(self, frames: Tensor, *, inside: Tensor | None = None, keep: slice | None = None) -> Tensor:
        """Frames (B, T, C) -> (B, T', channels[-1]).

        `inside` (B, T) bool: every convolution reads zeros where it is False, so that an example padded behind gives what it gives
        alone (without it, the biases of the layers below leak back from the padding). `keep`: the frames to return, all by default;
        the others are left out as early as nothing depends on them any more. Raises ValueError if `keep` has a step.
        """
        if keep is not None and keep.step not in (None, 1):
            raise ValueError(f"keep is a run of frames without a step, got {keep}: use slice(start, stop)")
        maps, size = to_maps(frames), frames.shape[1]
        valid = None if inside is None else inside[:, None, None].to(maps.dtype)
        # So many blocks look at other frames, the rest are pointwise.
        mixing = 0 if keep is None else sum(dilation < size for dilation in self.dilations)
        if keep is not None and mixing == 0:
            maps = maps[..., keep]
        for number, block in enumerate(self.blocks, start=1):
            if keep is not None and number == mixing + 1 and valid is not None:
                valid = valid[..., keep]
            maps = block(maps, valid, keep if number == mixing else None)
        return to_frames(maps)
