"""Segments of what was heard, in parts that share no sound: contiguous blocks of the sounds, the same for every listener."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from antiphon.common.random import shuffled

Part = Literal["train", "valid", "test"]
SegmentsAt = Literal["grid", "words"]
PARTS = get_args(Part)
SAME_S = 0.02  # words that two recordings place so near each other are the same word


@dataclass(frozen=True, eq=False)
class Heard:
    """A sound in a recording: number `sound` began `onset_s` after the beginning of recording number `recording`.

    It was heard to its `until_s`, and has words at `words_s` (n,), both in seconds of the sound.
    """

    recording: int
    sound: int
    onset_s: float
    until_s: float
    words_s: NDArray[np.float64]

    def grid_s(self, cut: Cut) -> NDArray[np.float64]:
        """Where segments on the grid begin, in seconds of the sound."""
        return np.arange(0.0, max(0.0, self.until_s - cut.segment_s) + 1e-6, cut.step_s, dtype=np.float64)


@dataclass(frozen=True)
class Cut:
    """How recordings become segments of `segment_s` seconds.

    A segment begins `before_s` before a moment: the mean of that time is taken off as the baseline. In training the moments lie
    `step_s` apart, in a test at words. The brain is read `delay_s` later than the sound, so both are shorter by that. Scaled
    signals are cut off at +-`clamp` interquartile ranges (None: nowhere).

    Raises:
        ValueError: lengths that leave nothing.
    """

    segment_s: float = 3.0
    before_s: float = 0.5
    step_s: float = 0.5
    delay_s: float = 0.15
    clamp: float | None = 20.0

    def __post_init__(self) -> None:
        if self.clamp is not None and not self.clamp > 0:
            raise ValueError(f"clamp must be above 0, got {self.clamp:g}: 20 is usual, None cuts nothing off")
        if not (self.step_s > 0 and 0 < self.before_s < self.segment_s and 0 <= self.delay_s < self.segment_s):
            raise ValueError(
                "a segment needs step_s > 0, 0 < before_s < segment_s and 0 <= delay_s < segment_s, got "
                f"step_s={self.step_s:g}, before_s={self.before_s:g}, delay_s={self.delay_s:g}, segment_s={self.segment_s:g}"
            )


@dataclass(frozen=True, eq=False)
class Blocks:
    """Sounds cut into contiguous blocks of equal length, each in one part.

    `lengths_s` of the sounds and `parts`, for each sound the number of the part (in order of `PARTS`) of each of its blocks.
    """

    lengths_s: tuple[float, ...]
    parts: tuple[NDArray[np.int64], ...]

    @classmethod
    def draw(
        cls,
        lengths_s: Sequence[float],
        *,
        block_s: float = 60.0,
        shares: Sequence[float] = (0.7, 0.1, 0.2),
        seed: int = 0,
    ) -> Blocks:
        """Blocks of about `block_s` seconds in parts of these shares, drawn from `seed`; a part with a share has at least one.

        Raises:
            ValueError: shares that do not add up to 1, or fewer blocks than parts.
        """
        wanted = np.asarray(shares, np.float64)
        if len(wanted) != len(PARTS) or (wanted < 0).any() or abs(wanted.sum() - 1) > 1e-6 or not wanted[0] or not wanted[2]:
            raise ValueError(f"shares of train, valid and test must add up to 1, got {list(shares)} (only valid may be 0)")
        if block_s <= 0:
            raise ValueError(f"block_s is {block_s:g}: give the length of the blocks in seconds")
        counts = [max(1, round(length / block_s)) for length in lengths_s]
        total, least = sum(counts), (wanted > 0).astype(np.int64)
        if total < least.sum():
            raise ValueError(
                f"{len(counts)} sound(s) of {sum(lengths_s):.0f} s are {total} block(s) of block_s={block_s:g}, but there are "
                f"{least.sum()} parts: lower block_s"
            )
        sizes = np.maximum(least, np.floor(wanted * total).astype(np.int64))
        while sizes.sum() != total:  # the part that is farthest from its share gets, or gives, the next block
            gap = wanted * total - sizes
            if sizes.sum() < total:
                sizes[int(np.where(wanted > 0, gap, -np.inf).argmax())] += 1
            else:
                sizes[int(np.where(sizes > least, gap, np.inf).argmin())] -= 1
        part = np.empty(total, np.int64)
        part[shuffled(total, seed, 0).numpy()] = np.repeat(np.arange(len(PARTS)), sizes)
        return cls(tuple(lengths_s), tuple(np.split(part, np.cumsum(counts)[:-1])))

    def block_of(self, sound: int, start_s: float, stop_s: float, part: Part) -> int | None:
        """The number of the block in which a stretch of a sound begins; None if not all of it lies in this part."""
        own = self.parts[sound]
        length = self.lengths_s[sound] / len(own)
        first, last = int(start_s / length + 1e-6), min(len(own) - 1, int(stop_s / length - 1e-6))
        if start_s < 0 or stop_s > self.lengths_s[sound] + 1e-6 or not (own[first : last + 1] == PARTS.index(part)).all():
            return None
        return sum(len(one) for one in self.parts[:sound]) + first

    def spans_s(self, part: Part) -> list[tuple[int, float, float]]:
        """(sound, from, to) of each block of a part."""
        code = PARTS.index(part)
        found = []
        for sound, (own, total) in enumerate(zip(self.parts, self.lengths_s, strict=True)):
            length = total / len(own)
            found += [(sound, number * length, (number + 1) * length) for number in np.flatnonzero(own == code).tolist()]
        return found


@dataclass(frozen=True, eq=False)
class Moments:
    """Where segments begin, (n,) each: in seconds of their recording, and of their sound; the number of their block.

    `dropped` of those that were looked at are not whole within one part.
    """

    recording: NDArray[np.int64]
    brain_s: NDArray[np.float64]
    sound: NDArray[np.int64]
    sound_s: NDArray[np.float64]
    block: NDArray[np.int64]
    dropped: int


def find_moments(heard: Sequence[Heard], blocks: Blocks, part: Part, *, at: SegmentsAt, cut: Cut) -> Moments:
    """The segments of a part, on the grid or at words, in order of the recordings and of time.

    Raises:
        ValueError: no segment at all.
    """
    if at not in get_args(SegmentsAt):
        raise ValueError(f"unknown place of segments {at!r}: use one of {', '.join(get_args(SegmentsAt))}")
    found: list[tuple[int, float, int, float, int]] = []
    dropped = 0
    for one in heard:
        for start_s in (one.grid_s(cut) if at == "grid" else one.words_s - cut.before_s).tolist():
            stop_s = start_s + cut.segment_s
            inside = start_s >= 0 and stop_s <= one.until_s + 1e-6 and one.onset_s + start_s >= 0
            block = blocks.block_of(one.sound, start_s, stop_s, part) if inside else None
            if block is not None:
                found.append((one.recording, one.onset_s + start_s, one.sound, start_s, block))
            elif not inside or all(blocks.block_of(one.sound, start_s, stop_s, other) is None for other in PARTS):
                dropped += 1
    if not found:
        remedy = "shorten segment_s or lengthen block_s" if at == "grid" else "shorten segment_s, or give segments at grid"
        raise ValueError(f"the {part} part has no whole segment of {cut.segment_s:g} s at {at}: {remedy}")
    recording, brain_s, sound, sound_s, block_number = zip(*found, strict=True)
    return Moments(
        np.asarray(recording, np.int64),
        np.asarray(brain_s, np.float64),
        np.asarray(sound, np.int64),
        np.asarray(sound_s, np.float64),
        np.asarray(block_number, np.int64),
        dropped,
    )


def same_segments(sound: NDArray[np.int64], sound_s: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which segments are the same piece of sound, (n,) numbers: those that begin within 20 ms of each other.

    Recordings place a word where their clocks do, so the same word is never at quite the same time.
    """
    order = np.lexsort((sound_s, sound))
    fresh = np.ones(len(order), bool)
    fresh[1:] = (np.diff(sound[order]) != 0) | (np.diff(sound_s[order]) > SAME_S)
    codes = np.empty(len(order), np.int64)
    codes[order] = np.cumsum(fresh) - 1
    return codes
