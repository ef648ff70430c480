"""Brain to speech on simulated listeners: contrast against regression, and what the parts of the brain module are for.

    python benchmarks/brain_speech.py --quick     3 listeners, 200 segments, one seed: 2 minutes on 2 quiet cores
    python benchmarks/brain_speech.py --full      4 listeners, 300 segments, 3 seeds: 6 minutes on 2 quiet cores

Every listener hears all segments of 3 s. A segment's 16 features are sums of six slow courses; the electrodes hear these courses
150 ms later, through weights that vary smoothly over the head and are each listener's own, below noise of 1/f, and in one trial of
ten an electrode jumps by 20 mV (`antiphon.domains.eeg.data.simulation`). 70 % of the segments are learnt from, 20 % are tested,
for all listeners the same. Top-k: the share of test trials whose segment is among the k best of all test segments.

The network is the published one with fewer channels, trained by the recipe `eeg/brain_speech` at a higher rate. A seed draws data,
split, initial weights and order; differences are taken within a seed. Finished runs are kept in --store.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
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

SIZES: dict[str, dict[str, Any]] = {"quick": {"subjects": 3, "segments": 200}, "full": {"subjects": 4, "segments": 300}}
STEPS = {"quick": 200, "full": 300}
RATE = 32.0  # Hz; what is heard lies below 8
NOISE = 10.0  # times the response
POPS, HEIGHT_UV = 0.1, 20_000.0  # share of trials in which an electrode jumps, and by how much
SMALL = (
    "encoder.attention_channels=32",
    "encoder.channels=32",
    "encoder.frequencies=8",
    "training.batch_size=64",
    "optimizer.lr=0.001",
)
ROWS: dict[str, tuple[str, ...]] = {
    "untrained": (),
    "regression": ("objective=eeg/speech_regression",),
    "contrastive": (),
    "no subject layer": ("encoder.subject_layer=false",),
    "no spatial attention": ("encoder.spatial_attention=false",),
    "no GLU": ("encoder.glu=false",),
    "no clamp": (),
    "no clamp, no artefacts": (),
}
CLAIMS = (
    ("contrastive", "untrained"),
    ("contrastive", "regression"),
    ("contrastive", "no subject layer"),
    ("contrastive", "no clamp"),
    ("no clamp, no artefacts", "no clamp"),
    ("contrastive", "no spatial attention"),
    ("contrastive", "no GLU"),
)


class Job(NamedTuple):
    """One run: the row `row` from `seed`, on data and with the steps of `size`."""

    row: str
    seed: int
    size: str


def artefacts(shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    """Trials (n, C, T) of zeros, in `POPS` of which an electrode jumps."""
    from antiphon.domains.eeg.data.simulation.heads import electrode_pops

    random = np.random.default_rng([seed, 1])
    made = np.zeros(shape, np.float32)
    for trial in np.flatnonzero(random.uniform(size=shape[0]) < POPS).tolist():
        made[trial] = electrode_pops(random, *shape[1:], height_uv=HEIGHT_UV)
    return made


def load_set(job: Job) -> tuple[Any, Any]:
    """Training and test set; no segment is in both."""
    from antiphon.domains.eeg.brain_speech import Cut, cut_parts, listening_from_trials
    from antiphon.domains.eeg.data.simulation import simulate_speech

    heard = simulate_speech(**SIZES[job.size], sample_rate=RATE, noise=NOISE, seed=job.seed)
    brain = heard.brain / NOISE  # a background of 10 uV, as EEG has it
    if job.row != "no clamp, no artefacts":
        brain += artefacts(brain.shape, job.seed)
    listening = listening_from_trials(
        brain,
        heard.subject,
        heard.speech,
        heard.segment,
        sample_rate=RATE,
        names=heard.names,
        name="simulated",
    )
    cut = Cut(clamp=None if job.row.startswith("no clamp") else 20.0)
    return cut_parts(listening, cut=cut, at="grid", seed=job.seed)


def run_job(job: Job) -> dict[str, Any]:
    """Scores and seconds."""
    from antiphon.domains.eeg.brain_speech import segment_retrieval
    from antiphon.run.build import build_encoder
    from antiphon.run.config import compose
    from antiphon.run.pretrain import pretrain_set

    start = time.monotonic()
    train, test = load_set(job)
    overrides = [*SMALL, *ROWS[job.row], f"training.steps={STEPS[job.size]}"]
    if job.row == "untrained":
        encoder = build_encoder(compose("eeg/brain_speech", overrides), train, seed=job.seed).eval()
    else:
        with tempfile.TemporaryDirectory() as scratch:
            encoder = pretrain_set("eeg/brain_speech", train, overrides, seed=job.seed, folder=scratch)
    sizes = {"train": len(train), "test": len(test)}
    return {**job._asdict(), **sizes, "scores": segment_retrieval(encoder, train, test), "seconds": time.monotonic() - start}


def tables(results: dict[Job, dict[str, Any]]) -> list[Table]:
    """All rows, then the claims as paired differences of top-10 accuracy."""
    found: dict[str, dict[str, list[float]]] = {}
    for job in sorted(results, key=lambda job: job.seed):
        for metric, value in results[job]["scores"].items():
            found.setdefault(job.row, {}).setdefault(metric, []).append(value)
    metrics = ("top_10", "top_5", "top_1", "chance_top_10", "segments")
    cells: list[list[Any]] = [[row, *(mean_interval(found[row][metric]) for metric in metrics)] for row in ROWS if row in found]
    claims: list[list[Any]] = [
        [better, worse, Difference(paired_difference(found[better]["top_10"], found[worse]["top_10"]))]
        for better, worse in CLAIMS
        if better in found and worse in found
    ]
    one = next(iter(results.values()))
    return [
        Table(f"share of {one['test']} test trials ({one['train']} for training)", ["", *metrics], cells),
        Table("top-10 accuracy", ["of", "minus that of", "difference [95%]"], claims),
    ]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true")
    size.add_argument("--full", action="store_true")
    parser.add_argument("--rows", nargs="+", choices=tuple(ROWS), default=tuple(ROWS), help="only these rows")
    parser.add_argument("--seeds", type=int, help="how many (default 1 or 3)")
    parser.add_argument(
        "--store", type=Path, default=Path("benchmarks/runs-brain-speech.jsonl"), help="where finished runs are kept"
    )
    parser.add_argument("--workers", type=int, default=2, help="runs side by side")
    options = parser.parse_args()
    chosen = "full" if options.full else "quick"
    jobs = [Job(row, seed, chosen) for seed in range(options.seeds or (3 if options.full else 1)) for row in options.rows]
    results = run_stored(jobs, run_job, options.store, workers=options.workers)
    console = Console(width=140)
    for table in tables(results):
        console.print(terminal_table(table))
    console.print(f"{sum(result['seconds'] for result in results.values()) / 3600:.2f} core hours")


if __name__ == "__main__":
    main()
