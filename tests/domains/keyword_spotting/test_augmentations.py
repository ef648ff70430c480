"""The views of words: one clip, several versions, and where their moments lie."""

import pytest
import torch
import torchaudio.functional
from torch import Tensor

from antiphon.common.augment.gain import Gain
from antiphon.common.augment.noise import GaussianNoise
from antiphon.common.augment.pitch import SpeedChange
from antiphon.common.random import KeyedRandom
from antiphon.domains.keyword_spotting.augmentations import ClipViews, Displacement, PacedView, PacedViews, two_alike

RATE = 16_000


def keys(count: int, seed: int = 0) -> KeyedRandom:
    return KeyedRandom.for_examples(seed, 0, torch.arange(count))


def tones(*pitches_hz: float, seconds: float = 1.0) -> Tensor:
    times = torch.arange(round(seconds * RATE)) / RATE
    return torch.stack([torch.sin(2 * torch.pi * pitch * times) for pitch in pitches_hz])[:, None]


def loudest_hz(wave: Tensor) -> float:
    spectrum = torch.fft.rfft(wave * torch.hann_window(wave.shape[-1])).abs()
    return float(spectrum.argmax()) * RATE / wave.shape[-1]


def test_an_empty_chain_leaves_the_clip_and_the_other_changes_it() -> None:
    clips, lengths = tones(400.0, 500.0), torch.tensor([16_000, 9000])
    clean, louder = ClipViews(16_000, [[], [Gain((6.0, 6.0))]])(clips, lengths, keys(2))
    inside = torch.arange(16_000) < lengths[:, None, None]
    assert torch.equal(clean.signals, clips * inside) and clean.lengths.tolist() == [16_000, 16_000]
    torch.testing.assert_close(louder.signals, 10**0.3 * clean.signals)


def test_a_slow_word_runs_on_into_the_silence_behind_it() -> None:
    clips, lengths = tones(400.0), torch.tensor([8000])
    _, slow = ClipViews(16_000, [[], [SpeedChange((0.8, 0.8))]])(clips, lengths, keys(1))
    assert slow.signals[0, 0, 9000:9900].abs().max() > 0.9 and slow.signals[0, 0, 10_100:].abs().max() < 1e-3


@pytest.mark.parametrize("speed", [0.75, 1.25])
def test_speed_is_torchaudio_s_resampling(speed: float) -> None:
    wave = torchaudio.functional.lowpass_biquad(torch.randn(1, 1, 20_000, generator=torch.Generator().manual_seed(0)), RATE, 2000.0)
    (view,) = ClipViews(16_000, [[SpeedChange((speed, speed))]])(wave, torch.tensor([20_000]), keys(1))
    expected = torchaudio.functional.resample(wave, round(20 * speed), 20, lowpass_filter_width=32)[..., :16_000]
    error = (view.signals - expected)[..., 100:-100].square().mean() / expected.square().mean()
    assert error < 1e-3


def test_what_comes_before_is_the_same_in_all_views_and_chains_draw_apart() -> None:
    clips, lengths = torch.zeros(3, 1, 500), torch.full((3,), 500)
    first, second = ClipViews(400, [[], []], before=[GaussianNoise(0.1)])(clips, lengths, keys(3))
    assert torch.equal(first.signals, second.signals) and first.signals.std() > 0.05 and first.signals.shape == (3, 1, 400)
    first, second = two_alike(400, [GaussianNoise(0.1)])(clips, lengths, keys(3))
    assert not torch.allclose(first.signals, second.signals)


def test_a_clip_shorter_than_the_view_is_filled_up() -> None:
    (view,) = ClipViews(1000, [[]])(torch.ones(1, 1, 300), torch.tensor([300]), keys(1))
    assert view.signals.shape == (1, 1, 1000) and view.signals.sum() == 300


def test_displacement_moves_by_no_more_than_it_may() -> None:
    wave = torch.zeros(200, 1, 1000)
    wave[..., 500] = 1.0
    moved = Displacement(0.01, sample_rate=10_000)(wave, torch.full((200,), 1000), keys(200))
    places = moved.argmax(dim=-1).flatten()
    assert places.min() >= 400 and places.max() <= 600 and len(places.unique()) > 50
    assert torch.equal(moved.sum(dim=-1), torch.ones(200, 1))
    assert moved[0, 0, :300].abs().sum() == 0  # nothing comes round from the other end


def test_tempo_and_pitch_are_scaled_apart() -> None:
    views = PacedViews(RATE, sample_rate=RATE, tempo=(1.25, 1.25), pitch=(0.9, 0.9), shift_s=0.0, views=1)
    (view,) = views(tones(1000.0, seconds=1.1), torch.tensor([17_600]), keys(1))
    assert view.lengths.item() == pytest.approx(17_600 / 1.25, abs=20)
    assert loudest_hz(view.signals[0, 0, 2000:12_000]) == pytest.approx(900.0, rel=0.01)


def test_moments_lie_where_the_view_says() -> None:
    clicks = torch.zeros(6, 1, 25_600)
    moments = torch.tensor([9000, 12_000, 15_000])
    clicks[..., moments] = 1.0
    for view in PacedViews(20_480, sample_rate=RATE)(clicks, torch.full((6,), 25_600), keys(6)):
        assert isinstance(view, PacedView)
        for row in range(6):
            for moment in moments.tolist():
                place = int((moment - view.start[row]) / view.pace[row])
                around = view.signals[row, 0, place - 500 : place + 500].abs()
                centre = float((around * torch.arange(1000)).sum() / around.sum())
                assert centre == pytest.approx(500, abs=100)  # 6 ms


def test_views_are_keyed_and_differ_from_each_other() -> None:
    waves, lengths = torch.randn(4, 1, 6000), torch.tensor([6000, 5000, 3000, 900])
    views = PacedViews(4000, sample_rate=RATE, steps=[GaussianNoise(0.1)])
    first, second = views(waves, lengths, keys(4))
    again, _ = views(waves, lengths, keys(4))
    assert torch.equal(first.signals, again.signals) and not torch.allclose(first.pace, second.pace)
    alone = views(waves[2:3], lengths[2:3], KeyedRandom.for_examples(0, 0, torch.tensor([2])))[0]
    torch.testing.assert_close(alone.signals, first.signals[2:3], rtol=1e-3, atol=1e-4)
    part = first[1:3]
    assert isinstance(part, PacedView) and torch.equal(part.start, first.start[1:3]) and len(part.signals) == 2
    assert (first.start <= lengths // 3).all() and (first.lengths <= 4000).all()


def test_wrong_words() -> None:
    with pytest.raises(ValueError, match="tempo must be a pair"):
        PacedViews(100, sample_rate=RATE, tempo=(1.2, 0.8))
    with pytest.raises(ValueError, match="samples must be a number from 1"):
        ClipViews(0, [[]])
