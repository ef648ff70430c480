"""Exported files compute what the encoder computes, for any batch and length, or are not there."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import antiphon
from antiphon.cli import main
from antiphon.common.encoder import Encoder, InputSpec
from antiphon.common.export import export_encoder
from antiphon.common.hub import save_encoder

MEL = {"window": 2048, "sample_rate": 8000, "fft_size": 256, "hop": 128, "mels": 16}
TINY: dict[str, dict[str, Any]] = {
    "ts2vec": {"in_channels": 2, "depth": 2, "hidden_dim": 8, "embedding_dim": 8},
    "resnet1d": {"in_channels": 2, "blocks": [1], "width": 4, "embedding_dim": 8},
    "sample_cnn": {"window": 243},
    "log_mel": {**MEL, "width": 4, "blocks": [1, 1], "embedding_dim": 8},
    "spectral_statistics": {**MEL, "coefficients": 5},
    "tc_resnet": {"sample_rate": 8000, "mels": 8, "fft_size": 128, "frame_size": 100, "hop": 40, "channels": [4, 6]},
    "cab": {"window": 4000, "sample_rate": 8000, "embedding_dim": 16, "blocks": 1, "depth": 1},
    "bc_resnet": {"window": 4000, "sample_rate": 8000},
    "aligned_frames": {"sample_rate": 8000, "width": 8, "dilations": [1]},
    "ecapa_tdnn": {"sample_rate": 8000, "channels": 8, "embedding_dim": 8},
    "fast_resnet34": {"sample_rate": 8000},
}
FAST = [("onnx", "tc_resnet"), ("onnx", "spectral_statistics"), ("torch", "log_mel"), ("torch", "ts2vec")]
REST = [(format, name) for name in TINY for format in ("onnx", "torch") if (format, name) not in FAST]


def made(name: str) -> Encoder:
    """Weights and statistics unlike those of a new encoder, batch norms included."""
    torch.manual_seed(0)
    encoder = antiphon.create_encoder(name, **TINY[name])
    spec = encoder.input_spec
    encoder.fit_standardization(torch.full((spec.channels,), 0.1), torch.full((spec.channels,), 0.7))
    with torch.no_grad():
        encoder.train().embed(torch.randn(4, spec.channels, spec.window or 2000))
    return encoder.eval()


def onnx_runner(path: Path) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda signals: torch.from_numpy(session.run(["embeddings"], {"signals": signals.numpy()})[0])


def torch_runner(path: Path) -> Callable[[Tensor], Tensor]:
    return torch.export.load(path).module()


def check(encoder: Encoder, folder: Path, format: Any) -> dict[str, Any]:
    if format == "onnx":
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    path = folder / ("encoder.onnx" if format == "onnx" else "encoder.pt2")
    exported = export_encoder(encoder, path, format=format)
    assert {file.name for file in folder.iterdir()} == {path.name, f"{path.name}.json"}
    about = json.loads((folder / f"{path.name}.json").read_text())
    assert about == exported.about and about["largest_difference"] <= about["tolerance"] == 1e-4
    run = onnx_runner(path) if format == "onnx" else torch_runner(path)
    spec = encoder.input_spec
    for batch, size in ((1, about["shortest"]), (2, 5000), (5, 4001), (1, 3 * (spec.window or 2500))):
        waves = torch.randn(batch, spec.channels, max(size, about["shortest"]))
        with torch.no_grad():
            expected = encoder.embed(waves)
        torch.testing.assert_close(run(waves).detach(), expected, atol=1e-4 * float(expected.abs().max()), rtol=0)
    return about


@pytest.mark.parametrize(("format", "name"), FAST)
def test_the_file_computes_what_the_encoder_computes(format: str, name: str, tmp_path: Path) -> None:
    encoder = made(name)
    spec, about = encoder.input_spec, check(encoder, tmp_path, format)
    assert about["input"]["shape"] == ["batch", spec.channels, "samples"]
    if format == "onnx":
        assert about["shortest"] == spec.min_length  # a recording shorter than a window included
    else:
        assert about["shortest"] == (spec.window + 1 if spec.window else 1)  # 1: dilations that reach past the series too


@pytest.mark.skipif("ANTIPHON_ALL_EXPORTS" not in os.environ, reason="set ANTIPHON_ALL_EXPORTS=1 to export them all (two minutes)")
@pytest.mark.parametrize(("format", "name"), REST)
def test_so_do_those_of_the_other_encoders(format: str, name: str, tmp_path: Path) -> None:
    check(made(name), tmp_path, format)


def test_one_length_where_that_is_asked_for(tmp_path: Path) -> None:
    encoder = made("log_mel").train()
    about = export_encoder(encoder, tmp_path / "e.pt2", format="torch", length=2048).about
    assert about["input"]["shape"] == ["batch", 1, 2048] and about["shortest"] == 2048
    assert encoder.training
    waves = torch.randn(3, 1, 2048)
    torch.testing.assert_close(torch_runner(tmp_path / "e.pt2")(waves), encoder.eval().embed(waves), atol=1e-5, rtol=1e-4)


class _Awkward(Encoder):
    """Asks what is in a signal, or lies while it is traced."""

    def __init__(self, how: str) -> None:
        super().__init__(embedding_dim=1, input_spec=InputSpec(channels=1), config={}, pooling="mean")
        self.how = how

    def encode(
        self,
        signals: Tensor,
        lengths: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Tensor:
        if self.how == "asks":
            return signals.transpose(1, 2) * (1.0 if float(signals.max()) > 0 else -1.0)
        return signals.transpose(1, 2) * (1.001 if torch.compiler.is_exporting() else 1.0)


def test_a_failed_check_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"_Awkward cannot be exported.*differs from the encoder by 0.001 .* more than 0.0001"):
        export_encoder(_Awkward("lies"), tmp_path / "e.pt2", format="torch", length=100)
    assert not list(tmp_path.iterdir())
    (tmp_path / "e.pt2").write_text("older")
    with pytest.raises(ValueError, match="differs"):
        export_encoder(_Awkward("lies"), tmp_path / "e.pt2", format="torch", length=100)
    assert (tmp_path / "e.pt2").read_text() == "older" and len(list(tmp_path.iterdir())) == 1
    assert (
        export_encoder(_Awkward("lies"), tmp_path / "e.pt2", format="torch", length=100, tolerance=0.01).path.stat().st_size > 100
    )


def test_an_encoder_that_cannot_be_exported_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"_Awkward cannot be exported for signals of any length: .*--samples SAMPLES"):
        export_encoder(_Awkward("asks"), tmp_path / "e.pt2", format="torch")
    with pytest.raises(ValueError, match=r"^_Awkward cannot be exported \("):
        export_encoder(_Awkward("asks"), tmp_path / "e.pt2", format="torch", length=100)
    with pytest.raises(ValueError, match="unknown format 'tflite'"):
        export_encoder(_Awkward("asks"), tmp_path / "e", format="tflite")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="signals of 0 samples cannot be embedded"):
        export_encoder(antiphon.create_encoder("aligned_frames"), tmp_path / "e.pt2", format="torch", length=0)
    with pytest.raises(ValueError, match="needs at least 160 samples, got 80"):
        export_encoder(antiphon.create_encoder("aligned_frames"), tmp_path / "e.pt2", format="torch", length=80)
    assert not list(tmp_path.iterdir()) and capfd.readouterr() == ("", "")


def test_the_command_says_what_goes_in_and_comes_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_encoder(made("tc_resnet"), tmp_path / "run/encoder", about={"recipe": "a/b", "results": []})
    main(["export", str(tmp_path / "run"), "--format", "torch", "-o", str(tmp_path / "out/e.pt2")])
    printed = capsys.readouterr().out
    assert "signals float32 batch x 1 x samples, 160 samples or more, 8000 Hz" in printed
    assert "embeddings float32 batch x 6" in printed and str(tmp_path / "out/e.pt2") in printed
    inside: dict[str, Any] = {"antiphon.json": ""}
    torch.export.load(tmp_path / "out/e.pt2", extra_files=inside)
    about = json.loads(inside["antiphon.json"])
    assert about["encoder"]["name"] == "tc_resnet" and about["about"] == {"recipe": "a/b"}
    assert about["input"]["sample_rate"] == 8000 and about["output"]["shape"] == ["batch", 6]
    with pytest.raises(SystemExit):
        main(["export", str(tmp_path / "run"), "--format", "onnx", "-o", str(tmp_path / "e.pt2")])
    assert "--format onnx writes .onnx" in capsys.readouterr().err


def test_an_onnx_file_describes_itself(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    encoder = made("resnet1d")
    export_encoder(encoder, tmp_path / "e.onnx", format="onnx", length=100)
    session = onnxruntime.InferenceSession(tmp_path / "e.onnx", providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["antiphon"])
    assert about["encoder"] == {"name": "resnet1d", "config": encoder.config} and about["input"]["shape"] == ["batch", 2, 100]
    assert session.get_inputs()[0].shape == ["batch", 2, 100] and session.get_outputs()[0].shape == ["batch", 8]
    assert np.isfinite(session.run(None, {"signals": np.zeros((2, 2, 100), np.float32)})[0]).all()
