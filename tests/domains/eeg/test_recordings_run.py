"""EEG from the command line: the data configs, and a run on recordings with a report of what a stranger's file lacks."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest

import antiphon
from antiphon.cli import main
from antiphon.domains.eeg.data import load, tuh
from antiphon.domains.eeg.data.preparation import Preparation
from antiphon.domains.eeg.data.simulation import simulate_recordings
from antiphon.run.config import compose

SMALL = ["data.subjects=6", "data.duration_s=10", "data.window_s=2", "training.batch_size=4", "training.epochs=1"]
QUIET = ["training.progress=false", "monitor.examples=4", "evaluation.random_seeds=[0]", "report=false"]


@pytest.mark.parametrize("name", ["recordings", "tuh_abnormal", "motor_imagery", "erp"])
def test_the_data_configs_compose(name: str) -> None:
    config = compose("eeg/simclr", [f"data=eeg/{name}", "encoder=deep4"])
    data = config["data"]
    assert set(data) - {"_target_"} <= set(inspect.signature(load).parameters)
    steps = Preparation.from_dict(data["preparation"])
    assert config["encoder"]["name"] == "deep4"
    if name == "tuh_abnormal":
        assert steps == tuh.PREPARATION and tuple(data["channels"]) == tuh.CHANNELS and tuple(data["span_s"]) == tuh.SPAN_S
        assert (data["window_s"], data["hop_s"]) == (tuh.WINDOW_S, tuh.HOP_S) and not data["layout_options"]["labels_in_text"]


def test_events_replace_those_of_the_data_config() -> None:
    assert compose("eeg/mvcnet")["data"]["events"] == {769: "left", 770: "right"}
    for events in ({"left_hand": "left", "right_hand": "right"}, {769: "rest"}):
        written = ", ".join(f"{word}: {label}" for word, label in events.items())
        assert compose("eeg/mvcnet", ["data.root=x", f"data.events={{{written}}}"])["data"]["events"] == events


@pytest.mark.parametrize("recipe", ["simclr", "ts2vec"])
def test_encoders_of_other_domains_take_part(recipe: str, tmp_path: Path) -> None:
    simulate_recordings(3, 2, duration_s=6.0).write(tmp_path / "study")
    given = ["data=eeg/recordings", f"data.root={tmp_path / 'study/manifest.csv'}", "data.window_s=1", "data.label=slowing"]
    size = {"simclr": ["encoder.width=4", "encoder.blocks=[1]"], "ts2vec": ["encoder.depth=2", "encoder.hidden_dim=8"]}[recipe]
    steps = ["training.epochs=null", "training.steps=2", "training.batch_size=4", "~evaluation", "~pictures"]
    main(
        [
            "pretrain",
            f"time_series/{recipe}",
            *given,
            *size,
            *steps,
            "training.progress=false",
            "report=false",
            f"run_dir={tmp_path / 'run'}",
        ]
    )
    encoder = antiphon.load_encoder(tmp_path / "run")
    assert encoder.input_spec.names is not None and len(encoder.input_spec.names) == 19
    assert encoder.input_spec.unit == "uV" and 5 < float(encoder.input_std.mean()) < 100


def test_a_run_and_strangers(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    main(["pretrain", "eeg/simclr", "data=eeg/simulated", "encoder=eegnet", f"run_dir={run}", *SMALL, *QUIET])
    results = json.loads((run / "results.json").read_text())
    assert [row["encoder"] for row in results["rows"]] == ["random", "pretrained"] and results["train_examples"] == 8
    study = simulate_recordings(2, 1, duration_s=10.0, sample_rate=128.0, seed=7)
    study.write(tmp_path / "edf")
    study.write(tmp_path / "fif", format="fif")
    main(["embed", str(run), str(tmp_path / "edf"), str(tmp_path / "fif/recording-0001_raw.fif"), "-o", str(tmp_path / "out.npz")])
    made = np.load(tmp_path / "out.npz")["embeddings"]
    assert made.shape == (3, antiphon.load_encoder(run).embedding_dim)
    np.testing.assert_allclose(made[1], made[2], rtol=0.05, atol=0.01)  # EDF keeps 16 bits
    fewer = simulate_recordings(1, 1, duration_s=10.0, names=study.names[2:], seed=8)
    fewer.write(tmp_path / "fewer")
    capfd.readouterr()
    with pytest.raises(SystemExit):
        main(["embed", str(run), str(tmp_path / "fewer/recording-0000.edf"), "-o", str(tmp_path / "no.npz")])
    told = " ".join("".join(capfd.readouterr()).split())
    assert "2 of 19 channels are missing: Fp1, Fp2; it has F7, F3" in told and "on_mismatch='interpolate'" in told
    main(["info", str(run)])
    assert "uV: Fp1, Fp2" in " ".join(capfd.readouterr().out.split())
