"""Every recipe of speakers on a stranger's folder, from the command line to its verification."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import antiphon
from antiphon.cli import main
from antiphon.common.learners.training import Interrupted, TrainingSettings, fit
from antiphon.run.build import build_learner, load_data
from antiphon.run.config import compose, compose_within, list_recipes
from antiphon.run.folder import RunFolder

RECIPES = sorted(name.split("/")[1] for name in list_recipes() if name.startswith("speaker_verification/"))
SMALL = [
    "encoder.width=4",
    "encoder.embedding_dim=16",
    "data.duration_s=1.0",
    "training.batch_size=8",
    "training.steps=4",
    "training.progress=false",
    "monitor.examples=8",
    "monitor.times=1",
    "evaluation.random_seeds=[0]",
    "evaluation.bootstrap=10",
]
OPTIONS = {
    "moco_am": ["objective.queue_size=16"],
    "vicreg": ["head.hidden_dim=16", "head.out_dim=16"],
    "barlow": ["head.hidden_dim=16", "head.out_dim=16"],
    "byol": ["head.hidden_dim=16", "head.out_dim=8", "predictor.hidden_dim=16"],
    "swav": ["head.hidden_dim=16", "head.out_dim=8", "objective.prototypes=8", "objective.queue_size=8"],
    "dino": ["head.hidden_dim=16", "head.bottleneck_dim=8", "head.out_dim=16", "encoder.mels=40", "views.crop_s=[0.8,0.8,0.4]"],
    "supervised_aam": ["views.crop_s=[0.5]"],
}


def pretrain(recipe: str, manifest: Path, path: Path, *overrides: str) -> Path:
    crops = [] if "views" in "".join(OPTIONS.get(recipe, [])) else ["views.crop_s=[0.5,0.5]"]
    run = ["pretrain", f"speaker_verification/{recipe}", f"data.root={manifest}", f"run_dir={path}"]
    main([*run, *SMALL, *crops, *OPTIONS.get(recipe, []), *overrides])
    return path


@pytest.mark.filterwarnings("ignore:the encoder gets no decision threshold")
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_ends_with_its_verification(recipe: str, voices_manifest: Path, tmp_path: Path) -> None:
    run = pretrain(recipe, voices_manifest, tmp_path / "run", "report=false")
    results = json.loads((run / "results.json").read_text())
    assert [row["encoder"] for row in results["rows"]] == ["random", "pretrained"]
    assert all(0.0 <= row["eer_percent"] <= 100.0 for row in results["rows"])
    assert antiphon.load_encoder(run).embed(np.zeros((1, 1, 9000), np.float32)).shape == (1, 16)


@pytest.mark.parametrize("objective", ["nt_xent_am_scheduled", "nt_xent_am_learned"])
def test_a_moving_margin_and_averaged_epochs_resume_where_they_were(objective: str, voices_manifest: Path, tmp_path: Path) -> None:
    overrides = [f"data.root={voices_manifest}", f"objective={objective}", "views.crop_s=[0.2,0.2]", "encoder.norm=group"]
    config = compose("speaker_verification/simclr_am", [*overrides, *SMALL, "training.steps=6"])
    train = load_data(config)[0].subset(range(16))

    settings = TrainingSettings(batch_size=8, steps=6, progress=False)

    def trained(folder: Path, stop_at: int | None = None) -> dict[str, torch.Tensor]:
        learner, _ = build_learner(config, train, seed=0)
        if stop_at is not None:
            step = learner.training_step

            def stopping(batch: Any, number: int = 0) -> torch.Tensor:
                if batch.step == stop_at:
                    os.kill(os.getpid(), signal.SIGINT)
                return step(batch, number)

            learner.training_step = stopping  # type: ignore[method-assign, assignment]
        fit(learner, train, settings, folder, resume=True)
        return {**learner.trained_encoder.state_dict(), **learner.objective.state_dict()}

    whole = trained(tmp_path / "whole")
    with pytest.raises(Interrupted, match="after step 4"):
        trained(tmp_path / "halted", stop_at=3)
    resumed = trained(tmp_path / "halted")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.filterwarnings("ignore")
def test_another_evaluation_knows_whom_the_run_kept_out(
    voices_manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = ["training_set.share=0.4", "training_set.seed=5"]
    run = pretrain("simclr_am", voices_manifest, tmp_path / "run", "report=false", *kept)
    config = RunFolder(run).seeds[0].config()
    enrolment = compose_within(config, "evaluation", "speaker_verification/enrolment")
    assert enrolment["dev_share"] == 0.4 and enrolment["seed"] == 5 and enrolment["enrol"] == 3
    _, test = load_data(config)
    first, second, other = (test.manifest[row].path for row in (0, 1, len(test) - 1))
    (tmp_path / "trials.txt").write_text(f"1 {first} {second}\n0 {first} {other}\n")
    evaluation = ["evaluate", str(run), "evaluation=speaker_verification/trial_list"]
    capsys.readouterr()
    main([*evaluation, f"evaluation.trials={tmp_path / 'trials.txt'}", "random_seeds=[]", "bootstrap=0"])
    assert "eer percent" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(evaluation)
    assert "speaker_verification/trial_list needs trials: add trials=..." in capsys.readouterr().err
