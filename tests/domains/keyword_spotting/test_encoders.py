"""The encoders of words: published sizes, contracts, what they do not hear."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import antiphon
from antiphon.common.hub import save_encoder
from antiphon.domains.keyword_spotting import AlignedFramesEncoder, BCResNetEncoder, CABEncoder, CPCEncoder
from antiphon.domains.keyword_spotting.encoders.features import SpeechMel

SMALL: dict[str, dict[str, Any]] = {
    "cab": {"window": 4000, "mels": 16, "embedding_dim": 24, "heads": 2, "depth": 1, "blocks": 1},
    "bc_resnet": {"window": 4000},
    "cpc": {"channels": 8, "hidden_dim": 6},
    "aligned_frames": {"width": 8, "mels": 16},
}


def weights(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("channels", "published"), [(256, 1_317_120), (512, 5_255_680)])
def test_the_convolutions_of_cpc_have_their_published_size(channels: int, published: int) -> None:
    encoder = CPCEncoder(channels=channels)
    assert weights(encoder.convolutions) == published
    assert encoder.convolutions(torch.randn(1, 1, 20_480)).shape == (1, channels, 128)


@pytest.mark.parametrize(("width", "published"), [(1, 9_200), (3, 54_200), (8, 321_000)])
def test_bc_resnet_has_its_published_size(width: int, published: int) -> None:
    encoder = BCResNetEncoder(width=width)
    assert weights(encoder) + 12 * encoder.embedding_dim == pytest.approx(published, rel=0.01)


def test_cab_has_the_published_dimensions() -> None:
    encoder = CABEncoder().eval()
    frames = encoder.frames(torch.randn(2, 1, 16_000))
    assert frames.shape == (2, 13, 320) and encoder.embed(torch.randn(2, 1, 16_000)).shape == (2, 800)
    assert encoder.bottleneck.in_features == 640


@pytest.mark.parametrize("name", SMALL)
def test_a_recording_of_any_length_embeds_and_saves(name: str, tmp_path: Path) -> None:
    encoder = antiphon.create_encoder(name, **SMALL[name]).eval()
    save_encoder(encoder, tmp_path / "encoder")
    loaded = antiphon.load_encoder(tmp_path / "encoder")
    for samples in (encoder.input_spec.min_length, 3999, 4000, 13_000):
        wave = np.random.default_rng(0).normal(size=(1, 1, samples)).astype(np.float32)
        found = loaded.embed(wave)
        assert found.shape == (1, encoder.embedding_dim) and np.isfinite(found).all()
        np.testing.assert_array_equal(found, encoder.embed(wave))


@pytest.mark.parametrize("name", SMALL)
def test_padding_changes_nothing(name: str) -> None:
    encoder = antiphon.create_encoder(name, **SMALL[name]).eval()
    wave, length = torch.randn(1, 1, 2400), torch.tensor([2400])
    padded = torch.nn.functional.pad(wave, (0, 5000), value=torch.nan)
    torch.testing.assert_close(encoder.embed(padded, length), encoder.embed(wave), rtol=1e-4, atol=1e-5)
    frames = encoder.frames(padded, length)
    count = int(encoder.frame_lengths(length, frames.shape[1], padded.shape[-1]))
    torch.testing.assert_close(frames[:, :count], encoder.frames(wave)[:, :count], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["cab", "cpc", "aligned_frames"])
def test_examples_of_a_training_batch_do_not_see_each_other(name: str) -> None:
    encoder = antiphon.create_encoder(name, **SMALL[name] | ({"dropout": 0.0} if name == "cab" else {})).train()
    waves = torch.randn(3, 1, 4000)
    alone = torch.cat([encoder.embed(wave[None]) for wave in waves])
    torch.testing.assert_close(encoder.embed(waves), alone, rtol=1e-4, atol=1e-5)


def test_cab_pools_the_last_frames_of_each_window() -> None:
    encoder = CABEncoder(**SMALL["cab"]).eval()
    waves = torch.randn(1, 1, 3 * 4000 + 7)
    frames = encoder.frames(waves)
    assert frames.shape[1] == 3 * encoder.window_frames
    parts = [encoder.embed(waves[..., start : start + 4000]) for start in (0, 4000, 8000)]
    torch.testing.assert_close(encoder.embed(waves), torch.stack(parts).mean(dim=0), rtol=1e-4, atol=1e-5)
    changed = frames.clone()
    changed[:, : encoder.window_frames - 2] = 0.0  # all but the last two of the first window
    torch.testing.assert_close(encoder.pool(changed), encoder.pool(frames))
    changed[:, encoder.window_frames - 1] = 0.0
    assert not torch.allclose(encoder.pool(changed), encoder.pool(frames))


def test_cpc_does_not_see_the_future() -> None:
    encoder = CPCEncoder(**SMALL["cpc"]).eval()
    waves = torch.randn(1, 1, 8000)
    later = waves.clone()
    later[..., 4800:] = torch.randn(3200)
    before, after = encoder.frames(waves), encoder.frames(later)
    seen = 4800 // 160 - 2  # a frame looks a little ahead, since convolutions are centred
    torch.testing.assert_close(before[:, :seen], after[:, :seen])
    assert not torch.allclose(before[:, 32:], after[:, 32:])
    local, summary = encoder.stages(waves)
    assert local.shape == (1, 50, 8) and torch.equal(summary, before)


def test_aligned_frames_do_not_hear_loudness_or_a_fixed_colour() -> None:
    encoder = AlignedFramesEncoder(**SMALL["aligned_frames"]).eval()
    times = torch.arange(8000) / 16_000
    wave = torch.randn(1, 1, 8000) * (1.2 + torch.sin(40 * times))  # loud enough in every band not to be cut off as silence
    torch.testing.assert_close(encoder.frames(wave), encoder.frames(0.3 * wave), rtol=1e-3, atol=1e-4)


def test_aligned_frames_stand_where_their_sound_is() -> None:
    encoder = AlignedFramesEncoder(**SMALL["aligned_frames"] | {"dilations": ()}).eval()
    wave = torch.randn(1, 1, 16_000)
    changed = wave.clone()
    changed[..., 8000:8160] *= 30.0
    distance = (encoder.frames(wave) - encoder.frames(changed)).norm(dim=-1)[0]
    assert abs(int(distance.argmax()) - 8080 / 320) < 2


def test_the_scale_of_the_features() -> None:
    features = SpeechMel()
    assert torch.equal(features(torch.zeros(1, 1, 1600)), -torch.ones(1, 1, 40, 11))
    loud = features(torch.randn(1, 1, 16_000))
    assert 0.0 < loud.mean() < 2.0


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("cab", {"last_frames": 20}, "last_frames is 20, but a window of 16000 samples has 13"),
        ("cab", {"mels": 36, "heads": 5}, "which 5 heads do not divide"),
        ("bc_resnet", {"width": 0.3}, "width is 0.3: use a multiple of 1/4"),
    ],
)
def test_wrong_words(name: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        antiphon.create_encoder(name, **config)


@pytest.mark.parametrize("name", ["cab", "cpc", "aligned_frames"])
def test_a_mask_is_refused(name: str) -> None:
    encoder = antiphon.create_encoder(name, **SMALL[name])
    with pytest.raises(ValueError, match="use views without a mask"):
        encoder.encode(torch.zeros(1, 1, 4000), mask=torch.ones(1, 4000, dtype=torch.bool))
