"""What was recorded of listeners, and what they heard, before it is cut into segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from antiphon.common.data.quarantine import Quarantine
from antiphon.common.encoder import InputSpec
from antiphon.domains.eeg.brain_speech.blocks import Heard
from antiphon.domains.eeg.data.montage import standard_positions
from antiphon.domains.eeg.data.sources import Source

Floats = NDArray[np.float32]


class Brain(Protocol):
    """A recording in microvolts at the rate of the set."""

    @property
    def samples(self) -> int:
        """How long it is."""

    def read(self, start: int, size: int) -> Floats:
        """Samples `start` to `start + size`, (C, size)."""


@dataclass(frozen=True, eq=False)
class FileBrain:
    """A recording of which each segment is read from its file."""

    source: Source

    @property
    def samples(self) -> int:
        """How long it is."""
        return self.source.last

    def read(self, start: int, size: int) -> Floats:
        """See `Brain`."""
        return self.source.read(start, size)


@dataclass(frozen=True, eq=False)
class StoredBrain:
    """A recording in memory, `values` (C, T)."""

    values: Floats

    @property
    def samples(self) -> int:
        """How long it is."""
        return self.values.shape[-1]

    def read(self, start: int, size: int) -> Floats:
        """See `Brain`."""
        return self.values[:, start : start + size]


@dataclass(frozen=True, eq=False)
class Listening:
    """Everything that was recorded and heard, before it is cut.

    `brains` of participants `subjects` (R,) strings, `sounds`: features (T, F) of each at the rate of `input_spec`, `heard`: which
    sound when in which recording.
    """

    brains: tuple[Brain, ...]
    subjects: tuple[str, ...]
    sounds: tuple[Floats, ...]
    heard: tuple[Heard, ...]
    input_spec: InputSpec
    name: str = "listening"
    quarantine: Quarantine = field(default_factory=Quarantine)

    @property
    def sample_rate(self) -> float:
        """Of brain and features, in Hz."""
        return self.input_spec.sample_rate or 1.0


def listening_from_arrays(
    recordings: Sequence[ArrayLike],
    subjects: Sequence[Any],
    sounds: Sequence[ArrayLike],
    heard: Sequence[Heard],
    *,
    sample_rate: float,
    names: Sequence[str] | None = None,
    positions: ArrayLike | None = None,
    name: str = "arrays",
) -> Listening:
    """Recordings (C, T) of `subjects` (R,), and features (T', F) of the sounds, all at `sample_rate` Hz.

    Recordings are in any unit, each is scaled when it is cut. `positions` (C, 3) in metres; None: those of electrodes by their
    `names`, if all are known.

    Raises:
        ValueError: shapes that do not fit, or numbers in `heard` that are none of a recording or sound.
    """
    arrays = [np.asarray(one, np.float32) for one in recordings]
    features = tuple(np.asarray(one, np.float32) for one in sounds)
    if not arrays or len({one.shape[0] for one in arrays}) != 1 or any(one.ndim != 2 for one in arrays):
        raise ValueError(f"recordings must be (channels, time) with the same channels, got {[one.shape for one in arrays][:5]}")
    if not features or any(one.ndim != 2 or one.shape[1] != features[0].shape[1] for one in features):
        raise ValueError(f"sounds must be (frames, features) with the same features, got {[one.shape for one in features][:5]}")
    if len(subjects) != len(arrays):
        raise ValueError(f"{len(arrays)} recordings have {len(subjects)} subjects: name one for each")
    lost = [one for one in heard if not (0 <= one.recording < len(arrays) and 0 <= one.sound < len(features))]
    if lost:
        raise ValueError(f"{lost[0]} names none of {len(arrays)} recordings and {len(features)} sounds")
    channels = arrays[0].shape[0]
    if names is not None and len(names) != channels:
        raise ValueError(f"the recordings have {channels} channels, {len(names)} are named")
    places = standard_positions(names) if positions is None and names is not None else positions
    return Listening(
        brains=tuple(StoredBrain(one) for one in arrays),
        subjects=tuple(str(subject) for subject in subjects),
        sounds=features,
        heard=tuple(heard),
        input_spec=InputSpec(
            channels=channels,
            names=None if names is None else tuple(names),
            sample_rate=sample_rate,
            positions=None if places is None else tuple((float(x), float(y), float(z)) for x, y, z in np.asarray(places)),
            preparation={"sample_rate": sample_rate},
        ),
        name=name,
    )


def listening_from_trials(
    brain: ArrayLike, subject: ArrayLike, speech: ArrayLike, segment: ArrayLike, *, sample_rate: float, **options: Any
) -> Listening:
    """Trials (n, C, T) of participants `subject` (n,) who heard segments `segment` (n,) of features `speech` (m, F, T).

    Each participant's trials become one recording, each segment a sound of its own. Cut them as they are, on the grid, with
    ``Cut(segment_s=T / sample_rate)``. `options` are those of `listening_from_arrays`.

    Raises:
        ValueError: shapes that do not fit.
    """
    trials, features = np.asarray(brain, np.float32), np.asarray(speech, np.float32)
    owners, heard_segments = np.asarray(subject), np.asarray(segment, np.int64)
    if trials.ndim != 3 or features.ndim != 3 or trials.shape[2] != features.shape[2]:
        raise ValueError(f"brain (n, C, T) and speech (m, F, T) must agree in T, got {trials.shape} and {features.shape}")
    if owners.shape != trials.shape[:1] or heard_segments.shape != trials.shape[:1]:
        raise ValueError(f"subject and segment must be ({len(trials)},), got {owners.shape} and {heard_segments.shape}")
    length_s = trials.shape[2] / sample_rate
    recordings, heard, names = [], [], []
    for number, name in enumerate(np.unique(owners)):
        rows = np.flatnonzero(owners == name)
        recordings.append(np.concatenate(trials[rows], axis=1))
        names.append(name)
        for place, row in enumerate(rows.tolist()):
            heard.append(Heard(number, int(heard_segments[row]), place * length_s, length_s, np.empty(0)))
    return listening_from_arrays(recordings, names, [one.T for one in features], heard, sample_rate=sample_rate, **options)
