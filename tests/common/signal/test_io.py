"""Audio files: every format, every offset, and one clear error for whatever cannot be used."""

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from antiphon.common.signal.io import AudioError, audio_info, check_audio, read_audio, write_audio

RATE = 16_000
LOSSY = {"ogg", "mp3"}


def tone(seconds: float = 2.0, rate: int = RATE, channels: int = 1) -> torch.Tensor:
    time = torch.arange(round(seconds * rate)) / rate
    return torch.stack([0.4 * torch.sin(2 * torch.pi * (300 + 200 * channel) * time) for channel in range(channels)])


def written(path: Path, **options: object) -> Path:
    write_audio(path, tone(**options), options.get("rate", RATE))  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_keeps_rate_channels_and_samples(tmp_path: Path, ending: str, channels: int) -> None:
    path = written(tmp_path / f"a.{ending}", channels=channels)
    info = audio_info(path)
    waves, rate = read_audio(path)
    assert (info.sample_rate, info.channels, info.frames, info.duration_s) == (RATE, channels, 2 * RATE, 2.0)
    assert (rate, waves.dtype, tuple(waves.shape)) == (RATE, torch.float32, (channels, 2 * RATE))
    inner = slice(1000, -1000)  # encoders smear the ends
    assert (waves - tone(channels=channels))[:, inner].abs().max() < (0.05 if ending in LOSSY else 1e-4)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_a_part_is_that_slice_of_the_whole(tmp_path: Path, ending: str) -> None:
    """Also where the decoder needs what comes before it: a part of an MP3 that starts cold is silent for a quarter of a second."""
    path = written(tmp_path / f"a.{ending}", channels=2)
    whole, _ = read_audio(path)
    part, _ = read_audio(path, start_s=0.75, duration_s=0.5)
    assert part.shape == (2, 8_000)
    assert (part - whole[:, 12_000:20_000]).abs().max() < 1e-6
    assert (read_audio(path, start_s=1.9, duration_s=5.0)[0] - whole[:, 30_400:]).abs().max() < 1e-6


@pytest.mark.parametrize(("source", "target"), [(44_100, 16_000), (16_000, 22_050), (48_000, 44_100), (22_050, 16_001)])
def test_a_resampled_part_is_that_slice_of_the_resampled_whole(tmp_path: Path, source: int, target: int) -> None:
    noise = torch.rand(1, 3 * source, generator=torch.Generator().manual_seed(0)) - 0.5
    write_audio(tmp_path / "a.wav", noise, source)
    whole, rate = read_audio(tmp_path / "a.wav", sample_rate=target)
    assert (rate, whole.shape[1]) == (target, 3 * target)
    for start_s in (0.0, 0.3, 1.7, 2.5):
        part, _ = read_audio(tmp_path / "a.wav", start_s=start_s, duration_s=1.0, sample_rate=target)
        first = round(start_s * target)
        assert part.shape[1] == min(target, whole.shape[1] - first)
        assert (part - whole[:, first : first + target]).abs().max() < 1e-5


def test_mixing_down_is_the_mean_of_the_channels(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", channels=4)
    assert torch.allclose(read_audio(path, mono=True)[0], read_audio(path)[0].mean(dim=0, keepdim=True))


def cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    return path


def missing(folder: Path) -> Path:
    return folder / "missing.wav"


def folder_itself(folder: Path) -> Path:
    return folder


def empty(folder: Path) -> Path:
    (folder / "a.mp3").touch()
    return folder / "a.mp3"


def no_frames(folder: Path) -> Path:
    soundfile.write(folder / "a.wav", np.zeros(0), RATE)
    return folder / "a.wav"


def text(folder: Path) -> Path:
    (folder / "a.wav").write_text("this is no audio " * 20)
    return folder / "a.wav"


def noise_as_mp3(folder: Path) -> Path:
    (folder / "a.mp3").write_bytes(np.random.default_rng(0).bytes(3000))
    return folder / "a.mp3"


def absurd_rate(folder: Path) -> Path:
    path = written(folder / "a.wav")
    data = bytearray(path.read_bytes())
    data[24:28] = struct.pack("<I", 2_000_000_000)
    path.write_bytes(data)
    return path


def low_rate(folder: Path) -> Path:
    soundfile.write(folder / "a.wav", np.zeros(100), 12)
    return folder / "a.wav"


def not_a_number(folder: Path) -> Path:
    soundfile.write(folder / "a.wav", np.asarray([0.1, np.nan, 0.2] * 100), RATE, subtype="FLOAT")
    return folder / "a.wav"


def infinite(folder: Path) -> Path:
    soundfile.write(folder / "a.wav", np.asarray([0.1, np.inf, -np.inf]), RATE, subtype="DOUBLE")
    return folder / "a.wav"


def cut_wav(folder: Path) -> Path:
    return cut(written(folder / "a.wav"), 0.5)


def cut_flac(folder: Path) -> Path:
    return cut(written(folder / "a.flac", seconds=10.0), 0.5)


def cut_ogg(folder: Path) -> Path:
    return cut(written(folder / "a.ogg", seconds=10.0), 0.5)


def cut_mp3(folder: Path) -> Path:
    return cut(written(folder / "a.mp3", seconds=10.0), 0.5)


def damaged_flac(folder: Path) -> Path:
    path = written(folder / "a.flac", seconds=10.0)
    data = bytearray(path.read_bytes())
    data[300:] = np.random.default_rng(0).bytes(len(data) - 300)
    path.write_bytes(data)
    return path


BAD = {
    missing: "no such file",
    folder_itself: "is a folder",
    empty: "empty \\(0 bytes\\)",
    no_frames: "no audio \\(0 frames\\)",
    text: "not readable as audio",
    noise_as_mp3: "not readable as audio",
    absurd_rate: "2000000000 Hz is absurd",
    low_rate: "12 Hz is absurd",
    not_a_number: "NaN or infinite",
    infinite: "NaN or infinite",
    cut_wav: "truncated",
    cut_flac: "truncated",
    cut_ogg: "truncated",
    cut_mp3: "truncated",
    damaged_flac: "damaged",
}


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_what_cannot_be_used_says_so_in_one_line(tmp_path: Path, make: object) -> None:
    path = make(tmp_path)  # type: ignore[operator]
    for look in (read_audio, lambda file: check_audio(file, decode=True)):
        with pytest.raises(AudioError, match=BAD[make]) as caught:  # type: ignore[index]
            look(path)
        message = str(caught.value)
        assert "\n" not in message and message.startswith(str(path))
        assert (caught.value.path, caught.value.path + ": " + caught.value.reason) == (str(path), message)


@pytest.mark.parametrize("make", [cut_wav, cut_flac, cut_ogg, cut_mp3], ids=lambda make: make.__name__)
def test_the_last_sample_shows_a_truncated_file(tmp_path: Path, make: object) -> None:
    with pytest.raises(AudioError, match="truncated"):
        check_audio(make(tmp_path))  # type: ignore[operator]


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_a_whole_file_passes_every_check(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path / f"a.{ending}", seconds=3.3, rate=44_100, channels=2)
    assert check_audio(path) == check_audio(path, decode=True) == audio_info(path)


def test_a_wav_that_was_written_to_a_pipe_is_whole(tmp_path: Path) -> None:
    """Its header could not know the length, so it declares the longest one."""
    path = written(tmp_path / "a.wav")
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(data)
    assert read_audio(path)[0].shape == (1, 2 * RATE)


def test_parts_that_are_not_there_or_too_short(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav")
    with pytest.raises(AudioError, match="nothing to read from 2 s on: it lasts 2 s"):
        read_audio(path, start_s=2.0)
    with pytest.raises(AudioError, match=r"too short: 0\.5 s where at least 1 s are needed"):
        read_audio(path, start_s=1.5, min_duration_s=1.0)
    assert read_audio(path, min_duration_s=2.0)[0].shape == (1, 2 * RATE)
    with pytest.raises(ValueError, match="start_s must be at least 0"):
        read_audio(path, start_s=-1.0)


def test_an_error_survives_the_way_from_a_worker(tmp_path: Path) -> None:
    error = pickle.loads(pickle.dumps(AudioError("a.wav", "no such file")))
    assert (type(error), str(error), error.path, error.reason) == (AudioError, "a.wav: no such file", "a.wav", "no such file")


def test_writing_refuses_what_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shape"):
        write_audio(tmp_path / "a.wav", torch.zeros(10), RATE)
    with pytest.raises(ValueError, match="cannot write"):
        write_audio(tmp_path / "a.xyz", torch.zeros(1, 10), RATE)
