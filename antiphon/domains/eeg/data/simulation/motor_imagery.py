"""Simulated motor imagery: the mu rhythm over the hand area opposite to the imagined hand goes down."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from antiphon.domains.eeg.data.epochs import EpochSet
from antiphon.domains.eeg.data.simulation.heads import Floats, blinks, coloured_noise, reach, rhythm, subject_mixing

CHANNELS = (
    *("Fz", "FC3", "FC1", "FCz", "FC2", "FC4", "C5", "C3", "C1", "Cz", "C2", "C4", "C6"),
    *("CP3", "CP1", "CPz", "CP2", "CP4", "P1", "Pz", "P2", "POz"),
)
"""The 22 electrodes of BCI Competition IV 2a, in its order."""


def simulate_motor_imagery(
    subjects: int = 4,
    trials: int = 80,
    *,
    duration_s: float = 3.0,
    sample_rate: float = 128.0,
    names: Sequence[str] = CHANNELS,
    desynchronisation: float = 0.5,
    mixing: float = 0.2,
    artefacts: bool = False,
    seed: int = 0,
) -> EpochSet:
    """Trials (subjects * trials, C, T) in microvolts, labels left and right in random order, half of each for every subject.

    Both hand areas (C3, C4) have a mu rhythm of the subject's own frequency (9 to 12 Hz) and its beta harmonic. Imagery of the left
    hand takes `desynchronisation` of the amplitude away over the right hemisphere, and the other way round. Column: subject.
    """
    parts = [
        _subject(
            np.random.default_rng([seed, subject]),
            trials,
            duration_s,
            sample_rate,
            tuple(names),
            desynchronisation,
            mixing,
            artefacts,
        )
        for subject in range(subjects)
    ]
    return EpochSet.from_arrays(
        np.concatenate([signals for signals, _ in parts]),
        [word for _, words in parts for word in words],
        names=names,
        sample_rate=sample_rate,
        unit="uV",
        columns={"subject": [f"s{subject:03d}" for subject, (_, words) in enumerate(parts) for _ in words]},
        classes=("left", "right"),
        start_s=0.5,
        name="simulated motor imagery",
    )


def _subject(
    random: np.random.Generator,
    trials: int,
    duration_s: float,
    sample_rate: float,
    names: tuple[str, ...],
    depth: float,
    mixing: float,
    artefacts: bool,
) -> tuple[Floats, list[str]]:
    size, mu_hz = round(duration_s * sample_rate), float(random.uniform(9.0, 12.0))
    right_hand = random.permutation(np.arange(trials) % 2 == 1)
    hands = reach(names, ("C3", "C4"))  # left, right hemisphere
    level = np.ones((trials, 2))
    level[right_hand, 0] -= depth
    level[~right_hand, 1] -= depth
    level *= np.exp(0.2 * random.normal(size=(trials, 2)))
    mu = 10.0 * rhythm(random, (trials, 2, size), mu_hz - 1, mu_hz + 1, sample_rate)
    mu += 4.0 * rhythm(random, (trials, 2, size), 2 * mu_hz - 2, 2 * mu_hz + 2, sample_rate)
    brain = hands @ (level[..., None] * mu) + 6.0 * coloured_noise(random, (trials, len(names), size))
    signals = subject_mixing(random, len(names), strength=mixing) @ brain + random.normal(size=brain.shape)
    if artefacts:
        signals += np.stack([blinks(random, names, size, sample_rate, per_minute=20) for _ in range(trials)])
    return signals, ["right" if one else "left" for one in right_hand.tolist()]
