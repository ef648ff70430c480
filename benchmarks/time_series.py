"""What the time-series recipes reach on real data, how fast they are, and what DBPM does: every figure of benchmarks/README.md.

    python benchmarks/time_series.py accuracy --full     TS2Vec beside random encoders, RBF-SVM protocol
    python benchmarks/time_series.py softclt  --full     SoftCLT against TS2Vec, paired seeds, sharpness fixed beforehand
    python benchmarks/time_series.py ablation --full     each of its two softenings alone, and how heavy the soft weights are
    python benchmarks/time_series.py dbpm     --full     bad pairs of known kind
    python benchmarks/time_series.py anomaly  --full     streaming anomaly detection
    python benchmarks/time_series.py speed    --full     seconds and memory of a TS2Vec update, DTW, `antiphon --help`

--quick takes less than 10 minutes on 2 cores for each, --full up to 3 hours (accuracy and softclt together; ACSF1 is most of it).
Finished runs are kept in --store (JSON lines) and not run again.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

# Two runs side by side on one thread each finish sooner than one run on two threads, and do not wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from rich.console import Console
from stored_runs import run_stored

from antiphon.common.evaluation.intervals import Interval, mean_interval, paired_difference
from antiphon.common.report import Difference, Table, terminal_table

SATURATED = ("GunPoint", "BasicMotions", "JapaneseVowels")
UNSATURATED = ("ArrowHead", "OSULeaf", "PickupGestureWiimoteZ", "ItalyPowerDemand", "ACSF1")
OFFICIAL = {  # the authors' code, run on a machine like this one (published specification of the project)
    "ArrowHead": 0.810,
    "OSULeaf": 0.844,
}
AUTHORS_SHARPNESS = {
    "ArrowHead": (3.0, 2.5),
    "OSULeaf": (40.0, 1.5),
}  # tau_I, tau_T of the authors' file; how they were chosen is not known

ALONE = {"instance": (10.0, "null"), "temporal": ("null", 1.0)}  # one softening of the config, the other hard


class Job(NamedTuple):
    """One run: pretrain `recipe` on the set `name` from `seed`, measure it and the random encoder of the same seed."""

    recipe: str
    name: str
    seed: int


def run_job(job: Job) -> dict[str, Any]:
    """Accuracies of the random and the pretrained encoder with TS2Vec's SVM protocol, and seconds of training."""
    from antiphon.common.learners.training import TrainingSettings, fit
    from antiphon.run.build import build_learner, load_data
    from antiphon.run.config import compose
    from antiphon.run.evaluation import evaluate

    overrides = [f"data.name={job.name}", f"seed={job.seed}", f"evaluation.random_seeds=[{job.seed}]"]
    recipe, _, variant = job.recipe.partition(" ")
    overrides += ["evaluation.max_c=null"] if recipe == "softclt" else []  # one probe for both recipes
    if variant:
        instance, temporal = AUTHORS_SHARPNESS[job.name] if variant == "authors" else ALONE[variant]
        overrides += [f"objective.instance_sharpness={instance}", f"objective.temporal_sharpness={temporal}"]
    config = compose(f"time_series/{recipe}", overrides)
    train, test = load_data(config)
    learner, steps = build_learner(config, train, seed=job.seed)
    batch_size, drop_last = config["training"]["batch_size"], config["training"]["drop_last"]
    settings = TrainingSettings(batch_size=batch_size, steps=steps, seed=job.seed, drop_last=drop_last, progress=False)
    with tempfile.TemporaryDirectory() as scratch:
        start = time.monotonic()
        fit(learner, train, settings, scratch)
        seconds = time.monotonic() - start
    rows = {row["encoder"]: row["accuracy"] for row in evaluate(config, learner.trained_encoder.eval(), train, test)}
    return {
        **job._asdict(),
        **rows,
        "steps": steps,
        "seconds": seconds,
        "config": {key: config[key] for key in ("objective", "training")},
    }


def _jobs(recipe: str, names: Iterable[str], seeds: dict[str, int], default: int) -> list[Job]:
    return [Job(recipe, name, seed) for name in names for seed in range(seeds.get(name, default))]


def accuracy(full: bool, store: Path, workers: int) -> Table:
    """TS2Vec beside random encoders."""
    names = (*SATURATED, *UNSATURATED) if full else ("ArrowHead", "ItalyPowerDemand", "PickupGestureWiimoteZ")
    seeds = dict.fromkeys(UNSATURATED, 5) if full else {}
    results = run_stored(_jobs("ts2vec", names, seeds, 3 if full else 2), run_job, store, workers=workers)
    rows: list[list[Any]] = []
    for name in names:
        runs = [result for job, result in results.items() if job.name == name]
        random, trained = [run["random"] for run in runs], [run["pretrained"] for run in runs]
        official = OFFICIAL.get(name)
        against: Any = Difference(_shifted(mean_interval(trained), official)) if official else None
        seconds = sum(run["seconds"] for run in runs) / len(runs)
        gain = Difference(paired_difference(trained, random))
        rows.append(
            [name, len(runs), mean_interval(random), mean_interval(trained), gain, against, f"{runs[0]['steps']} / {seconds:.0f} s"]
        )
    columns = ["set", "seeds", "random encoder", "TS2Vec", "gain [95%]", "minus the authors' code [95%]", "updates / time"]
    return Table("TS2Vec recipe, RBF-SVM accuracy on the official test split", columns, rows)


def _shifted(interval: Interval, by: float) -> Interval:
    return Interval(interval.mean - by, interval.low - by, interval.high - by, interval.sd, interval.n, interval.confidence)


def softclt(full: bool, store: Path, workers: int) -> Table:
    """SoftCLT against TS2Vec: same seeds, data, probe and schedule; one sharpness for all sets, that of its config."""
    names = UNSATURATED if full else ("ArrowHead", "ItalyPowerDemand", "PickupGestureWiimoteZ")
    default = 5 if full else 2
    jobs = _jobs("ts2vec", names, {}, default) + _jobs("softclt", names, {}, default)
    tuned = [name for name in names if name in AUTHORS_SHARPNESS]
    results = run_stored([*dict.fromkeys(jobs + _jobs("softclt authors", tuned, {}, default))], run_job, store, workers=workers)
    rows: list[list[Any]] = []
    pairs: list[tuple[float, float]] = []
    for name in names:
        hard = [result["pretrained"] for job, result in results.items() if job[:2] == ("ts2vec", name)]
        soft = [result["pretrained"] for job, result in results.items() if job[:2] == ("softclt", name)]
        pairs += zip(soft, hard, strict=True)
        rows.append([name, len(hard), mean_interval(hard), mean_interval(soft), Difference(paired_difference(soft, hard))])
    all_soft, all_hard = zip(*pairs, strict=True)
    rows.append(
        [
            "all pairs",
            len(pairs),
            mean_interval(all_hard),
            mean_interval(all_soft),
            Difference(paired_difference(all_soft, all_hard)),
        ]
    )
    for name in tuned:
        hard = [result["pretrained"] for job, result in results.items() if job[:2] == ("ts2vec", name)]
        soft = [result["pretrained"] for job, result in results.items() if job[:2] == ("softclt authors", name)]
        label = f"{name}, the authors' sharpness"
        rows.append([label, len(hard), mean_interval(hard), mean_interval(soft), Difference(paired_difference(soft, hard))])
    return Table("SoftCLT against TS2Vec, RBF-SVM accuracy", ["set", "seeds", "TS2Vec", "SoftCLT", "difference [95%]"], rows)


def ablation(full: bool, store: Path, workers: int) -> Table:
    """What each softening costs by itself on OSULeaf, seed by seed."""
    kinds = {"hard (TS2Vec)": "ts2vec", "soft instances": "softclt instance", "soft time": "softclt temporal", "both": "softclt"}
    seeds = range(3 if full else 1)
    results = run_stored([Job(kind, "OSULeaf", seed) for kind in kinds.values() for seed in seeds], run_job, store, workers=workers)
    rows: list[list[Any]] = []
    for label, kind in kinds.items():
        values = [results[Job(kind, "OSULeaf", seed)]["pretrained"] for seed in seeds]
        rows.append([label, mean_interval(values), " ".join(f"{value:.3f}" for value in values)])
    return Table("SoftCLT's terms on OSULeaf, RBF-SVM accuracy", ["targets", "mean", "by seed"], rows)


def soft_weights() -> Table:
    """The sum of an anchor's soft weights beside the weight 1 of its own example, tau_I 10 and tau_T 1, batches of 8."""
    from antiphon.common.objectives import soft_instance_weights, soft_temporal_weights
    from antiphon.domains.time_series.data import load_aeon
    from antiphon.domains.time_series.series_distances import SeriesDistances

    rows: list[list[Any]] = []
    for name in ("ArrowHead", "OSULeaf", "ItalyPowerDemand", "ACSF1"):
        train, _ = load_aeon(name)
        distances = SeriesDistances(metric="dtw", scaling="global")
        distances.prepare(train)
        weights = soft_instance_weights(distances(torch.arange(len(train))), sharpness=10.0)
        rows.append([name, f"{7 * (weights.sum() - len(train)) / (len(train) * (len(train) - 1)):.2f}"])
    time_stamps = soft_temporal_weights(101, sharpness=1.0)[50].sum() - 1.0
    rows.append(["neighbours in time", f"{time_stamps:.2f}"])
    return Table("soft weights of the others", ["set", "sum on average"], rows)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("accuracy", "softclt", "ablation", "dbpm", "anomaly", "speed"))
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true")
    size.add_argument("--full", action="store_true")
    parser.add_argument(
        "--store", type=Path, default=Path("benchmarks/runs-time_series.jsonl"), help="where finished runs are kept"
    )
    parser.add_argument("--workers", type=int, default=2, help="runs side by side")
    options = parser.parse_args()
    console = Console(width=140)
    measures = {"accuracy": accuracy, "softclt": softclt, "ablation": ablation}
    if options.part in measures:
        console.print(terminal_table(measures[options.part](options.full, options.store, options.workers)))
        if options.part == "ablation":
            console.print(terminal_table(soft_weights()))
        return
    sys.path.insert(0, str(Path(__file__).parent))
    if options.part == "dbpm":
        from dbpm import main as measure
    elif options.part == "anomaly":
        from anomaly import main as measure
    else:
        from speed import main as measure
    measure(quick=not options.full)


if __name__ == "__main__":
    main()
