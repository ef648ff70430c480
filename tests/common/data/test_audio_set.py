"""Sets of recordings on disk: what a batch holds, and what becomes of a stranger's folder."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from antiphon.common.data.audio_set import AudioSet
from antiphon.common.data.loader import KeyedLoader
from antiphon.common.data.manifest import Manifest, Row, read_manifest
from antiphon.common.encoder import Encoder, InputSpec
from antiphon.common.evaluation.embedding import embed_set
from antiphon.common.signal.io import AudioError, write_audio

RATE = 8_000


class Means(Encoder):
    """The embedding is the mean of the samples."""

    def __init__(self) -> None:
        super().__init__(embedding_dim=1, input_spec=InputSpec(1), config={}, pooling="mean")

    def encode(self, signals: torch.Tensor, lengths: torch.Tensor | None = None, **_: Any) -> torch.Tensor:
        return signals.transpose(1, 2)


def ramp(seconds: float, first: float = 0.0) -> torch.Tensor:
    """Sample t is first + t / 32768: every window tells where it comes from."""
    return (first + torch.arange(round(seconds * RATE)) / 32768)[None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three recordings of 2, 1 and 0.25 s in two classes; values of the second begin at 0.5, of the third at -0.5."""
    for name, seconds, first in (("a/long.wav", 2.0, 0.0), ("b/mid.wav", 1.0, 0.5), ("b/short.wav", 0.25, -0.5)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_audio(tmp_path / name, ramp(seconds, first), RATE)
    return tmp_path


def made(data: Path | Manifest, **options: Any) -> AudioSet:
    return AudioSet.from_manifest(data, **{"sample_rate": RATE, "duration_s": 0.5, **options})


def test_a_batch_has_windows_lengths_labels_and_rows(folder: Path) -> None:
    data = made(folder)
    batch = data.batch(np.asarray([2, 0]))
    assert batch.signals.shape == (2, 1, 4000) and batch.signals.dtype == torch.float32
    assert batch.lengths.tolist() == [2000, 4000] and batch.index.tolist() == [2, 0]
    assert batch.labels["label"].tolist() == [1, 0]
    assert data.labels is not None and (data.labels.tolist(), data.classes, len(data)) == ([0, 1, 1], ("a", "b"), 3)
    assert batch.texts is None and batch.groups is None
    assert torch.allclose(batch.signals[0, 0, :2000], ramp(0.25, -0.5)) and not batch.signals[0, 0, 2000:].any()
    start = round(float(batch.signals[1, 0, 0]) * 32768)
    assert torch.allclose(batch.signals[1], ramp(2.0)[:, start : start + 4000])


def test_random_windows_move_with_the_epoch_and_nothing_else(folder: Path) -> None:
    data = made(folder)
    alone, together = data.batch([0]).signals[0], data.batch([1, 0]).signals[1]
    assert torch.equal(alone, together)
    assert not torch.equal(alone, data.batch([0], epoch=1).signals[0])
    assert not torch.equal(alone, made(folder, seed=1).batch([0]).signals[0])


def test_workers_read_the_same_windows(folder: Path) -> None:
    data = made(folder)
    alone, helped = (KeyedLoader(data, batch_size=2, steps=6, drop_last=False, workers=workers) for workers in (0, 2))
    for one, other in zip(alone, helped, strict=True):
        assert torch.equal(one.signals, other.signals) and one.epoch == other.epoch
    assert torch.equal(pickle.loads(pickle.dumps(data)).batch([0]).signals, data.batch([0]).signals)


def test_the_middle_and_all_windows(folder: Path) -> None:
    middle = made(folder, windows="centre").batch([0, 1, 2], epoch=3)
    assert (middle.signals[:, 0, 0] * 32768).round().tolist() == [6000, 16384 + 2000, -16384]
    every = made(folder, windows="all")
    assert len(every) == 4 + 2 + 1 and every.rows.tolist() == [0, 0, 0, 0, 1, 1, 2]
    assert every.labels is not None and every.labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert every.groups is not None and every.groups.tolist() == [0, 0, 0, 0, 1, 1, 2]  # windows of one recording belong together
    assert (every.batch([3]).signals[0, 0, 0] * 32768).round() == 12_000


@pytest.mark.parametrize(("partial", "count"), [("drop", 3 + 1 + 1), ("pad", 4 + 2 + 1)])
def test_the_last_partial_piece(folder: Path, partial: Any, count: int) -> None:
    data = made(folder, duration_s=0.6, windows="all", partial=partial)
    assert len(data) == count
    if partial == "pad":
        assert data.batch([3, 5]).lengths.tolist() == [1600, 3200]


def test_short_recordings_are_padded_repeated_or_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert made(folder, short="repeat").batch([2]).lengths.tolist() == [4000]
    assert torch.equal(*made(folder, short="repeat").batch([2]).signals[0, 0].reshape(2, 2000))
    assert not capsys.readouterr().err
    data = made(folder, short="skip")
    assert len(data) == 2
    reason = "too short: 0.25 s, at least 0.5 s are due"
    assert data.quarantine.entries == ((str(folder / "b/short.wav"), reason),)
    assert f"1 of 3 recordings left out\n  {folder / 'b/short.wav'}: {reason}" in capsys.readouterr().err


def test_parts_texts_groups_and_several_labels(folder: Path) -> None:
    path = str(folder / "a/long.wav")
    rows = (Row(path, 0.5, 1.0, labels=("x", "y"), text="low", group="g"), Row(path, 1.5, None, labels=("y",), group="h"))
    batch = made(Manifest(rows)).batch([0, 1])
    assert (batch.signals[:, 0, 0] * 32768).round().tolist() == [4000, 12_000]
    assert batch.labels["labels"].tolist() == [[1, 1], [0, 1]]
    assert batch.texts == ["low", ""] and batch.groups is not None and batch.groups.tolist() == [0, 1]


def test_other_rates_are_resampled_and_the_cache_holds_the_same(folder: Path) -> None:
    loose, cached = (made(folder, sample_rate=6_000, cache=cache) for cache in (False, True))
    for epoch in range(3):
        one, other = loose.batch([0, 1, 2], epoch=epoch), cached.batch([0, 1, 2], epoch=epoch)
        assert one.signals.shape == (3, 1, 3000) and torch.equal(one.lengths, other.lengths)
        assert (one.signals - other.signals).abs().max() < 1e-5
    (folder / "a/long.wav").unlink()
    assert cached.batch([0]).signals.any()


def test_channels_are_mixed_down_or_counted(tmp_path: Path) -> None:
    write_audio(tmp_path / "four.wav", torch.rand(4, RATE) - 0.5, RATE)
    assert made(tmp_path).batch([0]).signals.shape == (1, 1, 4000)
    assert made(tmp_path, channels=4).batch([0]).signals.shape == (1, 4, 4000)
    write_audio(tmp_path / "one.wav", torch.rand(1, RATE) - 0.5, RATE)
    with pytest.raises(ValueError, match=r"1 of 2 recordings cannot be used: .*one\.wav \(has 1 channel\(s\), 4 are due"):
        made(tmp_path, channels=4)
    assert len(made(tmp_path, channels=4, on_error="quarantine")) == 1


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    """mp3s and wavs of mixed rates, one stereo, one of 0.2 s, one corrupt, one empty."""
    noise = torch.rand(2, 48_000 * 3, generator=torch.Generator().manual_seed(0)) - 0.5
    for name, rate, channels in (("a.mp3", 44_100, 1), ("b.wav", 48_000, 1), ("stereo.mp3", 22_050, 2), ("d.wav", 16_000, 1)):
        write_audio(tmp_path / name, noise[:channels, : 2 * rate], rate)
    write_audio(tmp_path / "blip.wav", noise[:1, :3_200], 16_000)
    (tmp_path / "corrupt.mp3").write_bytes(np.random.default_rng(0).bytes(5_000))
    (tmp_path / "empty.wav").touch()
    return tmp_path


def test_a_strangers_folder_trains_and_embeds_and_says_what_it_skipped(strangers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        ValueError, match=r"2 of 7 recordings cannot be used: .*corrupt\.mp3 \(.*empty\.wav \(.*on_error='quarantine'"
    ):
        AudioSet.from_manifest(strangers, sample_rate=16_000, duration_s=0.5)
    data = AudioSet.from_manifest(
        strangers, sample_rate=16_000, duration_s=0.5, short="skip", on_error="quarantine", decode=True, name="mine"
    )
    assert [Path(path).name for path, _ in data.quarantine.entries] == ["corrupt.mp3", "empty.wav", "blip.wav"]
    told = capsys.readouterr().err
    assert told.startswith("mine: 3 of 7 recordings left out\n")
    assert "empty.wav: the file is empty (0 bytes)" in told and "blip.wav: too short: 0.2 s, at least 0.5 s are due" in told
    for batch in KeyedLoader(data, batch_size=4, steps=3):
        assert batch.signals.shape == (4, 1, 8_000) and bool(batch.signals.flatten(1).any(dim=1).all())
    assert embed_set(Means(), data).shape == (4, 1)


def test_an_evaluated_example_is_the_mean_of_all_its_windows(folder: Path) -> None:
    encoder = Means()
    data = made(folder, duration_s=0.3)  # windows of 2400: 6, 3 and less than 1
    whole = [float(ramp(seconds, first)[:, :kept].mean()) for seconds, first, kept in ((2.0, 0.0, 14_400), (1.0, 0.5, 7_200))]
    expected = [*whole, float(ramp(0.25, -0.5).mean())]
    embeddings = embed_set(encoder, data, batch_size=4)
    assert embeddings[:, 0] == pytest.approx(expected, abs=1e-5)
    assert np.array_equal(embeddings, embed_set(encoder, data, batch_size=4))
    assert embed_set(encoder, data.subset([2, 0]))[:, 0] == pytest.approx([expected[2], expected[0]], abs=1e-5)
    middle = embed_set(encoder, made(folder, duration_s=0.3, evaluation="centre"))
    assert middle[0, 0] == pytest.approx((8_000 - 0.5) / 32768, abs=1e-5)
    assert embed_set(encoder, made(folder, duration_s=0.3, windows="all")).shape == (10, 1)


def test_damage_that_the_check_did_not_see_stops_with_a_remedy(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.flac", torch.rand(1, RATE * 20) - 0.5, RATE)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[60_000:-60_000] = bytes(len(data) - 120_000)
    (tmp_path / "a.flac").write_bytes(data)
    with pytest.raises(AudioError, match=r"a\.flac: damaged .*; check the set with decode=true"):
        made(tmp_path, windows="centre").batch([0])
    with pytest.raises(ValueError, match="none of 1 recordings can be used"):
        made(tmp_path, on_error="quarantine", decode=True)


def test_a_checked_manifest_is_not_opened_again(folder: Path) -> None:
    made(folder).manifest.write(folder / "manifest.csv")
    (folder / "a/long.wav").unlink()
    assert [row.info is not None for row in read_manifest(folder / "manifest.csv")] == [True] * 3
    assert len(made(folder / "manifest.csv")) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"windows": "tile"}, "windows must be one of random, centre, all, got 'tile'"),
        ({"on_error": "ignore"}, "on_error must be one of raise, quarantine"),
        ({"window": 100}, "either as duration_s or as window in samples"),
        ({"duration_s": 1e-9}, "at least 1 sample"),
        ({"group": "artist"}, "have no artist"),
    ],
)
def test_what_makes_no_set_is_refused(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(folder, **options)


def test_windows_of_a_limited_bandwidth_are_cut_from_the_whole(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", 0.2 * torch.rand(1, 9000) - 0.1, 8000)
    options: dict[str, Any] = {"sample_rate": 8000, "window": 1000, "bandwidth_hz": 1500.0}
    data = AudioSet.from_manifest(read_manifest(tmp_path), **options)
    whole = data.recording(0)
    assert whole.shape == (1, 9000)
    for start in (0, 1234, 8500):
        torch.testing.assert_close(data.recording(0, start=start, size=1000), whole[:, start : start + 1000], atol=1e-3, rtol=0)
    held = AudioSet.from_manifest(read_manifest(tmp_path), **options, cache=True)
    assert torch.equal(held.recording(0), whole)
    spectrum = torch.fft.rfft(whole[0]).abs()
    assert spectrum[int(1600 / 8000 * 9000) :].max() < 0.01 * spectrum.max()
