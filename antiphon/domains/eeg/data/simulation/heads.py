"""What all simulated EEG is made of: how sources reach electrodes, coloured noise, rhythms, artefacts. Microvolts throughout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from antiphon.domains.eeg.data.montage import template_positions
from antiphon.domains.eeg.data.names import canonical_names

Floats = NDArray[np.float64]


def unit_positions(names: Sequence[str]) -> Floats:
    """Directions (C, 3) of electrodes from the middle of the template's head, x to the right, y to the front, z up.

    Raises:
        ValueError: a channel that the template does not have.
    """
    template = template_positions()
    unknown = [name for name in canonical_names(names) if name not in template]
    if unknown:
        raise ValueError(f"no position of {', '.join(unknown)} is known: simulate electrodes of the 10-05 system")
    scalp = np.asarray(list(template.values()))
    places = np.asarray([template[name] for name in canonical_names(names)]) - (scalp.max(axis=0) + scalp.min(axis=0)) / 2
    return np.asarray(places / np.linalg.norm(places, axis=1, keepdims=True))


def reach(names: Sequence[str], sources: Sequence[str], *, width: float = 0.5) -> Floats:
    """(C, S): how strongly a source beneath each of the electrodes `sources` reaches the electrodes `names`, 1 right above it."""
    distance = np.linalg.norm(unit_positions(names)[:, None] - unit_positions(sources)[None], axis=-1)
    return np.exp(-((distance / width) ** 2))


def subject_mixing(random: np.random.Generator, channels: int, *, strength: float = 0.2) -> Floats:
    """(C, C) that tells one head from another: gains of electrodes around 1, and leaks between them."""
    gains = np.exp(strength * random.normal(size=channels))
    return np.diag(gains) + strength / np.sqrt(channels) * random.normal(size=(channels, channels))


def coloured_noise(random: np.random.Generator, shape: tuple[int, ...], *, exponent: float = 1.0) -> Floats:
    """Noise (..., T) of deviation 1 whose power falls with frequency to the power of `exponent`."""
    size = shape[-1]
    spectrum = np.fft.rfft(random.normal(size=shape), axis=-1)
    spectrum *= np.maximum(np.arange(spectrum.shape[-1]), 1.0) ** (-exponent / 2)
    spectrum[..., 0] = 0.0
    made = np.fft.irfft(spectrum, n=size, axis=-1)
    return np.asarray(made / made.std(axis=-1, keepdims=True))


def rhythm(random: np.random.Generator, shape: tuple[int, ...], low_hz: float, high_hz: float, sample_rate: float) -> Floats:
    """Noise (..., T) of deviation 1 between two frequencies: waxing and waning, like the rhythms of the brain.

    Raises:
        ValueError: no frequency of the discrete spectrum lies between them.
    """
    frequencies = np.fft.rfftfreq(shape[-1], 1 / sample_rate)
    inside = (frequencies >= low_hz) & (frequencies <= high_hz)
    if not inside.any():
        raise ValueError(f"{shape[-1] / sample_rate:g} s at {sample_rate:g} Hz hold no rhythm of {low_hz:g} to {high_hz:g} Hz")
    spectrum = np.fft.rfft(random.normal(size=shape), axis=-1) * inside
    made = np.fft.irfft(spectrum, n=shape[-1], axis=-1)
    return np.asarray(made / made.std(axis=-1, keepdims=True))


def blinks(random: np.random.Generator, names: Sequence[str], size: int, sample_rate: float, *, per_minute: float = 10) -> Floats:
    """(C, T): bumps of 0.3 s and some 100 uV, strongest at the front."""
    made = np.zeros(size)
    width = max(2, round(0.3 * sample_rate))
    bump = np.hanning(width)
    for start in random.integers(0, max(1, size - width), random.poisson(per_minute * size / sample_rate / 60)).tolist():
        made[start : start + width] += random.uniform(70, 130) * bump[: size - start]
    return np.clip(unit_positions(names)[:, 1], 0, None)[:, None] ** 3 * made


def electrode_pops(random: np.random.Generator, channels: int, size: int, *, count: int = 1, height_uv: float = 5000.0) -> Floats:
    """(C, T): `count` times a random electrode jumps by `height_uv` and drifts back within a tenth of the time."""
    made = np.zeros((channels, size))
    for channel, start in zip(random.integers(channels, size=count), random.integers(0, size, count), strict=True):
        decay = np.exp(-np.arange(size - start) / max(1.0, size / 10))
        made[channel, start:] += height_uv * random.choice((-1, 1)) * decay
    return made
