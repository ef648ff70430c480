"""A stranger's folder, from the command line: pretrained, embedded and probed, with an account of what could not be used."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import antiphon
from antiphon.cli import main

RATES = (8000, 16_000, 22_050, 44_100, 48_000)
SHORT = ["data.duration_s=0.5", "training.batch_size=8", "training.progress=false", "monitor.examples=8"]
SMALL = {
    "clmr": ["encoder.window=243", "training.steps=6"],
    "clmr_mel": ["encoder.window=2048", "encoder.width=4", "encoder.mels=16", "encoder.fft_size=256", "training.steps=8"],
}


def tone(path: Path, pitch_hz: float, *, rate: int, seconds: float, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(round(pitch_hz * 1000))
    times = np.arange(round(rate * seconds)) / rate
    wave = 0.3 * np.sin(2 * np.pi * pitch_hz * times) + 0.02 * random.normal(size=len(times))
    soundfile.write(path, np.repeat(wave[:, None], channels, axis=1).astype(np.float32), rate)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two kinds of sound in mixed rates and formats; one stereo, one of 0.2 s, one empty, one corrupt."""
    folder = tmp_path_factory.mktemp("strangers") / "music"
    random = np.random.default_rng(0)
    for number in range(10):
        for name, pitch_hz in (("low", 110.0), ("high", 1400.0)):
            suffix = ".mp3" if number == 4 else ".flac" if number == 5 else ".wav"
            tone(
                folder / name / f"{number}{suffix}",
                pitch_hz * random.uniform(1, 1.3),
                rate=RATES[number % 5],
                seconds=0.2 if number == 3 else 0.8,
                channels=2 if number == 2 else 1,
            )
    (folder / "low" / "empty.wav").touch()
    (folder / "high" / "corrupt.wav").write_bytes(b"RIFF\x10\x00\x00\x00WAVEjunk" + bytes(range(200)))
    return folder


@pytest.fixture(scope="module", params=sorted(SMALL))
def run(request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a recipe on the folder."""
    path = tmp_path_factory.mktemp("runs") / request.param
    recipe = ["pretrain", f"music/{request.param}", f"data.root={folder}", f"run_dir={path}", "evaluation.random_seeds=[0]"]
    main([*recipe, *SHORT, *SMALL[request.param]])
    return path


def test_the_run_ends_with_the_probe(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    assert [(row["encoder"], 0.0 <= row["accuracy"] <= 1.0) for row in results["rows"]] == [("random", True), ("pretrained", True)]
    assert results["train_examples"] + results["test_examples"] == 20


def test_the_run_says_what_it_left_out(run: Path) -> None:
    listed = (run / "left_out.tsv").read_text().splitlines()
    assert len(listed) == 2 and "empty.wav\tthe file is empty" in "\n".join(listed)
    page = (run / "report.html").read_text()
    assert "2 recordings, listed in left_out.tsv" in page and "corrupt.wav" in page


def test_embed_lists_what_it_left_out(run: Path, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    song, output = folder / "low" / "1.wav", tmp_path / "out.npz"
    main(["embed", str(run), str(song), str(folder / "low" / "empty.wav"), str(folder), "-o", str(output)])
    told = " ".join("".join(capfd.readouterr()).split())
    assert "1 of 3 recordings left out" in told and "empty.wav: the file is empty" in told and "corrupt.wav" in told
    table = np.load(output)
    assert len(table["embeddings"]) == 21 and table["path"][0] == str(song) and len(set(table["path"])) == 20
    place = list(table["path"][1:]).index(str(song)) + 1
    np.testing.assert_allclose(table["embeddings"][0], table["embeddings"][place], rtol=1e-4, atol=1e-5)
    assert antiphon.load_encoder(run).embed(np.zeros((1, 1, 30_000), np.float32)).shape == table["embeddings"][:1].shape


def test_nothing_but_unusable_files_is_an_error(
    run: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["embed", str(run), str(folder / "low" / "empty.wav"), "-o", str(tmp_path / "out.npz")])
    assert "1 of 1 recordings left out" in capsys.readouterr().err


def test_probe_on_a_folder_a_class(run: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["probe", str(run), "--data", str(folder), "--seeds", "1"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "14 training and 6 test examples" in printed and "balanced accuracy" in printed


def test_finetune_on_a_folder_a_class(run: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "classifier"
    main(["finetune", str(run), "--data", str(folder), "--epochs", "1", "--seeds", "1", "-o", str(output)])
    assert antiphon.load_classifier(output).classes == ["high", "low"]
    assert "from scratch" in capsys.readouterr().out


def test_retrieval_needs_no_labels(folder: Path, tmp_path: Path) -> None:
    for number in range(12):
        tone(tmp_path / "tracks" / f"{number}.wav", 100.0 * 1.25**number, rate=22_050, seconds=0.7)
    path = tmp_path / "run"
    recipe = ["pretrain", "music/clmr", f"data.root={tmp_path / 'tracks'}", f"run_dir={path}", "data.test_share=0.5"]
    recipe += ["evaluation=music/retrieval", "evaluation.segment_s=0.1", "evaluation.random_seeds=[]", "report=false"]
    main([*recipe, *SHORT, *SMALL["clmr"]])
    (row,) = json.loads((path / "results.json").read_text())["rows"]
    assert row["tracks"] == 6 and 0.0 <= row["recall_at_1"] <= row["recall_at_5"] <= 1.0
