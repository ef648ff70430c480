"""Delays: where the copy arrives, and how strong it is."""

from __future__ import annotations

import torch

from antiphon.common.random import KeyedRandom
from antiphon.common.signal.delay import delayed, echo

DELAYS = torch.tensor([0, 1, 37, 99, 100, 150])


def test_a_delayed_copy_is_each_row_shifted_with_zeros_in_front() -> None:
    waves = KeyedRandom(torch.arange(6)).normal(2, 100)
    later = delayed(waves, DELAYS, longest=150)
    for row, delay in enumerate(DELAYS.tolist()):
        expected = torch.zeros_like(waves[row])
        if delay < 100:
            expected[:, delay:] = waves[row, :, : 100 - delay]
        assert torch.equal(later[row], expected)


def test_the_echo_of_an_impulse_arrives_when_and_as_strong_as_asked() -> None:
    impulse = torch.zeros(6, 1, 400)
    impulse[..., 10] = 1.0
    level = torch.linspace(0.1, 0.9, 6)
    answer = echo(impulse, DELAYS + 5, level, longest=155)[:, 0]
    for row, delay in enumerate((DELAYS + 5).tolist()):
        assert answer[row].nonzero().flatten().tolist() == [10, 10 + delay]
        assert torch.allclose(answer[row, [10, 10 + delay]], torch.stack((torch.tensor(0.5), level[row] / 2)))


def test_an_echo_of_level_one_does_not_clip_and_autocorrelation_peaks_at_the_delay() -> None:
    waves = KeyedRandom(torch.arange(2)).uniform(1, 8000, low=-1.0, high=1.0)
    mixed = echo(waves, torch.tensor([700, 1300]), 1.0, longest=1300)
    assert float(mixed.abs().max()) <= 1.0
    correlation = torch.fft.irfft(torch.fft.rfft(mixed[:, 0], n=16_000).abs().square())[:, 50:4000]
    assert (correlation.argmax(dim=1) + 50).tolist() == [700, 1300]


def test_its_gradient_is_the_advanced_one_and_takes_no_more_memory_than_the_waves() -> None:
    waves = KeyedRandom(torch.arange(6)).normal(2, 40).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda given: delayed(given, DELAYS, longest=150), (waves,))
    long = torch.zeros(2, 1, 60_000, requires_grad=True)
    delayed(long, torch.tensor([9000, 10_000]), longest=10_000).sum().backward()  # all windows together: 2.4 GB
    assert long.grad is not None and long.grad.sum(dim=2).flatten().tolist() == [51_000, 50_000]
