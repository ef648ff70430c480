"""The encoders of speakers: published sizes, features as torchaudio makes them, and utterances of any length in one batch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import antiphon
from antiphon.common.encoder import Encoder
from antiphon.common.hub import save_encoder
from antiphon.domains.speaker_verification import ECAPATDNNEncoder, FastResNet34Encoder
from antiphon.domains.speaker_verification.encoders.ecapa import mirrored
from antiphon.domains.speaker_verification.encoders.features import SpeakerFeatures
from antiphon.domains.speaker_verification.encoders.masking import MaskedNorm

SMALL: dict[str, dict[str, Any]] = {
    "fast_resnet34": {"width": 4, "embedding_dim": 16},
    "ecapa_tdnn": {"channels": 32, "embedding_dim": 16},
}
LENGTHS = torch.tensor([700, 4000, 1601, 8211])
every_encoder = pytest.mark.parametrize("name", SMALL)


def weights(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def lively(name: str, **options: Any) -> Encoder:
    """An encoder whose norms shift what they see: zeros behind an end do not stay zeros by themselves."""
    torch.manual_seed(0)  # some weights make group norms divide by next to nothing, which magnifies rounding
    encoder = antiphon.create_encoder(name, **{**SMALL[name], **options})
    generator = torch.Generator().manual_seed(0)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.normal_(module.bias, generator=generator)
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
    return encoder


def utterances() -> Tensor:
    waves = 0.1 * torch.randn(len(LENGTHS), 1, int(LENGTHS.max()), generator=torch.Generator().manual_seed(1))
    for row, length in enumerate(LENGTHS.tolist()):
        waves[row, :, length:] = torch.nan
    return waves


def test_published_sizes() -> None:
    assert weights(FastResNet34Encoder()) == 1_437_078
    assert weights(ECAPATDNNEncoder()) == 7_075_008 and weights(ECAPATDNNEncoder(channels=1024)) == 22_529_152
    fast = FastResNet34Encoder().eval()
    assert fast.frames(torch.zeros(1, 1, 32_000)).shape == (1, 51, 128) and fast.embed(torch.zeros(1, 1, 32_000)).shape == (1, 512)
    wide = ECAPATDNNEncoder(channels=64).eval()
    assert wide.frames(torch.zeros(1, 1, 32_000)).shape == (1, 201, 192) and wide.embed(torch.zeros(1, 1, 32_000)).shape == (1, 512)


def test_features_are_those_of_torchaudio_with_instance_norm() -> None:
    torchaudio = pytest.importorskip("torchaudio")
    waves = 0.1 * torch.randn(2, 1, 8000)
    reference = torchaudio.transforms.MelSpectrogram(
        16_000, n_fft=512, win_length=400, hop_length=160, n_mels=40, window_fn=torch.hamming_window, pad_mode="constant"
    )
    expected = nn.InstanceNorm1d(40)(torch.log(reference(waves[:, 0]) + 1e-6))
    found = SpeakerFeatures(sample_rate=16_000)(waves.requires_grad_())
    torch.testing.assert_close(found[:, 0], expected, rtol=1e-3, atol=1e-3)
    assert not found.requires_grad


def test_features_of_the_whole_keep_the_mean_spectrum_and_lose_the_loudness() -> None:
    features, waves = SpeakerFeatures(sample_rate=16_000, scaling="whole"), 0.1 * torch.randn(2, 1, 8000)
    maps = features(waves, torch.tensor([8000, 5000]))
    inside = maps[1, :, :, : int(features.frame_lengths(torch.tensor(5000)))]
    for part in (maps[0], inside):
        assert abs(float(part.mean())) < 1e-5 and abs(float(part.std()) - 1) < 1e-3
    assert float(maps[0].mean(dim=-1).abs().max()) > 0.5
    torch.testing.assert_close(features(4 * waves[:1]), maps[:1], rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="unknown scaling 'band'"):
        SpeakerFeatures(sample_rate=16_000, scaling="band")  # type: ignore[arg-type]


@every_encoder
@pytest.mark.parametrize(("norm", "scaling"), [("batch", "bands"), ("group", "whole")])
def test_an_utterance_embeds_the_same_alone_and_in_a_padded_batch(name: str, norm: str, scaling: str) -> None:
    encoder, waves = lively(name, norm=norm, scaling=scaling).eval(), utterances()
    together, frames = encoder.embed(waves, LENGTHS), encoder.frames(waves, LENGTHS)
    counts = encoder.frame_lengths(LENGTHS, frames.shape[1], waves.shape[-1])
    for row, length in enumerate(LENGTHS.tolist()):
        alone = waves[row : row + 1, :, :length]
        torch.testing.assert_close(together[row : row + 1], encoder.embed(alone), rtol=1e-3, atol=1e-4)
        own = encoder.frames(alone)
        assert own.shape[1] == counts[row]
        torch.testing.assert_close(frames[row : row + 1, : own.shape[1]], own, rtol=1e-3, atol=1e-4)
        assert not frames[row, own.shape[1] :].any()
    torch.testing.assert_close(encoder.pool(frames, counts), together, rtol=1e-4, atol=1e-5)
    order = [2, 0, 3, 1]
    torch.testing.assert_close(encoder.embed(waves[order], LENGTHS[order]), together[order], rtol=1e-4, atol=1e-5)


@every_encoder
def test_what_stands_behind_an_utterance_does_not_count_in_training_either(name: str) -> None:
    """Neither in the embeddings nor in the gradients nor in the statistics that batch norms keep."""
    results = []
    for longer in (0, 3000):
        torch.manual_seed(0)
        encoder = antiphon.create_encoder(name, **SMALL[name]).train()
        waves = torch.nn.functional.pad(utterances(), (0, longer), value=7.0)
        embeddings = encoder.embed(waves, LENGTHS)
        embeddings.square().sum().backward()
        gradients = [parameter.grad for parameter in encoder.parameters()]
        statistics = [buffer for key, buffer in encoder.named_buffers() if key.endswith(("running_mean", "running_var"))]
        results.append([embeddings, *gradients, *statistics])
    assert len(results[0]) > 20
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@every_encoder
def test_equal_lengths_are_no_lengths(name: str) -> None:
    encoder, waves = lively(name).eval(), 0.1 * torch.randn(2, 1, 5000)
    torch.testing.assert_close(encoder.embed(waves, torch.tensor([5000, 5000])), encoder.embed(waves), rtol=0, atol=0)


@every_encoder
def test_group_norm_keeps_examples_apart(name: str) -> None:
    encoder, waves = lively(name, norm="group").train(), 0.1 * torch.randn(3, 1, 4000)
    alone = torch.cat([encoder.embed(wave[None]) for wave in waves])
    torch.testing.assert_close(encoder.embed(waves), alone, rtol=1e-3, atol=1e-4)


@every_encoder
def test_it_hears_neither_loudness_nor_a_filter_but_takes_any_length(name: str, tmp_path: Path) -> None:
    encoder = lively(name).eval()
    save_encoder(encoder, tmp_path / "encoder")
    loaded = antiphon.load_encoder(tmp_path / "encoder")
    random = np.random.default_rng(0)
    for samples in (1, 399, 16_000):
        wave = random.normal(0, 0.1, (1, 1, samples)).astype(np.float32)
        found = loaded.embed(wave)
        assert found.shape == (1, 16) and np.isfinite(found).all()
        np.testing.assert_array_equal(found, encoder.embed(wave))
    loud = loaded.embed(0.1 * wave)
    np.testing.assert_allclose(loud, found, atol=0.02 * float(np.abs(found).max()))
    assert np.isfinite(loaded.embed(np.zeros((2, 1, 3000), np.float32))).all()


@every_encoder
def test_bfloat16_is_near(name: str) -> None:
    encoder, waves = lively(name, norm="group").eval(), 0.1 * torch.randn(2, 1, 4000)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        rough = encoder.embed(waves, torch.tensor([4000, 2500])).float()
    exact = encoder.embed(waves, torch.tensor([4000, 2500]))
    assert torch.nn.functional.cosine_similarity(rough, exact).min() > 0.99


@pytest.mark.parametrize(("size", "reach"), [(1, 2), (2, 4), (3, 2), (9, 4)])
def test_mirrors_reach_to_and_fro(size: int, reach: int) -> None:
    maps = torch.arange(1.0, size + 1).view(1, 1, 1, -1)
    padded = mirrored(torch.nn.functional.pad(maps, (0, 5)), reach, torch.tensor([size]))[0, 0, 0]
    expected = np.pad(np.arange(1.0, size + 1), reach, mode="reflect" if size > 1 else "edge")
    np.testing.assert_array_equal(padded[: size + 2 * reach].numpy(), expected)
    assert not padded[size + 2 * reach :].any()
    torch.testing.assert_close(mirrored(maps, reach, None)[0, 0, 0], padded[: size + 2 * reach])


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_masked_norm_without_padding_is_the_plain_one(norm: Any) -> None:
    module, maps = MaskedNorm(norm, 16), torch.randn(3, 16, 4, 10)
    torch.testing.assert_close(module(maps, torch.tensor([10, 10, 10])), module.norm(maps), rtol=1e-4, atol=1e-5)


def test_wrong_words() -> None:
    with pytest.raises(ValueError, match=r"hear one channel, got in_channels=2: mix down with data\.channels=mono"):
        FastResNet34Encoder(in_channels=2)
    with pytest.raises(ValueError, match="split into 8 parts, got 100"):
        ECAPATDNNEncoder(channels=100)
    with pytest.raises(ValueError, match="cannot hide time stamps"):
        FastResNet34Encoder(width=4).encode(torch.zeros(1, 1, 4000), mask=torch.ones(1, 4000, dtype=torch.bool))
