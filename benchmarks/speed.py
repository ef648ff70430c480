"""How fast: a TS2Vec update beside a plain implementation, DTW beside aeon, and the command's cold start.

    python benchmarks/speed.py --quick|--full

The plain implementation is what the method's description says, line by line: `nn.Conv1d` blocks, whole similarity matrices, plain
AdamW and torch's AveragedModel. Ours is the shipped recipe, trainer and all. Both run alternately in one go with the same crops'
sizes on average; each measurement is a process of its own, so that its peak memory is its own, too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from statistics import median
from typing import Any

LENGTHS = (150, 427, 1460)
BATCH = 8


def _series(length: int) -> Any:
    import numpy as np

    return np.random.default_rng(0).normal(size=(32, 1, length)).cumsum(axis=2).astype(np.float32) / length**0.5


def recipe_updates(length: int, steps: int) -> float:
    """Seconds an update of the shipped recipe, from its metrics: the first updates do not count."""
    from pytorch_lightning import Callback

    from antiphon.common.learners.training import TrainingSettings, fit
    from antiphon.domains.time_series import TimeSeriesSet
    from antiphon.run.build import build_learner
    from antiphon.run.config import compose

    class Stamps(Callback):
        """The time after each update."""

        def __init__(self) -> None:
            self.times: list[float] = []

        def on_train_batch_end(self, *_: Any) -> None:
            self.times.append(time.perf_counter())

    data = TimeSeriesSet.from_arrays(_series(length))
    learner, _ = build_learner(compose("time_series/ts2vec", [f"training.steps={steps}"]), data, seed=0)
    stamps = Stamps()
    with tempfile.TemporaryDirectory() as scratch:
        fit(learner, data, TrainingSettings(batch_size=BATCH, steps=steps, progress=False), scratch, callbacks=[stamps])
    return (stamps.times[-1] - stamps.times[4]) / (len(stamps.times) - 5)


def plain_updates(length: int, steps: int) -> float:
    """Seconds an update of a straightforward implementation."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    class Block(nn.Module):
        def __init__(self, wide_in: int, wide_out: int, dilation: int, last: bool) -> None:
            super().__init__()
            self.first = nn.Conv1d(wide_in, wide_out, 3, padding=dilation, dilation=dilation)
            self.second = nn.Conv1d(wide_out, wide_out, 3, padding=dilation, dilation=dilation)
            self.skip = nn.Conv1d(wide_in, wide_out, 1) if last else None

        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            skip = maps if self.skip is None else self.skip(maps)
            return self.second(F.gelu(self.first(F.gelu(maps)))) + skip

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.input = nn.Linear(1, 64)
            self.blocks = nn.Sequential(*[Block(64, 320 if depth == 10 else 64, 2**depth, depth == 10) for depth in range(11)])

        def forward(self, signals: torch.Tensor) -> torch.Tensor:
            frames = self.input(signals)
            frames = frames * (torch.rand(frames.shape[:2]) < 0.5)[..., None]
            return F.dropout(self.blocks(frames.transpose(1, 2)), 0.1).transpose(1, 2)

    def contrast(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        both = torch.cat((first, second), dim=1)
        size = first.shape[1]
        logits = both @ both.transpose(1, 2)
        others = torch.tril(logits, diagonal=-1)[:, :, :-1] + torch.triu(logits, diagonal=1)[:, :, 1:]
        scores = -F.log_softmax(others, dim=-1)
        place = torch.arange(size)
        return (scores[:, place, size + place - 1].mean() + scores[:, size + place, place].mean()) / 2

    def loss_of(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        total, levels = torch.zeros(()), 0
        while first.shape[1] > 1:
            total = total + 0.5 * contrast(first.transpose(0, 1), second.transpose(0, 1)) + 0.5 * contrast(first, second)
            first, second = (F.max_pool1d(frames.transpose(1, 2), 2).transpose(1, 2) for frames in (first, second))
            levels += 1
        return (total + 0.5 * contrast(first.transpose(0, 1), second.transpose(0, 1))) / (levels + 1)

    encoder = Encoder()
    averaged = torch.optim.swa_utils.AveragedModel(encoder)
    averaged.update_parameters(encoder)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-3)
    signals = torch.from_numpy(_series(length)).transpose(1, 2)
    draw = torch.Generator().manual_seed(0)
    stamps = []
    for _ in range(steps):
        batch = signals[torch.randperm(len(signals), generator=draw)[:BATCH]]
        overlap = int(torch.randint(2, length + 1, (1,), generator=draw))
        left = int(torch.randint(length - overlap + 1, (1,), generator=draw))
        start = int(torch.randint(left + 1, (1,), generator=draw))
        stop = int(torch.randint(left + overlap, length + 1, (1,), generator=draw))
        optimizer.zero_grad()
        first, second = encoder(batch[:, start : left + overlap])[:, -overlap:], encoder(batch[:, left:stop])[:, :overlap]
        loss_of(first, second).backward()
        optimizer.step()
        averaged.update_parameters(encoder)
        stamps.append(time.perf_counter())
    return (stamps[-1] - stamps[4]) / (len(stamps) - 5)


def measure_updates(kind: str, length: int, steps: int, threads: int) -> None:
    """Run in a process of its own: print seconds an update and peak memory in MB above the start."""
    import pytorch_lightning
    import torch

    torch.set_num_threads(threads)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = {"plain": plain_updates, "recipe": recipe_updates}[kind](length, steps)
    extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"seconds": seconds, "megabytes": extra, "lightning": pytorch_lightning.__version__}))


def updates_table(rounds: int, steps: int, threads: int) -> Any:
    """Alternate plain and recipe."""
    from antiphon.common.report import Table

    rows = []
    for length in LENGTHS:
        results: dict[str, list[dict[str, float]]] = {"plain": [], "recipe": []}
        for _ in range(rounds):
            for kind, found in results.items():
                command = [sys.executable, __file__, "--one", kind, str(length), str(steps), str(threads)]
                printed = subprocess.run(
                    command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)}
                )
                found.append(json.loads(printed.stdout.splitlines()[-1]))
        seconds = {kind: median(entry["seconds"] for entry in found) for kind, found in results.items()}
        memory = {kind: median(entry["megabytes"] for entry in found) for kind, found in results.items()}
        rows.append(
            [
                f"T = {length}",
                f"{1000 * seconds['plain']:.0f} ms",
                f"{1000 * seconds['recipe']:.0f} ms",
                f"{seconds['plain'] / seconds['recipe']:.2f}x",
                f"{memory['plain']:.0f} MB",
                f"{memory['recipe']:.0f} MB",
            ]
        )
    title = f"One TS2Vec update, B = {BATCH}, {threads} thread(s), median of {rounds} runs of {steps} updates"
    return Table(title, ["length", "plain", "this recipe", "plain / recipe", "plain, peak memory", "recipe, peak memory"], rows)


def dtw_table(lengths: tuple[int, ...], rounds: int, with_one_thread: bool) -> Any:
    """All pairs of 400 random walks, ours beside aeon's."""
    import numpy as np
    from aeon.distances import dtw_pairwise_distance

    from antiphon.common.report import Table
    from antiphon.domains.time_series.dtw import dtw_distances

    rows = []
    for length in lengths:
        walks = np.random.default_rng(0).normal(size=(400, 1, length)).cumsum(axis=2)
        walks = (walks - walks.min(axis=2, keepdims=True)) / np.ptp(walks, axis=2, keepdims=True)
        dtw_distances(walks[:4]), dtw_pairwise_distance(walks[:4])  # compile
        for threads in (1, 2) if with_one_thread else (2,):
            ours, theirs = [], []
            for _ in range(rounds):
                start = time.perf_counter()
                mine = dtw_distances(walks, jobs=threads)
                ours.append(time.perf_counter() - start)
                start = time.perf_counter()
                reference = np.sqrt(dtw_pairwise_distance(walks, n_jobs=threads))
                theirs.append(time.perf_counter() - start)
            difference = float(np.abs(mine - reference).max())
            ratio = median(theirs) / median(ours)
            rows.append(
                [f"T = {length}", threads, f"{median(ours):.2f} s", f"{median(theirs):.2f} s", f"{ratio:.1f}x", f"{difference:.1e}"]
            )
    columns = ["length", "threads", "this package", "aeon", "aeon / ours", "largest difference"]
    return Table("DTW between all pairs of 400 series", columns, rows)


def help_table(rounds: int) -> Any:
    """Wall time of `antiphon --help` in a new process."""
    from antiphon.common.report import Table

    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "antiphon", "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return Table(
        "Cold start", ["command", "median", "slowest"], [["antiphon --help", f"{median(times):.3f} s", f"{max(times):.3f} s"]]
    )


def main(*, quick: bool) -> None:
    """Print the three tables."""
    from rich.console import Console

    from antiphon.common.report import terminal_table

    console = Console(width=140)
    console.print(terminal_table(updates_table(1 if quick else 3, 25, 2)))
    console.print(terminal_table(dtw_table((150,) if quick else (150, 427), 3 if quick else 1, not quick)))
    console.print(terminal_table(help_table(5)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure_updates(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--quick", action="store_true")
        parser.add_argument("--full", action="store_true")
        main(quick=not parser.parse_args().full)
