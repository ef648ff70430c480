"""The encoders of music: published sizes, the same values as a plain SampleCNN, songs of any length."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import antiphon
from antiphon.common.encoder import Encoder
from antiphon.common.hub import save_encoder
from antiphon.domains.music import LogMelEncoder, SampleCNNEncoder

SMALL = {
    "sample_cnn": {"window": 729},
    "log_mel": {"window": 2048, "fft_size": 256, "hop": 128, "mels": 16, "width": 4, "embedding_dim": 8},
    "spectral_statistics": {"window": 2048, "fft_size": 256, "hop": 128, "mels": 16, "coefficients": 5},
}


def weights(encoder: nn.Module) -> int:
    return sum(parameter.numel() for parameter in encoder.parameters())


def test_sample_cnn_has_its_published_size() -> None:
    encoder = SampleCNNEncoder()
    assert weights(encoder) == 2_368_512 and weights(encoder) + weights(nn.Linear(512, 50)) == 2_394_162
    assert encoder.eval().frames(torch.randn(1, 1, 59_049)).shape == (1, 1, 512)


@pytest.mark.parametrize("power", [5, 7, 8, 9])
def test_smaller_windows_leave_out_blocks_of_256_channels(power: int) -> None:
    encoder = SampleCNNEncoder(window=3**power)
    block = 256 * 256 * 3 + 256 + 2 * 256
    assert weights(encoder) == 2_368_512 - (10 - power) * block
    assert encoder.eval().embed(torch.randn(2, 1, 3**power)).shape == (2, 512)
    assert encoder.input_spec.sample_rate == 22_050 and encoder.input_spec.window == 3**power


def test_it_computes_what_a_plain_sample_cnn_computes() -> None:
    """Convolutions in one dimension and pooling behind the ReLU, as the papers draw it."""
    encoder = SampleCNNEncoder(window=729).train().double()
    layers: list[nn.Module] = []
    for block in encoder.body:
        convolution, norm, *rest = list(block)
        line = nn.Conv1d(
            convolution.in_channels, convolution.out_channels, 3, stride=convolution.stride[1], padding=convolution.padding[1]
        )
        line.weight.data, line.bias.data = convolution.weight.data[:, :, 0], convolution.bias.data
        layers += [line, nn.BatchNorm1d(norm.num_features), nn.ReLU()]
        layers += [nn.MaxPool1d(3)] if any(isinstance(layer, nn.MaxPool2d) for layer in rest) else []
    plain = nn.Sequential(*layers).double()
    waves = torch.randn(4, 1, 729, dtype=torch.float64).requires_grad_()
    expected = plain(waves)[..., 0]
    torch.testing.assert_close(encoder.embed(waves), expected)
    (same,) = torch.autograd.grad(encoder.embed(waves).square().sum(), waves)
    (wanted,) = torch.autograd.grad(plain(waves).square().sum(), waves)
    torch.testing.assert_close(same, wanted)


@pytest.mark.parametrize("name", SMALL)
def test_a_song_of_any_length_embeds(name: str, tmp_path: Path) -> None:
    encoder = antiphon.create_encoder(name, **SMALL[name]).eval()
    save_encoder(encoder, tmp_path / "encoder")
    loaded = antiphon.load_encoder(tmp_path / "encoder")
    window = encoder.input_spec.window or 0
    random = np.random.default_rng(0)
    for samples in (1, window - 1, window, 5 * window + 3):
        song = random.normal(size=(1, 1, samples)).astype(np.float32)
        found = loaded.embed(song)
        assert found.shape == (1, encoder.embedding_dim) and np.isfinite(found).all()
        np.testing.assert_array_equal(found, encoder.embed(song))
    windows = song[..., : 5 * window].reshape(5, 1, window)
    np.testing.assert_allclose(found[0], encoder.embed(windows).mean(axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_padding_changes_nothing(name: str) -> None:
    encoder = antiphon.create_encoder(name, **SMALL[name]).eval()
    wave = torch.randn(1, 1, 1000)
    padded = torch.nn.functional.pad(wave, (0, 5000), value=torch.nan)
    torch.testing.assert_close(encoder.embed(padded, torch.tensor([1000])), encoder.embed(wave), rtol=1e-4, atol=1e-5)


def test_group_norm_keeps_examples_apart() -> None:
    for encoder in (SampleCNNEncoder(window=243, norm="group"), LogMelEncoder(**SMALL["log_mel"], norm="group")):  # type: ignore[arg-type]
        waves = torch.randn(3, 1, encoder.input_spec.window or 0)
        alone = torch.cat([encoder.train().embed(wave[None]) for wave in waves])
        torch.testing.assert_close(encoder.embed(waves), alone, rtol=1e-4, atol=1e-5)


def test_log_mel_does_not_hear_loudness() -> None:
    encoder: Encoder = LogMelEncoder(**SMALL["log_mel"]).eval()  # type: ignore[arg-type]
    wave = torch.randn(1, 1, 2048)
    torch.testing.assert_close(encoder.embed(wave), encoder.embed(0.05 * wave), rtol=1e-3, atol=1e-4)
    assert torch.isfinite(encoder.embed(torch.zeros(1, 1, 2048))).all()


def test_wrong_words() -> None:
    with pytest.raises(ValueError, match="window must be 3\\^k with k of 5 or more, got 59048"):
        SampleCNNEncoder(window=59_048)
    with pytest.raises(ValueError, match="unknown kind 'chroma'"):
        antiphon.create_encoder("spectral_statistics", kind="chroma")
    with pytest.raises(ValueError, match="pass signals with 1 channel"):
        SampleCNNEncoder(window=243).embed(torch.zeros(1, 2, 243))
