"""Deep4 and braindecode's networks as encoders: shapes, frames, long recordings, the contract on disk."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from antiphon import create_encoder, load_encoder
from antiphon.common.encoder import InputSpec
from antiphon.common.hub import save_encoder
from antiphon.domains.eeg import RecordingError, read
from antiphon.domains.eeg.data.simulation import load_simulated
from antiphon.models import domain_of
from antiphon.run.build import build_encoder
from antiphon.run.own_data import untrained_like
from tests.domains.eeg.data.conftest import WriteEDF, waves, write_edf

__all__ = ["write_edf"]


@pytest.fixture(scope="module")
def deep4() -> torch.nn.Module:
    return create_encoder("deep4", in_channels=4).eval()


def test_deep4_has_the_published_frames(deep4) -> None:
    signals = torch.randn(2, 4, 1200, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        frames = deep4.frames(signals)
        assert frames.shape == (2, 519, 128) and deep4.reach == 682
        torch.testing.assert_close(deep4.embed(signals), frames.mean(dim=1))
        assert deep4.frames(signals[..., :682]).shape == (2, 1, 128)
    blocks = 25 * 10 + 25 + 25 * 25 * 4 + 10 * (25 * 50 + 50 * 100 + 100 * 200) + 2 * (25 + 50 + 100 + 200)
    assert sum(weights.numel() for weights in deep4.parameters()) == blocks + 200 * 128 * 2 + 128
    with pytest.raises(ValueError, match="needs at least 682 samples, got 681"):
        deep4.embed(signals[..., :681])


def test_deep4_dense_frames_are_those_of_strided_windows(deep4) -> None:
    """A frame is what the network with its published strides gives for the 682 samples that the frame sees."""
    from braindecode.models import Deep4Net

    strided = Deep4Net(n_chans=4, n_outputs=128, n_times=682, final_conv_length=2, stride_before_pool=True)
    strided.load_state_dict(deep4.body.state_dict())
    for name, layer in strided.named_modules():  # braindecode loses the first stride
        if name == "pool":
            layer.stride, layer.dilation = (3, 1), (3, 1)
    signals = torch.randn(1, 4, 700, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        dense = deep4.frames(signals)
        for start in (0, 5, 18):
            strides = strided.eval()(signals[..., start : start + 682]).flatten()[:128]
            torch.testing.assert_close(dense[0, start], strides, atol=1e-5, rtol=1e-4)


def test_deep4_of_a_long_recording_is_that_of_its_windows(deep4, monkeypatch: pytest.MonkeyPatch) -> None:
    signals = torch.randn(1, 4, 1200 + 2 * 519, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        whole = deep4.frames(signals)
        parts = torch.cat([deep4.frames(signals[..., start : start + 1200]) for start in (0, 519, 1038)], dim=1)
        torch.testing.assert_close(whole, parts, atol=1e-5, rtol=1e-4)
        monkeypatch.setattr("antiphon.domains.eeg.encoders.deep4._CHUNK", 400)
        torch.testing.assert_close(deep4.frames(signals), whole, atol=1e-5, rtol=1e-4)
        behind = torch.cat((signals, signals), dim=-1)
        behind[..., 1300:] = 0
        short = deep4.embed(behind, torch.tensor([1300]))
        torch.testing.assert_close(short, deep4.embed(signals[..., :1300]), atol=1e-5, rtol=1e-4)


def test_deep4_options() -> None:
    small = create_encoder("deep4", in_channels=2, window=800, embedding_dim=8, norm="none")
    assert small.embedding_dim == 8 and not [name for name, _ in small.body.named_modules() if "bnorm" in name]
    with pytest.raises(ValueError, match="sees 682 samples at a time, the window has 400"):
        create_encoder("deep4", window=400)
    with pytest.raises(ValueError, match="unknown norm 'group'"):
        create_encoder("deep4", norm="group")


@pytest.mark.parametrize(
    ("architecture", "width", "options"),
    [
        ("EEGNet", 16 * 8, {"kernel_length": 32}),
        ("ShallowFBCSPNet", 40 * 11, {}),
        ("EEGConformer", 32, {}),
        ("IFNet", 64 * 8, {}),
        ("SPARCNet", None, {}),
    ],
)
def test_networks_without_their_last_layer(architecture: str, width: int | None, options: dict[str, int]) -> None:
    encoder = create_encoder(
        "braindecode", architecture=architecture, in_channels=4, window=256, sample_rate=128.0, **options
    ).eval()
    made = encoder.embed(np.random.default_rng(0).normal(size=(2, 4, 600)).astype(np.float32))
    assert made.shape == (2, encoder.embedding_dim) and np.isfinite(made).all()
    if width is not None:
        assert encoder.embedding_dim == width
    json.dumps(encoder.config)
    again = create_encoder("braindecode", **encoder.config)
    again.load_state_dict(encoder.state_dict())
    np.testing.assert_allclose(again.embed(np.ones((1, 4, 256), np.float32)), encoder.embed(np.ones((1, 4, 256), np.float32)))


def test_the_embedding_is_what_the_last_layer_saw() -> None:
    from braindecode.models import ShallowFBCSPNet

    whole = ShallowFBCSPNet(n_chans=3, n_outputs=2, n_times=256).eval()
    encoder = create_encoder("braindecode", architecture="ShallowFBCSPNet", in_channels=3, window=256).eval()
    missing = encoder.body.load_state_dict(whole.state_dict(), strict=False)
    assert not missing.missing_keys and all(key.startswith("final_layer") for key in missing.unexpected_keys)
    signals = torch.randn(5, 3, 256)
    layer = whole.final_layer.conv_classifier
    with torch.no_grad():
        torch.testing.assert_close(
            encoder.embed(signals) @ layer.weight.flatten(1).T + layer.bias, whole(signals), atol=1e-5, rtol=1e-4
        )


def test_frames_over_time() -> None:
    encoder = create_encoder("braindecode", architecture="EEGNet", in_channels=4, window=256, keep_time=True).eval()
    assert encoder.embedding_dim == 16 and encoder.frames(torch.zeros(2, 4, 512)).shape == (2, 16, 16)
    with pytest.raises(ValueError, match="is no map over time: leave keep_time off"):
        create_encoder("braindecode", architecture="EEGConformer", in_channels=4, window=256, keep_time=True)


def test_wrong_words() -> None:
    cases = (
        ({"architecture": "EGGNet", "window": 256}, "'EGGNet' is no network of braindecode: use one of .*EEGNet"),
        ({"architecture": "REVE", "window": 256}, "'REVE' downloads files when it is built"),
        ({"architecture": "EEGNet", "window": 256, "F3": 1}, r"EEGNet has no option F3: it takes .*F1, D"),
        ({"architecture": "SSTDPN", "window": 512}, "no last layer"),
        ({"architecture": "AttnSleep", "window": 512}, "braindecode cannot build AttnSleep for 4 channels and 512 samples"),
    )
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            create_encoder("braindecode", in_channels=4, **options)


def test_the_contract_is_learnt_from_the_data_saved_and_loaded(
    tmp_path: Path, write_edf: WriteEDF, capfd: pytest.CaptureFixture[str]
) -> None:
    train, _ = load_simulated(2, 1, duration_s=10.0, window_s=4.0, test_share=0.5, artefacts=False)
    config = {"encoder": {"name": "braindecode", "architecture": "EEGNet", "window": "auto", "sample_rate": None}}
    encoder = build_encoder(config, train, seed=0)
    save_encoder(encoder, tmp_path / "encoder", about={"domain": "eeg"})
    told = json.loads((tmp_path / "encoder" / "config.json").read_text())["input"]
    assert (
        told["names"][:2] == ["Fp1", "Fp2"]
        and told["unit"] == "uV"
        and told["sample_rate"] == 100
        and len(told["positions"][0]) == 3
    )
    loaded = load_encoder(tmp_path / "encoder")
    assert loaded.input_spec == encoder.input_spec == untrained_like(loaded, 0).input_spec
    assert domain_of(loaded).__name__ == "antiphon.domains.eeg"
    names = [f"EEG {name.upper()}-REF" for name in train.input_spec.names or ()]
    signals = waves(19, 250 * 10, 250.0)
    order = np.random.default_rng(0).permutation(19)
    same = write_edf("same.edf", signals[order], [names[n] for n in order], rate=250)
    one = read(same, input_spec=loaded.input_spec)
    assert one.batch([0]).signals.shape == (1, 19, 400)
    lacking = write_edf("lacking.edf", signals[1:], [name.replace("T7", "T3") for name in names[1:]], rate=250)
    with pytest.raises(RecordingError, match="1 of 19 channels are missing: Fp1"):
        read(lacking, input_spec=loaded.input_spec)
    filled = read(lacking, input_spec=loaded.input_spec, on_mismatch="interpolate")
    assert loaded.embed(filled.batch([0]).signals.numpy()).shape == (1, loaded.embedding_dim)
    assert "lacking.edf: Fp1 interpolated" in capfd.readouterr().err


def test_a_contract_that_does_not_fit_is_refused(deep4) -> None:
    with pytest.raises(ValueError, match=r"has 4 channel\(s\), the signals have 5"):
        deep4.describe_input(InputSpec(channels=5))
    bound = create_encoder("deep4", in_channels=4, sample_rate=100.0)
    with pytest.raises(ValueError, match="bound to 100 Hz, the signals have 128 Hz"):
        bound.describe_input(InputSpec(channels=4, sample_rate=128.0))
    bound.describe_input(InputSpec(channels=4, names=("C3", "C4", "Cz", "Pz")))
    assert (
        bound.input_spec.names == ("C3", "C4", "Cz", "Pz")
        and bound.input_spec.sample_rate == 100
        and bound.input_spec.window == 1200
    )
