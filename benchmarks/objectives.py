"""Losses over large batches: time and peak memory with and without the similarity matrix, beside other libraries.

    pip install -e ".[bench]"
    python benchmarks/objectives.py --quick|--full [--part nt_xent|clip|siglip|compile|large|all] [--threads 2]

Forward and backward of a loss on float32 vectors of 128 dimensions that need a gradient, temperature 0.2. The forms of a table are
measured in turn, round after round, and every measurement is a process of its own: its peak memory is the growth of the largest
resident size over the size before the step, its time the median of three steps after one that does not count. Ratios are medians of
the rounds' ratios, so that what else the machine does touches both sides alike. `--quick` takes half a minute on two cores with 1024 and
2048 pairs, `--full` about ten with 4096, 8192 and 32768.
"""

from __future__ import annotations

import argparse
import os
import resource
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

    def compiled(step: Step) -> Step:
        import torch

        return torch.compile(step)

    dense, tiled = (ours("nt_xent", temperature=TEMPERATURE, tiled=tiled) for tiled in (False, True))
    sigmoid = {"scale": 10.0, "bias": -10.0}
    return {
        "lightly": lightly,
        "pytorch-metric-learning": metric_learning,
        "cross-entropy": cross_entropy,
        "leanest matrix": leanest,
        "ours": dense,
        "ours, tiled": tiled,
        "ours, compiled": lambda a, b: compiled(dense)(a, b),
        "ours, tiled, compiled": lambda a, b: compiled(tiled)(a, b),
        "clip: cross-entropy": cross_entropy_clip,
        "clip: leanest matrix": leanest_clip,
        "clip: ours": ours("clip", scale=1 / TEMPERATURE),
        "clip: ours, tiled": ours("clip", scale=1 / TEMPERATURE, tiled=True),
        "siglip: plain": plain_siglip,
        "siglip: ours": ours("siglip", **sigmoid),
        "siglip: ours, tiled": ours("siglip", **sigmoid, tiled=True),
    }


NT_XENT = ["lightly", "cross-entropy", "leanest matrix", "ours", "ours, tiled"]
PARTS: dict[str, list[str]] = {
    "nt_xent": NT_XENT,
    "clip": [name for name in ("clip: cross-entropy", "clip: leanest matrix", "clip: ours", "clip: ours, tiled")],
    "siglip": ["siglip: plain", "siglip: ours", "siglip: ours, tiled"],
    "compile": ["ours", "ours, compiled", "ours, tiled", "ours, tiled, compiled"],
    "small": ["pytorch-metric-learning", *NT_XENT],
    "large": ["ours, tiled"],
}
