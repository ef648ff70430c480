"""Second-order filters (biquads) whose frequencies differ from example to example.

Coefficients after R. Bristow-Johnson's "Cookbook formulae for audio EQ biquad filter coefficients". **The cut-off of a low or high
pass is where it is 3 dB down** for the default Q of 1/sqrt(2); in general it is 20 log10 Q there.

A recursion in time is slow on a GPU, and in Python anywhere. But a biquad is a convolution with its impulse response, and that of
two poles is known in closed form: it is cut where it has decayed by 140 dB, and applied by FFT.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.signal.filters import Cutoff, fir_filter

Kind = Literal["lowpass", "highpass", "bandpass", "peaking", "low_shelf", "high_shelf"]
BUTTERWORTH = math.sqrt(0.5)  # the Q of the flattest low pass
_DECAY = 1e-7  # of the impulse response, where it is cut


def biquad_filter(
    waves: Tensor, kind: Kind, frequency_hz: Cutoff, *, sample_rate: float, q: Cutoff = BUTTERWORTH, gain_db: Cutoff = 0.0
) -> Tensor:
    """Apply a biquad of its own to each example, at rest before the first sample.

    Args:
        waves: (B, C, T), without gaps.
        kind: a band pass has 0 dB at its centre and -3 dB at the edges of a band frequency / Q wide; peaking and shelves are 0 dB
            away from their band and `gain_db` in it.
        frequency_hz: cut-off, centre, or the midpoint of a shelf's slope, a number or (B,).
        sample_rate: in Hz.
        q: quality, a number or (B,).
        gain_db: of a peak or shelf, a number or (B,).

    Raises:
        ValueError: a frequency outside 0 .. sample_rate / 2, a Q that is not positive.
    """
    frequency, q, gain_db = (
        torch.as_tensor(value, dtype=torch.float64, device=waves.device).expand(len(waves)) for value in (frequency_hz, q, gain_db)
    )
    if not bool(((frequency > 0) & (frequency < sample_rate / 2) & (q > 0)).all()):
        raise ValueError(
            f"a biquad needs 0 < frequency < {sample_rate / 2:g} Hz (half the sampling rate) and q > 0, got frequencies "
            f"{float(frequency.min()):g} .. {float(frequency.max()):g} Hz and q {float(q.min()):g} .. {float(q.max()):g}"
        )
    numerator, denominator = coefficients(kind, frequency, sample_rate=sample_rate, q=q, gain_db=gain_db)
    return fir_filter(waves, impulse_response(numerator, denominator, most=waves.shape[-1]).to(waves.dtype))


def coefficients(kind: Kind, frequency_hz: Tensor, *, sample_rate: float, q: Tensor, gain_db: Tensor) -> tuple[Tensor, Tensor]:
    """Numerator and denominator, each (B, 3), of the biquads; the denominator starts with 1. All arguments are (B,)."""
    angle = 2 * math.pi * frequency_hz / sample_rate
    cos, alpha = angle.cos(), angle.sin() / (2 * q)
    amplitude = 10.0 ** (gain_db / 40.0)
    if kind in ("low_shelf", "high_shelf"):
        sign = 1.0 if kind == "low_shelf" else -1.0  # a high shelf is a low shelf with the frequency axis mirrored
        mirrored, plus, minus, slope = sign * cos, amplitude + 1, amplitude - 1, 2 * amplitude.sqrt() * alpha
        shelf = (plus - minus * mirrored + slope, sign * 2 * (minus - plus * mirrored), plus - minus * mirrored - slope)
        numerator = tuple(amplitude * value for value in shelf)
        denominator = (plus + minus * mirrored + slope, sign * -2 * (minus + plus * mirrored), plus + minus * mirrored - slope)
    elif kind == "peaking":
        numerator = (1 + alpha * amplitude, -2 * cos, 1 - alpha * amplitude)
        denominator = (1 + alpha / amplitude, -2 * cos, 1 - alpha / amplitude)
    else:
        denominator = (1 + alpha, -2 * cos, 1 - alpha)
        if kind == "lowpass":
            numerator = ((1 - cos) / 2, 1 - cos, (1 - cos) / 2)
        elif kind == "highpass":
            numerator = ((1 + cos) / 2, -(1 + cos), (1 + cos) / 2)
        elif kind == "bandpass":
            numerator = (alpha, torch.zeros_like(alpha), -alpha)
        else:
            raise ValueError(f"kind must be lowpass, highpass, bandpass, peaking, low_shelf or high_shelf, got {kind!r}")
    scale = denominator[0][:, None]
    return torch.stack(numerator, dim=1) / scale, torch.stack(denominator, dim=1) / scale


def impulse_response(numerator: Tensor, denominator: Tensor, *, most: int) -> Tensor:
    """The impulse response of biquads, two (B, 3) -> (B, taps): as long as the slowest needs to decay, `most` taps at most.

    That of the two poles alone is ``(p^(n+1) - q^(n+1)) / (p - q)``.
    """
    discriminant = denominator[:, 1:2].square() - 4 * denominator[:, 2:3]
    # A double pole is split a little, which changes the response by less than float32 can hold.
    discriminant = torch.where(discriminant.abs() < 1e-14, 1e-14, discriminant)
    root = torch.sqrt(discriminant + 0j)
    poles = torch.cat(((-denominator[:, 1:2] + root) / 2, (-denominator[:, 1:2] - root) / 2), dim=1)  # (B, 2)
    poles = torch.where(poles == 0, 1e-30, poles)  # its zeroth power would be undefined
    radius = float(poles.abs().max())
    if not radius < 1.0:
        raise ValueError(f"a biquad with a pole of radius {radius:g} does not decay: it must be below 1")
    # A double pole decays as (n + 1) radius^n: a fifth more taps, and a few, leave that below the limit too.
    taps = min(most, 16 + math.ceil(1.2 * math.log(_DECAY) / math.log(max(radius, 1e-3))))
    # p^(64 i + j) as the product of two short series: a complex power is slow.
    ones = poles[..., None] ** torch.arange(1, 65, device=poles.device)
    sixty_fours = poles[..., None] ** (64 * torch.arange(-(-taps // 64), device=poles.device))
    powers = (sixty_fours[..., None] * ones[..., None, :]).flatten(-2)[..., :taps]  # (B, 2, taps)
    response = F.pad(((powers[:, 0] - powers[:, 1]) / root).real, (2, 0))
    return torch.stack([numerator[:, k : k + 1] * response[:, 2 - k : 2 - k + taps] for k in range(3)]).sum(dim=0)
