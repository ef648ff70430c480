"""Draws the pictures of docs/music.md into docs/images: `python docs/music_pictures.py`. The notes are made here."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from antiphon.common.augment.base import Augmentation
from antiphon.common.random import KeyedRandom
from antiphon.common.signal.spectral import MelSpec, log_mel
from antiphon.run.config import compose, instantiate

IMAGES = Path(__file__).parent / "images"
RATE, SAMPLES = 22_050, 59_049
EXAMPLE = 4  # whose draws show well


def notes() -> Tensor:
    """Five plucked notes of ten harmonics in 2.68 s: (1, 1, 59049)."""
    times = torch.arange(SAMPLES) / RATE
    wave = torch.zeros(SAMPLES)
    for number, pitch_hz in enumerate((220.0, 277.2, 329.6, 440.0, 220.0)):
        since = times - 0.1 - 0.5 * number
        for harmonic in range(1, 11):
            tone = torch.sin(2 * torch.pi * pitch_hz * harmonic * since) / harmonic
            wave += torch.where(since > 0, tone * torch.exp(-(2.0 + 0.8 * harmonic) * since), 0.0)
    return (0.25 * wave)[None, None]


def heard(step: Augmentation, wave: Tensor) -> Tensor:
    """The wave after one step of the chain, applied for certain."""
    step.p = 1.0
    return step(wave, torch.tensor([SAMPLES]), KeyedRandom.for_examples(0, 0, torch.tensor([EXAMPLE])))


def main() -> None:
    """Write the spectrograms of each step, and of two views by the whole chain."""
    wave = notes()
    views = instantiate(compose("music/clmr")["views"])
    chain = views.augmentations[0]
    panels = {"original": wave, **{type(step).__name__: heard(step, wave) for step in chain.steps}}
    both = instantiate(compose("music/clmr", ["encoder.window=19683"])["views"])
    first, second = both(wave, torch.tensor([SAMPLES]), KeyedRandom.for_examples(0, 0, torch.tensor([1])))
    unseen = ("PolarityInversion", "Gain")  # a spectrogram down from its own maximum shows neither
    draw({name: value for name, value in panels.items() if name not in unseen}, "music_chain.png", columns=2)
    draw({"original, 2.7 s": wave, "view 1, 0.9 s": first.signals, "view 2, 0.9 s": second.signals}, "music_views.png", columns=3)


def draw(panels: dict[str, Tensor], name: str, *, columns: int) -> None:
    """Log-mel spectrograms side by side, 80 dB down from the loudest of each."""
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(8.5, 1.9 * rows + 0.3), squeeze=False, sharey=True, layout="constrained")
    spec = MelSpec(sample_rate=RATE, bands=80, n_fft=1024, hop=256, top_db=80.0)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (title, wave) in zip(axes.flat, panels.items(), strict=False):
        seconds = wave.shape[-1] / RATE
        axis.imshow(log_mel(wave, spec)[0, 0], origin="lower", aspect="auto", extent=(0, seconds, 0, 80), cmap="magma")
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=7)
    for axis in axes[:, 0]:
        axis.set_ylabel("mel band", fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("seconds", fontsize=8)
    IMAGES.mkdir(exist_ok=True)
    figure.savefig(IMAGES / name, dpi=90)


if __name__ == "__main__":
    main()
