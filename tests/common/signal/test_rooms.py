"""Convolution against its definition; decay time, balance and first reflection of synthetic rooms as they are measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from antiphon.common.random import KeyedRandom
from antiphon.common.signal.filters import highpass, lowpass
from antiphon.common.signal.rooms import SyntheticRooms, convolve, fast_length, freeverb

RATE = 16_000


def decay_s(response: Tensor, *, rate: float = RATE) -> float:
    """Decay time of (R,) by Schroeder's backward integration, from the fall between -5 and -35 dB."""
    energy = response.double().square().flip(0).cumsum(0).flip(0)
    level = 10 * torch.log10(energy / energy[0])
    return float((level > -35).sum() - (level > -5).sum()) / rate * 2


@pytest.mark.parametrize(("size", "taps"), [(50, 7), (40, 90), (1, 1), (33, 33)])
def test_convolution_is_the_sum_that_it_says(size: int, taps: int) -> None:
    random = KeyedRandom(torch.arange(3))
    waves, responses = random.normal(2, size).double(), random.normal(2, taps).double()
    for centre in (0, min(4, taps - 1)):
        found = convolve(waves, responses, centre=centre)
        for row in range(3):
            for channel in range(2):
                full = np.convolve(waves[row, channel].numpy(), responses[row, channel].numpy())
                expected = np.pad(full[centre : centre + size], (0, max(0, size - len(full[centre:]))))
                np.testing.assert_allclose(found[row, channel].numpy(), expected, atol=1e-10)
    shared = convolve(waves, responses[:, :1])
    assert torch.allclose(shared[:, 1:], convolve(waves[:, 1:], responses[:, :1]))


def test_groups_of_rows_do_not_matter() -> None:
    random = KeyedRandom(torch.arange(9))
    waves, responses = random.normal(1, 200_000), random.normal(1, 500)
    together = convolve(waves, responses)
    alone = torch.cat([convolve(waves[row : row + 1], responses[row : row + 1]) for row in range(9)])
    assert torch.allclose(together, alone, atol=1e-4)


@pytest.mark.parametrize("least", [1, 17, 1000, 59_049, 76_689, 118_097])
def test_fast_lengths_have_small_factors_and_waste_little(least: int) -> None:
    size = fast_length(least)
    assert least <= size <= max(16, 1.25 * least) and size % 2 == 0
    for factor in (2, 3, 5):
        while size % factor == 0:
            size //= factor
    assert size == 1


DECAYS = torch.tensor([0.15, 0.3, 0.6, 1.2, 2.0])


def rooms(*, high: float = 1.0, balance_db: float = -20.0, delay_s: float = 0.01) -> Tensor:
    made = SyntheticRooms(sample_rate=RATE, longest_s=2.1)
    offsets = made.offsets(KeyedRandom(torch.arange(5)), 2)
    return made.responses(
        offsets,
        decay_time_s=DECAYS,
        high_decay_time_s=high * DECAYS,
        pre_delay_s=torch.full((5,), delay_s),
        direct_to_reverberant_db=torch.full((5,), balance_db),
        size=10**9,
    )


def test_decay_times_are_those_asked_for() -> None:
    for response, expected in zip(rooms(), DECAYS.tolist(), strict=True):
        for channel in response:
            assert abs(decay_s(channel[1:]) / expected - 1) < 0.1


def test_each_band_has_its_own_decay_time() -> None:
    responses = rooms(high=0.5)
    low, high = lowpass(responses, 1200.0, sample_rate=RATE), highpass(responses, 3500.0, sample_rate=RATE)
    for row, expected in list(enumerate(DECAYS.tolist()))[1:]:
        assert abs(decay_s(low[row, 0]) / expected - 1) < 0.1
        assert abs(decay_s(high[row, 0]) / (0.5 * expected) - 1) < 0.1


@pytest.mark.parametrize("balance_db", [-6.0, 0.0, 10.0])
def test_direct_to_reverberant_ratio_pre_delay_and_energy(balance_db: float) -> None:
    responses = rooms(balance_db=balance_db, delay_s=0.02)
    direct, tail = responses[..., 0].square(), responses[..., 1:].square().sum(dim=-1)
    assert (10 * torch.log10(direct / tail) - balance_db).abs().max() < 0.6
    assert ((direct + tail) - 1).abs().max() < 0.12
    assert not responses[..., 1:321].any() and bool(responses[..., 321].all())


def test_channels_and_examples_have_tails_of_their_own_and_prefixes_agree() -> None:
    responses = rooms()
    tails = responses[:, :, 161:4000].flatten(0, 1)
    others = torch.corrcoef(tails) - torch.eye(10)
    assert others.abs().max() < 0.2
    made = SyntheticRooms(sample_rate=RATE, longest_s=2.1)
    parameters = {"decay_time_s": DECAYS, "high_decay_time_s": DECAYS, "pre_delay_s": DECAYS / 100}
    short, long = (
        made.responses(
            made.offsets(KeyedRandom(torch.arange(5)), 1), **parameters, direct_to_reverberant_db=torch.zeros(5), size=size
        )
        for size in (700, 9000)
    )
    assert torch.allclose(short, long[..., :700], atol=1e-7)


def test_freeverb_controls_against_its_own_feedback_loop() -> None:
    """The decay time of one comb of mean delay, simulated, with and without the damping in its loop."""
    rate, delay = 44_100, 1378
    for reverberance, damping in ((20.0, 0.0), (50.0, 50.0), (70.0, 100.0)):
        found = freeverb(torch.tensor(reverberance), torch.tensor(damping), torch.tensor(100.0))
        feedback = 1 - np.exp(-(reverberance + 10.03) / 28.12)
        levels = feedback ** np.arange(400)
        expected = delay / rate * float(np.argmax(20 * np.log10(levels) < -60))
        assert abs(float(found["decay_time_s"]) / expected - 1) < 0.1
        pole = 0.2 + 0.3 * damping / 100
        gain = feedback * abs((1 - pole) / (1 - pole * np.exp(-0.5j * np.pi)))
        assert float(found["high_decay_time_s"]) == pytest.approx(3 * 0.03124 / -np.log10(gain), rel=1e-3)
    small, large = (freeverb(torch.tensor(50.0), torch.tensor(50.0), torch.tensor(size)) for size in (0.0, 100.0))
    assert float(large["decay_time_s"] / small["decay_time_s"]) == pytest.approx(10.0, rel=1e-3)
    wetter, drier = (freeverb(torch.tensor(much), torch.tensor(50.0), torch.tensor(50.0)) for much in (90.0, 10.0))
    assert wetter["direct_to_reverberant_db"] < drier["direct_to_reverberant_db"]
