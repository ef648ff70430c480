"""A BIDS data set of listeners, from the command line to segment accuracy."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import antiphon
from antiphon.cli import main
from antiphon.common.data.loader import KeyedLoader
from antiphon.common.encoder import Encoder
from antiphon.domains.eeg.brain_speech import load
from antiphon.domains.eeg.brain_speech.bids import find_recordings, read_played
from antiphon.models import create_encoder
from antiphon.run.build import build_learner
from antiphon.run.config import compose

SMALL = {"sample_rate": 50.0, "segment_s": 1.5, "before_s": 0.25, "block_s": 4.0}


def mel() -> Encoder:
    return create_encoder("mel_bands", sample_rate=4000, bands=8, n_fft=256, hop=64)


def test_events_say_what_was_heard_when(listeners: Path) -> None:
    first, second = find_recordings(listeners)
    stories = read_played(first)
    assert [one.file.name for one in stories] == ["story0.wav", "story1.wav"]
    assert [one.onset_s for one in stories] == [2.0, 24.0] and stories[0].stop_s == 22.0
    np.testing.assert_allclose(stories[1].words_s, np.arange(0.5, 19.5, 0.4) + 0.004, atol=1e-6)
    assert len(read_played(second, word_event="nothing")[0].words_s) == 0
    assert find_recordings(listeners, tasks=["listening"]) == [first, second]
    with pytest.raises(FileNotFoundError, match=r"holds no EEG of the task\(s\) rest in BIDS"):
        find_recordings(listeners, tasks=["rest"])
    with pytest.raises(FileNotFoundError, match="give the root of a BIDS data set"):
        find_recordings(listeners / "nowhere")


def test_the_set(listeners: Path) -> None:
    train, test = load(listeners, speech=mel(), **SMALL)
    assert train.subject_names == ("1", "2") and len(train.listening.sounds) == 2  # copies of a story are that story
    assert train.input_spec.names == ("Fz", "C3", "Cz", "C4", "T7", "T8", "Pz", "Oz")
    assert len(test.candidates()) * 2 == len(test)  # both heard all of them, 4 ms apart
    batch = train.batch(np.arange(len(train)))
    loudness = batch.labels["speech"].mean(dim=2)
    best = []
    for subject in (0, 1):  # the response stands where the sound does, in one direction or the other
        rows = batch.context["subject"] == subject
        brain, level = batch.signals[rows].transpose(0, 1).flatten(1).numpy(), loudness[rows].flatten().numpy()
        strongest = max(range(8), key=lambda channel: abs(np.corrcoef(brain[channel], level)[0, 1]))
        lags = [abs(np.corrcoef(np.roll(brain[strongest], lag), level)[0, 1]) for lag in range(-8, 9)]
        best.append(int(np.argmax(lags)) - 8)
        assert max(lags) > 0.3
    assert all(abs(lag) <= 1 for lag in best)


def test_reading_segment_by_segment_gives_the_same(listeners: Path) -> None:
    stored, read = (load(listeners, speech=mel(), **SMALL, in_memory=kept)[1] for kept in (True, False))
    np.testing.assert_allclose(stored.batch(np.arange(9)).signals, read.batch(np.arange(9)).signals, atol=1e-5)


def edited(root: Path, folder: Path, edit: Callable[[list[list[str]]], list[list[str]]]) -> Path:
    """A copy of the data set with another events.tsv for sub-2."""
    shutil.copytree(root, folder)
    events = next(folder.rglob("sub-2*_events.tsv"))
    rows = list(csv.reader(events.open(), delimiter="\t"))
    with events.open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows(edit(rows))
    return folder


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda rows: [row[:3] for row in rows], "no column onset or stim_file, but onset, duration, trial_type"),
        (lambda rows: [row for row in rows if row[2] != "story"], "names no sound"),
        (lambda rows: [[cell.replace("copy1", "gone") for cell in row] for row in rows], "the sound gone.wav is not in the folder"),
        (lambda rows: [*rows, ["soon", "1", "word", "n/a"]], "has the onset 'soon': seconds are due"),
    ],
)
def test_recordings_without_a_sound_are_listed(
    listeners: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], edit: Callable[..., list[list[str]]], reason: str
) -> None:
    root = edited(listeners, tmp_path / "edited", edit)
    train, _ = load(root, speech=mel(), **SMALL)
    assert train.subject_names == ("1",) and len(train.quarantine) == 1 and train.quarantine.total == 2
    assert reason in train.quarantine.entries[0][1] and reason in capfd.readouterr().err


def test_nothing_usable(listeners: Path, tmp_path: Path) -> None:
    root = edited(listeners, tmp_path / "edited", lambda rows: rows[:1])
    shutil.rmtree(root / "sub-1")
    with pytest.raises(ValueError, match=r"none of 1 recordings can be used: .*names no sound"):
        load(root, speech=mel(), **SMALL)
    with pytest.raises(ValueError, match=r"data.root=FOLDER"):
        load(None, speech=mel())


TINY = ["speech.sample_rate=4000", "speech.bands=8", "speech.n_fft=256", "speech.hop=64"]
TINY += ["encoder.attention_channels=8", "encoder.channels=12", "encoder.layers=4", "encoder.frequencies=4"]
TINY += [f"data.{name}={value:g}" for name, value in SMALL.items()]


def test_the_recipe_finds_what_was_heard(listeners: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    settings = ["training.steps=60", "training.batch_size=32", "training.progress=false", "optimizer.lr=0.003"]
    settings += ["evaluation.random_seeds=[0]", "evaluation.ks=[3,1]", "monitor.times=2"]
    main(["pretrain", "eeg/brain_speech", f"data.root={listeners}", f"run_dir={run}", *TINY, *settings])
    results = json.loads((run / "results.json").read_text())
    rows = {row["encoder"]: row for row in results["rows"]}
    assert rows["pretrained"]["top_3"] > rows["random"]["top_3"] + 0.3 and rows["pretrained"]["segments"] == 12
    encoder = antiphon.load_encoder(run)
    assert encoder.input_spec.preparation["clamp"] == 20.0 and encoder.config["subjects"] == 2 and encoder.config["features"] == 8
    with pytest.raises(ValueError, match="knows participants 0 to 1"):
        encoder.embed(np.zeros((1, 8, 100), np.float32))
    capsys.readouterr()
    main(["evaluate", str(run), "ks=[5]", "random_seeds=[]"])
    assert "top 5" in capsys.readouterr().out


def test_features_of_another_run_and_the_control(listeners: Path, tmp_path: Path) -> None:
    """The speech encoder is what a config names: here SampleCNN, saved as a run saves it."""
    from antiphon.common.hub import save_encoder
    from antiphon.run.build import load_data

    torch.manual_seed(0)
    about = {"recipe": "music/clmr", "domain": "music", "paper": "p", "trained on": "t"}
    save_encoder(create_encoder("sample_cnn", window=243, sample_rate=4000), tmp_path / "run" / "encoder", about=about)
    words = [word for word in TINY if not word.startswith("speech.")]
    overrides = ["speech=run", f"speech.path={tmp_path / 'run'}", f"data.root={listeners}", "objective=eeg/speech_regression"]
    config = compose("eeg/brain_speech", [*overrides, *words, "training.steps=2", "training.batch_size=8"])
    train, test = load_data(config)
    learner, _ = build_learner(config, train, seed=0)
    assert (train.features, test.features, learner.encoder.embedding_dim) == (512, 512, 512)
    batch = next(iter(KeyedLoader(train, batch_size=8, steps=1)))
    again = build_learner(config, train, seed=0)[0].train()
    torch.rand(3)  # spatial dropout follows the seed and the step, not the state of torch's generator
    assert learner.train().training_step(batch) == again.training_step(batch)


def test_chunks_of_a_batch_know_their_participants(listeners: Path) -> None:
    config = compose("eeg/brain_speech", [*TINY, f"data.root={listeners}", "training.steps=2", "encoder.dropout_radius=0"])
    config["encoder"]["norm"] = "group"
    from antiphon.run.build import load_data

    train, _ = load_data(config)
    batch = train.batch(np.arange(0, len(train), 9))
    whole = build_learner(config, train, seed=0)[0]
    whole.training_step(batch).backward()
    config["learner"]["chunk_size"] = 4
    chunked = build_learner(config, train, seed=0)[0]
    chunked.training_step(batch).backward()
    for (name, one), (_, other) in zip(whole.named_parameters(), chunked.named_parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-5), name
