"""Losses over large batches: time and peak memory with and without the similarity matrix, beside other libraries.

    pip install -e ".[bench]"
    python benchmarks/objectives.py --quick|--full [--part small|nt_xent|clip|siglip|compile|large] [--threads 2]

Forward and backward of a loss on float32 vectors of 128 dimensions that need a gradient, temperature 0.2. The forms of a table are
measured in turn, round after round, and every measurement is a process of its own: its peak memory is the growth of the largest
resident size over the size before the step, its time the median of three steps after one that does not count. Ratios are
medians over rounds, so that what else the machine does touches both sides alike. `--quick` takes two minutes on two cores, with
up to 2048 pairs (8192 tiled), `--full` about half an hour, with 4096, 8192 and 32768. Linux only: it reads and resets the peak
in /proc.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

DIM, TEMPERATURE, STEPS = 128, 0.2, 3
CUBIC_UP_TO = 256  # pytorch-metric-learning enumerates triplets
Step = Callable[[Any, Any], Any]  # two views -> loss


def cross_entropy(first: Any, second: Any) -> Any:
    """NT-Xent as it is usually written: a masked copy of the matrix, then cross-entropy."""
    import torch
    import torch.nn.functional as F

    rows = F.normalize(torch.cat((first, second)), dim=1)
    logits = rows @ rows.T / TEMPERATURE
    logits = logits.masked_fill(torch.eye(len(rows), dtype=torch.bool), -torch.inf)
    return F.cross_entropy(logits, torch.arange(len(rows)).roll(len(first)))


def leanest(first: Any, second: Any) -> Any:
    """NT-Xent with one matrix alone: temperature in the rows, diagonal filled in place, logsumexp, positives from the rows."""
    import torch
    import torch.nn.functional as F

    rows = F.normalize(torch.cat((first, second)), dim=1)
    scaled = rows / TEMPERATURE
    logits = scaled @ rows.T
    with torch.no_grad():
        logits.fill_diagonal_(-torch.inf)
    return (logits.logsumexp(dim=1) - (scaled * rows.roll(len(first), 0)).sum(dim=1)).mean()


def leanest_clip(first: Any, second: Any) -> Any:
    """CLIP with one matrix."""
    import torch.nn.functional as F

    rows, columns = F.normalize(first, dim=1) / TEMPERATURE, F.normalize(second, dim=1)
    logits = rows @ columns.T
    return (0.5 * (logits.logsumexp(dim=0) + logits.logsumexp(dim=1)) - (rows * columns).sum(dim=1)).mean()


def cross_entropy_clip(first: Any, second: Any) -> Any:
    """CLIP as open_clip writes it."""
    import torch
    import torch.nn.functional as F

    rows, columns, own = F.normalize(first, dim=1), F.normalize(second, dim=1), torch.arange(len(first))
    logits = rows @ columns.T / TEMPERATURE
    return 0.5 * (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own))


def plain_siglip(first: Any, second: Any) -> Any:
    """SigLIP as open_clip writes it."""
    import torch
    import torch.nn.functional as F

    logits = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T * 10.0 - 10.0
    return -F.logsigmoid((2.0 * torch.eye(len(first)) - 1.0) * logits).sum() / len(first)


def forms() -> dict[str, Step]:
    """Everything that can be measured, by name; the libraries are imported when called for."""
    from antiphon.common import objectives

    def lightly(first: Any, second: Any) -> Any:
        from lightly.loss import NTXentLoss

        return NTXentLoss(temperature=TEMPERATURE)(first, second)

    def metric_learning(first: Any, second: Any) -> Any:
        import torch
        from pytorch_metric_learning.losses import NTXentLoss

        return NTXentLoss(temperature=TEMPERATURE)(torch.cat((first, second)), torch.arange(len(first)).repeat(2))

    def ours(name: str, **options: Any) -> Step:
        return lambda first, second: getattr(objectives, name)(first, second, **options)

    sigmoid = {"scale": 10.0, "bias": -10.0}
    return {
        "lightly": lightly,
        "pytorch-metric-learning": metric_learning,
        "cross-entropy": cross_entropy,
        "leanest matrix": leanest,
        "ours": ours("nt_xent", temperature=TEMPERATURE),
        "ours, tiled": ours("nt_xent", temperature=TEMPERATURE, tiled=True),
        "clip: cross-entropy": cross_entropy_clip,
        "clip: leanest matrix": leanest_clip,
        "clip: ours": ours("clip", scale=1 / TEMPERATURE),
        "clip: ours, tiled": ours("clip", scale=1 / TEMPERATURE, tiled=True),
        "siglip: plain": plain_siglip,
        "siglip: ours": ours("siglip", **sigmoid),
        "siglip: ours, tiled": ours("siglip", **sigmoid, tiled=True),
    }


NT_XENT = ["lightly", "cross-entropy", "leanest matrix", "ours", "ours, tiled"]
PARTS: dict[str, list[str]] = {  # the last form of a part is what the others are compared with
    "small": ["pytorch-metric-learning", *NT_XENT],
    "nt_xent": NT_XENT,
    "clip": ["clip: cross-entropy", "clip: leanest matrix", "clip: ours", "clip: ours, tiled"],
    "siglip": ["siglip: plain", "siglip: ours", "siglip: ours, tiled"],
    "compile": ["ours", "ours, compiled", "ours, tiled, compiled", "ours, tiled"],
    "large": ["ours, tiled"],
}
SIZES = {
    "quick": {"small": [128], "nt_xent": [1024, 2048], "clip": [2048], "siglip": [1024], "compile": [1024], "large": [8192]},
    "full": {
        "small": [CUBIC_UP_TO],
        "nt_xent": [4096, 8192],
        "clip": [8192],
        "siglip": [4096],
        "compile": [4096],
        "large": [16384, 32768],
    },
}
Measurement = tuple[float, float, float, float]  # seconds, megabytes, loss, a number that depends on every gradient


def _memory(field: str) -> float:
    """VmRSS or VmHWM of this process, in megabytes."""
    with open("/proc/self/status") as status:
        return next(float(line.split()[1]) / 1024 for line in status if line.startswith(f"{field}:"))


def step(form: str, pairs: int) -> Measurement:
    """Measure one form, in this process."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    name = form.removesuffix(", compiled")
    loss_of = forms()[name]
    if name != form:
        loss_of = torch.compile(loss_of)
    probe = torch.randn(2, pairs, DIM, generator=torch.Generator().manual_seed(1))
    vectors = torch.randn(2, pairs, DIM, generator=torch.Generator().manual_seed(0))
    vectors[1] += vectors[0]

    def run(views: Any) -> tuple[float, float, Any]:
        leaf = views.clone().requires_grad_()
        start = time.perf_counter()
        loss = loss_of(leaf[0], leaf[1])
        loss.backward()
        return time.perf_counter() - start, loss.item(), leaf.grad

    run(vectors[:, :64])  # what libraries set up at their first call is not counted
    before = _memory("VmRSS")
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")  # the highest memory so far is forgotten
    run(vectors)
    runs = [run(vectors) for _ in range(STEPS)]
    megabytes = _memory("VmHWM") - before
    return median(seconds for seconds, _, _ in runs), megabytes, runs[0][1], float((runs[0][2] * probe).sum())


def measured(form: str, pairs: int, threads: int) -> Measurement:
    """`step` in a process of its own."""
    command = [sys.executable, __file__, "--one", form, "--pairs", str(pairs)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{form} with {pairs} pairs failed:\n{done.stderr[-2000:]}")
    seconds, megabytes, loss, checksum = map(float, done.stdout.split()[-4:])
    return seconds, megabytes, loss, checksum


def table(part: str, pairs: int, threads: int, rounds: int) -> None:
    """Measure the forms of a part in turn and print them beside its last."""
    names = PARTS[part]
    results: dict[str, list[Measurement]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in names if turn % 2 == 0 else names[::-1]:
            results[name].append(measured(name, pairs, threads))
    last = results[names[-1]]
    print(f"\n{part}, {pairs} pairs, {threads} thread(s), {rounds} round(s)\n")
    print(f"| form | seconds | {names[-1]} / form | extra peak memory | form / {names[-1]} | loss | checksum of gradients |")
    print("|---|---|---|---|---|---|---|")
    for name in names:
        seconds, megabytes = (median(column) for column in list(zip(*results[name], strict=True))[:2])
        faster = median(mine[0] / other[0] for mine, other in zip(last, results[name], strict=True))
        larger = median(other[1] / max(mine[1], 1.0) for mine, other in zip(last, results[name], strict=True))
        _, _, loss, checksum = results[name][0]
        print(
            f"| {name} | {seconds:.3f} | {faster:.2f} | {megabytes:.0f} MB | {larger:.1f} | {loss:.6f} | {checksum:.5f} |",
            flush=True,
        )


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_const", dest="size", const="quick", default="quick")
    size.add_argument("--full", action="store_const", dest="size", const="full")
    parser.add_argument("--part", choices=[*PARTS, "all"], default="all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=None, help="default: 1 with --quick, 3 with --full")
    parser.add_argument("--pairs", type=int, nargs="*", help="other sizes than those of --quick or --full")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(*step(options.one, options.pairs[0]))
        return
    rounds = options.rounds or (3 if options.size == "full" else 1)
    for part in PARTS if options.part == "all" else [options.part]:
        for pairs in options.pairs or SIZES[options.size][part]:
            table(part, pairs, options.threads, rounds)


if __name__ == "__main__":
    main()
