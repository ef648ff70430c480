"""Where the spectral peaks land, how long it lasts, what else is kept."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from antiphon.common.random import KeyedRandom
from antiphon.common.signal.pitch import change_speed, pitch_shift, time_stretch, vocoder_window

RATE, SIZE = 22_050, 33_000


def tone(frequencies: list[float], *, rate: float = RATE, size: int = SIZE) -> Tensor:
    times = torch.arange(size, dtype=torch.float64) / rate
    return sum(torch.sin(2 * math.pi * each * times + number) for number, each in enumerate(frequencies)).float()


def peak_hz(wave: Tensor, near_hz: float, *, rate: float = RATE) -> float:
    """The frequency of the greatest spectral peak within a semitone of `near_hz`, interpolated."""
    inner = wave[4000:-4000].double()
    size = 8 * len(inner)
    spectrum = torch.fft.rfft(inner * torch.hann_window(len(inner), dtype=torch.float64), n=size).abs().log()
    low, high = (int(near_hz * factor * size / rate) for factor in (0.944, 1.06))
    place = low + int(spectrum[low:high].argmax())
    left, middle, right = spectrum[place - 1 : place + 2].tolist()
    return (place + 0.5 * (left - right) / (left - 2 * middle + right)) * rate / size


SHIFTS = torch.tensor([-700.0, -431.0, -50.0, 0.0, 33.3, 250.0, 500.0, 700.0])


@pytest.mark.parametrize("partials", [[440.0], [2500.0], [196.0 * number for number in range(1, 9)], [261.6, 329.6, 392.0]])
def test_every_partial_moves_by_the_cents_asked_for(partials: list[float]) -> None:
    waves = tone(partials)[None, None].expand(len(SHIFTS), 1, -1)
    for cents, shifted in zip(SHIFTS.tolist(), pitch_shift(waves, SHIFTS)[:, 0], strict=True):
        for partial in partials:
            expected = partial * 2 ** (cents / 1200)
            assert abs(1200 * math.log2(peak_hz(shifted, expected) / expected)) < 2.0
        level_db = 20 * torch.log10(shifted[2000:-2000].std() / waves[0, 0].std())
        assert abs(level_db) < 0.3


@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
def test_the_window_follows_the_sampling_rate(rate: int) -> None:
    window = vocoder_window(rate)
    assert 0.048 < window / rate < 0.1
    shifted = pitch_shift(tone([440.0], rate=rate)[None, None], torch.tensor([300.0]), window=window)[0, 0]
    expected = 440.0 * 2**0.25
    assert abs(1200 * math.log2(peak_hz(shifted, expected, rate=rate) / expected)) < 2.0


def test_a_partial_stays_one_line_under_a_stretch() -> None:
    """What is not the sinusoid is 45 dB below it, for a tone and for a glide's envelope."""
    for stretch in (0.6, 0.85, 1.3, 2.0):
        stretched, lengths = time_stretch(tone([700.0])[None, None], torch.tensor([stretch]))
        inner = stretched[0, 0, 3000 : int(lengths) - 3000].double()
        times = torch.arange(len(inner), dtype=torch.float64) / RATE
        basis = torch.stack((torch.sin(2 * math.pi * 700.0 * times), torch.cos(2 * math.pi * 700.0 * times)), dim=1)
        rest = inner - basis @ torch.linalg.lstsq(basis, inner[:, None]).solution[:, 0]
        assert 10 * torch.log10(inner.square().mean() / rest.square().mean()) > 45
    times = torch.arange(SIZE, dtype=torch.float64) / RATE
    glide = torch.sin(2 * math.pi * (300 * times + 200 * times**2)).float()
    stretched, lengths = time_stretch(glide[None, None], torch.tensor([1.25]))
    analytic = torch.fft.fft(stretched[0, 0].double())
    analytic[len(analytic) // 2 :] = 0
    envelope = 2 * torch.fft.ifft(analytic).abs()[3000:-3000]
    assert 0.98 < envelope.mean() < 1.02 and envelope.std() < 0.02


def test_a_stretch_changes_the_duration_by_its_ratio_and_not_the_pitch() -> None:
    stretch = torch.tensor([0.5, 0.8, 1.0, 1.25, 1.9])
    stretched, lengths = time_stretch(tone([500.0])[None, None].expand(5, 1, -1), stretch)
    assert torch.equal(lengths, (SIZE * stretch).round().long())
    assert stretched.shape == (5, 1, int(lengths.max()))
    for wave, length in zip(stretched[:, 0], lengths.tolist(), strict=True):
        assert torch.equal(wave[length:], torch.zeros(len(wave) - length))
        assert wave[length - 400 : length].std() > 0.4
        assert abs(peak_hz(wave[:length], 500.0) - 500.0) < 0.3


def test_clicks_land_where_the_stretch_puts_them() -> None:
    clicks = torch.zeros(1, 1, SIZE)
    clicks[..., [5000, 20_000]] = 1.0
    for stretch in (0.7, 1.4):
        stretched, _ = time_stretch(clicks, torch.tensor([stretch]))
        for place in (5000, 20_000):
            around = round(place * stretch) + torch.arange(-600, 600)
            moment = (stretched[0, 0, around].square() * around).sum() / stretched[0, 0, around].square().sum()
            assert abs(float(moment) - place * stretch) < 0.005 * RATE


def test_a_speed_moves_pitch_and_duration_alike() -> None:
    speed = torch.tensor([0.5, 0.9, 1.0, 1.1, 2.0])
    faster, lengths = change_speed(tone([800.0])[None, None].expand(5, 1, -1), speed)
    for wave, length, ratio in zip(faster[:, 0], lengths.tolist(), speed.tolist(), strict=True):
        assert abs(length - SIZE / ratio) < 20  # ratios are rounded
        assert abs(1200 * math.log2(peak_hz(wave[:length], 800.0 * ratio) / (800.0 * ratio))) < 1.0
        assert abs(wave[1000 : length - 1000].std() - 0.7071) < 0.01
        assert not wave[length:].any()


def test_nothing_folds_back_from_beyond_the_nyquist_frequency() -> None:
    high = tone([9000.0])[None, None]
    shifted = pitch_shift(high, torch.tensor([700.0]))
    assert 10 * torch.log10(shifted.square().mean() / high.square().mean()) < -40


def test_no_shift_is_the_signal() -> None:
    waves = torch.nn.functional.avg_pool1d(KeyedRandom(torch.arange(2)).normal(1, SIZE), 5, 1, 2)
    stretched, _ = time_stretch(waves, torch.ones(2))
    assert torch.allclose(stretched, waves, atol=1e-4)
    rest = (pitch_shift(waves, torch.zeros(2)) - waves)[..., 50:-50]  # all but what is above 0.9 of the Nyquist frequency
    assert rest.square().mean() < 0.02 * waves.square().mean()


def test_phases_between_channels_are_kept() -> None:
    """A delay of 9 samples between two microphones is still there: as a delay of what was stretched."""
    noise = KeyedRandom(torch.tensor([3])).normal(SIZE)[0]
    waves = torch.stack((noise[9:], noise[:-9]))[None]
    stretched = time_stretch(waves, torch.tensor([1.3]))[0][0]
    spectra = torch.fft.rfft(stretched)
    cross = torch.fft.irfft(spectra[1] * spectra[0].conj())
    assert int(cross.argmax()) == 9
    assert cross.max() > 0.7 * stretched.square().sum(dim=1).mean()


def test_lengths_batch_and_missing_values() -> None:
    waves, lengths = KeyedRandom(torch.arange(4)).normal(2, 6000), torch.tensor([6000, 4321, 900, 5])
    padded = waves.masked_fill(torch.arange(6000) >= lengths[:, None, None], math.nan)
    cents = torch.tensor([-321.0, 700.0, 5.0, 123.0])
    together = pitch_shift(padded, cents, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = pitch_shift(waves[row : row + 1, :, :length], cents[row : row + 1])[0]
        assert torch.allclose(together[row, :, :length], alone, atol=1e-4)
    holes = waves.clone()
    holes[:, 0, 100:110] = math.nan
    assert torch.equal(pitch_shift(holes, cents).isnan(), holes.isnan())
    for changed in (time_stretch(holes, torch.full((4,), 1.5))[0], change_speed(holes, torch.full((4,), 1 / 1.5))[0]):
        places = changed[:, 0].isnan().nonzero()[:, 1]
        assert 148 <= int(places.min()) <= 151 and 163 <= int(places.max()) <= 166
        assert not changed[:, 1].isnan().any()


def test_silence_stays_silent() -> None:
    assert not pitch_shift(torch.zeros(2, 1, 4000), torch.tensor([-500.0, 500.0])).any()


def test_ratios_and_windows_are_checked() -> None:
    waves = torch.zeros(1, 1, 100)
    with pytest.raises(ValueError, match="stretch must lie between"):
        time_stretch(waves, torch.tensor([5.0]))
    with pytest.raises(ValueError, match="speed must lie between"):
        change_speed(waves, torch.tensor([0.1]))
    with pytest.raises(ValueError, match="vocoder_window"):
        time_stretch(waves, torch.tensor([1.5]), window=1024)
