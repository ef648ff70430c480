"""Change of the sampling rate."""

from __future__ import annotations

from math import gcd

import numpy as np
import torch
from torch import Tensor

# The filter that librosa calls kaiser_best, in torchaudio's terms.
_KAISER_BEST = {
    "lowpass_filter_width": 64,
    "rolloff": 0.9475937167399596,
    "resampling_method": "sinc_interp_kaiser",
    "beta": 14.769656459379492,
}


def resampled_length(length: int, from_rate: int, to_rate: int) -> int:
    """How many samples `resample` makes of `length`: length * to_rate / from_rate, rounded, halves upwards."""
    return (2 * length * to_rate + from_rate) // (2 * from_rate)


def limit_bandwidth(waves: Tensor, sample_rate: int, bandwidth_hz: float) -> Tensor:
    """Take away what lies above `bandwidth_hz`, by resampling (..., T) waves to twice that and back: (..., T).

    What recordings of a low sampling rate lack, others then lack too. Waves whose rate is no higher are returned as they are.

    Raises:
        ValueError: a bandwidth that is not positive.
    """
    lower = round(2 * bandwidth_hz)
    if lower < 1:
        raise ValueError(f"bandwidth_hz must be positive, got {bandwidth_hz}: 4000 is that of a telephone")
    if lower >= sample_rate:
        return waves
    size = waves.shape[-1]
    limited = resample(resample(waves, sample_rate, lower), lower, sample_rate)
    return torch.nn.functional.pad(limited, (0, max(0, size - limited.shape[-1])))[..., :size]


def resample(waves: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """Band-limited resampling of (..., T) float waves to (..., `resampled_length`).

    On the CPU soxr's HQ filter (the faster), on other devices and where a gradient is wanted torchaudio with a Kaiser window of 64
    zero crossings. On signals of peak 1 without anything above 0.9 of the lower Nyquist frequency either is within 2e-4 of the
    exact result. (torchaudio's default filter errs by up to 0.08 there.) torchaudio's cost grows with the rates over their greatest
    common divisor: seconds for 8000 to 16001 Hz.

    Raises:
        ValueError: a rate that is no positive integer, or waves that are not of floating type.
    """
    for name, rate in (("from_rate", from_rate), ("to_rate", to_rate)):
        if rate != int(rate) or rate < 1:
            raise ValueError(f"{name} must be a positive whole number of Hz, got {rate}")
    if not waves.is_floating_point():
        raise ValueError(f"waves must be of a floating type, got {waves.dtype}: convert them with .float()")
    from_rate, to_rate = int(from_rate), int(to_rate)
    if from_rate == to_rate:
        return waves
    length = resampled_length(waves.shape[-1], from_rate, to_rate)
    if length == 0 or waves.numel() == 0:
        return waves.new_zeros((*waves.shape[:-1], length))
    on_cpu = waves.device.type == "cpu" and waves.dtype in (torch.float32, torch.float64)
    if on_cpu and not (torch.is_grad_enabled() and waves.requires_grad):
        import soxr

        common = gcd(from_rate, to_rate)
        # Row by row: soxr works that way, and several rows at once would only be copied.
        rows = [
            soxr.resample(row, from_rate // common, to_rate // common)
            for row in waves.detach().reshape(-1, waves.shape[-1]).numpy()
        ]
        made = torch.from_numpy(np.stack(rows))
    else:
        from torchaudio.functional import resample as torch_resample

        made = torch_resample(waves.reshape(-1, waves.shape[-1]), from_rate, to_rate, **_KAISER_BEST)
    made = torch.nn.functional.pad(made, (0, max(0, length - made.shape[-1])))  # soxr leaves out a last sample of half a period
    return made[:, :length].reshape(*waves.shape[:-1], length)
