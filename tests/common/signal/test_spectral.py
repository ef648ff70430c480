"""Mel features against torchaudio and librosa, and what makes them layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from antiphon.common.random import KeyedRandom
from antiphon.common.signal.spectral import (
    MFCC,
    LogMel,
    MelSpec,
    frame_lengths,
    hz_to_mel,
    log_mel,
    mel_filterbank,
    mel_to_hz,
    mfcc,
)

RATE = 22_050
TORCHAUDIO = MelSpec(sample_rate=RATE, hop=256)
LIBROSA = MelSpec(sample_rate=RATE, n_fft=2048, bands=128, mel_scale="slaney", mel_norm="slaney", pad_mode="constant", top_db=80.0)


def waves(count: int = 2, channels: int = 1, size: int = 12_345) -> Tensor:
    """Noise with a tone, fading out over 100 dB, so that floors and `top_db` are reached."""
    times = torch.arange(size) / RATE
    tone = torch.sin(2 * torch.pi * 440 * times) + 0.1 * KeyedRandom(torch.arange(count)).normal(channels, size)
    return tone * 10 ** (-5 * times / times[-1])


@pytest.mark.parametrize("options", [{}, {"window_size": 400, "n_fft": 512, "bands": 40, "window": "hamming"}, {"power": 1.0}])
def test_log_mel_is_torchaudios(options: dict[str, Any]) -> None:
    transforms = pytest.importorskip("torchaudio").transforms
    spec = replace(TORCHAUDIO, f_min_hz=50.0, f_max_hz=10_000.0, **options)
    window = torch.hamming_window if spec.window == "hamming" else torch.hann_window
    theirs = transforms.MelSpectrogram(
        RATE, spec.n_fft, spec.frame, spec.step, 50.0, 10_000.0, n_mels=spec.bands, power=spec.power, window_fn=window
    )(waves(channels=2))
    decibels = transforms.AmplitudeToDB(top_db=None)(theirs)
    assert log_mel(waves(channels=2), spec).shape == theirs.shape
    assert torch.allclose(log_mel(waves(channels=2), spec), decibels, atol=2e-3)  # where the power is near its floor
    natural = log_mel(waves(channels=2), replace(spec, log="ln", floor=1e-6))
    assert torch.allclose(natural, (theirs + 1e-6).log(), atol=1e-4)


def test_log_mel_and_mfcc_are_librosas() -> None:
    librosa = pytest.importorskip("librosa")
    mono = waves(1)
    theirs = librosa.power_to_db(librosa.feature.melspectrogram(y=mono.numpy(), sr=RATE))
    np.testing.assert_allclose(log_mel(mono, LIBROSA).numpy(), theirs, atol=1e-3)
    np.testing.assert_allclose(mfcc(mono, LIBROSA).numpy(), librosa.feature.mfcc(y=mono.numpy(), sr=RATE), atol=3e-3)
    for bands, low, high in ((64, 50.0, 8000.0), (40, 0.0, None)):
        for norm in ("slaney", None):
            spec = replace(LIBROSA, bands=bands, f_min_hz=low, f_max_hz=high, mel_norm=norm)  # type: ignore[arg-type]
            expected = librosa.filters.mel(sr=RATE, n_fft=2048, n_mels=bands, fmin=low, fmax=high, norm=norm)
            np.testing.assert_allclose(mel_filterbank(spec), expected, atol=1e-6)


def test_mfcc_is_torchaudios() -> None:
    transforms = pytest.importorskip("torchaudio").transforms
    theirs = transforms.MFCC(RATE, 13, melkwargs={"n_fft": 1024, "hop_length": 256, "n_mels": 64})(waves(1))
    assert torch.allclose(MFCC(replace(TORCHAUDIO, top_db=80.0), 13)(waves(1)), theirs, atol=1e-2, rtol=1e-4)


def test_mel_scales_are_inverted_and_meet_at_their_fixed_points() -> None:
    frequencies = np.linspace(0, 11_025, 500)
    for scale in ("htk", "slaney"):
        np.testing.assert_allclose(mel_to_hz(hz_to_mel(frequencies, scale), scale), frequencies, atol=1e-8)  # type: ignore[arg-type]
    assert hz_to_mel(np.array(1000.0), "slaney") == 15.0
    assert hz_to_mel(np.array(1000.0), "htk") == pytest.approx(1000.0, abs=0.02)


def test_top_db_is_each_examples_own() -> None:
    loud = waves(2)
    loud[1] *= 1e-3
    spectra = log_mel(loud, replace(TORCHAUDIO, top_db=30.0))
    peaks = spectra.amax(dim=(1, 2, 3))
    assert torch.allclose(spectra.amin(dim=(1, 2, 3)), peaks - 30.0) and float(peaks[0] - peaks[1]) > 50
    assert torch.allclose(spectra[1:], log_mel(loud[1:], replace(TORCHAUDIO, top_db=30.0)), atol=1e-3)


@pytest.mark.parametrize("layer", [LogMel(TORCHAUDIO), MFCC(TORCHAUDIO, 20)])
def test_a_layer_keeps_float32_under_autocast_and_saves_nothing(layer: LogMel) -> None:
    assert not layer.state_dict() and not list(layer.parameters())
    expected = layer(waves())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(layer(waves()), expected)
    assert layer(waves().bfloat16()).dtype == torch.float32
    double = layer(waves().double())
    assert double.dtype == torch.float64 and torch.allclose(double.float(), expected, atol=1e-2)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_gradients_are_finite_even_in_silence(power: float) -> None:
    signals = waves(1, size=4000)
    signals[..., 2000:] = 0
    signals.requires_grad_()
    log_mel(signals, replace(TORCHAUDIO, power=power)).sum().backward()
    assert signals.grad is not None and bool(signals.grad.isfinite().all()) and bool((signals.grad != 0).any())


def test_features_made_in_inference_mode_do_not_break_training() -> None:
    spec = replace(TORCHAUDIO, bands=33)  # cached by nobody yet
    with torch.inference_mode():
        log_mel(waves(), spec)
    weights = torch.ones(33, 1, requires_grad=True)
    (log_mel(waves(), spec) * weights).sum().backward()
    assert weights.grad is not None


def test_frames_inside_an_example_do_not_depend_on_the_padding() -> None:
    spec, lengths = replace(TORCHAUDIO, pad_mode="constant"), torch.tensor([9000, 5000])
    padded = waves() * (torch.arange(12_345) < lengths[:, None, None])
    spectra = log_mel(padded, spec)
    for row, (length, frames) in enumerate(zip(lengths.tolist(), frame_lengths(lengths, spec).tolist(), strict=True)):
        alone = log_mel(padded[row : row + 1, :, :length], spec)
        assert alone.shape[-1] == frames
        assert torch.allclose(alone[0], spectra[row, ..., :frames], atol=1e-3)


def test_settings_are_checked() -> None:
    wrong: list[dict[str, Any]] = [
        {"f_max_hz": 12_000.0},
        {"f_min_hz": 500.0, "f_max_hz": 400.0},
        {"window_size": 2000},
        {"hop": 0},
        {"bands": 0},
        {"log": "log10"},
        {"floor": 0.0},
        {"log": "ln", "top_db": 80.0},
    ]
    for options in wrong:
        with pytest.raises(ValueError):
            MelSpec(sample_rate=RATE, **options)
    with pytest.raises(ValueError, match="too few to be mirrored"):
        log_mel(torch.zeros(1, 1, 500), TORCHAUDIO)
    with pytest.raises(ValueError, match="from 1 to the 64 mel bands"):
        MFCC(TORCHAUDIO, 65)
    with pytest.warns(UserWarning, match="hold no bin"):
        mel_filterbank(MelSpec(sample_rate=RATE, n_fft=256, bands=100))
