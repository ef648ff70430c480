"""MVCNet, SimCLR, relative positioning and CPC from the command line, on simulated EEG, to their evaluation."""

import json
from pathlib import Path

import numpy as np
import pytest

import antiphon
from antiphon.cli import main
from antiphon.run.build import build_learner
from antiphon.run.config import compose

pytest.importorskip("mne")

from antiphon.domains.eeg.data import EpochSet, load, write_epochs
from antiphon.domains.eeg.data.simulation.motor_imagery import simulate_motor_imagery

QUIET = ["training.progress=false", "evaluation.random_seeds=[0]", "monitor.examples=16", "monitor.times=1", "report=false"]
RECORDED = [
    "data=eeg/simulated",
    "data.subjects=6",
    "data.duration_s=8",
    "data.window_s=8",
    "training.batch_size=4",
    "training.steps=3",
]
NARROW = ["encoder.window=100", "encoder.width=8"]


def given(trials: Path) -> list[str]:
    """The file as it is: its trials are cut, filtered and sampled already."""
    return [f"data.root={trials}", "data.events=null", "data.preparation.band_hz=null", "data.preparation.sample_rate=null"]


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lateralised imagery of two subjects with three electrodes, in a file."""
    data = simulate_motor_imagery(2, 40, duration_s=2.0, sample_rate=100.0, names=("C3", "Cz", "C4"), desynchronisation=0.8)
    path = tmp_path_factory.mktemp("trials") / "imagery.npz"
    write_epochs(data, path)
    return path


@pytest.fixture(scope="module")
def run(trials: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "mvcnet"
    size = ["encoder.pool=50", "encoder.width=16", "objective.samples=32", "training.epochs=15", "training.batch_size=32"]
    main(["pretrain", "eeg/mvcnet", *given(trials), f"run_dir={path}", *size, *QUIET])
    return path


def test_mvcnet_saves_its_classifier_and_measures_it(run: Path, trials: Path) -> None:
    random, trained = json.loads((run / "results.json").read_text())["rows"]
    assert (random["encoder"], trained["encoder"]) == ("random", "pretrained") and trained["accuracy"] >= 0.7
    assert antiphon.load_encoder(run).input_spec.names == ("C3", "Cz", "C4")
    classifier = antiphon.load_classifier(run / "classifier")
    _, held_out = load(trials, by="time", test_share=0.2, preparation={"align": True})
    assert isinstance(held_out, EpochSet) and held_out.labels is not None and held_out.groups is not None
    right = np.asarray(classifier.predict(held_out.signals)) == np.asarray(held_out.classes)[held_out.labels]
    by_subject = [right[held_out.groups == subject].mean() for subject in (0, 1)]
    assert trained["accuracy"] == pytest.approx(np.mean(by_subject))


def test_a_run_is_measured_again_with_its_classifier(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["evaluate", str(run)])
    trained = json.loads((run / "results.json").read_text())["rows"][1]
    assert f"{trained['accuracy']:.3f}" in capsys.readouterr().out


def test_both_branches_can_be_the_encoder(trials: Path, tmp_path: Path) -> None:
    size = ["encoder=mvcnet", "encoder.samples=32", "encoder.pool=50", "encoder.width=8", "training.steps=2"]
    main(["pretrain", "eeg/mvcnet", *given(trials), f"run_dir={tmp_path / 'run'}", *size, *QUIET])
    assert antiphon.load_classifier(tmp_path / "run" / "classifier").encoder.name == "mvcnet"


def test_simclr_on_trials(trials: Path, tmp_path: Path) -> None:
    size = ["encoder.pool=50", "encoder.width=8", "head.hidden_dim=16", "head.out_dim=8", "training.steps=4"]
    main(["pretrain", "eeg/simclr", *given(trials), "data.by=time", f"run_dir={tmp_path / 'run'}", *size, *QUIET])
    rows = json.loads((tmp_path / "run" / "results.json").read_text())["rows"]
    assert [row["encoder"] for row in rows] == ["random", "pretrained"]


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("relative_positioning", ["views.near_s=2", "views.far_s=4"]),
        ("cpc", ["objective.prediction_steps=2", "objective.hidden_dim=8", "objective.draws=16"]),
    ],
)
def test_self_supervision_on_recordings(recipe: str, options: list[str], tmp_path: Path) -> None:
    main(["pretrain", f"eeg/{recipe}", *RECORDED, *NARROW, *options, f"run_dir={tmp_path / 'run'}", *QUIET])
    rows = json.loads((tmp_path / "run" / "results.json").read_text())["rows"]
    assert [row["encoder"] for row in rows] == ["random", "pretrained"] and 0 <= rows[1]["accuracy"] <= 1


def test_relative_positioning_learns_what_changes_slowly() -> None:
    """Recordings whose rhythm drifts: after training near windows are told from far ones better than by chance."""
    import torch

    random = np.random.default_rng(0)
    times = np.arange(1600) / 100
    pitch = 4 + 16 * times / 16  # from 4 to 20 Hz
    phase = 2 * np.pi * np.cumsum(pitch) / 100
    signals = np.sin(phase + random.uniform(0, 6.28, (64, 2, 1))) + 0.3 * random.normal(size=(64, 2, 1600))
    data = EpochSet.from_arrays(10 * signals, names=("C3", "C4"), sample_rate=100.0, unit="uV")
    views = ["views.near_s=2", "views.far_s=8", "encoder.window=100", "encoder.width=16", "encoder.norm=group", "encoder.dropout=0"]
    learner, _ = build_learner(compose("eeg/relative_positioning", [*views, "training.steps=40"]), data, seed=0)
    optimizer = torch.optim.Adam(learner.parameters(), lr=0.003)
    batch, losses = data.batch(np.arange(64)), []
    for step in range(40):
        optimizer.zero_grad()
        loss = learner.training_step(type(batch)(**{**vars(batch), "epoch": step, "step": step}))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(np.log(2), abs=0.1) and np.mean(losses[-5:]) < 0.56
