"""EEG and texts: does a model that learnt from reports answer questions that no report puts like that?

    python benchmarks/eeg.py --quick     one seed, few steps: a few minutes on 2 cores
    python benchmarks/eeg.py --full      3 seeds: under half an hour on 2 cores

Two studies:

* `conditions`: `neurokit-erp` (fetched on first use), 288 trials of 10 channels of one subject, who heard a tone left or right or
  saw a checkerboard left or right. The trials of each condition are cut into five blocks in order of time, and a seed holds out one
  of them. Each training trial has one of four paraphrases of its condition; the prompts (`eeg_erp`) are none of them. Beside it a
  logistic regression on the trials' samples, which learns from the labels.
* `reports`: simulated subjects, two recordings each, with reports in which four attributes stand (`simulate_recordings`); 30 % of
  the subjects are held out. The prompts (`eeg_simulated`) are in words that no report has. Beside it the same network trained from
  scratch on 1, 1/10 and 1/50 of the labels of one attribute, on the draw that the first frozen probe has, too.

The network is braindecode's EEGNet (`conditions`) or ShallowFBCSPNet (`reports`), which one thread trains in a minute or two.
Everything else is the recipe `eeg/eeg_clip` with the text tower wordllama. "Random" are the same towers at initial weights. A seed
draws split, initial weights and order; differences are taken within a seed. Finished runs are kept in --store.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
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

BLOCKS = 5
WORDINGS = {
    "audio/left": ["a tone in the left ear", "sound on the left", "left-sided tone", "hearing, left ear"],
    "audio/right": ["a tone in the right ear", "sound on the right", "right-sided tone", "hearing, right ear"],
    "visual/left": ["a checkerboard, left visual field", "picture on the left", "left-sided checkerboard", "seeing, left half"],
    "visual/right": [
        "a checkerboard, right visual field",
        "picture on the right",
        "right-sided checkerboard",
        "seeing, right half",
    ],
}
SIZES: dict[str, dict[str, Any]] = {"quick": {"subjects": 40, "duration_s": 12.0}, "full": {"subjects": 120, "duration_s": 20.0}}
STEPS = {"conditions": {"quick": 150, "full": 300}, "reports": {"quick": 100, "full": 400}}
SCRATCH_STEPS = {"quick": 40, "full": 100}
SCRATCH_SHARES = (1.0, 0.1, 0.02)
OURS = {
    "conditions": (
        "data=eeg/erp",
        "encoder=eegnet",
        "encoder.kernel_length=32",
        "text.prompts=eeg_erp",
        "training.batch_size=32",
        "optimizer.lr=0.002",
    ),
    "reports": ("data=eeg/simulated", "encoder=braindecode", "text.prompts=eeg_simulated", "optimizer.lr=0.002"),
}
METHODS = {"conditions": ("eeg_clip", "logistic regression"), "reports": ("eeg_clip", "from scratch")}


class Job(NamedTuple):
    """One run: `method` in the study `study` from `seed`, with the steps of `size`."""

    study: str
    method: str
    seed: int
    size: str


# ---- data


def load_conditions(seed: int) -> tuple[Any, Any]:
    """Training and test trials; trials of one condition are a group, so that they are no negatives of each other."""
    from antiphon.common.data.open_data import open_manifest
    from antiphon.domains.eeg import read_epochs

    whole = read_epochs(open_manifest("neurokit-erp")[0].path)
    codes = np.asarray(whole.labels)
    block = np.empty(len(whole), np.int64)
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        block[rows] = np.arange(len(rows)) * BLOCKS // len(rows)
    random = np.random.default_rng(seed)
    texts = tuple(str(random.choice(WORDINGS[whole.classes[code]])) for code in codes.tolist())
    whole = replace(whole, texts=texts, groups=codes)
    held = block == seed % BLOCKS
    return whole.subset(np.flatnonzero(~held), name="trials train"), whole.subset(np.flatnonzero(held), name="trials test")


def load_reports(size: str, seed: int) -> tuple[Any, Any]:
    """Training and test recordings of different subjects."""
    from antiphon.domains.eeg.data.simulation import load_simulated

    return load_simulated(**SIZES[size], window_s=4.0, simulation_seed=seed, seed=seed)


# ---- one run


def run_job(job: Job) -> dict[str, Any]:
    """Scores by row and metric, and seconds."""
    start = time.monotonic()
    train, test = load_conditions(job.seed) if job.study == "conditions" else load_reports(job.size, job.seed)
    if job.method == "eeg_clip":
        rows = _towers(job, train, test)
    elif job.method == "logistic regression":
        rows = {job.method: _logistic_regression(train, test)}
    else:
        rows = {job.method: _from_scratch(job, train, test)}
    sizes = {"train": len(train), "test": len(test)}
    return {**job._asdict(), **sizes, "rows": rows, "seconds": time.monotonic() - start}


def _towers(job: Job, train: Any, test: Any) -> dict[str, dict[str, float]]:
    """Scores of the pretrained pair and of one at initial weights."""
    from antiphon.common.learners.training import TrainingSettings, fit
    from antiphon.run.build import build_learner
    from antiphon.run.config import compose, instantiate
    from antiphon.run.cross_modal import build_untrained, prompts_of

    steps = STEPS[job.study][job.size]
    told = [*OURS[job.study], "towers.per_frame=false", "training.epochs=null", f"training.steps={steps}", "text.cache=false"]
    config = compose("eeg/eeg_clip", told)
    learner: Any
    learner, steps = build_learner(config, train, seed=job.seed)
    settings = TrainingSettings(
        batch_size=config["training"]["batch_size"], steps=steps, seed=job.seed, checkpoint_every=steps, progress=False
    )
    with tempfile.TemporaryDirectory() as scratch:
        fit(learner, train, settings, scratch)
    models = {
        "random": build_untrained(config, train, seed=job.seed),
        "eeg_clip": learner.two_towers(prompts_of(config)).cpu().eval(),
    }
    measure = {name: value for name, value in config["evaluation"].items() if name not in ("random_seeds", "needs_labels")}
    return {row: instantiate(measure, model=model, train=train, test=test, seed=job.seed) for row, model in models.items()}


def _logistic_regression(train: Any, test: Any) -> dict[str, float]:
    """On the samples of the trials as they are, regularised by cross-validation."""
    from antiphon.common.evaluation.probes import linear_probe

    sides = (train.signals.reshape(len(train), -1), train.labels, test.signals.reshape(len(test), -1), test.labels)
    return {"condition_probe": linear_probe(*sides, c_grid=(1e-5, 1e-4, 1e-3, 1e-2, 1e-1)).balanced_accuracy}


def _from_scratch(job: Job, train: Any, test: Any) -> dict[str, float]:
    """The same network learns an attribute from some of its labels, and nothing else."""
    from antiphon.common.evaluation.few_labels import draw_labels
    from antiphon.domains.eeg.data.simulation import ATTRIBUTES

    found = {}
    for name, classes in ATTRIBUTES.items():
        codes = [np.asarray([classes.index(word) for word in part.manifest.column(name)]) for part in (train, test)]
        for share in SCRATCH_SHARES:
            rows = np.arange(len(train)) if share == 1.0 else draw_labels(codes[0], seed=job.seed, fraction=share)
            metric = f"{name}_probe" if share == 1.0 else f"{name}_probe_1/{round(1 / share)}"
            found[metric] = _classifier(job, replace(train, labels=codes[0], classes=classes).subset(rows), test, codes[1])
    return found


def _classifier(job: Job, labelled: Any, test: Any, truth: NDArray[np.int64]) -> float:
    """Balanced accuracy by recording of a network trained on `labelled`."""
    from sklearn.metrics import balanced_accuracy_score

    from antiphon.common.classifier import Classifier
    from antiphon.common.evaluation.embedding import embed_set
    from antiphon.common.learners.classification import Classification
    from antiphon.common.learners.training import TrainingSettings, fit
    from antiphon.common.optim import OptimizerSettings
    from antiphon.common.random import seeded_scope
    from antiphon.run.build import build_encoder
    from antiphon.run.config import compose

    config = compose("eeg/eeg_clip", list(OURS["reports"]))
    with seeded_scope(job.seed, "initial weights"):
        classifier = Classifier(build_encoder(config, labelled, seed=job.seed), labelled.classes)
    steps = SCRATCH_STEPS[job.size]
    settings = TrainingSettings(batch_size=32, steps=steps, seed=job.seed, drop_last=False, checkpoint_every=steps, progress=False)
    optimizer = OptimizerSettings(lr=2e-3, schedule="cosine")
    with tempfile.TemporaryDirectory() as scratch:
        fit(Classification(classifier, optimizer=optimizer, steps=steps, seed=job.seed), labelled, settings, scratch)
    embeddings = embed_set(classifier.encoder.eval(), test)
    scores = embeddings @ classifier.linear.weight.detach().numpy().T + classifier.linear.bias.detach().numpy()
    return float(balanced_accuracy_score(truth, scores.argmax(axis=1)))


# ---- all runs


def tables(results: dict[Job, dict[str, Any]], study: str) -> list[Table]:
    """All figures of a study, then the claims: above random towers, and against those that learnt from labels alone."""
    found: dict[str, dict[str, list[float]]] = {}
    for job in sorted(results):
        if job.study == study:
            for row, scores in results[job]["rows"].items():
                for metric, value in scores.items():
                    found.setdefault(metric, {}).setdefault(row, []).append(value)
    rows = [row for row in ("random", "eeg_clip", *METHODS[study][1:]) if any(row in one for one in found.values())]
    cells = [[metric, *(mean_interval(one[row]) if row in one else "-" for row in rows)] for metric, one in found.items()]
    pairs = [(metric, one, other) for metric, one in found.items() for other in ("random", METHODS[study][1]) if other in one]
    claims: list[list[Any]] = [
        [metric, other, Difference(paired_difference(one["eeg_clip"], one[other]))]
        for metric, one, other in pairs
        if "eeg_clip" in one
    ]
    if {"condition_zero_shot", "condition_probe"} <= set(found) and "logistic regression" in found["condition_probe"]:
        sides = found["condition_zero_shot"]["eeg_clip"], found["condition_probe"]["logistic regression"]
        claims.append(["condition_zero_shot", "logistic regression", Difference(paired_difference(*sides))])
    return [
        Table(f"{study}: balanced accuracy by recording or trial, and retrieval", ["", *rows], cells),
        Table(f"{study}: eeg_clip minus", ["metric", "beside", "difference [95%]"], claims),
    ]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true")
    size.add_argument("--full", action="store_true")
    parser.add_argument("--studies", nargs="+", choices=tuple(METHODS), default=tuple(METHODS), help="only these")
    parser.add_argument("--seeds", type=int, help="how many (default 1 or 3)")
    parser.add_argument("--store", type=Path, default=Path("benchmarks/runs-eeg.jsonl"), help="where finished runs are kept")
    parser.add_argument("--workers", type=int, default=2, help="runs side by side")
    options = parser.parse_args()
    chosen = "full" if options.full else "quick"
    seeds = range(options.seeds or (3 if options.full else 1))
    jobs = [Job(study, method, seed, chosen) for study in options.studies for method in METHODS[study] for seed in seeds]
    results = run_stored(jobs, run_job, options.store, workers=options.workers)
    console = Console(width=140)
    for study in options.studies:
        for table in tables(results, study):
            console.print(terminal_table(table))
    console.print(f"{sum(result['seconds'] for result in results.values()) / 3600:.2f} core hours")


if __name__ == "__main__":
    main()
