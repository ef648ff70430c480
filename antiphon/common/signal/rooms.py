"""Rooms: impulse responses, synthetic or from a bank, and their convolution with the signals of a batch, each with its own.

A synthetic response is a direct path and a tail of noise in two bands, each decaying exponentially (Moorer 1979). Its energy is 1
in expectation, so the level of a signal stays about what it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from antiphon.common.random import KeyedRandom
from antiphon.common.signal.filters import lowpass

DECAY = 6.0 * math.log(10.0)  # the energy falls by 60 dB within the decay time
COMB_S = 0.03124  # mean delay of Freeverb's eight combs; the shortest takes COMB_FIRST_S
COMB_FIRST_S = 0.0253
WET_ENERGY = 0.0533  # 0.015^2 (its gain) x 8 (combs) x (7/3)^4 (its four all-passes, which are not quite so)


def convolve(waves: Tensor, responses: Tensor, *, centre: int = 0) -> Tensor:
    """Convolve each example with its own impulse response: ``out[t] = sum_k responses[k] waves[t + centre - k]``.

    `waves` (B, C, T), finite and zero in the padding; `responses` (B, 1 or C, R); `centre` is the sample of the responses at which
    the direct path lies, so that it is not late. Returns (B, C, T). One FFT over the whole length does it.
    """
    responses = responses[..., : waves.shape[-1] + centre]  # what is later is not heard
    size = fast_length(waves.shape[-1] + responses.shape[-1] - 1)
    spectra = (torch.fft.rfft(responses[rows], n=size) for rows in _row_groups(waves, size))
    return _by_groups(waves, spectra, size=size, centre=centre)


def convolve_chosen(waves: Tensor, spectra: Tensor, chosen: Tensor, *, size: int, centre: int = 0) -> Tensor:
    """`convolve` by the responses number `chosen` (B,) of those whose `rfft` over `size` samples are `spectra` (N, 1 or C, K)."""
    return _by_groups(waves, (spectra[chosen[rows]] for rows in _row_groups(waves, size)), size=size, centre=centre)


def _row_groups(waves: Tensor, size: int) -> list[slice]:
    """Rows to be handled together: on a CPU few enough for their transforms of `size` samples to stay in reused memory."""
    group = len(waves) if waves.device.type != "cpu" else max(1, 2**20 // (size * waves.shape[1]))
    return [slice(first, first + group) for first in range(0, len(waves), max(1, group))]


def _by_groups(waves: Tensor, spectra: Iterator[Tensor], *, size: int, centre: int) -> Tensor:
    kept = slice(centre, centre + waves.shape[-1])
    groups = zip(_row_groups(waves, size), spectra, strict=True)
    return torch.cat([torch.fft.irfft(torch.fft.rfft(waves[rows], n=size) * part, n=size)[..., kept] for rows, part in groups])


def fast_length(least: int) -> int:
    """The smallest power of two from `least` on, times 5/8, 9/16, 3/4, 15/16 or 1: transforms of such lengths are quick."""
    power = 1 << max(4, (least - 1).bit_length())
    return next(size for size in (power // 8 * 5, power // 16 * 9, power // 4 * 3, power // 16 * 15, power) if size >= least)


class SyntheticRooms:
    """Impulse responses made of a direct path and a tail of noise, for any decay times, without drawing noise for each of them.

    The noise is drawn once, split at `crossover_hz` into a low and a high band, and every response cuts its own piece from it.
    `longest_s` is where the longest tails end.
    """

    def __init__(self, *, sample_rate: float, longest_s: float, crossover_hz: float = 2000.0) -> None:
        self.sample_rate, self.size = sample_rate, math.ceil(longest_s * sample_rate)
        self._pool = 1 << (2 * self.size - 1).bit_length()
        white = KeyedRandom(torch.zeros(1, dtype=torch.int64)).fold("tails").normal(1, self._pool + self.size)
        low = lowpass(white, crossover_hz, sample_rate=sample_rate)
        self._bands = torch.cat((low, white - low))[:, 0]  # (2, pool + size)
        self._low_share = crossover_hz / (sample_rate / 2)  # of the power

    def offsets(self, random: KeyedRandom, channels: int) -> Tensor:
        """Where each example and channel cuts its piece of noise, (B, channels) int64."""
        return random.integers(channels, high=self._pool)

    def responses(
        self,
        offsets: Tensor,
        *,
        decay_time_s: Tensor,
        high_decay_time_s: Tensor,
        pre_delay_s: Tensor,
        direct_to_reverberant_db: Tensor,
        size: int,
    ) -> Tensor:
        """The first `size` samples at most, (B, C, R): the direct path is at 0, the tails begin after `pre_delay_s`.

        `offsets` (B, C), all else (B,). Below the crossover the tail falls by 60 dB within `decay_time_s`, above it within
        `high_decay_time_s`. Its energy, as expected of a tail that is not cut off, lies `direct_to_reverberant_db` below that of
        the direct path; both together have energy 1.
        """
        if self._bands.device != offsets.device:
            self._bands = self._bands.to(offsets.device)
        size = min(size, self.size)
        rates = DECAY / (torch.stack((decay_time_s, high_decay_time_s)) * self.sample_rate)  # (2, B), of the energy, per sample
        energies = rates.expm1().reciprocal()  # of exp(-rate t), t = 1, 2, ...
        energy = self._low_share * energies[0] + (1.0 - self._low_share) * energies[1]
        direct = torch.sigmoid(direct_to_reverberant_db * (math.log(10.0) / 10.0))  # share of the energy
        delay = (pre_delay_s * self.sample_rate).round()
        levels = ((1.0 - direct) / energy).sqrt() * torch.exp(rates / 2 * delay)  # (2, B), at time 0
        response = torch.zeros(*offsets.shape, size, device=offsets.device)
        for band, rate, level in zip(self._bands, rates, levels, strict=True):
            noise = band.unfold(0, size, 1).index_select(0, offsets.flatten()).view_as(response)
            response = response.addcmul_(noise, (level[:, None] * _powers(torch.exp(-rate / 2), size))[:, None])
        silent = min(size, int(delay.max()) + 1)
        response[..., :silent] *= (torch.arange(silent, device=delay.device) > delay[:, None])[:, None]
        response[..., 0] += direct.sqrt()[:, None]
        return response


def _powers(bases: Tensor, size: int) -> Tensor:
    """``bases ** t`` for t = 0 .. size - 1, (B, size): products of coarse and fine steps, which are cheaper than exponentials."""
    fine = torch.arange(256, device=bases.device, dtype=bases.dtype)
    coarse = 256 * torch.arange(-(-size // 256), device=bases.device, dtype=bases.dtype)
    return (bases[:, None, None] ** coarse[:, None] * bases[:, None, None] ** fine).flatten(1)[:, :size]


def freeverb(reverberance: Tensor, damping: Tensor, room_size: Tensor) -> dict[str, Tensor]:
    """What the controls of Freeverb, 0 to 100 as in sox's `reverb`, mean for `SyntheticRooms.responses`.

    * Its combs feed back g = 1 - exp(-(reverberance + 10.03) / 28.12), 0.3 to 0.98, after delays L that grow with the room from
      10 % to 100 % (25 to 37 ms, mean 31 ms): they decay by 60 dB within 3 L / -log10(g).
    * A damping of d = 0.2 to 0.5 low-passes what is fed back; at a quarter of the sampling rate g is multiplied by
      (1 - d) / sqrt(1 + d^2), which gives the decay time of the high band.
    * The first reflection comes after the shortest comb. The energy of the reflections is 0.0533 / (1 - g^2) times the direct one,
      from the gains of the combs and all-passes.

    All (B,) or numbers as tensors; returns decay_time_s, high_decay_time_s, pre_delay_s and direct_to_reverberant_db.
    """
    feedback = -torch.expm1(-(reverberance + 10.03) / 28.12)
    pole = 0.2 + 0.003 * damping
    size = 0.1 + 0.009 * room_size
    high = feedback * (1.0 - pole) / (1.0 + pole.square()).sqrt()
    return {
        "decay_time_s": -3.0 * COMB_S * size / feedback.log10(),
        "high_decay_time_s": -3.0 * COMB_S * size / high.log10(),
        "pre_delay_s": COMB_FIRST_S * size,
        "direct_to_reverberant_db": -10.0 * torch.log10(WET_ENERGY / (1.0 - feedback.square())),
    }
