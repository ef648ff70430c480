"""A saved encoder: whole or not at all, and it comes back the same."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import antiphon
from antiphon.common import hub
from antiphon.common.classifier import Classifier


@pytest.fixture
def encoder() -> "antiphon.common.encoder.Encoder":
    torch.manual_seed(0)
    made = antiphon.create_encoder("ts2vec", in_channels=2, hidden_dim=4, embedding_dim=6, depth=2)
    made.fit_standardization(np.array([1.0, -1.0]), np.array([2.0, 0.5]))
    return made.eval()


def test_round_trip_keeps_the_embeddings(encoder, tmp_path: Path) -> None:
    signals = np.random.default_rng(0).normal(size=(3, 2, 20)).astype(np.float32)
    antiphon.save_encoder(encoder, tmp_path / "encoder", about={"recipe": "x", "results": [{"encoder": "random", "accuracy": 0.5}]})
    again = antiphon.load_encoder(tmp_path / "encoder")
    assert not again.training and again.about["recipe"] == "x"
    np.testing.assert_array_equal(again.embed(signals), encoder.embed(signals))
    assert antiphon.load_encoder(tmp_path).config == encoder.config  # a run folder will do
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in (tmp_path / "encoder").iterdir())  # others may read it


def test_the_card_says_what_it_is(encoder, tmp_path: Path) -> None:
    rows = [{"encoder": "random", "seed": 0, "accuracy": 0.51234}]
    card = (
        antiphon.save_encoder(encoder, tmp_path / "e", about={"recipe": "time_series/ts2vec", "results": rows}) / "README.md"
    ).read_text()
    assert "# time_series/ts2vec" in card and "| random | 0 | 0.5123 |" in card and "6 dimensions" in card


def test_saving_again_replaces_and_a_failure_leaves_the_old_one(encoder, tmp_path: Path, monkeypatch) -> None:
    antiphon.save_encoder(encoder, tmp_path / "e", about={"recipe": "first"})
    monkeypatch.setattr(hub, "model_card", lambda config: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        antiphon.save_encoder(encoder, tmp_path / "e", about={"recipe": "second"})
    assert antiphon.load_encoder(tmp_path / "e").about["recipe"] == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["e"]
    monkeypatch.undo()
    antiphon.save_encoder(encoder, tmp_path / "e", about={"recipe": "third"})
    assert antiphon.load_encoder(tmp_path / "e").about["recipe"] == "third"
    assert [entry.name for entry in tmp_path.iterdir()] == ["e"]


def test_bad_folders_are_named(encoder, tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        antiphon.load_encoder(tmp_path / "nowhere")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder here/typo, though here is here"):
        antiphon.load_encoder("here/typo")
    (tmp_path / "here").rmdir()
    with pytest.raises(FileNotFoundError, match=r"holds no config\.json"):
        antiphon.load_encoder(tmp_path)
    folder = antiphon.save_encoder(encoder, tmp_path / "e")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "format": 99}))
    with pytest.raises(ValueError, match="format 99"):
        antiphon.load_encoder(folder)
    config["encoder"]["config"]["hidden_dim"] = 8
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="do not fit a ts2vec"):
        antiphon.load_encoder(folder)
    config["encoder"]["name"] = "os.system"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"unknown encoder 'os\.system'"):
        antiphon.load_encoder(folder)


def test_damaged_files_are_named(encoder, tmp_path: Path) -> None:
    folder = hub.save_encoder(encoder, tmp_path / "encoder")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        antiphon.load_encoder(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        antiphon.load_encoder(folder)


def test_what_cannot_be_embedded_is_named(encoder) -> None:
    signals = np.zeros((3, encoder.input_spec.channels, 40), np.float32)
    signals[1] = np.nan
    with pytest.raises(ValueError, match="example 1 is NaN everywhere"):
        encoder.embed(signals)
    signals[1] = np.inf
    with pytest.raises(ValueError, match="example 1 has no finite embedding"):
        encoder.embed(signals)
    with pytest.raises(ValueError, match="signals are a str: give a tensor or an array"):
        encoder.embed("a.wav")
    with pytest.raises(ValueError, match=r"got shape \(500,\)"):
        encoder.embed(np.zeros(500, np.float32))
    array = np.zeros((2, encoder.input_spec.channels, 40), np.float32)
    torch.testing.assert_close(encoder.frames(array), encoder.frames(torch.from_numpy(array)))


def test_an_encoder_without_a_name_is_refused(encoder, tmp_path: Path) -> None:
    encoder.name = ""
    with pytest.raises(ValueError, match=r"make it with antiphon\.create_encoder"):
        antiphon.save_encoder(encoder, tmp_path / "e")


def test_push_uploads_the_folder(encoder, tmp_path: Path, monkeypatch) -> None:
    calls = []

    class Api:
        def __init__(self, token=None) -> None:
            pass

        def create_repo(self, repo_id, **options) -> None:
            calls.append(("create", repo_id, options["private"]))

        def upload_folder(self, *, repo_id, folder_path) -> str:
            calls.append(("upload", repo_id, sorted(file.name for file in folder_path.iterdir())))
            return "address"

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    folder = antiphon.save_encoder(encoder, tmp_path / "e")
    assert antiphon.push_encoder(folder, "someone/encoder", private=True) == "address"
    assert calls == [
        ("create", "someone/encoder", True),
        ("upload", "someone/encoder", ["README.md", "config.json", "model.safetensors"]),
    ]
    with pytest.raises(FileNotFoundError, match="no saved encoder"):
        antiphon.push_encoder(tmp_path, "someone/encoder")


def test_a_repository_id_is_fetched(encoder, tmp_path: Path, monkeypatch) -> None:
    folder = antiphon.save_encoder(encoder, tmp_path / "e")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda repo_id, **options: str(folder))
    assert antiphon.load_encoder("someone/encoder").config == encoder.config


def test_classifier_round_trip(encoder, tmp_path: Path) -> None:
    signals = np.random.default_rng(0).normal(size=(5, 2, 20)).astype(np.float32)
    classifier = Classifier(encoder, ["left", "right"]).eval()
    classifier.save(tmp_path / "c")
    again = antiphon.load_classifier(tmp_path / "c")
    assert again.predict(signals) == classifier.predict(signals)
    np.testing.assert_allclose(again.scores(signals), again(torch.from_numpy(signals)).detach().numpy(), rtol=1e-5)
    with pytest.raises(FileNotFoundError, match=r"holds no classifier\.safetensors"):
        antiphon.load_classifier(tmp_path)
