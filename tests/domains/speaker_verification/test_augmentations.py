"""Rooms and noise for speech: ratios as published, categories alike, every example by itself; crops of several lengths."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from antiphon.common.augment import Gain, Mixing
from antiphon.common.augment.base import Augmentation
from antiphon.common.random import KeyedRandom
from antiphon.common.signal.noise_bank import NoiseBank
from antiphon.domains.speaker_verification.augmentations import SNR_DB, Babble, Crops, OneOf, background, rooms, rooms_and_noise

RATE = 16_000
PITCH = {"speech": 500.0, "noise": 2000.0, "music": 6000.0}  # a tone for each category
COUNT = 96


@pytest.fixture(scope="module")
def musan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout of MUSAN; two recordings a category, each with its tone."""
    folder = tmp_path_factory.mktemp("musan")
    for name, pitch_hz in PITCH.items():
        for number in range(2):
            (folder / name / "source").mkdir(parents=True, exist_ok=True)
            tone = 0.3 * np.sin(2 * np.pi * pitch_hz * (1 + 0.01 * number) * np.arange(RATE) / RATE)
            soundfile.write(folder / name / "source" / f"{name}-{number}.wav", tone.astype(np.float32), RATE)
    return folder


def keyed(count: int = COUNT) -> KeyedRandom:
    return KeyedRandom.for_examples(0, 0, torch.arange(count))


def speech(count: int = COUNT, size: int = 4000) -> Tensor:
    return 0.1 * KeyedRandom(torch.arange(count)).fold("speech").normal(1, size)


def heard(augmentation: Augmentation, waves: Tensor) -> tuple[Tensor, Tensor]:
    """What an augmentation added to each example, and the ratio of powers in decibels."""
    added = augmentation(waves, torch.full((len(waves),), waves.shape[-1]), keyed(len(waves))) - waves
    return added, 10 * torch.log10(waves.square().mean(dim=(1, 2)) / added.square().mean(dim=(1, 2)))


def test_categories_come_alike_and_at_their_published_ratios(musan: Path) -> None:
    added, snr_db = heard(background(RATE, musan=musan), speech())
    peaks = torch.fft.rfft(added[:, 0]).abs().argmax(dim=1) * RATE / 4000
    found = {name: (peaks - pitch_hz).abs() < 0.03 * pitch_hz for name, pitch_hz in PITCH.items()}
    assert sum(int(rows.sum()) for rows in found.values()) == COUNT
    for name, rows in found.items():
        low, high = SNR_DB[name]
        assert 16 <= rows.sum() <= 48
        assert bool(((snr_db[rows] > low - 0.01) & (snr_db[rows] < high + 0.01)).all()) and snr_db[rows].std() > (high - low) / 8


def test_without_recordings_noise_is_coloured_and_rooms_are_synthetic() -> None:
    _, snr_db = heard(background(RATE), speech())
    assert bool(((snr_db > -0.01) & (snr_db < 15.01)).all()) and snr_db.std() > 3
    clicks = torch.zeros(4, 1, RATE)
    clicks[..., 1000] = 1.0
    rung = rooms(RATE)(clicks, torch.full((4,), RATE), keyed(4))
    assert rung[..., :1000].abs().max() < 1e-6
    assert bool((rung[..., 2000:3000].abs().amax(dim=2) > 1e-4).all())


def test_recordings_of_one_category_and_damaged_ones(musan: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "voices").mkdir()
    for file in (musan / "speech").rglob("*.wav"):
        (tmp_path / "voices" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "voices" / "empty.wav").touch()
    noise = background(RATE, speech=[tmp_path / "voices"], babble=True)
    assert isinstance(noise, OneOf) and len(noise.steps) == 3  # a voice, colours, babble
    assert "empty.wav: the file is empty" in capfd.readouterr().err


def test_babble_is_several_voices(musan: Path) -> None:
    babble = Babble(NoiseBank(musan, sample_rate=RATE), voices=(2, 4))
    waves, lengths = speech(), torch.full((COUNT,), 4000)
    parameters = babble.sample(keyed(), waves, lengths)
    assert sorted(set(parameters["voices"].tolist())) == [2, 3, 4]
    one = NoiseBank(musan, sample_rate=RATE).segments(torch.tensor([4]), torch.zeros(1), lengths[:1], channels=1, size=4000)
    assert bool((parameters["noise"].abs().amax(dim=(1, 2)) <= parameters["voices"] * float(one.abs().max()) + 1e-4).all())
    _, snr_db = heard(babble, waves)
    assert bool(((snr_db > 12.99) & (snr_db < 20.01)).all())
    short = babble.sample(keyed(), waves, torch.full((COUNT,), 100))["noise"]
    assert not short[..., 100:].any()


def test_all_is_a_quarter_each_of_nothing_room_noise_and_both() -> None:
    waves, lengths = torch.zeros(400, 1, 800), torch.full((400,), 800)
    waves[..., 400] = 1.0
    changed = rooms_and_noise(RATE, strategy="all")(waves, lengths, keyed(400))
    noisy = changed[..., :400].abs().amax(dim=(1, 2)) > 1e-6  # before the click there is nothing but noise
    roomy = changed[..., 400].abs()[:, 0] < 0.99
    clean = (changed == waves).all(dim=(1, 2))
    shares = [float(rows.float().mean()) for rows in (clean, noisy)]
    assert shares == pytest.approx([0.25, 0.5], abs=0.08)
    assert 0.15 < float((roomy & ~noisy).float().mean()) < 0.35
    both = rooms_and_noise(RATE, strategy="both")(waves, lengths, keyed(400))
    assert bool((both[..., :400].abs().amax(dim=(1, 2)) > 1e-6).all())
    assert torch.equal(rooms_and_noise(RATE, strategy="none")(waves, lengths, keyed(400)), waves)


@pytest.mark.parametrize("strategy", ["both", "all"])
def test_a_batch_is_its_examples_one_by_one(musan: Path, strategy: str) -> None:
    augmentation = rooms_and_noise(RATE, strategy=strategy, musan=musan, babble=True)  # type: ignore[arg-type]
    waves, lengths, random = speech(12), torch.full((12,), 4000), keyed(12)
    together = augmentation(waves, lengths, random)
    for row in (0, 5, 11):
        one = torch.tensor([row])
        alone = augmentation(waves[one], lengths[one], KeyedRandom.for_examples(0, 0, one))
        torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-5)
    assert torch.equal(augmentation(waves, lengths, keyed(12)), together)


def test_crops_have_places_of_their_own_and_start_again_when_short() -> None:
    seconds = torch.arange(10.0).repeat_interleave(100).expand(40, 1, -1).clone()  # at 100 Hz
    lengths = torch.tensor([1000] * 30 + [150] * 10)
    views = Crops([4.0, 4.0, 2.0], Gain((0.0, 0.0)), sample_rate=100)(seconds, lengths, keyed(40))
    assert [view.signals.shape[-1] for view in views] == [400, 400, 200]
    assert all(bool((view.lengths == view.signals.shape[-1]).all()) for view in views)
    assert not torch.equal(views[0].signals[:30], views[1].signals[:30])
    for view in views:
        assert bool((view.signals[30:] <= 1).all()) and bool((view.signals[30:].mean(dim=(1, 2)) > 0.2).all())
        rising = view.signals[:30, 0].diff()
        assert bool(((rising == 0) | (rising == 1)).all())


def test_crops_that_lie_apart() -> None:
    times = torch.arange(1000.0).expand(60, 1, -1).clone()
    lengths = torch.tensor([1000] * 20 + [600] * 20 + [500] * 10 + [150] * 10)
    crops = Crops([4.0, 2.0], Gain((0.0, 0.0)), sample_rate=100, overlap=False)
    long, short = (view.signals[:, 0] for view in crops(times, lengths, keyed(60)))
    assert long.shape == (60, 400) and short.shape == (60, 200)
    for rows in (slice(0, 20), slice(20, 40)):
        late = short[rows, 0] > long[rows, 0]
        assert 0 < late.sum() < 20  # either is the earlier one
        assert bool(torch.where(late, short[rows, 0] > long[rows, -1], long[rows, 0] > short[rows, -1]).all())
    assert len(long[:20, 0].unique()) > 10 and {*long[20:40, 0].tolist()} == {0.0, 200.0}
    ends = {(0.0, 499.0), (100.0, 199.0)}  # of the long and the short crop: the beginning and the end, as far apart as may be
    assert {(first, last) for first, last in zip(long[40:50, 0].tolist(), short[40:50, -1].tolist(), strict=True)} == ends
    assert bool((long[50:] < 150).all()) and bool((short[50:] < 150).all())
    again = crops(times[5:6], lengths[5:6], KeyedRandom.for_examples(0, 0, torch.tensor([5])))
    assert torch.equal(again[0].signals[0, 0], long[5]) and torch.equal(again[1].signals[0, 0], short[5])


def test_wrong_words(musan: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown strategy 'some': use one of both, all, none"):
        rooms_and_noise(RATE, strategy="some")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="musan brings its own"):
        background(RATE, musan=musan, music=[tmp_path])
    with pytest.raises(ValueError, match="babble is made of voices"):
        background(RATE, babble=True)
    with pytest.raises(ValueError, match="has none of the folders speech, noise, music"):
        background(RATE, musan=musan / "speech")
    with pytest.raises(ValueError, match="OneOf needs at least one step, and none that mixes"):
        OneOf([Mixing()])
    with pytest.raises(ValueError, match="voices must be a pair"):
        Babble(NoiseBank(musan, sample_rate=RATE), voices=(0, 3))
    with pytest.raises(ValueError, match="crop_s holds the length of each view"):
        Crops([], Gain((0.0, 0.0)), sample_rate=RATE)
    with pytest.raises(ValueError, match=r"overlap=False is for two crops, got crop_s=\[2.0\]: use overlap=True"):
        Crops([2.0], Gain((0.0, 0.0)), sample_rate=RATE, overlap=False)
