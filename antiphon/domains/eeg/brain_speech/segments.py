"""Sets of segments: what the brain did while something was heard, and the features of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from antiphon.common.data.batch import SignalBatch
from antiphon.common.data.quarantine import Quarantine
from antiphon.common.encoder import InputSpec
from antiphon.domains.eeg.brain_speech.blocks import Blocks, Cut, Heard, Part, SegmentsAt, find_moments, same_segments
from antiphon.domains.eeg.brain_speech.methods import SPEECH
from antiphon.domains.eeg.data.montage import standard_positions
from antiphon.domains.eeg.data.preparation import Preparation, pooled_statistics, segment_starts
from antiphon.domains.eeg.data.preprocessing import baseline, robust_scale
from antiphon.domains.eeg.data.sources import Source

Floats = NDArray[np.float32]


class Brain(Protocol):
    """A recording at the rate of the set."""

    @property
    def samples(self) -> int:
        """How long it is."""

    def read(self, start: int, size: int) -> Floats:
        """Samples `start` to `start + size`, (C, size): baseline taken off, scaled, clamped."""


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
    """A recording in memory: `values` (C, T) after all steps of `preparation` but baseline, scaling and clamp."""

    values: Floats
    sample_rate: float
    preparation: Preparation
    statistics: tuple[NDArray[np.float64], NDArray[np.float64]] | None

    @classmethod
    def from_array(cls, values: ArrayLike, sample_rate: float, preparation: Preparation) -> Self:
        """A recording (C, T) at the rate of the set, whose robust statistics are estimated on 200 seconds spread over it."""
        stored = np.asarray(values, np.float32)
        second = max(1, min(stored.shape[-1], round(sample_rate)))
        pieces = [stored[:, start : start + second] for start in segment_starts(stored.shape[-1], second)]
        return cls(stored, sample_rate, preparation, pooled_statistics(pieces) if preparation.robust else None)

    @classmethod
    def from_source(cls, source: Source) -> Self:
        """The whole of a recording, read once."""
        steps = source.prepared.preparation
        plain = replace(source.prepared, preparation=replace(steps, baseline_s=None, robust=False, clamp=None))
        values = replace(source, prepared=plain, statistics=None).read(0, source.last)
        return cls(values, source.prepared.sample_rate, steps, source.statistics)

    @property
    def samples(self) -> int:
        """How long it is."""
        return self.values.shape[-1]

    def read(self, start: int, size: int) -> Floats:
        """See `Brain`."""
        steps, signals = self.preparation, self.values[:, start : start + size]
        if steps.baseline_s is not None:
            signals = baseline(signals, round(steps.baseline_s * self.sample_rate))
        if self.statistics is not None:
            signals = robust_scale(signals, self.statistics, clamp=None)
        if steps.clamp is not None:
            signals = signals.clip(-steps.clamp, steps.clamp)
        return np.asarray(signals, np.float32)


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


@dataclass(frozen=True, eq=False)
class SpeechSegments:
    """One part of a `Listening`, as pairs of brain and speech; made by `cut_parts`.

    Example i begins at sample `brain_start[i]` of recording `recording[i]` and at frame `speech_start[i]` of sound `sound[i]`, in
    block `block[i]`; `segment[i]` says which piece of sound it is, whoever heard it. `size` samples of the brain are read, the first
    `shift` of which, and the last `shift` frames of the speech, are left out. Features are standardised by one mean and one
    deviation, `speech_mean` and `speech_std`, those of the training part.
    """

    listening: Listening
    recording: NDArray[np.int64]
    brain_start: NDArray[np.int64]
    sound: NDArray[np.int64]
    speech_start: NDArray[np.int64]
    block: NDArray[np.int64]
    segment: NDArray[np.int64]
    size: int
    shift: int
    speech_mean: float
    speech_std: float
    input_spec: InputSpec
    name: str
    labels: None = None
    classes: tuple[str, ...] = ()

    @property
    def quarantine(self) -> Quarantine:
        """Recordings that were left out."""
        return self.listening.quarantine

    @property
    def subject_names(self) -> tuple[str, ...]:
        """The participants in the order of their numbers, which is that of the alphabet."""
        return tuple(sorted(set(self.listening.subjects)))

    @property
    def subjects(self) -> int:
        """How many participants there are."""
        return len(self.subject_names)

    @property
    def features(self) -> int:
        """How many features the speech has."""
        return self.listening.sounds[0].shape[1]

    @property
    def groups(self) -> NDArray[np.int64]:
        """The participant of each example, (n,)."""
        codes = np.asarray([self.subject_names.index(name) for name in self.listening.subjects], np.int64)
        return codes[self.recording]

    def __len__(self) -> int:
        return len(self.recording)

    def speech(self, rows: NDArray[np.int64]) -> Floats:
        """Standardised features (B, T, F) of what was heard in examples `rows`."""
        frames = self.size - self.shift
        parts = [
            self.listening.sounds[sound][start : start + frames]
            for sound, start in zip(self.sound[rows].tolist(), self.speech_start[rows].tolist(), strict=True)
        ]
        return ((np.stack(parts) - self.speech_mean) / self.speech_std).astype(np.float32)

    def batch(self, index: ArrayLike, *, epoch: int = 0) -> SignalBatch:
        """The examples `index` (B,): signals (B, C, T), labels "speech" (B, T, F), the participants as groups and in the context."""
        rows = np.asarray(index, np.int64)
        signals = np.stack(
            [
                self.listening.brains[recording].read(start, self.size)[:, self.shift :]
                for recording, start in zip(self.recording[rows].tolist(), self.brain_start[rows].tolist(), strict=True)
            ]
        )
        subject = torch.from_numpy(self.groups[rows])
        return SignalBatch(
            signals=torch.from_numpy(signals),
            lengths=torch.full((len(rows),), signals.shape[-1]),
            index=torch.from_numpy(rows),
            labels={SPEECH: torch.from_numpy(self.speech(rows))},
            groups=subject,
            context={"subject": subject},
        )

    def candidates(self) -> NDArray[np.int64]:
        """One example of each different segment, (M,), in order of `segment`."""
        return np.unique(self.segment, return_index=True)[1]


def cut_parts(
    listening: Listening,
    *,
    cut: Cut | None = None,
    block_s: float = 60.0,
    shares: Sequence[float] = (0.7, 0.1, 0.2),
    part: Part = "test",
    at: SegmentsAt = "words",
    seed: int = 0,
) -> tuple[SpeechSegments, SpeechSegments]:
    """The training part and the `part` to measure on ("valid" while something is still to be decided).

    Sounds are cut into blocks of about `block_s` seconds, and every block belongs to one part for all participants: no piece of
    sound that is tested was heard in training, by anybody. Training segments lie on a grid, the others `at` words, or on the grid.

    Raises:
        ValueError: too few blocks, no whole segment, or parts that share a sound.
    """
    cut = cut or Cut()
    rate = listening.sample_rate
    blocks = Blocks.draw([len(one) / rate for one in listening.sounds], block_s=block_s, shares=shares, seed=seed)
    spans = [(sound, round(start * rate), round(stop * rate)) for sound, start, stop in blocks.spans_s("train")]
    mean, std = _speech_statistics([listening.sounds[sound][start:stop] for sound, start, stop in spans])
    train = _cut_one(listening, blocks, "train", "grid", cut, mean, std)
    held_out = _cut_one(listening, blocks, part, at, cut, mean, std)
    check_no_shared_sound(train, held_out)
    return train, held_out


def _speech_statistics(pieces: Sequence[Floats]) -> tuple[float, float]:
    """One mean and one deviation of all features of all frames."""
    count = sum(piece.size for piece in pieces)
    mean = sum(float(piece.sum(dtype=np.float64)) for piece in pieces) / count
    variance = sum(float(np.square(piece - mean, dtype=np.float64).sum()) for piece in pieces) / count
    if not variance > 0:
        raise ValueError("the features of the training sounds do not vary: they are silent, or the speech encoder is broken")
    return mean, variance**0.5


def _cut_one(
    listening: Listening, blocks: Blocks, part: Part, at: SegmentsAt, cut: Cut, mean: float, std: float
) -> SpeechSegments:
    rate = listening.sample_rate
    size, shift = round(cut.segment_s * rate), round(cut.delay_s * rate)
    moments = find_moments(listening.heard, blocks, part, at=at, cut=cut)
    ends = np.asarray([brain.samples for brain in listening.brains])
    brain_start = np.round(moments.brain_s * rate).astype(np.int64)
    whole = (brain_start + size <= ends[moments.recording]) & (brain_start >= 0)
    if not whole.any():
        raise ValueError(f"{listening.name} {part}: the recordings end before {cut.segment_s:g} s of what was heard")
    sound, segment = moments.sound[whole], same_segments(moments.sound[whole], moments.sound_s[whole])
    earliest = np.full(segment.max() + 1, np.inf)
    np.minimum.at(earliest, segment, moments.sound_s[whole])  # one piece of sound is the same frames for all
    frames = np.asarray([len(one) for one in listening.sounds])
    starts = np.round(earliest[segment] * rate).astype(np.int64)
    name = f"{listening.name} {part}"
    _print(name, int(whole.sum()), moments.dropped + int((~whole).sum()))
    spec = listening.input_spec
    told = {"segment_s": cut.segment_s, "before_s": cut.before_s, "delay_s": cut.delay_s}
    return SpeechSegments(
        listening=listening,
        recording=moments.recording[whole],
        brain_start=brain_start[whole],
        sound=sound,
        speech_start=np.minimum(starts, frames[sound] - (size - shift)),  # rounding may want a frame behind the end
        block=moments.block[whole],
        segment=segment,
        size=size,
        shift=shift,
        speech_mean=mean,
        speech_std=std,
        input_spec=replace(spec, preparation={**spec.preparation, **told}),
        name=name,
    )


def _print(name: str, kept: int, dropped: int) -> None:
    from antiphon.common.distributed import is_first_process

    if dropped and is_first_process():
        from rich.console import Console

        Console(stderr=True).print(
            f"{name}: {kept} segments; {dropped} that are not whole within one part or a recording left out",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def check_no_shared_sound(train: SpeechSegments, test: SpeechSegments) -> None:
    """Refuse two sets of one `Listening` in which a frame of sound stands in both.

    Raises:
        ValueError: the first shared piece.
    """
    frames = train.size - train.shift
    for sound in np.intersect1d(train.sound, test.sound).tolist():
        taken = np.zeros(len(train.listening.sounds[sound]) + 1, np.int64)
        for start in np.unique(train.speech_start[train.sound == sound]).tolist():
            taken[start : start + frames] += 1
        for start in np.unique(test.speech_start[test.sound == sound]).tolist():
            if taken[start : start + frames].any():
                raise ValueError(
                    f"{train.name} and {test.name} share sound {sound} at {start / train.listening.sample_rate:.2f} s: "
                    "cut both from the same blocks (cut_parts)"
                )


def listening_from_arrays(
    recordings: Sequence[ArrayLike],
    subjects: Sequence[Any],
    sounds: Sequence[ArrayLike],
    heard: Sequence[Heard],
    *,
    sample_rate: float,
    names: Sequence[str] | None = None,
    positions: ArrayLike | None = None,
    clamp: float | None = 20.0,
    baseline_s: float | None = 0.5,
    name: str = "arrays",
) -> Listening:
    """Recordings (C, T) of `subjects` (R,), and features (T', F) of the sounds, all at `sample_rate` Hz.

    Recordings are scaled robustly here. `positions` (C, 3) in metres; None: those of electrodes by their `names`, if all are known.

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
    steps = Preparation(sample_rate=sample_rate, baseline_s=baseline_s, robust=True, clamp=clamp)
    return Listening(
        brains=tuple(StoredBrain.from_array(one, sample_rate, steps) for one in arrays),
        subjects=tuple(str(subject) for subject in subjects),
        sounds=features,
        heard=tuple(heard),
        input_spec=InputSpec(
            channels=channels,
            names=None if names is None else tuple(names),
            sample_rate=sample_rate,
            unit=steps.unit,
            positions=None if places is None else tuple((float(x), float(y), float(z)) for x, y, z in np.asarray(places)),
            preparation=steps.to_dict(),
        ),
        name=name,
    )


def listening_from_trials(
    brain: ArrayLike, subject: ArrayLike, speech: ArrayLike, segment: ArrayLike, *, sample_rate: float, **options: Any
) -> Listening:
    """Trials (n, C, T) of participants `subject` (n,) who heard segments `segment` (n,) of features `speech` (m, F, T).

    Each participant's trials become one recording, each segment a sound of its own: cut them as they are, with
    ``Cut(segment_s=T / sample_rate, ...)`` on the grid. `options` are those of `listening_from_arrays`.

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
    return listening_from_arrays(
        recordings, names, [one.T for one in features], heard, sample_rate=sample_rate, **options
    )
