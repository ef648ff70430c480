"""`antiphon verify`, `enroll` and `identify` as a user meets them, after a run that learnt a threshold; and mistakes."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import antiphon
from antiphon.cli import main
from antiphon.commands import speakers
from antiphon.common.data.audio_set import AudioSet
from antiphon.common.encoder import Encoder
from antiphon.common.evaluation.verification import Calibration
from antiphon.common.hub import save_encoder

RATE = 8000


def voice(path: Path, speaker: int, clip: int, *, rate: int = RATE, channels: int = 1, seconds: float = 0.6) -> Path:
    """A buzz at the speaker's pitch with a resonance of the speaker's own; each clip a little different."""
    person, take = np.random.default_rng([1, speaker]), np.random.default_rng([2, speaker, clip])
    times = np.arange(round(rate * seconds)) / rate
    pitch_hz, peak_hz = person.uniform(100, 250) * take.uniform(0.97, 1.03), person.uniform(400, 2500)
    harmonics = np.arange(1, int(3600 / pitch_hz))
    levels = np.exp(-(((harmonics * pitch_hz - peak_hz) / 500) ** 2)) + 0.02
    wave = (levels[:, None] * np.sin(2 * np.pi * pitch_hz * harmonics[:, None] * times)).sum(axis=0) + 0.01 * take.normal(
        size=len(times)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.repeat(0.3 * wave[:, None] / np.abs(wave).max(), channels, axis=1), rate)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder a speaker: 20 speakers with 4 clips."""
    folder = tmp_path_factory.mktemp("voices") / "people"
    for speaker in range(20):
        for clip in range(4):
            voice(folder / f"s{speaker:02}" / f"{clip}.wav", speaker, clip)
    return folder


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of a music recipe on these voices that is evaluated as speaker verification, with a threshold of its own."""
    path = tmp_path_factory.mktemp("runs") / "voices"
    (folder / "manifest.csv").write_text(
        "path,speaker,gender\n" + "".join(f"s{n:02}/{clip}.wav,s{n:02},{'fm'[n % 2]}\n" for n in range(20) for clip in range(4))
    )
    words = ["pretrain", "music/clmr_mel", f"data.root={folder / 'manifest.csv'}", f"run_dir={path}", "data.label=null"]
    words += ["data.by=speaker", "data.duration_s=0.4", "data.test_share=0.4", "training.batch_size=16", "training.steps=4"]
    words += ["encoder.sample_rate=8000", "encoder.window=2048", "encoder.width=4", "encoder.mels=16", "encoder.fft_size=256"]
    words += ["evaluation=speaker_verification/all_pairs", "evaluation.groups=[gender]", "evaluation.random_seeds=[0]"]
    words += ["+training_set=speaker_verification/without_dev_speakers", "training_set.share=0.4", "training.progress=false"]
    main([*words, "+calibration=speaker_verification", "+pictures=speaker_verification", "monitor.examples=8"])
    return path


@pytest.fixture(scope="module")
def statistics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder that tells these voices apart, without a threshold."""
    encoder = antiphon.create_encoder("spectral_statistics", sample_rate=RATE, window=2048, fft_size=512, mels=24, coefficients=13)
    return save_encoder(encoder, tmp_path_factory.mktemp("encoders") / "mfcc")


def told(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    main(list(map(str, words)))
    return " ".join(capsys.readouterr().out.split())


def fails(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    with pytest.raises(SystemExit) as stop:
        main(list(map(str, words)))
    printed = capsys.readouterr().err.strip()
    assert stop.value.code == 1 and printed.startswith("error: ") and "\n" not in printed
    return printed


def test_the_run_is_evaluated_with_its_dev_threshold(run: Path) -> None:
    random, pretrained = json.loads((run / "results.json").read_text())["rows"]
    assert {"eer_percent", "min_dcf", "false_accept_percent", "eer_percent_within_gender"} <= set(pretrained) == set(random)
    calibration = antiphon.load_encoder(run).about["calibration"]
    assert calibration["speakers"] == 5 and calibration["source"] == "held-out training speakers of recordings train"
    page = (run / "report.html").read_text()
    assert all(title in page for title in ("Detection errors", "Scores", "Errors by gender"))


def test_verify_with_the_threshold_of_the_run(run: Path, folder: Path, capsys) -> None:
    same = told(capsys, "verify", run, folder / "s00/0.wav", folder / "s00/0.wav")
    assert "score 1.000" in same and "decision one speaker" in same and "from 5 speakers, held-out training speakers" in same
    threshold = antiphon.load_encoder(run).about["calibration"]["threshold"]
    other = told(capsys, "verify", run, folder / "s00/0.wav", folder / "s01/0.wav")
    score = float(other.split()[1])
    assert ("decision one speaker" in other) == (score >= threshold) and 0 <= float(other.split("probability ")[1].split()[0]) <= 1


def test_verify_without_a_threshold_gives_the_score_and_says_so(statistics: Path, folder: Path, capsys) -> None:
    pair = (folder / "s00/0.wav", folder / "s00/1.wav")
    plain = told(capsys, "verify", statistics, *pair)
    assert "decision none" in plain and "pretrained without a calibration" in plain and "--dev RECORDINGS" in plain
    assert "one speaker" not in plain and "probability" not in plain
    given = told(capsys, "verify", statistics, *pair, "--threshold", "2")
    assert "decision two speakers" in given and "2.000 as given" in given
    learnt = told(capsys, "verify", statistics, *pair, "--dev", folder / "manifest.csv")
    assert "decision one speaker" in learnt and "from 20 speakers" in learnt


def test_what_is_asked_about_teaches_no_threshold(
    statistics: Path, folder: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[AudioSet] = []
    learn = speakers.fit

    def listening(encoder: Encoder, data: AudioSet, source: str) -> Calibration:
        heard.append(data)
        return learn(encoder, data, source)

    monkeypatch.setattr(speakers, "fit", listening)
    whole = len(list(folder.glob("s*/*.wav")))
    detour = folder / "s01/../s00/0.wav"
    told(capsys, "verify", statistics, detour, folder / "s00/1.wav", "--dev", folder)
    index = tmp_path / "people.npz"
    told(capsys, "enroll", index, statistics, folder / "s02/0.wav", "--speaker", "anna")
    told(capsys, "identify", index, statistics, folder / "s03", "--dev", folder)
    assert [len(data) for data in heard] == [whole - 2, whole - len(list((folder / "s03").glob("*.wav")))]
    monkeypatch.setattr(speakers, "MOST_RECORDINGS", 30)
    told(capsys, "verify", statistics, detour, folder / "s00/1.wav", "--dev", folder)
    assert len(heard[-1]) == 30


@pytest.mark.parametrize("encoder", ["log_mel", "sample_cnn"])
def test_any_encoder_of_sound_will_do_at_any_rate(encoder: str, folder: Path, tmp_path: Path, capsys) -> None:
    options = {"width": 4, "mels": 16, "fft_size": 256, "window": 2048} if encoder == "log_mel" else {"window": 243}
    saved = save_encoder(antiphon.create_encoder(encoder, sample_rate=RATE, norm="group", **options), tmp_path / encoder)
    stereo = voice(tmp_path / "stereo.flac", 3, 1, rate=44_100, channels=2)
    mono = voice(tmp_path / "mono.wav", 3, 1, rate=44_100)
    assert "score 1.000" in told(capsys, "verify", saved, stereo, mono)


def test_enrol_and_identify(statistics: Path, folder: Path, tmp_path: Path, capsys) -> None:
    index = tmp_path / "people.npz"
    first = told(capsys, "enroll", index, statistics, folder / "s00/0.wav", folder / "s00/1.wav", "--speaker", "anna")
    assert "anna 2 recordings enrolled, 2 in all" in first and "1 speaker in" in first
    for speaker in (1, 2):
        for clip in (0, 1):
            voice(tmp_path / "more" / f"s{speaker}" / f"{clip}.wav", speaker, clip)
    assert "3 speakers in" in told(capsys, "enroll", index, statistics, tmp_path / "more")
    assert "anna 1 recording enrolled, 2 in all" in told(
        capsys, "enroll", index, statistics, folder / "s00/0.wav", "--speaker", "anna"
    )
    known = told(capsys, "identify", index, statistics, folder / "s00/2.wav", folder / "s02/3.wav", "--threshold", "0.9")
    assert "decision: anna" in known and "decision: s2" in known and "0.900 as given" in known
    learnt = told(capsys, "identify", index, statistics, folder / "s00/2.wav", "--dev", folder)
    assert "decision: anna" in learnt and "from 20 speakers" in learnt and "probability" in learnt
    strangers = told(capsys, "identify", index, statistics, folder / "s13/0.wav", "--threshold", "0.999999", "--top", "1")
    assert "unknown (nobody of 3 reaches the threshold)" in strangers and strangers.count("s1 ") + strangers.count("s2 ") <= 2
    unsure = told(capsys, "identify", index, statistics, folder / "s00/2.wav")
    assert "anna" in unsure and "decision none" in unsure and "decision:" not in unsure


def test_a_manifest_names_the_speakers(statistics: Path, folder: Path, tmp_path: Path, capsys) -> None:
    assert "20 speakers in" in told(capsys, "enroll", tmp_path / "all.npz", statistics, folder / "manifest.csv")


def test_an_index_refuses_other_encoders_and_stays_as_it_was(
    run: Path, statistics: Path, folder: Path, tmp_path: Path, capsys
) -> None:
    index = tmp_path / "people.npz"
    main(["enroll", str(index), str(statistics), str(folder / "s00/0.wav"), "--speaker", "anna"])
    capsys.readouterr()
    before = index.read_bytes()
    for command in (["identify", index, run, folder / "s00/1.wav"], ["enroll", index, run, folder / "s00/1.wav", "--speaker", "x"]):
        assert "made with another encoder" in fails(capsys, *command)
    voice(tmp_path / "short.wav", 0, 0, seconds=0.1)
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE), RATE)
    (tmp_path / "broken.wav").write_bytes(b"RIFF1234WAVEjunk")
    for name, message in (
        ("short.wav", "too short: 0.100 s, at least 0.5 s are needed (--min-seconds)"),
        ("silent.wav", "silent: no sample is above -80 dB"),
        ("broken.wav", "broken.wav"),
        ("none.wav", "no recording, folder or manifest"),
    ):
        line = fails(capsys, "enroll", index, statistics, tmp_path / name, "--speaker", "x")
        assert message in line and name in line
    assert "none.wav" in fails(capsys, "enroll", index, statistics, folder / "s00/1.wav", tmp_path / "none.wav", "--speaker", "x")
    assert "not known who speaks in" in fails(capsys, "enroll", index, statistics, folder / "s00/1.wav")
    assert index.read_bytes() == before
    assert "1 recording enrolled" in told(
        capsys, "enroll", index, statistics, tmp_path / "short.wav", "--speaker", "x", "--min-seconds", "0.05"
    )


def test_unusable_files_among_several_are_listed(statistics: Path, folder: Path, tmp_path: Path, capfd) -> None:
    """A shell's *.wav with one bad file among many: the others are enrolled."""
    (tmp_path / "broken.wav").write_bytes(b"RIFF1234WAVEjunk")
    files = [str(folder / "s00/1.wav"), str(tmp_path / "broken.wav")]
    main(["enroll", str(tmp_path / "people.npz"), str(statistics), "--speaker", "anna", *files])
    printed = capfd.readouterr()
    assert "1 recording enrolled" in printed.out and "1 of 2 recordings left out" in printed.err and "broken.wav" in printed.err


def test_unusable_recordings_of_a_folder_are_listed(statistics: Path, tmp_path: Path, capfd) -> None:
    voice(tmp_path / "set/anna/1.wav", 0, 0)
    voice(tmp_path / "set/anna/2.wav", 0, 1, seconds=0.2)
    (tmp_path / "set/anna/3.wav").touch()
    main(["enroll", str(tmp_path / "index.npz"), str(statistics), str(tmp_path / "set")])
    out, err = capfd.readouterr()
    assert "anna        1 recording enrolled" in out and "3.wav: the file is empty" in err and "2.wav: too short: 0.200 s" in err


def test_other_mistakes(statistics: Path, folder: Path, tmp_path: Path, capsys) -> None:
    assert "no folder" in fails(capsys, "verify", tmp_path / "run", folder / "s00/0.wav", folder / "s00/1.wav")
    assert "holds 80 recordings" in fails(capsys, "verify", statistics, folder, folder / "s00/1.wav")
    assert "--top 0" in fails(capsys, "identify", tmp_path / "none.npz", statistics, folder / "s00/0.wav", "--top", "0")
    assert "no speaker index" in fails(capsys, "identify", tmp_path / "none.npz", statistics, folder / "s00/0.wav")
    assert "is no .npz file" in fails(capsys, "identify", folder / "s00/0.wav", statistics, folder / "s00/0.wav")
    series = save_encoder(antiphon.create_encoder("ts2vec", in_channels=1), tmp_path / "series")
    assert "bound to no sampling rate" in fails(capsys, "verify", series, folder / "s00/0.wav", folder / "s00/1.wav")
    stereo = save_encoder(antiphon.create_encoder("sample_cnn", in_channels=2, window=243), tmp_path / "stereo")
    assert "has 1 channel(s), 2 are due" in " ".join(
        (fails(capsys, "verify", stereo, folder / "s00/0.wav", folder / "s00/1.wav")).split()
    )


def test_another_seed_of_weights_is_another_encoder(folder: Path, tmp_path: Path, capsys) -> None:
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_encoder(antiphon.create_encoder("sample_cnn", window=243, sample_rate=RATE, norm="group"), tmp_path / f"{seed}")
    main(["enroll", str(tmp_path / "i.npz"), str(tmp_path / "0"), str(folder / "s00/0.wav"), "--speaker", "anna"])
    capsys.readouterr()
    line = fails(capsys, "identify", tmp_path / "i.npz", tmp_path / "1", folder / "s00/0.wav")
    assert "the same architecture with other weights" in line


def test_ctrl_c_leaves_the_index(statistics: Path, folder: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    index = tmp_path / "people.npz"
    main(["enroll", str(index), str(statistics), str(folder / "s00/0.wav"), "--speaker", "anna"])
    before = index.read_bytes()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(speakers, "embed_recordings", interrupted)
    with pytest.raises(SystemExit) as stop:
        main(["enroll", str(index), str(statistics), str(folder)])
    assert stop.value.code == 130 and "stopped" in capsys.readouterr().err
    assert index.read_bytes() == before and [entry.name for entry in tmp_path.iterdir()] == ["people.npz"]
