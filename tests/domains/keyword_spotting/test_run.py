"""The recipes from the command line: pretrained, measured, probed and fine-tuned on a folder a word."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import antiphon
from antiphon.cli import main
from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.random import KeyedRandom
from antiphon.run.config import compose, instantiate, list_recipes

RATE = 16_000
RECIPES = sorted(name for name in list_recipes() if name.startswith("keyword_spotting/"))
SHORT = [
    "training.steps=3",
    "training.batch_size=6",
    "training.progress=false",
    "monitor.examples=8",
    "evaluation.random_seeds=[0]",
]
TINY = ["encoder.window=4000", "encoder.mels=16", "encoder.embedding_dim=16", "encoder.depth=1", "encoder.blocks=1"]
SMALL = {
    "keyword_spotting/cab": TINY,
    "keyword_spotting/simclr": TINY,
    "keyword_spotting/cpc_frames": ["encoder.channels=8", "encoder.hidden_dim=6", "data.duration_s=0.4"],
    "keyword_spotting/frames": ["encoder.width=8", "data.duration_s=0.5", "views.samples=6400"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two words of two tones each by four voices of other pitch, three times; a manifest that says who spoke."""
    folder = tmp_path_factory.mktemp("strangers")
    rows = []
    for voice in range(4):
        for word, tones in (("up", (1.0, 2.0)), ("down", (2.0, 1.0))):
            for number in range(3):
                times = np.arange(round(RATE * (0.15 + 0.02 * number))) / RATE
                pitch = 300.0 * 1.1**voice
                wave = np.concatenate([np.sin(2 * np.pi * pitch * tone * times) for tone in tones])
                file = folder / "words" / word / f"{voice}-{number}.wav"
                file.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(file, 0.3 * wave.astype(np.float32), RATE)
                rows.append(Row(str(file), labels=(word,), speaker=f"voice{voice}"))
    Manifest(tuple(rows), "words").write(folder / "words.csv")
    return folder


def test_every_recipe_has_a_small_run_here() -> None:
    assert set(SMALL) == set(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_ends_with_its_evaluation(recipe: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    data = [f"data.root={folder / 'words.csv'}", "data.test_share=0.5", "evaluation=keyword_spotting/cross_speaker"]
    main(["pretrain", recipe, *data, f"run_dir={path}", *SHORT, *SMALL[recipe]])
    rows = json.loads((path / "results.json").read_text())["rows"]
    assert [row["encoder"] for row in rows] == ["random", "pretrained"]
    assert all(0.0 <= rows[1][f"{way}_accuracy_1nn"] <= 1.0 for way in ("dtw", "concatenated", "pooled"))
    encoder = antiphon.load_encoder(path)
    assert encoder.input_spec.preparation == {"trim_db": 40.0}
    assert encoder.embed(np.zeros((1, 1, 9000), np.float32)).shape == (1, encoder.embedding_dim)


def test_probe_and_finetune_on_a_folder_a_word(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, words = tmp_path / "run", str(folder / "words")
    main(["pretrain", "keyword_spotting/cab", f"data.root={words}", f"run_dir={run}", *SHORT, *SMALL["keyword_spotting/cab"]])
    (random, pretrained) = json.loads((run / "results.json").read_text())["rows"]
    assert {"accuracy", "knn_accuracy"} < set(pretrained) == set(random)
    main(["probe", str(run), "--data", words, "--seeds", "1"])
    main(["finetune", str(run), "--data", words, "--epochs", "1", "--seeds", "1", "-o", str(tmp_path / "classifier")])
    printed = capsys.readouterr().out
    assert "balanced accuracy" in printed and "from scratch" in printed
    assert antiphon.load_classifier(tmp_path / "classifier").classes == ["down", "up"]


@pytest.mark.parametrize(
    "overrides",
    [
        ["data=keyword_spotting/speech_commands"],
        ["data=keyword_spotting/speech_commands", "data.layout=speech_commands_35"],
        ["encoder=bc_resnet", "encoder.width=3"],
        ["objective.reconstruction=0", "objective.reconstruction_augmented=0", "objective.dual_weight=0"],
        ["views.speed=[1.0,1.0]"],
        ["views.gain_db=[0.0,0.0]"],
    ],
)
def test_controls_are_overrides(overrides: list[str]) -> None:
    config, random = compose("keyword_spotting/cab", overrides), KeyedRandom.for_examples(0, 0, torch.arange(2))
    clean, augmented = instantiate(config["views"])(torch.ones(2, 1, 20_000), torch.full((2,), 20_000), random)
    assert clean.signals.shape == augmented.signals.shape == (2, 1, 16_000)
