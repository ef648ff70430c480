"""Words in long recordings: found where they are, by every encoder, in constant memory; and `antiphon spot` as a user meets it."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

import antiphon
from antiphon.cli import main
from antiphon.common.encoder import Encoder, InputSpec
from antiphon.common.evaluation.detection import match_detections
from antiphon.common.hub import save_encoder
from antiphon.common.signal.spectral import LogMel, MelSpec
from antiphon.domains.keyword_spotting.query import spot

RATE = 8000
TINY: dict[str, dict[str, Any]] = {
    "log_mel": {"window": 4096, "sample_rate": RATE, "fft_size": 256, "hop": 32, "mels": 16, "width": 4, "embedding_dim": 8},
    "sample_cnn": {"window": 729, "sample_rate": RATE},
    "spectral_statistics": {"window": 4096, "sample_rate": RATE, "fft_size": 256, "hop": 32, "mels": 16, "coefficients": 8},
    "tc_resnet": {"sample_rate": RATE, "mels": 16, "fft_size": 256, "frame_size": 240, "hop": 80, "channels": [8, 8]},
    "cab": {"window": 4000, "sample_rate": RATE, "embedding_dim": 16},
    "bc_resnet": {"window": 4000, "sample_rate": RATE},
    "aligned_frames": {"width": 16, "sample_rate": RATE},
}


class MelFrames(Encoder):
    """Log-mel frames as they are, 10 ms each: nothing is learnt, and order is all there is."""

    def __init__(self) -> None:
        super().__init__(
            embedding_dim=20, input_spec=InputSpec(channels=1, sample_rate=RATE, min_length=200), config={}, pooling="mean"
        )
        self.log_mel = LogMel(MelSpec(sample_rate=RATE, bands=20, n_fft=256, hop=80, floor=1e-6))

    def encode(
        self,
        signals: Tensor,
        lengths: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Tensor:
        frames = self.log_mel(signals)[:, 0].transpose(1, 2)
        return frames - frames.mean(dim=2, keepdim=True)


def word(sounds: str, *, tempo: float = 1.0) -> np.ndarray:
    """Each letter is a chord of its own for 0.1 s."""
    time = np.arange(round(0.1 * RATE / tempo)) / RATE
    fade = np.minimum(1, np.minimum(time, time[::-1]) / 0.01)
    parts = []
    for sound in sounds:
        pitches = np.random.default_rng(ord(sound)).uniform(200, 3500, 3)
        parts.append(fade * np.sin(2 * np.pi * pitches[:, None] * time).sum(axis=0) / 6)
    return np.concatenate(parts)


def recording(
    path: Path, words: list[tuple[float, np.ndarray]], duration_s: float, *, noise: float = 0.003
) -> list[tuple[float, float]]:
    waves = noise * np.random.default_rng(0).normal(size=round(duration_s * RATE))
    for start_s, one in words:
        start = round(start_s * RATE)
        waves[start : start + len(one)] += one
    soundfile.write(path, waves, RATE)
    return [(start_s, start_s + len(one) / RATE) for start_s, one in words]


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """hey.wav (the word abcd with silence around it), and long.wav: 60 s with three of them among others."""
    random = np.random.default_rng(1)
    others = [(start_s, word("".join(random.choice(list("efghijdcba"), 4)))) for start_s in np.arange(1.0, 58.0, 1.5)]
    said = [(12.4, word("abcd")), (33.6, 0.5 * word("abcd", tempo=1.3)), (51.5, word("abcd", tempo=0.8))]
    others = [one for one in others if all(abs(one[0] - start_s) > 1 for start_s, _ in said)]
    recording(tmp_path / "long.wav", others + said, 60.0)
    recording(tmp_path / "hey.wav", [(0.5, word("abcd"))], 1.4, noise=1e-5)
    recording(tmp_path / "other.wav", [(0.1, word("klmn"))], 0.7, noise=1e-5)
    return tmp_path


TRUTH = [(12.4, 12.8), (33.6, 33.6 + 0.4 / 1.3), (51.5, 52.0)]


def test_alignment_finds_a_word_at_any_tempo_with_its_times(speech: Path) -> None:
    found = spot(MelFrames(), [speech / "hey.wav"], speech / "long.wav")
    assert found.compare == "dtw" and found.derived and found.duration_s == 60.0
    assert found.query_durations_s[0] == pytest.approx(0.5, abs=0.03)  # silence is cut off, 50 ms on either side are not
    assert [one.score >= found.threshold for one in found.detections] == [True] * 3
    for one, (start_s, end_s) in zip(found.detections, TRUTH, strict=True):
        assert one.start_s == pytest.approx(start_s, abs=0.1) and one.end_s == pytest.approx(end_s, abs=0.1)


def test_order_is_what_alignment_adds(speech: Path) -> None:
    """The same sounds in another order are not the word; the mean over frames cannot tell."""
    recording(speech / "orders.wav", [(2.0, word("dcba")), (5.0, word("abcd")), (8.0, word("cadb"))], 10.0)
    aligned = spot(MelFrames(), [speech / "hey.wav"], speech / "orders.wav", threshold=-1.0)
    best = sorted(aligned.detections, key=lambda one: -one.score)
    assert best[0].start_s == pytest.approx(5.0, abs=0.1) and best[0].score > best[1].score + 0.1
    pooled = spot(MelFrames(), [speech / "hey.wav"], speech / "orders.wav", compare="pooled", threshold=-1.0)
    ordered = sorted(pooled.detections, key=lambda one: -one.score)
    assert ordered[0].score - ordered[2].score < 0.05


def test_several_examples_find_what_each_finds(speech: Path) -> None:
    recording(speech / "both.wav", [(2.0, word("abcd")), (6.0, word("klmn")), (9.0, word("efgh"))], 12.0)
    found = spot(MelFrames(), [speech / "hey.wav", speech / "other.wav"], speech / "both.wav", top=2)
    assert [one.query for one in found.detections] == [0, 1]
    assert [round(one.start_s) for one in found.detections] == [2, 6]


@pytest.mark.parametrize("name", TINY)
def test_every_encoder_finds_an_exact_copy(name: str, speech: Path) -> None:
    """Even without training: the window that holds the very samples of the example has its embedding."""
    torch.manual_seed(0)
    encoder = antiphon.create_encoder(name, **TINY[name]).eval()
    waves, _ = soundfile.read(speech / "long.wav")
    soundfile.write(speech / "part.wav", waves[round(12.4 * RATE) : round(12.9 * RATE)], RATE)
    soundfile.write(speech / "short.wav", waves[8 * RATE : 16 * RATE], RATE)
    options: dict[str, Any] = {"trim_db": None, "threshold": -1.0}
    found = spot(encoder, [speech / "part.wav"], speech / "short.wav", compare="pooled", hop_s=0.1, **options)
    best = max(found.detections, key=lambda one: one.score)
    assert best.start_s == pytest.approx(4.4, abs=1e-6) and best.score == pytest.approx(1.0, abs=1e-3)
    if name not in ("sample_cnn", "spectral_statistics"):  # which have one frame a window
        aligned = spot(encoder, [speech / "part.wav"], speech / "short.wav", compare="dtw", **options)
        assert -1 <= aligned.best <= 1 + 1e-6 and aligned.peaks > 3


def test_a_word_at_the_very_end_is_found_and_times_stay_inside(speech: Path) -> None:
    recording(speech / "end.wav", [(4.63, word("abcd"))], 5.03)
    for compare in ("dtw", "pooled"):
        found = spot(MelFrames(), [speech / "hey.wav"], speech / "end.wav", compare=compare, top=1, threshold=-1.0)
        (one,) = found.detections
        assert one.start_s == pytest.approx(4.63, abs=0.12) and one.end_s <= 5.03


def test_top_and_threshold(speech: Path) -> None:
    whole = spot(MelFrames(), [speech / "hey.wav"], speech / "long.wav", threshold=-1.0)
    assert len(whole.detections) == whole.peaks > 20 and not whole.derived and not whole.cut
    two = spot(MelFrames(), [speech / "hey.wav"], speech / "long.wav", threshold=-1.0, top=2)
    ordered = sorted(whole.detections, key=lambda one: -one.score)
    assert spot(MelFrames(), [speech / "hey.wav"], speech / "other.wav", window_s=0.3).compare == "pooled"
    assert set(two.detections) == set(ordered[:2]) and two.best == ordered[0].score
    nothing = spot(MelFrames(), [speech / "hey.wav"], speech / "long.wav", threshold=1.01)
    assert nothing.detections == () and nothing.best == two.best
    starts, ends, scores = ([getattr(one, key) for one in ordered] for key in ("start_s", "end_s", "score"))
    hits = match_detections(starts, ends, scores, *zip(*TRUTH, strict=True)).hits
    assert hits[:3].all()


def test_what_cannot_be_searched_is_refused(speech: Path) -> None:
    hey, long = speech / "hey.wav", speech / "long.wav"
    with pytest.raises(ValueError, match="bound to no sampling rate"):
        spot(antiphon.create_encoder("resnet1d", in_channels=1, blocks=[1], width=4), [hey], long)
    with pytest.raises(ValueError, match="one to 5 examples of the word, got 6"):
        spot(MelFrames(), [hey] * 6, long)
    with pytest.raises(ValueError, match="one to 5 examples of the word, got 0"):
        spot(MelFrames(), [], long)
    soundfile.write(speech / "silent.wav", np.zeros(4000), RATE)
    with pytest.raises(ValueError, match=r"silent.wav: silent: it cannot be an example"):
        spot(MelFrames(), [speech / "silent.wav"], long)
    with pytest.raises(ValueError, match="window_s belongs to compare='pooled'"):
        spot(MelFrames(), [hey], long, compare="dtw", window_s=1.0)
    with pytest.raises(ValueError, match="longer than the window"):
        spot(MelFrames(), [hey], long, compare="pooled", hop_s=1.0)
    with pytest.raises(ValueError, match="window_s must be above 0"):
        spot(MelFrames(), [hey], long, compare="pooled", window_s=0.0)
    with pytest.raises(ValueError, match="ask for 1 detection at least"):
        spot(MelFrames(), [hey], long, top=0)
    with pytest.raises(ValueError, match="unknown comparison 'dwt'"):
        spot(MelFrames(), [hey], long, compare="dwt")  # type: ignore[arg-type]
    statistics = antiphon.create_encoder("spectral_statistics", **{**TINY["spectral_statistics"], "window": 65_536})
    with pytest.raises(ValueError, match="too few to align: compare='pooled' suits it"):
        spot(statistics, [hey], long, compare="dtw")
    assert spot(statistics, [hey], speech / "other.wav", threshold=-1.0).compare == "pooled"


MEMORY = """
import resource, sys, torch, antiphon
from antiphon.domains.keyword_spotting.query import spot
torch.set_num_threads(1)
torch.manual_seed(0)
encoder = antiphon.create_encoder("tc_resnet", sample_rate=8000, mels=8, fft_size=256, frame_size=240, channels=[4, 4]).eval()
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
folder = sys.argv[1]
spot(encoder, [folder + "/hey.wav"], folder + "/long.wav", compare="dtw")
before = peak()
found = spot(encoder, [folder + "/hey.wav"], folder + "/minutes.wav", compare="dtw")
print(found.duration_s, peak() - before)
"""


def test_memory_does_not_grow_with_the_recording(speech: Path) -> None:
    """Twenty minutes at 8 kHz are 38 MB of float32, which are not in memory at a time, and neither are all their frames."""
    waves, _ = soundfile.read(speech / "long.wav", dtype="int16")
    with soundfile.SoundFile(speech / "minutes.wav", "w", RATE, 1) as file:
        for _ in range(20):
            file.write(waves)
    done = subprocess.run([sys.executable, "-c", MEMORY, str(speech)], capture_output=True, text=True, check=True)
    duration_s, grown_mb = map(float, done.stdout.split())
    assert duration_s == 1200.0 and grown_mb < 8


@pytest.fixture
def run(speech: Path) -> str:
    torch.manual_seed(0)
    encoder = antiphon.create_encoder("tc_resnet", **TINY["tc_resnet"], norm="layer")
    save_encoder(encoder, speech / "run/encoder")
    return str(speech / "run")


def test_the_command_prints_a_table_or_json(speech: Path, run: str, capsys: pytest.CaptureFixture[str]) -> None:
    hey, long = str(speech / "hey.wav"), str(speech / "long.wav")
    main(["spot", "--query", hey, run, long, "--top", "3", "--threshold", "-1"])
    printed = capsys.readouterr().out
    assert "1:00.00, aligned (dtw), threshold -1.000 as given" in printed and printed.count("│") == 4 * 3
    main(["spot", "--query", hey, hey, run, long, "--compare", "pooled", "--top", "2", "--threshold", "-1", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert len(told["detections"]) == 2 and told["detections"][0]["query"] == hey and told["duration_s"] == 60.0
    main(["spot", run, long, "--query", hey, "--query", hey, "--threshold", "1.01"])
    assert "not found: the highest score is" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--query", "hey.wav", "run"], "spot needs examples, a run and a recording"),
        (["--query", "hey.wav", "run", "none.wav"], "no file .*none.wav: the order is --query EXAMPLES"),
        (["run", "long.wav", "hey.wav", "--query", "hey.wav"], "searches one recording at a time, got 2: .*long.wav, .*hey.wav"),
        (["run", "", "--query", "hey.wav"], "is a folder: give a recording"),
        (["--query", "none.wav", "run", "long.wav"], "no file .*none.wav"),
        (["--query", "hey.wav", "hey.wav", "long.wav"], "hey.wav"),
    ],
)
def test_the_command_says_what_is_missing(
    words: list[str], message: str, speech: Path, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["spot", *(str(speech / one) if not one.startswith("-") else one for one in words)])
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    import re

    assert re.search(message, printed)
