"""Sets of segments: what the brain did while something was heard, and the features of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from antiphon.common.data.batch import SignalBatch
from antiphon.common.data.quarantine import Quarantine
from antiphon.common.encoder import InputSpec
from antiphon.domains.eeg.brain_speech.blocks import Blocks, Cut, Part, SegmentsAt, find_moments, same_segments
from antiphon.domains.eeg.brain_speech.listening import Floats, Listening
from antiphon.domains.eeg.brain_speech.methods import SPEECH
from antiphon.domains.eeg.data.preparation import Preparation, pooled_statistics
from antiphon.domains.eeg.data.preprocessing import baseline, robust_scale
from antiphon.domains.eeg.data.sources import Statistics

SCALED_ON = 200  # segments of a recording


@dataclass(frozen=True, eq=False)
class SpeechSegments:
    """One part of a `Listening`, as pairs of brain and speech; made by `cut_parts`.

    Example i begins at sample `brain_start[i]` of recording `recording[i]` and at frame `speech_start[i]` of sound `sound[i]`, in
    block `block[i]`; `segment[i]` says which piece of sound it is, whoever heard it. Of the `size` samples of a segment the brain
    lacks the first `shift`, the speech the last. `scales` are median and interquartile range of each channel, for each recording.
    Features are standardised by one mean and one deviation, `speech_mean` and `speech_std`, those of the training part.
    """

    listening: Listening
    recording: NDArray[np.int64]
    brain_start: NDArray[np.int64]
    sound: NDArray[np.int64]
    speech_start: NDArray[np.int64]
    block: NDArray[np.int64]
    segment: NDArray[np.int64]
    cut: Cut
    scales: tuple[Statistics, ...]
    speech_mean: float
    speech_std: float
    input_spec: InputSpec
    name: str
    labels: None = None
    classes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Samples of a segment."""
        return round(self.cut.segment_s * self.listening.sample_rate)

    @property
    def shift(self) -> int:
        """How many samples later the brain is read."""
        return round(self.cut.delay_s * self.listening.sample_rate)

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

    def brain(self, rows: NDArray[np.int64]) -> Floats:
        """Signals (B, C, T) of examples `rows`: baseline taken off, robustly scaled, clamped."""
        made = []
        for recording, start in zip(self.recording[rows].tolist(), self.brain_start[rows].tolist(), strict=True):
            signals = _without_baseline(self.listening, recording, start, self.cut)
            made.append(robust_scale(signals[:, self.shift :], self.scales[recording], clamp=self.cut.clamp))
        return np.stack(made).astype(np.float32)

    def speech(self, rows: NDArray[np.int64]) -> Floats:
        """Standardised features (B, T, F) of what was heard in examples `rows`."""
        frames = self.size - self.shift
        parts = [
            self.listening.sounds[sound][start : start + frames]
            for sound, start in zip(self.sound[rows].tolist(), self.speech_start[rows].tolist(), strict=True)
        ]
        return ((np.stack(parts) - self.speech_mean) / self.speech_std).astype(np.float32)

    def batch(self, index: ArrayLike, *, epoch: int = 0) -> SignalBatch:
        """The examples `index` (B,): signals (B, C, T), labels "speech" (B, T, F), participants as groups and in the context."""
        rows = np.asarray(index, np.int64)
        subject = torch.from_numpy(self.groups[rows])
        return SignalBatch(
            signals=torch.from_numpy(self.brain(rows)),
            lengths=torch.full((len(rows),), self.size - self.shift),
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
    scales = tuple(_scale(listening, number, cut) for number in range(len(listening.brains)))
    train = _cut_one(listening, blocks, "train", "grid", cut, scales, (mean, std))
    held_out = _cut_one(listening, blocks, part, at, cut, scales, (mean, std))
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


def _without_baseline(listening: Listening, recording: int, start: int, cut: Cut) -> Floats:
    """One segment (C, size) of a recording."""
    rate = listening.sample_rate
    signals = listening.brains[recording].read(start, round(cut.segment_s * rate))
    return np.asarray(baseline(signals, max(1, round(cut.before_s * rate))), np.float32)


def _scale(listening: Listening, recording: int, cut: Cut) -> Statistics:
    """Median and interquartile range of a recording's channels, on 200 of its segments, of whatever part, without their baselines.

    Not of the recording as it is: the offset of an electrode is many times what it varies by.
    """
    rate = listening.sample_rate
    size, samples = round(cut.segment_s * rate), listening.brains[recording].samples
    moments = [one.onset_s + one.grid_s(cut) for one in listening.heard if one.recording == recording]
    starts = np.round(np.concatenate([np.empty(0), *moments]) * rate).astype(np.int64)
    starts = starts[(starts >= 0) & (starts + size <= samples)]
    if not len(starts):  # nothing of it is an example
        channels = listening.input_spec.channels
        return np.zeros(channels), np.ones(channels)
    chosen = starts[np.unique(np.linspace(0, len(starts) - 1, SCALED_ON).round().astype(np.int64))]
    return pooled_statistics([_without_baseline(listening, recording, start, cut) for start in chosen.tolist()])


def _cut_one(
    listening: Listening,
    blocks: Blocks,
    part: Part,
    at: SegmentsAt,
    cut: Cut,
    scales: tuple[Statistics, ...],
    standard: tuple[float, float],
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
    return SpeechSegments(
        listening=listening,
        recording=moments.recording[whole],
        brain_start=brain_start[whole],
        sound=sound,
        speech_start=np.minimum(starts, frames[sound] - (size - shift)),  # rounding may want a frame behind the end
        block=moments.block[whole],
        segment=segment,
        cut=cut,
        scales=scales,
        speech_mean=standard[0],
        speech_std=standard[1],
        input_spec=_prepared_spec(listening.input_spec, cut),
        name=name,
    )


def _prepared_spec(spec: InputSpec, cut: Cut) -> InputSpec:
    """The contract of signals that were cut: what was done to them, in the terms of `Preparation`, and how they were cut."""
    steps = Preparation.from_dict({**spec.preparation, "baseline_s": cut.before_s, "robust": True, "clamp": cut.clamp})
    told = {"window_s": cut.segment_s, "delay_s": cut.delay_s}
    return replace(spec, unit=steps.unit, preparation={**steps.to_dict(), **told})


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
