"""Keywords across speakers on open recordings: alignment, pooled and concatenated embeddings against MFCC and a trained peer.

    python benchmarks/keywords.py --quick     # German calls, one seed, short pretraining
    python benchmarks/keywords.py --full      # all words, 3 seeds

Needs `antiphon data fetch kajongg klettres ktuberling qabcs asterisk-en tuxpaint`, and for the peer's rows `pip install
pyopen-wakeword ai-edge-litert`. Words: the calls of kajongg in German and in its default voices (41 and 42 words, 4 speakers),
English letters (klettres twice, qabcs, asterisk), English digits (tuxpaint twice, asterisk). Silence is trimmed (30 dB). Every
ordered pair of speakers: the words of one are looked up among those of the other, the nearest wins. Encoders are pretrained without
labels on the other voices; nobody who is tested, in any language, is among them. The peer is openWakeWord's frozen speech
embedding (96 numbers for each 0.78 s, every 80 ms), which was trained on a very large corpus. "3-shot" looks words up among all
other speakers (at most 3 recordings a word). Finished runs are kept in --store.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from stored_runs import run_stored

from antiphon.common.evaluation.intervals import mean_interval
from antiphon.common.report import Table, terminal_table
from antiphon.domains.keyword_spotting.evaluation import Comparison

RATE = 16_000
TRIM_DB = 30.0
SOURCES = ("kajongg", "klettres", "ktuberling", "qabcs", "asterisk-en", "tuxpaint")
TESTED = ("klettres-en", "klettres-en_GB", "qabcs-en", "asterisk-Allison", "tuxpaint-en", "tuxpaint-en_GB")
TASKS = ("calls-de", "calls", "letters", "digits")
DEVELOPMENT = {  # related languages, whose letters and digits sound alike: what settings are chosen on (benchmarks/settings.py)
    "development letters": ("klettres-da", "klettres-de", "klettres-nb", "klettres-nds", "klettres-nl"),
    "development digits": ("tuxpaint-de", "tuxpaint-nb", "tuxpaint-nl", "tuxpaint-nn", "tuxpaint-sv"),
}
WAYS: tuple[Comparison, ...] = ("pooled", "concatenated", "dtw")
METHODS = ("features", "peer", "random", "frames", "frames_chosen", "cab", "simclr", "cpc_frames", "supervised")
ONCE = ("features", "peer")  # nothing is drawn
ENCODERS = {"frames": "aligned_frames", "frames_chosen": "aligned_frames", "cab": "cab", "simclr": "cab", "cpc_frames": "cpc"}
DURATION_S = {"frames": 1.6, "frames_chosen": 1.6, "cab": 1.25, "simclr": 1.25, "cpc_frames": 1.28}
STEPS = {
    "full": {"frames": 200, "frames_chosen": 200, "cab": 400, "simclr": 400, "cpc_frames": 200},
    "quick": {"frames": 60, "frames_chosen": 60, "cab": 60, "simclr": 60, "cpc_frames": 30},
}
OVERRIDES = {
    "cpc_frames": ["encoder.channels=128"],  # a quarter of the work
    "frames_chosen": ["encoder.dilations=[1,2]"],  # what benchmarks/settings.py found best on its development voices
}


class Job(NamedTuple):
    """One run: `method` from `seed`, with the steps of `size`."""

    method: str
    seed: int
    size: str


# ---- data


@cache
def trimmed() -> Any:
    """All voices without the silence at their ends; kept beside the downloads."""
    from antiphon.common.data.manifest import Manifest, read_manifest
    from antiphon.common.data.open_data import open_manifest
    from antiphon.common.data.open_data.fetching import cache_folder
    from antiphon.common.data.trimming import trim_silence

    kept = cache_folder() / "keywords-trimmed-30dB.csv"
    if not kept.is_file():
        rows = [row for name in SOURCES for row in open_manifest(name) if row.speaker]
        found, _ = trim_silence(Manifest(tuple(rows), "voices"), below_db=TRIM_DB, workers=1)
        found.write(kept)
    return read_manifest(kept)


def _task_word(row: Any, task: str) -> str | None:
    """What is said in a recording, if it belongs to a task."""
    speaker, word, kind = row.speaker, row.extra.get("word", ""), row.extra.get("kind")
    if task.startswith("calls"):
        language = "de" if task == "calls-de" else "default"
        return word if speaker.startswith("kajongg-") and row.extra["language"] == language else None
    if speaker not in DEVELOPMENT.get(task, TESTED):
        return None
    if task.endswith("letters"):
        wanted = kind == "letter" and not speaker.startswith("tuxpaint") and len(word) == 1 and word.isalpha()
    else:
        wanted = kind in ("digit", "number") and len(word) == 1 and word.isdigit()
    return word if wanted else None


@cache
def task_set(task: str) -> Any:
    """The recordings of a task, decoded in memory, each word as label; one of each word by each speaker."""
    from antiphon.common.data.audio_set import AudioSet
    from antiphon.common.data.manifest import Manifest

    rows: dict[tuple[str, str], Any] = {}
    for row in trimmed():
        word = _task_word(row, task)
        if word is not None:
            rows.setdefault((row.speaker, word), replace(row, labels=(word,), group=row.speaker))
    return AudioSet.from_manifest(Manifest(tuple(rows.values()), task), sample_rate=RATE, duration_s=1.0, cache=True)


def training_set(method: str, without: Sequence[str] = ()) -> Any:
    """All voices that are not tested, nor `without`; no labels."""
    from antiphon.common.data.audio_set import AudioSet

    left_out = {*TESTED, *without}
    others = trimmed().filter(lambda row: row.speaker not in left_out and not row.speaker.startswith("kajongg-"))
    short: Literal["repeat", "pad"] = "repeat" if method == "cpc_frames" else "pad"
    return AudioSet.from_manifest(others, sample_rate=RATE, duration_s=DURATION_S[method], short=short, label=None, seed=0)


# ---- scores


def scores(distances: Any, task: str) -> dict[str, float]:
    """1-NN over ordered pairs of speakers, and with all other speakers."""
    from antiphon.domains.keyword_spotting.evaluation import cross_speaker_scores, speakers_of, words_of

    data = task_set(task)
    found = cross_speaker_scores(distances, words_of(data), speakers_of(data), shots=(3,), repeats=3)
    return {"1-NN": found["accuracy_1nn"], "3-shot": found["accuracy_3_shot"]}


def cosine_distances(rows: Sequence[Any]) -> NDArray[np.floating]:
    """(n, n) of vectors of one length."""
    units = np.stack([np.asarray(row, np.float64).ravel() for row in rows])
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    return 1.0 - units @ units.T


def add_scores(rows: dict[str, dict[str, float]], name: str, distances: Any, task: str) -> None:
    """Put the scores of one way to compare into its row."""
    rows.setdefault(name, {}).update({f"{task} {metric}": value for metric, value in scores(distances, task).items()})


def encoder_rows(name: str, encoder: Any) -> dict[str, dict[str, float]]:
    """All ways to compare, on all tasks."""
    from antiphon.domains.keyword_spotting.evaluation import word_distances

    found: dict[str, dict[str, float]] = {}
    for task in TASKS:
        for way in WAYS:
            add_scores(found, f"{name}, {way}", word_distances(encoder, task_set(task), compare=way), task)
    return found


def _run_features(_: Job) -> dict[str, Any]:
    """MFCC statistics, log-mel stretched to one length, MFCC with alignment: nothing is trained."""
    import torch

    from antiphon.common.evaluation.dtw import dtw_distances
    from antiphon.common.signal.spectral import MelSpec, log_mel, mfcc

    spec = MelSpec(sample_rate=RATE, bands=40, n_fft=512, window_size=480, hop=160, pad_mode="constant")
    rows: dict[str, dict[str, float]] = {}
    for task in TASKS:
        data = task_set(task)
        waves = [data.recording(int(row))[None] for row in data.rows]
        cepstra = [mfcc(wave, spec, coefficients=20)[0, 0].T for wave in waves]
        statistics = torch.stack([torch.cat((one.mean(dim=0), one.std(dim=0))) for one in cepstra])
        maps = [log_mel(wave, spec)[0] for wave in waves]
        stretched = [torch.nn.functional.interpolate(one, size=100, mode="linear") for one in maps]
        centred = [one - one.mean(dim=0) for one in cepstra]
        distances = {
            "MFCC mean and deviation": cosine_distances(list((statistics - statistics.mean(dim=0)) / statistics.std(dim=0))),
            "log-mel stretched to 1 s": cosine_distances([one - one.mean() for one in stretched]),
            "MFCC, dtw": dtw_distances(centred, centred),
        }
        for name, found in distances.items():
            add_scores(rows, name, found, task)
    return rows


def _run_peer(_: Job) -> dict[str, Any]:
    """The embedding of openWakeWord: its windows over 1.5 s with the word in the middle; and all windows that touch the word."""
    import torch

    from antiphon.common.evaluation.dtw import dtw_distances

    windows = _peer()
    rows: dict[str, dict[str, float]] = {}
    for task in TASKS:
        data = task_set(task)
        waves = [data.recording(int(row))[0].numpy() for row in data.rows]
        centred = [windows(_in_the_middle(wave, round(1.5 * RATE))) for wave in waves]
        around = [windows(np.pad(wave, round(0.7 * RATE))) for wave in waves]
        frames = [torch.from_numpy(one) for one in around]
        distances = {
            "peer, pooled": cosine_distances([one.mean(axis=0) for one in centred]),
            "peer, concatenated": cosine_distances(centred),
            "peer, silence around, pooled": cosine_distances([one.mean(axis=0) for one in around]),
            "peer, silence around, dtw": dtw_distances(frames, frames),
        }
        for name, found in distances.items():
            add_scores(rows, name, found, task)
    return rows


def _in_the_middle(wave: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    wave = wave[:size]
    before = (size - len(wave)) // 2
    return np.pad(wave, (before, size - len(wave) - before))


def _peer() -> Any:
    """Waves (T,) at 16 kHz -> embeddings (windows, 96)."""
    import pyopen_wakeword
    from ai_edge_litert.interpreter import Interpreter

    models = Path(pyopen_wakeword.__file__).parent / "models"

    @cache
    def interpreter(name: str, *shape: int) -> Any:
        made = Interpreter(str(models / f"{name}.tflite"))
        made.resize_tensor_input(made.get_input_details()[0]["index"], list(shape))
        made.allocate_tensors()
        return made

    def run(name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        made = interpreter(name, *values.shape)
        made.set_tensor(made.get_input_details()[0]["index"], values)
        made.invoke()
        found: NDArray[np.float32] = made.get_tensor(made.get_output_details()[0]["index"])
        return found.copy()

    def windows(wave: NDArray[np.float32]) -> NDArray[np.float32]:
        mel = run("melspectrogram", (wave * 32767.0).astype(np.float32)[None]).reshape(-1, 32) / 10.0 + 2.0
        starts = range(0, len(mel) - 75, 8)
        return np.stack([run("embedding_model", mel[None, start : start + 76, :, None]).reshape(96) for start in starts])

    return windows


# ---- encoders


def untrained(name: str, seed: int, **options: Any) -> Any:
    """An encoder with initial weights."""
    from antiphon.common.random import seeded_scope
    from antiphon.models import create_encoder

    with seeded_scope(seed, "initial weights"):
        return create_encoder(name, **options).eval()


def _run_random(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, options in (("aligned_frames", {}), ("cab", {}), ("cpc", {"channels": 128})):
        found |= encoder_rows(f"random {name}", untrained(name, job.seed, **options))
    return found


def pretrained(method: str, seed: int, overrides: Sequence[str], steps: int, without: Sequence[str] = ()) -> Any:
    """An encoder that learnt from the other voices, `without` some of them."""
    from antiphon.run.pretrain import pretrain_set

    settings = [f"training.steps={steps}", *OVERRIDES.get(method, []), *overrides]
    with tempfile.TemporaryDirectory() as scratch:
        recipe = f"keyword_spotting/{method.removesuffix('_chosen')}"
        return pretrain_set(recipe, training_set(method, without), settings, seed=seed, folder=scratch)


def _run_pretrained(job: Job) -> dict[str, Any]:
    return encoder_rows(job.method, pretrained(job.method, job.seed, [], STEPS[job.size][job.method]))


def left_out_speaker(encoder: Any, task: str, speaker: str, epochs: int, seed: int) -> float:
    """Accuracy on one speaker of a classifier that learnt all its weights from the words of the others."""
    from antiphon.common.evaluation.protocols import labels_of
    from antiphon.domains.keyword_spotting.evaluation import encode_words, speakers_of
    from antiphon.run.own_data import finetune

    data = replace(task_set(task), window=encoder.input_spec.window or RATE)
    own = speakers_of(data) == speaker
    train, test = data.subset(np.flatnonzero(~own)), data.subset(np.flatnonzero(own))
    classifier = finetune(encoder, train, epochs=epochs, lr=1e-3, batch_size=32, seed=seed)
    weight, bias = classifier.linear.weight.detach(), classifier.linear.bias.detach()
    predicted = (encode_words(classifier.encoder, test).embeddings @ weight.T + bias).argmax(dim=1).numpy()
    return float((predicted == labels_of(test, "test")).mean())


def _run_supervised(job: Job) -> dict[str, Any]:
    """Networks trained from scratch on the words of three speakers, tested on the fourth: beside the 3-shot scores."""
    epochs = 60 if job.size == "full" else 10
    found: dict[str, Any] = {}
    for name in ("aligned_frames", "bc_resnet"):
        for task in TASKS[:1] if job.size == "quick" else TASKS[:2]:
            speakers = sorted({row.speaker for row in task_set(task).manifest})
            values = [left_out_speaker(untrained(name, job.seed), task, one, epochs, job.seed) for one in speakers]
            found.setdefault(f"{name} supervised", {})[f"{task} 3-shot"] = float(np.mean(values))
    return found


RUNS = {
    "features": _run_features,
    "peer": _run_peer,
    "random": _run_random,
    "supervised": _run_supervised,
    **dict.fromkeys(ENCODERS, _run_pretrained),
}


def run_job(job: Job) -> dict[str, Any]:
    """Scores by row and metric, and seconds of one core."""
    start = time.process_time()
    return {**job._asdict(), "rows": RUNS[job.method](job), "seconds": time.process_time() - start}


def tables(results: dict[Job, dict[str, Any]]) -> list[Table]:
    """A table a metric, with the tasks as columns."""
    values: dict[str, dict[str, list[float]]] = {}
    for result in results.values():
        for row, metrics in result["rows"].items():
            for metric, value in metrics.items():
                values.setdefault(row, {}).setdefault(metric, []).append(value)
    made = []
    for metric in ("1-NN", "3-shot"):
        rows = [row for row in values if any(name.endswith(f" {metric}") for name in values[row])]
        cells = [
            [row, *(mean_interval(values[row][name]) if (name := f"{task} {metric}") in values[row] else "-" for task in TASKS)]
            for row in rows
        ]
        made.append(Table(f"words across speakers: {metric}", ["", *TASKS], cells))
    return [table for table in made if table.rows]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true")
    size.add_argument("--full", action="store_true")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--seeds", type=int, help="how many (default 1 or 3)")
    parser.add_argument("--store", type=Path, default=Path("benchmarks/runs-keywords.jsonl"), help="where finished runs are kept")
    parser.add_argument("--workers", type=int, default=2, help="runs side by side")
    options = parser.parse_args()
    seeds, chosen = options.seeds or (3 if options.full else 1), "full" if options.full else "quick"
    jobs = [
        Job(method, seed, chosen)
        for method in METHODS
        if method in options.methods
        for seed in range(1 if method in ONCE else seeds)
    ]
    results = run_stored(jobs, run_job, options.store, workers=options.workers)
    console = Console(width=160)
    for table in tables(results):
        console.print(terminal_table(table))
    console.print(f"{sum(result['seconds'] for result in results.values()) / 3600:.2f} core hours")


if __name__ == "__main__":
    main()
