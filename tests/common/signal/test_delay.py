"""Delays: where the copy arrives, and how strong it is."""

from __future__ import annotations

import torch

from antiphon.common.random import KeyedRandom
from antiphon.common.signal.delay import delayed, echo

DELAYS = torch.tensor([0, 1, 37, 99, 100, 150])


def test_a_delayed_copy_is_each_row_shifted_with_zeros_in_front() -> None:
    waves = KeyedRandom(torch.arange(6)).normal(2, 100)
    later = delayed(waves, DELAYS)
    for row, delay in enumerate(DELAYS.tolist()):
        expected = torch.zeros_like(waves[row])
        if delay < 100:
            expected[:, delay:] = waves[row, :, : 100 - delay]
        assert torch.equal(later[row], expected)


def test_the_echo_of_an_impulse_arrives_when_and_as_strong_as_asked() -> None:
    impulse = torch.zeros(6, 1, 400)
    impulse[..., 10] = 1.0
    level = torch.linspace(0.1, 0.9, 6)
    answer = echo(impulse, DELAYS + 5, level)[:, 0]
    for row, delay in enumerate((DELAYS + 5).tolist()):
        assert answer[row].nonzero().flatten().tolist() == [10, 10 + delay]
        assert torch.allclose(answer[row, [10, 10 + delay]], torch.stack((torch.tensor(0.5), level[row] / 2)))


def test_an_echo_of_level_one_does_not_clip_and_autocorrelation_peaks_at_the_delay() -> None:
    waves = KeyedRandom(torch.arange(2)).uniform(1, 8000, low=-1.0, high=1.0)
    mixed = echo(waves, torch.tensor([700, 1300]), 1.0)
    assert float(mixed.abs().max()) <= 1.0
    correlation = torch.fft.irfft(torch.fft.rfft(mixed[:, 0], n=16_000).abs().square())[:, 50:4000]
    assert (correlation.argmax(dim=1) + 50).tolist() == [700, 1300]
