"""A run that learns from texts, whole: captioned sounds, prompts that no caption used, the command, and every way to get it wrong.

Other domains fill in their names: a recipe (here music/clmr_mel), its data with texts, `+text=... +towers=... objective=clip`.
"""

import csv
import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import antiphon
from antiphon.cli import main
from antiphon.run.config import compose

if find_spec("wordllama") is None:
    pytest.skip("needs the package wordllama", allow_module_level=True)

RATE = 8000
CAPTIONS = {  # none of them is a prompt below
    "low tone": ["a deep bass hum", "a low pitched note", "low rumbling bass"],
    "high tone": ["a high pitched whistle", "a shrill high note", "high treble beep"],
    "noise": ["white noise", "hissing static noise", "noisy hiss"],
}
PROMPTS = {"low tone": "bass tone", "high tone": "high whistling tone", "noise": "static"}
RECIPE = [
    "pretrain",
    "music/clmr_mel",
    "+text=wordllama",
    "+towers=mlp",
    "objective=clip",
    "evaluation=zero_shot",
    "~views",
    "~head",
]
SMALL = ["data.duration_s=0.3", "encoder.sample_rate=8000", "encoder.window=2048", "encoder.width=8", "encoder.mels=24"]
SMALL += ["encoder.fft_size=256", "encoder.hop=128", "encoder.embedding_dim=32", "optimizer.lr=0.003", "objective.temperature=0.07"]
SMALL += ["training.batch_size=24", "training.steps=50", "training.progress=false", "monitor.examples=12", "monitor.times=2"]


def sound(kind: str, random: np.random.Generator, seconds: float = 0.6) -> np.ndarray:
    times = np.arange(round(RATE * seconds)) / RATE
    pitch_hz = {"low tone": random.uniform(120, 300), "high tone": random.uniform(1500, 3000)}.get(kind)
    wave = random.normal(size=len(times)) if pitch_hz is None else np.sin(2 * np.pi * (pitch_hz * times + random.uniform()))
    return (0.2 * wave + 0.01 * random.normal(size=len(times))).astype(np.float32)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of captioned sounds, 48 to learn from and 18 held out."""
    folder, random = tmp_path_factory.mktemp("sounds"), np.random.default_rng(0)
    with (folder / "sounds.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "text", "label", "split"])
        writer.writeheader()
        for number in range(66):
            kind = list(CAPTIONS)[number % 3]
            soundfile.write(folder / f"{number}.wav", sound(kind, random), RATE)
            part = "train" if number < 48 else "test"
            writer.writerow({"path": f"{number}.wav", "text": random.choice(CAPTIONS[kind]), "label": kind, "split": part})
    joined = np.concatenate([sound(kind, random, 0.768) for kind in ("noise", "low tone")])  # three windows of each
    soundfile.write(folder / "joined.wav", joined, RATE)
    (folder / "broken.wav").write_bytes(b"RIFF")
    return folder


@pytest.fixture(scope="module")
def prompts(sounds: Path) -> Path:
    classes = "\n".join(f"      {label}: [{prompt}, a {prompt}]" for label, prompt in PROMPTS.items())
    path = sounds / "prompts.yaml"
    path.write_text(f"name: held_out\nversion: 1\ntasks:\n  kind:\n    background: [silence]\n    classes:\n{classes}\n")
    return path


@pytest.fixture(scope="module")
def run(sounds: Path, prompts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; the prompts are saved with the model."""
    path, cache = tmp_path_factory.mktemp("runs") / "sounds", tmp_path_factory.mktemp("cache")
    told = [f"data.root={sounds / 'sounds.csv'}", f"run_dir={path}", f"text.prompts={prompts}", f"text.cache={cache}"]
    main([*RECIPE, *SMALL, *told, "evaluation.random_seeds=[0]"])
    assert len(list(cache.rglob("*.safetensors"))) == 1
    return path


def fails(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    with pytest.raises(SystemExit):
        main(list(map(str, arguments)))
    return capsys.readouterr().err.strip()


def asked(capsys: pytest.CaptureFixture[str], *arguments: Any) -> dict[str, Any]:
    capsys.readouterr()
    main([*map(str, arguments), "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_held_out_prompts_are_answered_far_above_chance(run: Path) -> None:
    random, pretrained = json.loads((run / "results.json").read_text())["rows"]
    assert pretrained["zero_shot_balanced_accuracy"] > 0.9 > 0.6 > random["zero_shot_balanced_accuracy"]
    assert pretrained["signal_to_text_recall_at_5"] > random["signal_to_text_recall_at_5"] + 0.2
    assert pretrained["text_to_signal_map_at_10"] > random["text_to_signal_map_at_10"]
    assert {"probe_accuracy", "zero_shot_window_balanced_accuracy"} <= set(pretrained)


def test_the_run_holds_model_and_encoder(run: Path) -> None:
    model, encoder = antiphon.load_model(run), antiphon.load_encoder(run)
    waves = np.zeros((2, 1, 4000), np.float32)
    np.testing.assert_array_equal(model.encoder.embed(waves), encoder.embed(waves))
    assert model.prompts is not None and model.prompts.name == "held_out" and model.about["recipe"] == "music/clmr_mel"
    assert (run / "report.html").is_file() and "scale" in (run / "metrics.csv").read_text().splitlines()[0]


def test_evaluated_again_it_gives_the_same(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["evaluate", str(run), "random_seeds=[]", "probe=null"])
    printed = capsys.readouterr().out
    row = json.loads((run / "results.json").read_text())["rows"][1]
    assert f"{row['zero_shot_accuracy']:.3f}" in printed and "probe" not in printed


def test_embedding_and_info_still_work(run: Path, sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["embed", str(run), str(sounds / "1.wav"), "-o", str(tmp_path / "out.npz")])
    assert np.load(tmp_path / "out.npz")["embeddings"].shape == (1, 32)
    main(["info", str(run)])
    assert "wordllama" in capsys.readouterr().out


class TestCommand:
    def test_recordings_are_scored_and_bad_ones_listed(
        self, run: Path, sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        files = [sounds / "joined.wav", sounds / "broken.wav", sounds / "48.wav", sounds / "nowhere.wav"]
        picture = tmp_path / "deep" / "scores.png"
        found = asked(capsys, "zero-shot", "audio", *files, "--model", run, "--plot", picture)
        assert [Path(entry["path"]).name for entry in found["recordings"]] == ["joined.wav", "48.wav"]
        assert [Path(entry["path"]).name for entry in found["left_out"]] == ["broken.wav", "nowhere.wav"]
        assert found["recordings"][1]["label"] == "low tone" and found["prompts"] == "held_out version 1"
        joined = found["recordings"][0]
        assert joined["window_times_s"] == [0.0, 0.256, 0.512, 0.768, 1.024, 1.28] and joined["window_s"] == 0.256
        windows = np.array(joined["window_scores"])  # the labels in order of the prompts: low, high, noise
        assert windows[:3].argmax(axis=1).tolist() == [2, 2, 2] and windows[3:].argmax(axis=1).tolist() == [0, 0, 0]
        np.testing.assert_allclose(list(joined["scores"].values()), windows.mean(axis=0), atol=1e-5)
        assert picture.stat().st_size > 10_000

    def test_a_table_with_its_hash(self, run: Path, sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        words = ["zero-shot", "audio", sounds / "49.wav", "--model", run, "--labels", "bass tone, high whistle, static hiss"]
        main(list(map(str, words)))
        printed = " ".join(capsys.readouterr().out.split())
        found = asked(capsys, *words)
        assert f"config {found['config']} prompts from the command line" in printed or found["config"] in printed
        assert "high whistle" in printed and found["recordings"][0]["label"] == "high whistle"
        (tmp_path / "labels.txt").write_text("bass tone\nhigh whistle\nstatic hiss\n")
        assert asked(capsys, *words[:-2], "--labels-file", tmp_path / "labels.txt")["config"] == found["config"]
        assert asked(capsys, *words, "--template", "the sound of {}")["config"] != found["config"]

    def test_templates_from_a_file_and_a_shipped_set(
        self, run: Path, sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["zero-shot", "audio", sounds / "49.wav", "--model", run, "--labels", "bass, whistle"]
        (tmp_path / "templates.txt").write_text("a {}\nthe sound of {}\n")
        found = asked(capsys, *words, "--templates", tmp_path / "templates.txt")
        assert found["classes"]["bass"] == ["a bass", "the sound of bass"]
        assert "This is a sound of bass." in asked(capsys, *words, "--prompts", "sounds")["classes"]["bass"]

    def test_each_label_for_itself(self, run: Path, sounds: Path, capsys: pytest.CaptureFixture[str]) -> None:
        words = ["zero-shot", "audio", sounds / "48.wav", "--model", run, "--multi-label"]
        found = asked(capsys, *words, "--threshold", "0")
        assert set(found["recordings"][0]["labels"]) == set(PROMPTS) and found["background"] == ["silence"]
        assert asked(capsys, *words, "--threshold", "1")["recordings"][0]["labels"] == []
        one = asked(capsys, *words, "--labels", "bass tone", "--background", "static")
        assert one["recordings"][0]["labels"] == ["bass tone"] and one["background"] == ["static"]

    def test_many_labels_show_the_best(self, run: Path, sounds: Path, capsys: pytest.CaptureFixture[str]) -> None:
        labels = "bass tone, dog, car, rain, wind, bird"
        main(["zero-shot", "audio", str(sounds / "48.wav"), "--model", str(run), "--labels", labels])
        assert "the three best" in capsys.readouterr().out

    def test_a_folder_is_all_its_recordings(
        self, run: Path, sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in ("48.wav", "49.wav", "broken.wav"):
            shutil.copy(sounds / name, tmp_path / name)
        found = asked(capsys, "zero-shot", "audio", tmp_path, "--model", run)
        assert len(found["recordings"]) == 2 and len(found["left_out"]) == 1

    def test_mistakes(self, run: Path, sounds: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        file, model = sounds / "48.wav", ["--model", run]
        assert "antiphon pretrain RECIPE +text=wordllama" in fails(capsys, "zero-shot", "audio", file, "--labels", "a, b")
        assert "at least two labels" in fails(capsys, "zero-shot", "audio", file, *model, "--labels", "one")
        assert "comes from music: it reads audio, not eeg" in fails(capsys, "zero-shot", "eeg", file, *model, "--labels", "a, b")
        assert "none of 1 recordings could be scored" in fails(capsys, "zero-shot", "audio", sounds / "broken.wav", *model)
        assert "no task 'age'" in fails(capsys, "zero-shot", "audio", file, *model, "--task", "age")
        assert "{} once" in fails(capsys, "zero-shot", "audio", file, *model, "--labels", "a, b", "--template", "a sound")
        assert "no folder" in fails(capsys, "zero-shot", "audio", file, "--model", tmp_path / "none", "--labels", "a, b")
        both = ["--labels", "a, b", "--labels-file", file]
        assert "either --labels or" in fails(capsys, "zero-shot", "audio", file, *model, *both)
        assert "for --labels" in fails(capsys, "zero-shot", "audio", file, *model, "--template", "a {}")
        assert "cannot use --device" in fails(capsys, "zero-shot", "audio", file, *model, "--device", "cuda:77")

    def test_a_model_without_prompts_asks_for_labels(
        self, run: Path, sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shutil.copytree(run / "model", tmp_path / "model")
        config = json.loads((tmp_path / "model" / "config.json").read_text())
        (tmp_path / "model" / "config.json").write_text(json.dumps({**config, "prompts": None}))
        line = fails(capsys, "zero-shot", "audio", sounds / "48.wav", "--model", tmp_path / "model")
        assert "nothing to look for: give --labels" in line


class TestMistakesInARun:
    def pretrain(self, capsys, tmp_path: Path, manifest: Path, *words: str) -> str:
        return fails(capsys, *RECIPE, *SMALL, f"data.root={manifest}", f"run_dir={tmp_path / 'run'}", "text.cache=false", *words)

    def test_recordings_without_texts(self, capsys, tmp_path: Path, sounds: Path) -> None:
        rows = list(csv.DictReader((sounds / "sounds.csv").open()))
        for name, empty in (("some.csv", 3), ("none.csv", len(rows))):
            with (sounds / name).open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows({**row, "text": "" if number < empty else row["text"]} for number, row in enumerate(rows))
        assert "3 of 48 training examples have no text" in self.pretrain(capsys, tmp_path, sounds / "some.csv")
        assert "column `text`" in self.pretrain(capsys, tmp_path, sounds / "none.csv")

    def test_parts_that_two_towers_have_no_place_for(self, capsys, tmp_path: Path, sounds: Path) -> None:
        given = [sounds / "sounds.csv"]
        assert "no use for training.averaging" in self.pretrain(capsys, tmp_path, *given, "training.averaging=mean")
        assert "two towers have projections" in self.pretrain(
            capsys, tmp_path, *given, "objective=hierarchical", "~objective.temperature"
        )
        assert "projected to 64 and 32 dimensions" in self.pretrain(capsys, tmp_path, *given, "towers.text_head.out_dim=32")
        assert "no such folder" in self.pretrain(capsys, tmp_path, *given, "text.name=./nowhere")

    def test_zero_shot_of_an_encoder_alone(self, capsys, tmp_path: Path, sounds: Path) -> None:
        words = [word for word in RECIPE if not word.startswith(("+", "~", "objective"))]
        line = fails(
            capsys,
            *words,
            *SMALL[:-6],
            "training.steps=1",
            "training.batch_size=8",
            f"data.root={sounds / 'sounds.csv'}",
            f"run_dir={tmp_path}/r",
        )
        assert "+text=wordllama" in line

    def test_the_missing_package_names_its_extra(self, capsys, tmp_path: Path, sounds: Path, monkeypatch) -> None:
        monkeypatch.setitem(sys.modules, "wordllama", None)
        assert "pip install 'antiphon[text]'" in self.pretrain(capsys, tmp_path, sounds / "sounds.csv")


@pytest.mark.parametrize("text", ["wordllama", "minilm", "transformers"])
@pytest.mark.parametrize("towers", ["mlp", "locked_text", "locked_signals"])
def test_every_text_and_tower_composes(text: str, towers: str) -> None:
    words = [word.removeprefix("+") for word in RECIPE[4:]]
    words += ["text.name=x"] * (text == "transformers") + ["towers.signal_start=runs/x"] * (towers == "locked_signals")
    config = compose("music/clmr_mel", [f"+text={text}", f"+towers={towers}", *words])
    assert set(config["text"]) == {"name", "pooling", "max_tokens", "prefix", "lr_factor", "cache", "prompts"}
    assert len(config["towers"]) == 6 and "views" not in config


@pytest.mark.parametrize(
    "change",
    [
        ["+towers=locked_text", "objective=cwcl"],
        ["objective=siglip", "objective.bias=null", "~objective.temperature"],
        ["text.lr_factor=0.1", "towers.per_frame=true", "objective.ignore_same_group=true", "towers.group_by=text"],
        ["learner.chunk_size=8", "encoder.norm=group", "objective.normalize=false", "objective.exponential_scale=false"],
    ],
    ids=["cwcl on a locked text tower", "siglip", "fine-tuned, grouped by text", "released, in chunks"],
)
def test_the_other_forms_run_to_their_end(change: list[str], sounds: Path, tmp_path: Path) -> None:
    words = [word for word in RECIPE if not (word.startswith("+towers") and change[0].startswith("+towers"))]
    words = [word for word in words if word != "objective=clip" or not any(one.startswith("objective=") for one in change)]
    small = [word for word in SMALL if not (word.startswith("objective.temperature") and "objective=siglip" in change)]
    told = [f"data.root={sounds / 'sounds.csv'}", f"run_dir={tmp_path / 'run'}", f"text.cache={tmp_path}", "report=false"]
    main([*words, *small, *change, *told, "training.steps=3", "evaluation.random_seeds=[]", "evaluation.probe=null"])
    model = antiphon.load_model(tmp_path / "run")
    assert (model.bias is not None) == ("objective=siglip" in change)
    assert model.embed_texts(["a low tone"]).shape == (1, 256 if change[0] == "+towers=locked_text" else 64)


def test_a_pretrained_signal_tower_can_stay_as_it_is(run: Path, sounds: Path, tmp_path: Path) -> None:
    """LiT the usual way round: only the projections learn."""
    words = [word if word != "+towers=mlp" else "+towers=locked_signals" for word in RECIPE]
    told = [f"data.root={sounds / 'sounds.csv'}", f"run_dir={tmp_path / 'run'}", "text.cache=false", "report=false"]
    main([*words, *SMALL, *told, f"towers.signal_start={run}", "training.steps=3", "evaluation.random_seeds=[]"])
    before, after = antiphon.load_model(run), antiphon.load_model(tmp_path / "run")
    assert all((value == after.encoder.state_dict()[name]).all() for name, value in before.encoder.state_dict().items())
    assert before.fingerprint() != after.fingerprint()
