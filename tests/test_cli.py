"""The command as a user meets it: a whole run, its second life on other data, and every way to get it wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import antiphon
from antiphon.cli import main

SMALL = ["encoder.hidden_dim=8", "encoder.embedding_dim=12", "encoder.depth=3", "training.progress=false"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two seeds on ItalyPowerDemand."""
    folder = tmp_path_factory.mktemp("runs") / "italy"
    main(
        [
            "pretrain",
            "time_series/ts2vec",
            "data.name=ItalyPowerDemand",
            "training.steps=20",
            "seeds=[0,1]",
            f"run_dir={folder}",
            *SMALL,
        ]
    )
    return folder


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    labels = np.arange(40) % 2
    time_axis = np.arange(24)
    signals = np.sin(time_axis * np.where(labels, 0.5, 1.0)[:, None] + random.normal(size=(40, 1))) + 0.1 * random.normal(
        size=(40, 24)
    )
    np.savez(tmp_path / "mine.npz", X=signals.astype(np.float32), y=np.where(labels, "slow", "fast"))
    return tmp_path / "mine.npz"


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a failing command prints."""
    with pytest.raises(SystemExit) as stop:
        main(list(map(str, arguments)))
    printed = capsys.readouterr().err.strip()
    assert stop.value.code == 1 and printed.startswith("error: ") and "\n" not in printed
    return printed


def test_a_run_folder_holds_everything(run: Path) -> None:
    assert {entry.name for entry in run.iterdir()} == {"config.yaml", "results.json", "report.html", "seed-0", "seed-1"}
    assert {"config.yaml", "metrics.csv", "monitor.json", "checkpoints", "encoder", "results.json"} == {
        e.name for e in (run / "seed-0").iterdir()
    }
    rows = json.loads((run / "results.json").read_text())["rows"]
    assert [(row["encoder"], row["seed"]) for row in rows] == [("random", 0), ("pretrained", 0), ("random", 1), ("pretrained", 1)]
    assert all(0.5 < row["accuracy"] <= 1.0 for row in rows)
    page = (run / "report.html").read_text()
    for heading in ("Random encoder and pretrained encoder", "Similarities over training", "Embeddings", "Few labels", "Views"):
        assert heading in page
    assert "http://" not in page.replace("http://www.w3.org", "") and "<script" not in page


def test_the_saved_encoder_gives_the_measured_embeddings(run: Path) -> None:
    encoder = antiphon.load_encoder(run / "seed-0" / "encoder")
    assert antiphon.load_encoder(run).about == encoder.about  # the first seed stands for the run
    assert encoder.embed(np.zeros((3, 1, 24), np.float32)).shape == (3, 12)
    assert encoder.about["recipe"] == "time_series/ts2vec" and encoder.about["results"]


def test_recipes_and_info(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["recipes"])
    assert "time_series/softclt" in capsys.readouterr().out
    main(["recipes", "time_series/dbpm"])
    assert "Dynamic Bad Pair Mining" in capsys.readouterr().out
    main(["info", str(run)])
    printed = capsys.readouterr().out
    assert "ts2vec" in printed and "12 dimensions" in printed and "accuracy" in printed


def test_evaluate_again_with_another_probe(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["evaluate", str(run), "probe=linear", "random_seeds=[5]"])
    assert "balanced accuracy" in capsys.readouterr().out


@pytest.mark.parametrize("probe", ["linear", "svm", "knn"])
def test_probe_on_own_labels(run: Path, labelled: Path, probe: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["probe", str(run), "--data", str(labelled), "--probe", probe, "--seeds", "1"])
    assert "28 training and 12 test examples" in " ".join(capsys.readouterr().out.split())


def test_finetune_on_own_labels(run: Path, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "classifier"
    main(["finetune", str(run), "--data", str(labelled), "--epochs", "15", "--lr", "0.01", "--seeds", "1", "-o", str(output)])
    assert "from scratch" in capsys.readouterr().out
    classifier = antiphon.load_classifier(output)
    archive = np.load(labelled)
    predicted = classifier.predict(archive["X"][:, None])
    assert np.mean(np.array(predicted) == archive["y"]) > 0.9


@pytest.mark.parametrize("name", ["out.npz", "deep/out.parquet"])
def test_embed_files(run: Path, labelled: Path, tmp_path: Path, name: str) -> None:
    other = tmp_path / "other.npy"
    np.save(other, np.random.default_rng(1).normal(size=(5, 1, 30)).astype(np.float32))
    main(["embed", str(run), str(labelled), str(other), "-o", str(tmp_path / name)])
    encoder = antiphon.load_encoder(run / "seed-0")
    if name.endswith(".npz"):
        table = np.load(tmp_path / name)
        embeddings, files, rows = table["embeddings"], table["path"], table["row"]
    else:
        import pandas as pd

        frame = pd.read_parquet(tmp_path / name)
        embeddings, files, rows = frame.filter(like="embedding_").to_numpy(), frame["path"].to_numpy(), frame["row"].to_numpy()
    assert embeddings.shape == (45, 12) and list(files[-5:]) == [str(other)] * 5 and list(rows[-5:]) == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(embeddings[40:], encoder.embed(np.load(other)), rtol=1e-5, atol=1e-6)


def test_kill_and_resume_from_the_shell(tmp_path: Path) -> None:
    """A run that is killed outright in another process continues from its last checkpoint and ends with the same weights."""
    command = [sys.executable, "-m", "antiphon", "pretrain"]
    recipe = ["time_series/ts2vec", "data.name=ItalyPowerDemand", "training.checkpoint_every=5", "report=false", *SMALL]
    recipe += ["training.steps=300", "evaluation.random_seeds=[]"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        [*command, *recipe, f"run_dir={killed}"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    checkpoint, deadline = killed / "checkpoints" / "last.ckpt", time.monotonic() + 60
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoint.exists() and not (killed / "results.json").exists()
    subprocess.run([*command, str(killed), "--resume"], env=environment, check=True, capture_output=True)
    subprocess.run([*command, *recipe, f"run_dir={tmp_path / 'whole'}"], env=environment, check=True, capture_output=True)
    for name in ("encoder/model.safetensors", "results.json"):
        first, second = (tmp_path / run / name for run in ("killed", "whole"))
        if name.endswith("json"):
            assert json.loads(first.read_text())["rows"] == json.loads(second.read_text())["rows"]
        else:
            assert first.read_bytes() == second.read_bytes()


def test_ctrl_c_leaves_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "antiphon", "pretrain"]
    recipe = ["time_series/ts2vec", "data.name=ItalyPowerDemand", "training.steps=5000", "training.checkpoint_every=5", *SMALL]
    process = subprocess.Popen([*command, *recipe, f"run_dir={tmp_path / 'run'}"], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "run/checkpoints/last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped after step" in printed and f"antiphon pretrain {tmp_path / 'run'} --resume" in printed
    assert "Traceback" not in printed


class TestMistakes:
    def test_unknown_recipe(self, capsys) -> None:
        assert "did you mean time_series/ts2vec?" in fails(capsys, "pretrain", "time_series/ts2vek")

    def test_unknown_override(self, capsys) -> None:
        assert "no setting optimizer.rate" in fails(capsys, "pretrain", "time_series/ts2vec", "optimizer.rate=1")

    def test_a_mistake_in_the_evaluation_does_not_lose_the_encoder(self, capsys, tmp_path: Path) -> None:
        words = ["data.name=ItalyPowerDemand", "training.steps=2", f"run_dir={tmp_path / 'run'}", "evaluation.probe=liner"]
        line = fails(capsys, "pretrain", "time_series/ts2vec", *words, *SMALL)
        assert "liner" in line and f"`antiphon evaluate {tmp_path / 'run'} SETTING=VALUE`" in line
        main(["evaluate", str(tmp_path / "run"), "probe=knn", "random_seeds=[]"])
        assert "accuracy" in capsys.readouterr().out

    def test_a_run_may_do_without_evaluation_and_monitor(self, capsys, tmp_path: Path) -> None:
        folder = tmp_path / "run"
        words = ["data.name=ItalyPowerDemand", "training.steps=2", f"run_dir={folder}", "~evaluation", "~monitor", "seeds=[0,1]"]
        main(["pretrain", "time_series/ts2vec", *words, *SMALL])
        assert "nothing was measured" in capsys.readouterr().out
        assert "run without an evaluation" in fails(capsys, "evaluate", folder)
        main(["evaluate", str(folder), "evaluation=linear", "random_seeds=[]"])
        assert "accuracy" in capsys.readouterr().out

    def test_a_run_folder_is_looked_at_before_the_data(self, capsys, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        words = ["data=time_series/files", f"data.data={tmp_path / 'none.npz'}", f"run_dir={tmp_path / 'file'}"]
        assert "cannot be made" in fails(capsys, "pretrain", "time_series/ts2vec", *words)

    def test_nothing_to_resume(self, capsys) -> None:
        assert "neither a run folder nor a recipe" in fails(capsys, "pretrain", "nope", "--resume")

    def test_a_warning_is_one_line(self) -> None:
        code = "import warnings; from antiphon.cli import main; main(['recipes']); warnings.warn('look\\nout')"
        told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert told.stderr == "warning: look out\n"

    def test_electrodes_of_an_encoder_without_any(self, capsys, run: Path, labelled: Path, tmp_path: Path) -> None:
        words = ["-o", tmp_path / "out.npz", "--on-mismatch", "subset"]
        assert "the channels of ts2vec have no names" in fails(capsys, "embed", run, labelled, *words)

    def test_missing_file(self, capsys, tmp_path: Path) -> None:
        words = ["data=time_series/files", f"data.data={tmp_path / 'none.npz'}", f"run_dir={tmp_path / 'run'}"]
        assert "none.npz" in fails(capsys, "pretrain", "time_series/ts2vec", *words)
        assert not (tmp_path / "run").exists()

    def test_unknown_set(self, capsys, tmp_path: Path) -> None:
        assert "ArrowHead" in fails(capsys, "pretrain", "time_series/ts2vec", "data.name=ArrowHeads", f"run_dir={tmp_path / 'run'}")

    def test_nan_everywhere(self, capsys, tmp_path: Path) -> None:
        signals = np.random.default_rng(0).normal(size=(6, 1, 20)).astype(np.float32)
        signals[3] = np.nan
        np.save(tmp_path / "x.npy", signals)
        words = ["data=time_series/files", f"data.data={tmp_path / 'x.npy'}", f"run_dir={tmp_path / 'run'}"]
        assert "series 3 is NaN everywhere" in fails(capsys, "pretrain", "time_series/ts2vec", *words)

    def test_series_shorter_than_the_crop(self, capsys, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(6, 1, 1)).astype(np.float32))
        words = ["data=time_series/files", f"data.data={tmp_path / 'x.npy'}", f"run_dir={tmp_path / 'run'}", "training.steps=2"]
        assert "at least 2" in fails(capsys, "pretrain", "time_series/ts2vec", *words)
        np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(6, 1, 20)).astype(np.float32))
        main(["pretrain", "time_series/ts2vec", *words, *SMALL])  # nothing was saved, so nothing is in the way

    def test_one_class(self, capsys, run: Path, tmp_path: Path) -> None:
        np.savez(tmp_path / "one.npz", X=np.random.default_rng(0).normal(size=(6, 24)).astype(np.float32), y=["a"] * 6)
        assert "only the class 'a'" in fails(capsys, "probe", run, "--data", tmp_path / "one.npz")

    def test_other_channels(self, capsys, run: Path, tmp_path: Path) -> None:
        np.savez(tmp_path / "two.npz", X=np.zeros((6, 2, 24), np.float32), y=list("ababab"))
        assert "expects 1 channel(s), got 2" in fails(capsys, "probe", run, "--data", tmp_path / "two.npz")

    def test_second_run_in_the_same_folder(self, capsys, run: Path) -> None:
        before = (run / "results.json").read_bytes()
        assert "already holds a run" in fails(capsys, "pretrain", "time_series/ts2vec", f"run_dir={run}")
        assert (run / "results.json").read_bytes() == before

    def test_resume_with_other_settings(self, capsys, run: Path) -> None:
        line = fails(capsys, "pretrain", "time_series/ts2vec", f"run_dir={run}", "training.steps=21", "--resume")
        assert "started with other settings" in line

    def test_overwrite_does_not_delete_what_is_no_run(self, capsys, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").write_text("precious")
        assert "not a run folder" in fails(capsys, "pretrain", "time_series/ts2vec", f"run_dir={tmp_path}", "overwrite=true")
        assert (tmp_path / "thesis.tex").read_text() == "precious"

    def test_output_ending(self, capsys, run: Path, labelled: Path, tmp_path: Path) -> None:
        assert ".npz or .parquet" in fails(capsys, "embed", run, labelled, "-o", tmp_path / "out.csv")

    def test_no_run(self, capsys, tmp_path: Path) -> None:
        assert "no config.yaml" in fails(capsys, "evaluate", tmp_path)
        assert "no folder" in fails(capsys, "info", tmp_path / "nothing")

    def test_missing_library_names_the_extra(self, capsys, monkeypatch) -> None:
        monkeypatch.setitem(sys.modules, "hydra", None)
        assert "pip install 'antiphon[train]'" in fails(capsys, "pretrain", "time_series/ts2vec")

    def test_debug_shows_the_traceback(self) -> None:
        with pytest.raises(ValueError, match="unknown recipe"):
            main(["--debug", "pretrain", "nonsense"])


def test_help_answers_at_once() -> None:
    times = []
    for _ in range(3):
        start = time.monotonic()
        subprocess.run([sys.executable, "-m", "antiphon", "--help"], check=True, capture_output=True)
        times.append(time.monotonic() - start)
    assert min(times) < 0.5
