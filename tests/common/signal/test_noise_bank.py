"""A bank of recordings: which segment of which file, from memory or from disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.random import KeyedRandom
from antiphon.common.signal.io import read_audio
from antiphon.common.signal.noise_bank import NoiseBank

RATE = 8000
soundfile = pytest.importorskip("soundfile")


def write(path: Path, seconds: float, *, channels: int = 1, rate: int = RATE, seed: int = 0) -> Tensor:
    """A file of noise; returns what is in it, (channels, T)."""
    waves = KeyedRandom(torch.tensor([seed])).uniform(channels, round(seconds * rate), low=-0.5, high=0.5)[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waves.T.numpy(), rate, subtype="FLOAT")
    return waves


@pytest.fixture
def musan(tmp_path: Path) -> Path:
    """The layout of MUSAN, with two collections in a category."""
    for number, name in enumerate(("noise/free-sound/a", "noise/sound-bible/b", "speech/librivox/c", "music/fma/d")):
        write(tmp_path / f"{name}.wav", 0.5 + number / 10, seed=number)
    return tmp_path


def test_the_folders_of_musan_are_its_categories(musan: Path) -> None:
    bank = NoiseBank(musan, sample_rate=RATE)
    assert len(bank) == 4 and bank.categories == ("music", "noise", "speech")
    assert [len(bank.category_range(name)) for name in bank.categories] == [1, 2, 1]
    segment = bank.segments(
        torch.tensor([bank.category_range("speech").start]), torch.zeros(1), torch.tensor([100]), channels=1, size=100
    )
    expected, _ = read_audio(musan / "speech/librivox/c.wav", duration_s=100 / RATE)
    assert torch.equal(segment[0], expected)
    with pytest.raises(ValueError, match="no category 'babble': it has 'music', 'noise', 'speech'"):
        bank.category_range("babble")


@pytest.mark.parametrize("memory_mb", [1.0, 0.0])
def test_segments_lie_where_the_position_says(tmp_path: Path, memory_mb: float) -> None:
    whole = write(tmp_path / "a.wav", 0.25)
    bank = NoiseBank(Manifest((Row(str(tmp_path / "a.wav")),)), sample_rate=RATE, memory_mb=memory_mb)
    positions, lengths = torch.tensor([0.0, 0.9999999, 0.5]), torch.tensor([500, 500, 1000])
    segments = bank.segments(torch.zeros(3, dtype=torch.int64), positions, lengths, channels=1, size=1200)
    assert segments.shape == (3, 1, 1200)
    assert torch.allclose(segments[0, :, :500], whole[:, :500], atol=1e-6)
    assert torch.allclose(segments[1, :, :500], whole[:, -500:], atol=1e-6)
    assert torch.allclose(segments[2, :, :1000], whole[:, 500:1500], atol=1e-6)
    assert float(segments[0, :, 500:].abs().max()) == 0


@pytest.mark.parametrize("memory_mb", [1.0, 0.0])
def test_a_short_recording_is_repeated_and_a_part_of_a_file_is_a_recording(tmp_path: Path, memory_mb: float) -> None:
    whole = write(tmp_path / "a.wav", 0.25)
    part = Row(str(tmp_path / "a.wav"), start_s=0.05, end_s=0.1)  # samples 400 to 800
    bank = NoiseBank(Manifest((part,)), sample_rate=RATE, memory_mb=memory_mb)
    for position, first in ((0.25, 100), (0.0, 0)):
        segment = bank.segments(torch.tensor([0]), torch.tensor([position]), torch.tensor([1000]), channels=1, size=1000)[0]
        times = (first + torch.arange(1000)) % 400 + 400
        assert torch.allclose(segment, whole[:, times], atol=1e-6)


def test_channels_are_kept_where_they_fit_and_averaged_otherwise(tmp_path: Path) -> None:
    stereo = write(tmp_path / "a.wav", 0.25, channels=2)
    bank = NoiseBank(tmp_path, sample_rate=RATE)
    pick = (torch.tensor([0]), torch.zeros(1), torch.tensor([50]))
    assert torch.equal(bank.segments(*pick, channels=2, size=50)[0], stereo[:, :50])
    assert torch.allclose(bank.segments(*pick, channels=1, size=50)[0], stereo[:, :50].mean(0, keepdim=True))
    assert torch.allclose(bank.segments(*pick, channels=4, size=50)[0], stereo[:, :50].mean(0).expand(4, -1))


def test_memory_is_bounded_and_what_does_not_fit_is_read_from_its_file(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"{number}.wav", 1.0, seed=number)
    small, large = (NoiseBank(tmp_path, sample_rate=RATE, memory_mb=mb) for mb in (0.035, 10.0))  # a recording takes 0.032 MB
    draws = KeyedRandom(torch.arange(12))
    recordings, positions, lengths = draws.integers(high=3), draws.uniform(), torch.full((12,), 700)
    for _ in range(2):
        assert torch.allclose(
            small.segments(recordings, positions, lengths, channels=1, size=700),
            large.segments(recordings, positions, lengths, channels=1, size=700),
            atol=1e-6,
        )
    for path in tmp_path.iterdir():
        path.unlink()
    large.segments(recordings, positions, lengths, channels=1, size=700)  # all of it is in memory
    with pytest.raises((ValueError, OSError), match="wav"):
        small.segments(recordings, positions, lengths, channels=1, size=700)


def test_other_sampling_rates_are_converted(tmp_path: Path) -> None:
    times = torch.arange(22_050) / 22_050
    soundfile.write(tmp_path / "a.wav", torch.sin(2 * torch.pi * 1000 * times).numpy(), 22_050)
    for memory_mb in (1.0, 0.0):
        bank = NoiseBank(tmp_path, sample_rate=RATE, memory_mb=memory_mb)
        segment = bank.segments(torch.tensor([0]), torch.tensor([0.4]), torch.tensor([4000]), channels=1, size=4000)
        assert int(torch.fft.rfft(segment[0, 0]).abs().argmax()) == 500  # 1000 Hz in half a second


def test_an_empty_manifest_is_refused() -> None:
    with pytest.raises(ValueError, match="lists no recordings"):
        NoiseBank(Manifest(()), sample_rate=RATE)
