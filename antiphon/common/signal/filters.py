"""Windowed-sinc filters whose cut-offs differ from example to example.

The design: an ideal low pass, cut after `zeros` zero crossings on either side by a Hann window. Its transition band is as wide as a
share of the cut-off (about 1/4 to either side with the 8 crossings of julius, Défossez 2021), it has no phase, and **its cut-off is
where it is 6 dB down**. High, band and stop passes are differences of such kernels.

All kernels of a batch have the same number of taps, those of a higher cut-off zero at both ends, and all are applied at once by
overlap-save: the cost depends on the lowest cut-off alone. Outside a signal is silence, and gaps must be filled before.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

Cutoff = float | Tensor  # in Hz, one number or (B,)


def fir_filter(waves: Tensor, kernels: Tensor, *, centre: int = 0) -> Tensor:
    """Convolve each example with its own kernel and keep its length.

    Args:
        waves: (B, C, T).
        kernels: (B, K), or (B, C, K) to give each channel its own.
        centre: the tap that belongs to the present sample: 0 for a causal filter, K // 2 for one without phase.

    Returns:
        (B, C, T): ``out[t] = sum_k kernels[k] waves[t + centre - k]``.
    """
    size, taps = waves.shape[-1], kernels.shape[-1]
    kernels = kernels[:, None] if kernels.ndim == 2 else kernels
    if not 0 <= centre < taps:
        raise ValueError(f"centre must be one of the {taps} taps, got {centre}")
    # Blocks of at least four kernels waste little on the overlap and stay in the cache; a single one where the signal is shorter.
    block = min(max(4096, _power_of_two(4 * taps)), _power_of_two(size + taps - 1))
    step = block - taps + 1
    count = -(-size // step)
    padded = F.pad(waves, (taps - 1 - centre, count * step - size + centre))
    blocks = padded.unfold(-1, block, step)  # (B, C, count, block)
    spectra = torch.fft.rfft(blocks) * torch.fft.rfft(kernels, n=block)[:, :, None]
    # The first taps - 1 samples of a block are wrapped around: the block before it has them right.
    return torch.fft.irfft(spectra, n=block)[..., taps - 1 :].flatten(2)[..., :size]


def _power_of_two(size: int) -> int:
    return 1 << (size - 1).bit_length()


def lowpass(waves: Tensor, cutoff_hz: Cutoff, *, sample_rate: float, zeros: int = 8) -> Tensor:
    """Keep what lies below `cutoff_hz` (-6 dB there): (B, C, T) -> (B, C, T)."""
    return bandpass(waves, 0.0, cutoff_hz, sample_rate=sample_rate, zeros=zeros)


def highpass(waves: Tensor, cutoff_hz: Cutoff, *, sample_rate: float, zeros: int = 8) -> Tensor:
    """Keep what lies above `cutoff_hz` (-6 dB there): (B, C, T) -> (B, C, T)."""
    return bandpass(waves, cutoff_hz, sample_rate / 2, sample_rate=sample_rate, zeros=zeros)


def bandpass(waves: Tensor, low_hz: Cutoff, high_hz: Cutoff, *, sample_rate: float, zeros: int = 8) -> Tensor:
    """Keep what lies between `low_hz` and `high_hz` (-6 dB at both): (B, C, T) -> (B, C, T).

    An edge at 0 or at half the sampling rate is no edge, so one batch may hold low, high and band passes side by side.

    Raises:
        ValueError: cut-offs outside 0 .. sample_rate / 2, or a lower one above the higher.
    """
    low, high = (torch.as_tensor(edge, dtype=waves.dtype, device=waves.device).expand(len(waves)) for edge in (low_hz, high_hz))
    if not bool(((low >= 0) & (low <= high) & (high <= sample_rate / 2)).all()):
        raise ValueError(
            f"cut-offs must satisfy 0 <= low <= high <= {sample_rate / 2:g} Hz (half the sampling rate), got "
            f"{float(low.min()):g} .. {float(low.max()):g} and {float(high.min()):g} .. {float(high.max()):g} Hz"
        )
    edges = torch.cat((low, high))
    lowest = float(edges[edges > 0].min()) if bool((edges > 0).any()) else sample_rate / 2
    half = kernel_half_width(lowest, sample_rate=sample_rate, zeros=zeros)
    return fir_filter(waves, band_kernels(low, high, sample_rate=sample_rate, half_width=half, zeros=zeros), centre=half)


def kernel_half_width(lowest_hz: float, *, sample_rate: float, zeros: int = 8) -> int:
    """Taps on either side that a cut-off at `lowest_hz` needs: `zeros` half periods of it."""
    return math.ceil(zeros * sample_rate / (2 * lowest_hz))


def band_kernels(low_hz: Tensor, high_hz: Tensor, *, sample_rate: float, half_width: int, zeros: int = 8) -> Tensor:
    """Symmetric kernels that pass `low_hz` .. `high_hz`, two (B,) -> (B, 2 half_width + 1).

    0 and half the sampling rate are no edges. A cut-off that is too low for `half_width` gets a wider transition band.
    """
    return _lowpass_kernels(high_hz / sample_rate, half_width, zeros) - _lowpass_kernels(low_hz / sample_rate, half_width, zeros)


def _lowpass_kernels(cutoff: Tensor, half_width: int, zeros: int) -> Tensor:
    """`cutoff` (B,) in cycles per sample -> (B, 2 half_width + 1) of unit sum; nothing passes a cut-off of 0, all one of 0.5."""
    times = torch.arange(-half_width, half_width + 1, dtype=cutoff.dtype, device=cutoff.device)
    cutoff = cutoff[:, None]
    reach = (zeros / (2 * cutoff)).clamp(max=half_width + 1)  # infinite for a cut-off of 0
    window = torch.where(times.abs() < reach, 0.5 + 0.5 * torch.cos(math.pi * times / reach), 0.0)
    taps = cutoff * torch.sinc(2 * cutoff * times) * window
    taps = taps / taps.sum(dim=1, keepdim=True).clamp(min=torch.finfo(taps.dtype).tiny)
    return torch.where(cutoff < 0.5, taps, (times == 0).to(taps.dtype))
