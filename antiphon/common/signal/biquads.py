"""Second-order filters (biquads) whose frequencies differ from example to example.

Coefficients after R. Bristow-Johnson's "Cookbook formulae for audio EQ biquad filter coefficients". **The cut-off of a low or high
pass is where it is 3 dB down** for the default Q of 1/sqrt(2); in general it is 20 log10 Q there.

A recursion in time is slow on a GPU and, batched, in Python. But a biquad is a convolution with an impulse response, and that of its
poles obeys an addition law, so it is known after a few doublings; it is cut where it has decayed by 140 dB and applied by FFT.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from antiphon.common.signal.filters import Cutoff, fir_filter

Kind = Literal["lowpass", "highpass", "bandpass", "peaking", "low_shelf", "high_shelf"]
_DECAY = 1e-7  # of the impulse response, where it is cut


def biquad_filter(
    waves: Tensor, kind: Kind, frequency_hz: Cutoff, *, sample_rate: float, q: Cutoff = math.sqrt(0.5), gain_db: Cutoff = 0.0
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
        sign = 1.0 if kind == "low_shelf" else -1.0
        plus, minus, slope = amplitude + 1, (amplitude - 1) * sign, 2 * amplitude.sqrt() * alpha
        numerator = (plus - minus * cos + slope, 2 * sign * (minus * sign - plus * cos), plus - minus * cos - slope)
        numerator = tuple(amplitude * value for value in numerator)
        denominator = (plus + minus * cos + slope, -2 * sign * (minus * sign + plus * cos), plus + minus * cos - slope)
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

    With g the response of the poles alone, ``g[m + n] = g[m] g[n] - a2 g[m - 1] g[n - 1]``: from m taps one has 2 m.
    """
    a1, a2 = denominator[:, 1:2], denominator[:, 2:3]
    discriminant = (a1.square() - 4 * a2).clamp(min=0).sqrt()
    radius = float(torch.maximum((a1.abs() + discriminant) / 2, a2.abs().sqrt()).max())  # of the outermost pole
    if not radius < 1.0:
        raise ValueError(f"a biquad with a pole of radius {radius:g} does not decay: it must be below 1")
    # A double pole decays as (n + 1) radius^n; 16 taps and a fifth more leave it below the limit too.
    taps = min(most, 16 + math.ceil(1.2 * math.log(_DECAY) / math.log(max(radius, 1e-3))))
    poles = torch.ones_like(a1)
    while poles.shape[1] < taps:
        last = poles[:, -1:]
        before = poles[:, -2:-1] if poles.shape[1] > 1 else torch.zeros_like(last)
        shifted = torch.cat((torch.zeros_like(last), poles[:, :-1]), dim=1)
        poles = torch.cat((poles, (-a1 * last - a2 * before) * poles - a2 * last * shifted), dim=1)
    padded = torch.nn.functional.pad(poles[:, :taps], (2, 0))
    return sum(numerator[:, k : k + 1] * padded[:, 2 - k : 2 - k + taps] for k in range(3))  # type: ignore[return-value]
