"""The two branches, their sizes as published, and what they share."""

from pathlib import Path

import pytest
import torch

import antiphon
from antiphon.common.export import export_encoder
from antiphon.common.random import KeyedRandom
from antiphon.domains.eeg.mvcnet.encoders import (
    ElectrodeTransformer,
    IFNetEncoder,
    MVCNetEncoder,
    TemporalFilter,
    resample_by_spectrum,
)


@pytest.mark.parametrize(
    ("channels", "samples", "pool", "features"),
    [(22, 1001, 125, 512), (14, 1251, 125, 640), (59, 750, 125, 384), (15, 2561, 128, 1280)],
)
def test_features_are_as_many_as_published(channels: int, samples: int, pool: int, features: int) -> None:
    encoder = IFNetEncoder(channels, samples, pool=pool)
    assert encoder.embedding_dim == features
    assert encoder.eval().embed(torch.zeros(2, channels, samples)).shape == (2, features)


def test_the_spatial_filter_begins_small() -> None:
    encoder = IFNetEncoder(64, 250)
    weights = encoder.branch.layers[0].weight.detach()
    assert 0.008 < float(weights.std()) < 0.011 and float(weights.abs().max()) < 0.06


def test_the_temporal_filter_is_a_depth_wise_convolution() -> None:
    layer = TemporalFilter(4)
    torch.nn.init.normal_(layer.weight)
    maps = KeyedRandom(torch.arange(2)).normal(4, 100)
    expected = torch.nn.functional.conv1d(maps, layer.weight.flip(-1)[:, None], padding=31, groups=4)
    assert torch.allclose(layer(maps), expected, atol=1e-4)


def test_the_transformer_is_as_large_as_published_and_small_when_resampled() -> None:
    with torch.device("meta"):
        published = ElectrodeTransformer(22, 1001, 512)
        small = ElectrodeTransformer(22, 1001, 512, samples=256)
    assert published.samples == 1000
    assert 45e6 < sum(weights.numel() for weights in published.project.parameters()) < 47e6
    assert sum(weights.numel() for weights in small.parameters()) < 14e6


def test_electrodes_are_tokens() -> None:
    """The projector knows electrodes by their place; the layer before does not."""
    transformer = ElectrodeTransformer(4, 50, 8).eval()
    signals = KeyedRandom(torch.arange(3)).normal(4, 50)
    order = torch.tensor([2, 0, 3, 1])
    tokens = transformer.layer(signals)
    assert torch.allclose(transformer.layer(signals[:, order]), tokens[:, order], atol=1e-5)
    assert not torch.allclose(transformer(signals[:, order]), transformer(signals), atol=1e-3)
    assert bool((transformer(signals).abs() < 1).all())


def test_resampling_by_the_spectrum_keeps_slow_waves() -> None:
    waves = torch.stack([torch.cos(2 * torch.pi * cycles * torch.arange(1000) / 1000) for cycles in (3, 40, 127, 200)])[None]
    kept = resample_by_spectrum(waves, 256)
    expected = torch.stack([torch.cos(2 * torch.pi * cycles * torch.arange(256) / 256) for cycles in (3, 40, 127)])
    assert torch.allclose(kept[0, :3], expected, atol=1e-4) and float(kept[0, 3].abs().max()) < 1e-4


def test_fused_features_are_both_branches_side_by_side() -> None:
    fused = MVCNetEncoder(3, 200, pool=50, samples=64).eval()
    signals = KeyedRandom(torch.arange(2)).normal(3, 200)
    embedded = fused.embed(signals)
    assert embedded.shape == (2, fused.embedding_dim) == (2, 512)
    assert torch.equal(embedded[:, :256], fused.branch(signals).flatten(1))
    assert torch.equal(embedded[:, 256:], fused.transformer(signals))


@pytest.mark.parametrize("name", ["ifnet", "mvcnet"])
def test_by_name_with_a_config_that_rebuilds_it(name: str) -> None:
    encoder = antiphon.create_encoder(name, in_channels=3, window=90)  # shorter than the published pooling
    twin = antiphon.create_encoder(name, **encoder.config)
    twin.load_state_dict(encoder.state_dict())
    assert encoder.config["pool"] == 90 and twin.embedding_dim == encoder.embedding_dim


def test_windows_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="window is 0"):
        IFNetEncoder(3, 0)
    with pytest.raises(ValueError, match="heads"):
        ElectrodeTransformer(3, 1, 8)


def test_both_branches_can_be_exported(tmp_path: Path) -> None:
    """The file is checked against the encoder, whose filters go through spectra that ONNX does not know."""
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    encoder = antiphon.create_encoder("mvcnet", in_channels=3, window=100, width=4, pool=25, samples=32).eval()
    made = export_encoder(encoder, tmp_path / "encoder.onnx", format="onnx", length=100)
    assert made.about["largest_difference"] <= 1e-4 and made.about["input"]["shape"] == ["batch", 3, 100]
