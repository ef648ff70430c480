"""Simulated responses to speech: what is heard drives the sensors, in every head in another way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from antiphon.domains.eeg.data.simulation.heads import coloured_noise, electrode_pops, rhythm, unit_positions
from antiphon.domains.eeg.data.simulation.recordings import CHANNELS


@dataclass(frozen=True, eq=False)
class SimulatedSpeech:
    """Segments of speech that every subject hears.

    `brain` (n, C, T) float32 in microvolts, `speech` (m, F, T) float32 of deviation 1: the features of each segment, `segment` (n,)
    which of them was heard, `subject` (n,) by whom. `names` of the electrodes, `sample_rate` of both in Hz; the brain follows the
    speech after `delay_s`.
    """

    brain: NDArray[np.float32]
    speech: NDArray[np.float32]
    segment: NDArray[np.int64]
    subject: NDArray[np.int64]
    names: tuple[str, ...]
    sample_rate: float
    delay_s: float


def simulate_speech(
    subjects: int = 4,
    segments: int = 100,
    *,
    duration_s: float = 3.0,
    sample_rate: float = 64.0,
    features: int = 16,
    latents: int = 6,
    names: Sequence[str] = CHANNELS,
    noise: float = 1.0,
    delay_s: float = 0.15,
    pops: float = 0.0,
    seed: int = 0,
) -> SimulatedSpeech:
    """Each segment has `latents` slow courses (0.5 to 8 Hz), of which its features are fixed sums, the same for all subjects.

    Sensors hear the latents too, `delay_s` later, through weights that vary smoothly over the head and that each subject has of its
    own, signs included: without a layer for the subject little can be read. `noise` (power as 1/f) is relative to the response,
    which has a deviation of 10 uV. `pops` is the share of trials in which an electrode jumps by 20 mV.
    """
    fixed = np.random.default_rng([seed, 0])
    size, lag = round(duration_s * sample_rate), round(delay_s * sample_rate)
    latent = rhythm(fixed, (segments, latents, size + lag), 0.5, 8.0, sample_rate)
    speech = fixed.normal(size=(features, latents)) @ latent[..., lag:] / np.sqrt(latents)
    places, parts = unit_positions(names), []
    for subject in range(subjects):
        random = np.random.default_rng([seed, 1 + subject])
        waves = np.sin(2.0 * places @ random.normal(size=(3, latents)) + random.uniform(0, 2 * np.pi, latents))  # (C, latents)
        response = 10.0 * waves @ latent[..., :size] / np.sqrt(latents / 2)
        heard = response + 10.0 * noise * coloured_noise(random, response.shape)
        for trial in np.flatnonzero(random.uniform(size=segments) < pops).tolist():
            heard[trial] += electrode_pops(random, len(names), size, height_uv=20_000.0)
        parts.append(heard)
    return SimulatedSpeech(
        brain=np.concatenate(parts).astype(np.float32),
        speech=(speech / speech.std()).astype(np.float32),
        segment=np.tile(np.arange(segments), subjects),
        subject=np.repeat(np.arange(subjects), segments),
        names=tuple(names),
        sample_rate=sample_rate,
        delay_s=delay_s,
    )
