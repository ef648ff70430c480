"""What CLMR learns from a few hundred recordings that Debian carries, beside encoders that learnt nothing and supervised ones.

    python benchmarks/music.py --quick     freepats alone, one seed, few steps: under 10 minutes on 2 cores
    python benchmarks/music.py --full      all sets, 3 seeds: about an hour and a half on 2 cores

Sets (`antiphon data fetch NAME`; fetched on first use):

* `notes`: freepats, its notes classified by General MIDI family and by instrument, split by pitch of a patch;
* `drums`: hydrogen-drumkits, the kind of drum, split by kit;
* `tracks`: pieces of four games (wesnoth, hyperrogue, singularity, drascula), the middle 40 s of each: which game, split by track,
  and which track a segment of 5 s is from.

A seed draws split, initial weights and order; differences are taken within a seed. Encoders are pretrained on the recordings of the
training part without labels. Probes are logistic regressions on the mean embedding of a recording's windows. "Supervised" is the
same SampleCNN trained from scratch on the same labels (random windows, AdamW, no augmentation). Finished runs are kept in --store.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

# Two runs side by side on one thread each finish sooner than one run on two threads, and do not wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from stored_runs import run_stored

from antiphon.common.evaluation.intervals import mean_interval, paired_difference
from antiphon.common.report import Difference, Table, terminal_table

SHOTS = (1, 2, 5, 10)
DRAWS = 5  # of few labels for the linear probes; supervised networks are trained on the first
RATE, WINDOW = 22_050, 6_561  # 3^8 samples, 0.3 s: most notes are shorter than CLMR's 2.7 s
TRACK_S = 40.0
GAMES = ("wesnoth-music", "hyperrogue-music", "singularity-music", "drascula-music")
TASKS = {"notes": {"family": 10, "instrument": 8}, "drums": {"drum": 14}, "tracks": {"game": 10}}  # classes of so many recordings
METHODS = ("untrained", "clmr", "clmr_mel", "supervised")
STEPS = {"full": {"clmr": 600, "clmr_mel": 1000, "supervised": 200}, "quick": {"clmr": 120, "clmr_mel": 200, "supervised": 60}}


class Job(NamedTuple):
    """One run: `method` on the set `name` from `seed`, with the steps of `size`."""

    name: str
    method: str
    seed: int
    size: str


# ---- data


def _notes() -> Any:
    from antiphon.common.data.open_data import open_manifest

    return _with_columns(open_manifest("freepats"), lambda row: {"family": row.value("family"), "instrument": row.labels[0]})


def _drums() -> Any:
    from antiphon.common.data.open_data import open_manifest

    manifest = open_manifest("hydrogen-drumkits").filter(lambda row: len(row.labels) == 1)
    return _with_columns(manifest, lambda row: {"drum": row.labels[0]})


def _tracks() -> Any:
    """The middle `TRACK_S` seconds of every piece that is long enough."""
    from antiphon.common.data.manifest import Manifest
    from antiphon.common.data.open_data import open_manifest

    rows = []
    for game in GAMES:
        for row in open_manifest(game):
            length = row.info.duration_s if row.info else 0.0
            if row.extra.get("kind") != "effect" and length >= TRACK_S:
                start = (length - TRACK_S) / 2
                part = replace(row, start_s=start, end_s=start + TRACK_S, group=f"{game} {row.group}")
                rows.append(replace(part, extra={**row.extra, "game": game}, labels=(game,)))
    return Manifest(tuple(rows), "tracks")


def _with_columns(manifest: Any, columns: Callable[[Any], dict[str, str]]) -> Any:
    """The labels of each task as columns; the first is the label, so that splits keep its shares."""
    rows = []
    for row in manifest:
        extra = {**row.extra, **columns(row)}
        rows.append(replace(row, extra=extra, labels=(next(iter(columns(row).values())),)))
    return replace(manifest, rows=tuple(rows))


def load_set(name: str, seed: int) -> tuple[Any, Any]:
    """Training and test set, decoded in memory; no group (pitch of a patch, kit, track) is in both."""
    from antiphon.common.data.audio_set import AudioSet
    from antiphon.common.data.splits import split

    manifest = {"notes": _notes, "drums": _drums, "tracks": _tracks}[name]()
    parts = split(manifest, fractions={"train": 0.7, "test": 0.3}, seed=seed)
    train, test = (
        AudioSet.from_manifest(part, sample_rate=RATE, duration_s=2.0, label=None, cache=True, seed=seed) for part in parts.values()
    )
    return train, test


class Task(NamedTuple):
    """A classification: rows and codes of the training and the test part, and the names of the classes."""

    train: NDArray[np.int64]
    train_y: NDArray[np.int64]
    test: NDArray[np.int64]
    test_y: NDArray[np.int64]
    classes: list[str]
    groups: NDArray[np.int64]


def task_of(train: Any, test: Any, column: str, least: int) -> Task:
    """The recordings whose class has at least `least` of them, some in each part."""
    words = [[row.extra[column] for row in part.manifest] for part in (train, test)]
    counts = Counter(words[0] + words[1])
    classes = sorted(name for name in counts if counts[name] >= least and name in words[0] and name in words[1])
    rows = [np.asarray([place for place, word in enumerate(part) if word in classes]) for part in words]
    codes = [np.asarray([classes.index(part[place]) for place in chosen]) for part, chosen in zip(words, rows, strict=True)]
    return Task(rows[0], codes[0], rows[1], codes[1], classes, train.groups[rows[0]])


# ---- one run


def run_job(job: Job) -> dict[str, Any]:
    """Scores by row and metric, and seconds."""
    start = time.monotonic()
    train, test = load_set(job.name, job.seed)
    if job.method == "supervised":
        rows = {"supervised": _supervised(job, train, test)}
    else:
        rows = {row: _linear(encoder, job, train, test) for row, encoder in _encoders(job, train).items()}
    sizes = {"train": len(train), "test": len(test)}
    return {**job._asdict(), **sizes, "rows": rows, "seconds": time.monotonic() - start}


def _encoders(job: Job, train: Any) -> dict[str, Any]:
    from antiphon.common.random import seeded_scope
    from antiphon.models import create_encoder

    if job.method != "untrained":
        return {job.method: _pretrained(job, train)}
    with seeded_scope(job.seed, "initial weights"):
        random = {
            "random SampleCNN": create_encoder("sample_cnn", window=WINDOW, padding="repeat"),
            "random log-mel": create_encoder("log_mel", window=RATE, padding="repeat"),
        }
    return {
        "MFCC": create_encoder("spectral_statistics", kind="mfcc", window=RATE),
        "log-mel statistics": create_encoder("spectral_statistics", kind="log_mel", window=RATE),
        **random,
    }


def _pretrained(job: Job, train: Any) -> Any:
    from antiphon.run.pretrain import pretrain_set

    overrides = [
        f"encoder.window={WINDOW if job.method == 'clmr' else RATE}",
        "encoder.padding=repeat",
        f"training.steps={STEPS[job.size][job.method]}",
        "training.trainer.precision=bf16-mixed",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        return pretrain_set(f"music/{job.method}", train, overrides, seed=job.seed, folder=scratch)


def _linear(encoder: Any, job: Job, train: Any, test: Any) -> dict[str, Any]:
    """Logistic regression with all labels and with a few, and retrieval where the set is one of tracks."""
    from antiphon.common.evaluation.embedding import embed_set
    from antiphon.common.evaluation.few_labels import few_label_curve
    from antiphon.common.evaluation.probes import linear_probe
    from antiphon.domains.music.evaluation import segment_retrieval

    train_x, test_x = (embed_set(encoder.eval(), replace(part, window=encoder.input_spec.window)) for part in (train, test))
    found: dict[str, Any] = {}
    for column, least in TASKS[job.name].items():
        task = task_of(train, test, column, least)
        data = train_x[task.train], task.train_y, test_x[task.test], task.test_y
        found[f"{column} accuracy"] = linear_probe(*data, groups=task.groups).accuracy
        probe = partial(linear_probe, c_grid=(1.0,))  # a few labels leave no folds to choose by
        curve = few_label_curve(*data, shots=SHOTS, repeats=DRAWS, seed=job.seed, probe=probe)
        for shots, scores in zip(SHOTS, curve.scores, strict=True):
            found[f"{column} {shots}-shot"], found[f"{column} {shots}-shot, first draw"] = float(scores.mean()), float(scores[0])
    if job.name == "tracks":
        scores = segment_retrieval(encoder, train, test)
        found |= {"track recall@1": scores["recall_at_1"], "track mAP@10": scores["map_at_10"]}
    return found


def _supervised(job: Job, train: Any, test: Any) -> dict[str, Any]:
    from antiphon.common.evaluation.few_labels import draw_labels

    found: dict[str, Any] = {}
    for column, least in TASKS[job.name].items():
        task = task_of(train, test, column, least)
        found[f"{column} accuracy"] = _from_scratch(job, train, test, task, np.arange(len(task.train)))
        for shots in SHOTS:
            rows = draw_labels(task.train_y, seed=job.seed, shots=shots)
            found[f"{column} {shots}-shot, first draw"] = _from_scratch(job, train, test, task, rows)
    return found


def _from_scratch(job: Job, train: Any, test: Any, task: Task, rows: NDArray[np.int64]) -> float:
    """Accuracy of a SampleCNN trained on the labels `rows` of a task alone."""
    from antiphon.common.classifier import Classifier
    from antiphon.common.evaluation.embedding import embed_set
    from antiphon.common.learners.classification import Classification
    from antiphon.common.learners.training import TrainingSettings, fit
    from antiphon.common.optim import OptimizerSettings
    from antiphon.common.random import seeded_scope
    from antiphon.models import create_encoder

    labelled = replace(train, window=WINDOW).subset(task.train[rows])
    labelled = replace(labelled, labels=task.train_y[rows], classes=tuple(task.classes))
    with seeded_scope(job.seed, "initial weights"):
        classifier = Classifier(create_encoder("sample_cnn", window=WINDOW, padding="repeat"), task.classes)
    steps = STEPS[job.size]["supervised"]
    optimizer = OptimizerSettings(lr=1e-3, schedule="cosine", warmup=0.1)
    settings = TrainingSettings(
        batch_size=32, steps=steps, seed=job.seed, checkpoint_every=steps, progress=False, trainer={"precision": "bf16-mixed"}
    )
    with tempfile.TemporaryDirectory() as scratch:
        fit(Classification(classifier, optimizer=optimizer, steps=steps, seed=job.seed), labelled, settings, scratch)
    embeddings = embed_set(classifier.encoder.eval(), replace(test, window=WINDOW).subset(task.test))
    scores = embeddings @ classifier.linear.weight.detach().numpy().T + classifier.linear.bias.detach().numpy()
    return float((scores.argmax(axis=1) == task.test_y).mean())


# ---- all runs


ROWS = ("MFCC", "log-mel statistics", "random SampleCNN", "clmr", "random log-mel", "clmr_mel", "supervised")


def collect(results: dict[Job, dict[str, Any]], name: str) -> dict[str, dict[str, list[float]]]:
    """Row -> metric -> a value a seed, of one set."""
    found: dict[str, dict[str, list[float]]] = {}
    for job in sorted(results):
        if job.name == name:
            for row, metrics in results[job]["rows"].items():
                for metric, value in metrics.items():
                    found.setdefault(row, {}).setdefault(metric, []).append(value)
    return found


def tables(results: dict[Job, dict[str, Any]], name: str) -> list[Table]:
    """All figures of a set, then the two claims: CLMR against the random encoder, and against supervision with few labels."""
    found = collect(results, name)
    metrics = [metric for metric in found["random SampleCNN"] if "first draw" not in metric]
    cells = [
        [row, *(mean_interval(found[row][metric]) if metric in found[row] else "-" for metric in metrics)]
        for row in ROWS
        if row in found
    ]
    claims: list[list[Any]] = []
    for row, other in (("clmr", "random SampleCNN"), ("clmr", "supervised"), ("clmr_mel", "random log-mel")):
        for metric, values in found.get(row, {}).items():
            if metric in found.get(other, {}) and (other == "supervised" or "first draw" not in metric):
                claims.append([metric, f"{row} minus {other}", Difference(paired_difference(values, found[other][metric]))])
    return [
        Table(f"{name}: accuracy, recall and mAP", ["", *metrics], cells),
        Table(f"{name}: differences", ["metric", "rows", "difference [95%]"], claims),
    ]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true")
    size.add_argument("--full", action="store_true")
    parser.add_argument("--sets", nargs="+", choices=tuple(TASKS), help="only these sets")
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=METHODS, help="only these; their random encoders come along"
    )
    parser.add_argument("--seeds", type=int, help="how many (default 1 or 3)")
    parser.add_argument("--store", type=Path, default=Path("benchmarks/runs-music.jsonl"), help="where finished runs are kept")
    parser.add_argument("--workers", type=int, default=2, help="runs side by side")
    options = parser.parse_args()
    names = options.sets or (tuple(TASKS) if options.full else ("notes",))
    seeds, chosen = options.seeds or (3 if options.full else 1), "full" if options.full else "quick"
    methods = [method for method in METHODS if method in {"untrained", *options.methods}]
    jobs = [Job(name, method, seed, chosen) for name in names for seed in range(seeds) for method in methods]
    results = run_stored(jobs, run_job, options.store, workers=options.workers)
    console = Console(width=160)
    for name in names:
        for table in tables(results, name):
            console.print(terminal_table(table))
    console.print(f"{sum(result['seconds'] for result in results.values()) / 3600:.2f} core hours")


if __name__ == "__main__":
    main()
