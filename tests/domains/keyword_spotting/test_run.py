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
from antiphon.domains.keyword_spotting import BCResNetEncoder
from antiphon.run.build import build_waiting
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


def cab_views(*overrides: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Both views of eight clips of noise."""
    config, random = compose("keyword_spotting/cab", overrides), KeyedRandom.for_examples(0, 0, torch.arange(8))
    noise = torch.randn(8, 1, 16_000, generator=torch.Generator().manual_seed(0))
    clean, augmented = instantiate(config["views"])(noise, torch.full((8,), 16_000), random)
    assert clean.signals.shape == augmented.signals.shape == (8, 1, 16_000)
    return clean.signals, augmented.signals


def test_speed_and_volume_can_be_left_out() -> None:
    no_speed, no_gain = "views.speed=[1.0,1.0]", "views.gain_db=[0.0,0.0]"
    clean, same = cab_views(no_speed, no_gain)
    torch.testing.assert_close(same, clean)
    clean, louder = cab_views(no_speed)
    gain = (louder / clean).median(dim=-1).values[..., None]
    torch.testing.assert_close(louder, gain * clean)
    assert 0.5 <= float(gain.min()) < 0.9 and 1.1 < float(gain.max()) <= 2.0
    clean, faster = cab_views(no_gain)
    level = (faster.square().mean(dim=-1) / clean.square().mean(dim=-1)).sqrt()
    assert bool(((faster - clean).abs().mean(dim=-1) > 0.1).all()) and float(level.min()) > 0.5 and float(level.max()) < 1.1


def test_terms_of_the_loss_can_be_left_out() -> None:
    off = ["objective.reconstruction=0", "objective.reconstruction_augmented=0", "objective.dual_weight=0"]
    node = compose("keyword_spotting/cab", off)["objective"]
    encoder = antiphon.create_encoder("cab", window=4000, mels=16, embedding_dim=16, depth=1, blocks=1)
    assert build_waiting(node, encoder=encoder, projection_dim=16, in_dim=16, classes=()).weights == (0.8, 0, 0, 0)


@pytest.mark.parametrize(("layout", "classes"), [("speech_commands_12", 12), ("speech_commands_35", 35)])
def test_both_layouts_of_speech_commands(layout: str, classes: int) -> None:
    config = compose("keyword_spotting/cab", ["data=keyword_spotting/speech_commands", f"data.layout={layout}"])
    assert config["data"]["layout"] == layout and str(classes) in layout


def test_a_network_for_devices_takes_the_place_of_cabs() -> None:
    config = compose("keyword_spotting/cab", ["encoder=bc_resnet", "encoder.width=3"])
    encoder = antiphon.create_encoder(**config["encoder"])
    assert isinstance(encoder, BCResNetEncoder) and encoder.embedding_dim == 96
