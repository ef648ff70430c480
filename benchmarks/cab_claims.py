"""What CAB-KWS claims: speed against volume, what keeps the network from collapsing, how fast and well it is fine-tuned afterwards.

    python benchmarks/cab_claims.py --quick     # one seed, short pretraining
    python benchmarks/cab_claims.py --full      # 3 seeds

Pretrained without labels on the open voices of benchmarks/keywords.py, read on the German calls of kajongg: RankMe and deviation
of the bottlenecks over all calls, nearest neighbours across speakers by them; and the accuracy on each speaker of what learnt from
the words of the other three: a linear map of the frozen bottlenecks, and all weights after a few epochs and after more. SimCLR has
the network and the views of the benchmark's `simclr`. Finished runs are kept in --store.
"""

from __future__ import annotations

import argparse
import time
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from keywords import left_out_speaker, pretrained, scores, task_set, untrained
from rich.console import Console
from stored_runs import run_stored

from antiphon.common.evaluation.intervals import mean_interval, paired_difference
from antiphon.common.report import Difference, Table, terminal_table

TASK = "calls-de"
BOTH = "speed and volume"
NO_SPEED, NO_GAIN = "views.speed=[1.0,1.0]", "views.gain_db=[0.0,0.0]"
NO_RECONSTRUCTION = ("objective.reconstruction=0", "objective.reconstruction_augmented=0")


class Control(NamedTuple):
    """How the network is pretrained: a recipe, its overrides, and the share of the steps."""

    recipe: str = "cab"
    overrides: tuple[str, ...] = ()
    share: float = 1.0


CONTROLS: dict[str, Control | None] = {
    "nothing": None,
    BOTH: Control(),
    f"{BOTH}, a third of the steps": Control(share=1 / 3),
    "speed": Control(overrides=(NO_GAIN,)),
    "volume": Control(overrides=(NO_SPEED,)),
    "likeness and reconstruction": Control(overrides=("objective.dual_weight=0",)),
    "likeness alone": Control(overrides=(*NO_RECONSTRUCTION, "objective.dual_weight=0")),
    "SimCLR": Control("simclr"),
}
CLAIMS = (
    ("speed", "volume"),
    (BOTH, "speed"),
    (BOTH, "volume"),
    (BOTH, "likeness and reconstruction"),
    (BOTH, "nothing"),
    (BOTH, f"{BOTH}, a third of the steps"),
    (BOTH, "SimCLR"),
)
STEPS = {"full": 300, "quick": 40}
EPOCHS = {"full": (5, 20), "quick": (3,)}


class Job(NamedTuple):
    """One run: the encoder pretrained with `control` from `seed`, with the steps of `size`."""

    control: str
    seed: int
    size: str


def run_job(job: Job) -> dict[str, Any]:
    """The measures of one encoder, and seconds of one core."""
    start = time.process_time()
    return {**job._asdict(), "values": measure(*job), "seconds": time.process_time() - start}


def measure(control: str, seed: int, size: str) -> dict[str, float]:
    """The measures of one encoder."""
    from antiphon.common.evaluation.geometry import rankme
    from antiphon.common.evaluation.probes import linear_probe
    from antiphon.common.evaluation.protocols import labels_of
    from antiphon.domains.keyword_spotting.evaluation import encode_words, speakers_of, word_distances

    how = CONTROLS[control]
    encoder = untrained("cab", seed) if how is None else pretrained(how.recipe, seed, how.overrides, round(how.share * STEPS[size]))
    data = task_set(TASK)
    embeddings = encode_words(encoder, data).embeddings
    words, speakers = labels_of(data, TASK), speakers_of(data)

    def frozen(speaker: str) -> float:
        own = speakers == speaker
        return linear_probe(embeddings[~own], words[~own], embeddings[own], words[own], seed=seed).accuracy

    names = sorted({*speakers.tolist()})
    found = {
        "RankMe": float(rankme(embeddings)),
        "deviation": float(embeddings.std(dim=0).mean()),
        "1-NN": scores(word_distances(encoder, data, compare="pooled"), TASK)["1-NN"],
        "frozen": float(np.mean([frozen(name) for name in names])),
    }
    for epochs in EPOCHS[size]:
        accuracies = [left_out_speaker(deepcopy(encoder), TASK, name, epochs, seed) for name in names]
        found[f"fine-tuned, {epochs} epochs"] = float(np.mean(accuracies))
    return found


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true")
    size.add_argument("--full", action="store_true")
    parser.add_argument("--seeds", type=int, help="how many (default 1 or 3)")
    parser.add_argument("--store", type=Path, default=Path("benchmarks/runs-cab_claims.jsonl"), help="where finished runs are kept")
    parser.add_argument("--workers", type=int, default=2, help="runs side by side")
    options = parser.parse_args()
    chosen = "full" if options.full else "quick"
    seeds = options.seeds or (3 if options.full else 1)
    jobs = [Job(control, seed, chosen) for seed in range(seeds) for control in CONTROLS]
    results = run_stored(jobs, run_job, options.store, workers=options.workers)
    names = list(next(iter(results.values()))["values"])
    rows: list[list[Any]] = [
        [control, *(mean_interval([results[job]["values"][name] for job in jobs if job.control == control]) for name in names)]
        for control in CONTROLS
    ]
    tuned = f"fine-tuned, {EPOCHS[chosen][-1]} epochs"
    whole = [[results[job]["values"][name] for job in jobs if job.control == BOTH] for name in (tuned, "frozen")]
    console = Console(width=200)
    console.print(terminal_table(Table("CAB on German calls", ["pretrained with", *names], rows)))
    claims: list[list[Any]] = []
    for one, other in CLAIMS:
        pairs = [[[results[job]["values"][name] for job in jobs if job.control == row] for row in (one, other)] for name in names]
        claims.append([f"{one} minus {other}", *(Difference(paired_difference(*pair)) for pair in pairs)])
    console.print(terminal_table(Table("differences, the same seeds", ["", *names], claims)))
    gain = Difference(paired_difference(*whole))
    console.print(terminal_table(Table(f"{BOTH}: all weights against frozen ones", ["", tuned], [["minus frozen", gain]])))
    console.print(f"{sum(result['seconds'] for result in results.values()) / 3600:.2f} core hours")


if __name__ == "__main__":
    main()
