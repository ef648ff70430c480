"""Draws the pictures of docs/augmentations.md into docs/images: `python docs/pictures.py`. The data are inside aeon."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from antiphon.common.augment import (
    AdditiveNoise,
    Augmentation,
    ChannelDropout,
    ChannelShuffle,
    Compose,
    FrequencyPerturbation,
    Gain,
    Mixing,
    PhasePerturbation,
    PolarityInversion,
    TimeMask,
    TimeReverse,
    TimeShift,
)
from antiphon.common.plots import view_examples
from antiphon.common.random import KeyedRandom
from antiphon.domains.time_series import load_aeon
from antiphon.domains.time_series.augmentations import (
    Jitter,
    MagnitudeWarp,
    OverlappingCrops,
    Permutation,
    Scaling,
    TimeWarp,
    WindowSlice,
)

IMAGES = Path(__file__).parent / "images"
DOTS_PER_INCH = 90
CROP_STEP = 1  # a batch whose two crops differ well

# The first example of a batch of two is drawn; Mixing takes the second for its partner.
PANELS: dict[str, dict[str, Augmentation]] = {
    "amplitude": {
        "Jitter(0.1)": Jitter(0.1),
        "AdditiveNoise": AdditiveNoise((5.0, 5.0)),
        "Scaling(1, 0.5)": Scaling(1.0, 0.5),
        "MagnitudeWarp": MagnitudeWarp(0.4),
    },
    "time": {
        "TimeWarp(0.5)": TimeWarp(0.5),
        "WindowSlice": WindowSlice((0.6, 0.6)),
        "Permutation": Permutation((4, 4)),
        "TimeShift": TimeShift(0.3),
    },
    "masks_and_spectrum": {
        "TimeMask(3)": TimeMask(3, (0.03, 0.08)),
        "FrequencyPert.": FrequencyPerturbation(remove_p=0.3, scale_p=0.3),
        "PhasePert.(0.2)": PhasePerturbation(0.2),
        "Mixing": Mixing((0.4, 0.4)),
    },
    "channels": {
        "ChannelDropout": ChannelDropout(0.5),
        "ChannelShuffle": ChannelShuffle(),
        "Gain, channel": Gain((-12.0, 6.0), per="channel"),
        "Polarity, Reverse": Compose([PolarityInversion(p=1.0), TimeReverse(p=1.0)]),
    },
    "recipes": {
        "TS-TCC weak": Scaling(2.0, 1.1, per="time"),
        "TS-TCC strong": Compose([Permutation((1, 7)), Jitter(0.8)]),
        "DBPM weak": Scaling(1.0, 1.1, per="time"),
        "DBPM strong": Compose([Permutation((2, 8)), Jitter(0.8)]),
    },
}


def two_series(name: str, channels: int) -> Tensor:
    """Two training series of a set, standardised per channel: (2, channels, time)."""
    train, _ = load_aeon(name)
    signals = train.batch([0, len(train) // 2]).signals[:, :channels]
    return (signals - signals.mean(dim=(0, 2), keepdim=True)) / signals.std(dim=(0, 2), keepdim=True)


def augmented(signals: Tensor, augmentations: Mapping[str, Augmentation]) -> dict[str, Tensor]:
    """The first example under each augmentation, each with random numbers of its own."""
    lengths = torch.full((len(signals),), signals.shape[-1])
    random = KeyedRandom.for_examples(0, 0, torch.arange(len(signals)))
    return {name: operation(signals, lengths, random.fold(name))[0] for name, operation in augmentations.items()}


def overlapping_crops(signals: Tensor) -> dict[str, Tensor]:
    """The two crops of TS2Vec at their places in the series, NaN outside and where the mask hides a time stamp."""
    size = signals.shape[-1]
    clock = torch.arange(size, dtype=signals.dtype).expand(len(signals), 1, -1)  # a channel that tells where a crop was taken
    lengths = torch.full((len(signals),), size)
    placed = {}
    for mask in ("all_true", "binomial"):
        random = KeyedRandom.for_examples(0, 0, torch.arange(len(signals)), step=CROP_STEP)  # anew: the same crops for both masks
        for number, view in enumerate(OverlappingCrops(mask)(torch.cat((signals, clock), dim=1), lengths, random)):
            seen = torch.full((1, size), torch.nan)
            visible = torch.ones(view.signals.shape[-1], dtype=torch.bool) if view.mask is None else view.mask[0]
            seen[0, view.signals[0, 1, visible].long()] = view.signals[0, 0, visible]
            placed[f"crop {number + 1}" + (", masked" if mask == "binomial" else "")] = seen
    return placed


def main() -> None:
    """Write every picture."""
    IMAGES.mkdir(exist_ok=True)
    univariate, multivariate = two_series("GunPoint", 1), two_series("BasicMotions", 3)
    figures = {
        name: view_examples(signals[0], augmented(signals, operations))
        for name, operations in PANELS.items()
        for signals in [multivariate if name == "channels" else univariate]
    }
    figures["overlapping_crops"] = view_examples(univariate[0], overlapping_crops(univariate))
    for name, figure in figures.items():
        file = IMAGES / f"augmentations_{name}.png"
        figure.savefig(file, dpi=DOTS_PER_INCH)
        print(f"{file.relative_to(IMAGES.parent.parent)}  {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
