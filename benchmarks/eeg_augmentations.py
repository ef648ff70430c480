"""Two augmented views of a batch of EEG windows: this package beside braindecode, the same operations with the same settings.

    python benchmarks/eeg_augmentations.py --quick     a few rounds: about a minute on 2 cores
    python benchmarks/eeg_augmentations.py --full      more rounds, and each operation by itself

Four ways to get two views of 64 windows of 22 channels and 1000 samples (250 Hz):

* ours: the batch is collated as it is, then augmented whole (`same_chain`), here on the CPU;
* braindecode per window: the data set gives each window two times through the transforms, as users who need two views do;
* braindecode per batch: `AugmentedDataLoader`, which transforms what it has collated, gone through once for each view;
* braindecode in ours: the same transforms through `BraindecodeTransforms`.

Every transform is applied to every window (p = 1) and no worker processes help, so that work is compared with work. Times are wall
times of whole batches, loading included, the median over rounds; the ways alternate.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from antiphon.common.augment import Augmentation
from antiphon.common.data.batch import View
from antiphon.common.data.loader import KeyedLoader
from antiphon.common.random import KeyedRandom
from antiphon.common.report import Table, terminal_table
from antiphon.domains.eeg.augmentations import (
    BraindecodeTransforms,
    ChannelDropout,
    ChannelReflection,
    ChannelShuffle,
    FourierSurrogate,
    FrequencyShift,
    Gain,
    GaussianNoise,
    NarrowBandStop,
    RandomReference,
    SensorRotation,
    SignFlip,
    SmoothTimeMask,
    TimeReverse,
    same_chain,
)
from antiphon.domains.eeg.data import EpochSet

BATCH, SAMPLES, RATE = 64, 1000, 250.0
NAMES = [
    *("Fz", "FC3", "FC1", "FCz", "FC2", "FC4", "C5", "C3", "C1", "Cz", "C2"),
    *("C4", "C6", "CP3", "CP1", "CPz", "CP2", "CP4", "P1", "Pz", "P2", "POz"),
]
CHAIN = ("surrogate", "frequency shift", "band-stop", "amplitude", "noise", "channel dropout", "smooth time mask")


def pairs() -> dict[str, tuple[Augmentation, Any]]:
    """Each operation, ours and theirs."""
    import braindecode.augmentation as theirs

    return {
        "surrogate": (FourierSurrogate(), theirs.FTSurrogate(1.0)),
        "frequency shift": (FrequencyShift(sample_rate=RATE), theirs.FrequencyShift(1.0, sfreq=RATE)),
        "band-stop": (NarrowBandStop(sample_rate=RATE), theirs.BandstopFilter(1.0, sfreq=RATE)),
        "amplitude": (Gain((-6.0, 6.0), per="channel"), theirs.AmplitudeScale(1.0)),
        "noise": (GaussianNoise(0.1), theirs.GaussianNoise(1.0)),
        "channel dropout": (ChannelDropout(), theirs.ChannelsDropout(1.0)),
        "smooth time mask": (SmoothTimeMask((0.4, 0.4), sample_rate=RATE), theirs.SmoothTimeMask(1.0)),
        "time reverse": (TimeReverse(p=1.0), theirs.TimeReverse(1.0)),
        "sign flip": (SignFlip(p=1.0), theirs.SignFlip(1.0)),
        "channel shuffle": (ChannelShuffle(0.2), theirs.ChannelsShuffle(1.0)),
        "reflection": (ChannelReflection(NAMES, p=1.0), theirs.ChannelsSymmetry(1.0, NAMES)),
        "reference": (RandomReference(), theirs.ChannelsReref(1.0)),
        "sensor rotation": (SensorRotation(NAMES), theirs.SensorsZRotation(1.0, NAMES)),
    }


class TwoViews(Dataset[Any]):
    """Each window twice through braindecode's transforms."""

    def __init__(self, windows: Tensor, transform: Any) -> None:
        self.windows, self.transform = windows, transform

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        first, second = (self.transform(self.windows[row], torch.zeros(1))[0] for _ in range(2))
        return first, second


class Windows(Dataset[Any]):
    """Windows with a label, as braindecode's loader expects them."""

    def __init__(self, windows: Tensor) -> None:
        self.windows = windows

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.windows[row], 0


def whole(views: Callable[..., list[View]], data: EpochSet) -> Iterator[list[Tensor]]:
    """Batches of two views, augmented whole."""
    steps = len(data) // BATCH
    for batch in KeyedLoader(data, batch_size=BATCH, steps=steps):
        keys = KeyedRandom.for_examples(0, batch.epoch, batch.index, step=batch.step)
        yield [view.signals for view in views(batch.signals, batch.lengths, keys)]


def ways(ours: list[Augmentation], theirs: list[Any], data: EpochSet) -> dict[str, Callable[[], Iterator[Any]]]:
    """How to get all batches of two views, by name."""
    from braindecode.augmentation import AugmentedDataLoader, Compose

    windows, transform = torch.from_numpy(data.signals), Compose(theirs)
    single = AugmentedDataLoader(Windows(windows), transforms=theirs, batch_size=BATCH, shuffle=True)
    return {
        "ours": lambda: whole(same_chain(ours), data),
        "braindecode per window": lambda: iter(DataLoader(TwoViews(windows, transform), batch_size=BATCH, shuffle=True)),
        "braindecode per batch": lambda: iter(zip(single, single, strict=True)),
        "braindecode in ours": lambda: whole(same_chain([BraindecodeTransforms(theirs)]), data),
    }


def measure(makers: dict[str, Callable[[], Iterator[Any]]], *, rounds: int, batches: int) -> dict[str, float]:
    """Seconds for one batch of two views, the median over rounds."""
    times: dict[str, list[float]] = {name: [] for name in makers}
    for number in range(rounds + 1):  # the first one warms up
        for name, make in makers.items():
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for _ in make():
                    pass
            if number:
                times[name].append((time.perf_counter() - start) / batches)
    return {name: median(values) for name, values in times.items()}


def row(name: str, found: dict[str, float]) -> list[Any]:
    """Milliseconds of each way, and how many times ours is faster than braindecode's two."""
    ours = found["ours"]
    told = [f"{1000 * seconds:.1f} ms" for seconds in found.values()]
    return [name, *told, *(f"{found[way] / ours:.1f}x" for way in ("braindecode per window", "braindecode per batch"))]


def main(*, quick: bool) -> None:
    """Print the table."""
    batches, rounds = (1, 3) if quick else (2, 5)
    torch.set_num_threads(1)
    signals = KeyedRandom(torch.arange(BATCH * batches)).normal(len(NAMES), SAMPLES).numpy()
    data = EpochSet.from_arrays(signals, names=NAMES, sample_rate=RATE, unit="uV")
    with warnings.catch_warnings():  # names of montages that mne has renamed
        warnings.simplefilter("ignore")
        operations = pairs()
    rows = []
    chains = {"the chain": list(CHAIN), "without band-stop": [name for name in CHAIN if name != "band-stop"]}
    if not quick:
        chains |= {name: [name] for name in operations}
    for name, steps in chains.items():
        ours, theirs = ([operations[step][side] for step in steps] for side in (0, 1))
        rows.append(row(name, measure(ways(ours, theirs, data), rounds=rounds, batches=batches)))
    names = ["", "ours", "per window", "per batch", "braindecode in ours", "per window / ours", "per batch / ours"]
    title = f"Two views of {BATCH} x {len(NAMES)} x {SAMPLES}, one thread, median of {rounds} rounds"
    Console(width=140).print(terminal_table(Table(title, names, rows, f"The chain: {', '.join(CHAIN)}.")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    main(quick=not parser.parse_args().full)
