"""What gradient caching costs and saves: peak memory and seconds of a step against the size of the batch.

    python benchmarks/grad_cache.py --quick|--full

The learner of `time_series/simclr` with TS2Vec's encoder and tiled NT-Xent, whole and in chunks of 64, on one thread. Each
measurement is a process of its own, so that its peak memory is its own: the growth of the peak over all steps.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from statistics import median

CHUNK, SAMPLES = 64, 128
SIZES = (256, 1024, 4096)
WHOLE_UP_TO = 1024  # beyond this, the plain step needs more memory than a small machine has


def step(batch: int, chunk: int | None, repeats: int) -> tuple[float, float]:
    """(Megabytes over the memory before, median seconds) of a step."""
    import torch

    from antiphon.common.data.batch import SignalBatch
    from antiphon.domains.time_series import TimeSeriesSet
    from antiphon.run.build import build_learner
    from antiphon.run.config import compose

    random = torch.Generator().manual_seed(0)
    signals = torch.randn(batch, 1, SAMPLES, generator=random).cumsum(dim=-1)
    overrides = ["encoder=ts2vec", "encoder.dropout=0.0", "objective.tiled=true", f"learner.chunk_size={chunk or 'null'}"]
    config = compose("time_series/simclr", [*overrides, "training.steps=1"])
    learner, _ = build_learner(config, TimeSeriesSet.from_arrays(signals.numpy()), seed=0)

    def run(rows: int) -> float:
        learner.zero_grad()
        start = time.perf_counter()
        learner.training_step(SignalBatch(signals[:rows], torch.full((rows,), SAMPLES), torch.arange(rows))).backward()
        return time.perf_counter() - start

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(CHUNK)  # what the first step alone takes time for
    seconds = median(run(batch) for _ in range(repeats))
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, seconds


def measured(batch: int, chunk: int | None, repeats: int) -> tuple[float, float, float]:
    """`step` in processes of its own: memory and seconds where freed memory is given back, seconds where the allocator keeps it."""

    def run(**environment: str) -> list[float]:
        command = [sys.executable, __file__, "--one", str(batch), str(chunk or 0), str(repeats)]
        surroundings = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
        return [float(n) for n in subprocess.run(command, capture_output=True, check=True, env=surroundings).stdout.split()[-2:]]

    memory, given_back = run(MALLOC_TRIM_THRESHOLD_="0")
    return memory, given_back, run()[1]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true")
    size.add_argument("--full", action="store_true")
    parser.add_argument("--one", nargs=3, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        batch, chunk, repeats = options.one
        print(*step(batch, chunk or None, repeats))
        return
    repeats = 5 if options.full else 1
    print("| batch | step | memory | seconds, memory given back | | seconds, memory kept | |")
    print("|---|---|---|---|---|---|---|")
    for batch in SIZES:
        whole = measured(batch, None, repeats) if batch <= WHOLE_UP_TO else None
        for name, found in (("whole", whole), ("chunks of 64", measured(batch, CHUNK, repeats))):
            if found:
                ratios = [f"{mine / other:.2f} x" for mine, other in zip(found, whole, strict=True)] if whole else [""] * 3
                memory, given_back, kept = found
                print(
                    f"| {batch} | {name} | {memory:.0f} MB | {given_back:.2f} | {ratios[1]} | {kept:.2f} | {ratios[2]} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
