"""`antiphon zero-shot eeg` on files of mne, with a model that was never trained: what is read, asked and refused.

What a trained model answers to sounds stands in tests/run/test_cross_modal.py.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import antiphon
from antiphon.cli import main
from antiphon.common.encoder import InputSpec
from antiphon.common.text import open_tower
from antiphon.common.two_towers import SignalSide, TextSide, TwoTowers

mne = pytest.importorskip("mne")
if find_spec("wordllama") is None:
    pytest.skip("needs the package wordllama", allow_module_level=True)

NAMES = ("Fz", "Cz", "Pz", "C3", "C4")
RATE = 100.0
ASKED = ["--labels", "normal, pathological", "--template", "this is a {} recording"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 7-second windows; a recording of 25 s, one that lacks C4, and three trials."""
    folder = tmp_path_factory.mktemp("eeg")
    torch.manual_seed(0)
    encoder = antiphon.create_encoder("deep4", in_channels=5, window=700, sample_rate=RATE, embedding_dim=8)
    encoder.describe_input(InputSpec(channels=5, names=NAMES, sample_rate=RATE, unit="uV"))
    head = {"hidden_dim": 8, "out_dim": 8}
    towers = SignalSide(encoder, head, per_frame=True), TextSide(open_tower("wordllama"), head)
    antiphon.save_model(TwoTowers(*towers, scale=14.0).eval(), folder / "model")
    info = mne.create_info(list(NAMES), 2 * RATE, "eeg", verbose="ERROR")
    signals = 2e-5 * np.random.default_rng(0).normal(size=(5, 5000))
    raw = mne.io.RawArray(signals, info, verbose="ERROR")
    raw.save(folder / "whole_raw.fif", verbose="ERROR")
    raw.copy().drop_channels(["C4"]).save(folder / "few_raw.fif", verbose="ERROR")
    slow = mne.create_info(list(NAMES), RATE, "eeg", verbose="ERROR")
    trials = mne.EpochsArray(signals[:, :2100].reshape(5, 3, 700).swapaxes(0, 1), slow, verbose="ERROR")
    trials.save(folder / "trials-epo.fif", verbose="ERROR")
    return folder


def scored(capsys: pytest.CaptureFixture[str], folder: Path, *words: Any) -> dict[str, Any]:
    main(["zero-shot", "eeg", *map(str, words), "--model", str(folder / "model"), *ASKED, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_recording_is_cut_as_the_model_wants_it(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = scored(capsys, folder, folder / "whole_raw.fif", "--plot", tmp_path / "p.png")
    (recording,) = found["recordings"]
    assert recording["window_times_s"] == [0.0, 7.0, 14.0] and recording["window_s"] == 7.0
    assert found["classes"]["normal"] == ["this is a normal recording"] and (tmp_path / "p.png").is_file()
    assert sum(recording["scores"].values()) == pytest.approx(1.0, abs=1e-5)


def test_missing_channels_are_listed_or_made_of_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [folder / "whole_raw.fif", folder / "few_raw.fif"]
    strict = scored(capsys, folder, *files)
    assert len(strict["recordings"]) == 1 and "missing: C4" in strict["left_out"][0]["reason"]
    both = scored(capsys, folder, *files, "--on-mismatch", "interpolate")
    assert len(both["recordings"]) == 2 and not both["left_out"] and both["config"] == strict["config"]


def test_trials_are_scored_each_by_itself(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = scored(capsys, folder, folder / "trials-epo.fif")["recordings"]
    assert [entry["path"].rsplit(" ", 1)[1] for entry in found] == ["0", "1", "2"]
    assert all(entry["window_times_s"] == [0.0] and entry["window_s"] == 7.0 for entry in found)


def test_no_model_says_how_to_train_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["zero-shot", "eeg", str(folder / "whole_raw.fif"), *ASKED])
    assert "`antiphon recipes` lists such recipes" in capsys.readouterr().err
