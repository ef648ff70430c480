"""Layers that look only back, so that a stream in chunks of any size gives what the whole signal gives."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from antiphon.common.signal.spectral import LogMel, MelSpec


class CausalConv1d(nn.Conv1d):
    """A convolution whose output j sees inputs up to (j + 1) * stride - 1, the last that it stands for; zeros before the first.

    n inputs give n // stride outputs. `step` takes them in pieces; `past` is what later outputs still need.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride=stride, bias=False)
        self.size, self.hop = kernel_size, stride
        self.span = max(kernel_size, stride)

    def forward(self, input: Tensor) -> Tensor:
        """Whole maps (B, C, T) -> (B, C', T // stride)."""
        return F.conv1d(F.pad(input, (self.size - self.hop, 0)), self.weight, stride=self.hop)  # or less, where it jumps

    def start(self, batch_size: int) -> Tensor:
        """The past of a signal that begins: zeros (B, C, span - stride)."""
        return self.weight.new_zeros(batch_size, self.in_channels, self.span - self.hop)

    def step(self, maps: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """The next maps (B, C, n) -> as many outputs (B, C', m) as they complete, and the new past."""
        seen = torch.cat((past.to(maps.dtype), maps), dim=-1)
        count = (seen.shape[-1] - self.span) // self.hop + 1
        if count < 1:
            return maps.new_zeros(len(maps), self.out_channels, 0), seen
        used = seen[..., self.span - self.size :]
        return F.conv1d(used, self.weight, stride=self.hop), seen[..., count * self.hop :]


class CausalLogMel(LogMel):
    """Log-mel frames as soon as their samples are there: frame t sees the `n_fft` before sample (t + 1) * hop.

    Before the first sample there is silence. T samples give T // hop frames, and nothing looks ahead or is mirrored as in `LogMel`.

    Raises:
        ValueError: a hop above n_fft, or a `top_db`, which would depend on what is still to come.
    """

    def __init__(self, spec: MelSpec) -> None:
        if spec.top_db is not None or spec.step > spec.n_fft:
            raise ValueError(f"a causal spectrogram needs top_db=None and hop <= n_fft, got {spec}")
        super().__init__(spec)
        before = (spec.n_fft - spec.frame) // 2
        self.window = F.pad(self.window, (before, spec.n_fft - spec.frame - before))

    def start(self, batch_size: int, channels: int) -> Tensor:
        """The past of a wave that begins: silence (B, C, n_fft - hop)."""
        return self.window.new_zeros(batch_size, channels, self.spec.n_fft - self.spec.step)

    def step(self, waves: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """The next waves (B, C, T) -> as many frames (B, C, bands, m) as they complete, and the new past."""
        seen = torch.cat((past, waves), dim=-1)
        count = (seen.shape[-1] - self.spec.n_fft) // self.spec.step + 1
        if count < 1:
            return seen.new_zeros(*seen.shape[:2], self.spec.bands, 0), seen
        return self._frames(seen), seen[..., count * self.spec.step :]

    def forward(self, waves: Tensor) -> Tensor:
        """Whole waves (B, C, T) -> (B, C, bands, T // hop)."""
        return self._frames(F.pad(waves, (self.spec.n_fft - self.spec.step, 0)))

    def _frames(self, waves: Tensor) -> Tensor:
        with torch.autocast(waves.device.type, enabled=False):
            spectra = torch.fft.rfft(waves.unfold(-1, self.spec.n_fft, self.spec.step) * self.window)
            mel = (spectra.real.square() + spectra.imag.square()) @ self.filters.T  # (B, C, m, bands)
            return 10.0 * torch.log10(mel.clamp(min=self.spec.floor)).transpose(-1, -2)
