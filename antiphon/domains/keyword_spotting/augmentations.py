"""The views of words: clips of one length, each through its own chain (configs/views/keyword_spotting)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from antiphon.common.augment.base import Augmentation, Compose, Parameters, checked_interval, checked_number
from antiphon.common.augment.crops import take_windows
from antiphon.common.augment.gain import Gain
from antiphon.common.augment.pitch import SpeedChange
from antiphon.common.data.batch import View, length_mask
from antiphon.common.random import KeyedRandom
from antiphon.common.signal.pitch import WIDEST, change_speed, time_stretch, vocoder_window


class ClipViews:
    """One view per chain of augmentations, all of the same clip, each cut or filled up with silence to `samples` samples.

    What lies behind a short word is silence that belongs to the clip: a word that is slowed down runs on into it, and noise is
    heard there too. Clips may come longer than `samples` (data.duration_s), so that a fast version still fills its view. The
    chain `before` comes first, with the same draws for all views: the clip as it was recorded. An empty chain leaves it as it
    is.
    """

    def __init__(self, samples: int, chains: Sequence[Sequence[Augmentation]], *, before: Sequence[Augmentation] = ()) -> None:
        self.samples = int(checked_number("samples", samples, least=1))
        self.chains = [Compose(chain) for chain in chains]
        self.before = Compose(before)

    def __call__(self, signals: Tensor, lengths: Tensor, random: KeyedRandom) -> list[View]:
        """Signals (B, C, T) -> views of (B, C, samples), in order."""
        inside = length_mask(lengths, signals.shape[-1])[:, None]
        whole = lengths.new_full(lengths.shape, max(signals.shape[-1], self.samples))
        clips = take_windows(signals.nan_to_num(nan=0.0) * inside, lengths.new_zeros(lengths.shape), int(whole[0]))
        clips = self.before(clips, whole, random.fold("before"))
        sizes = whole.clamp(max=self.samples)
        return [
            View(chain(clips, whole, random.fold("view", number))[..., : self.samples], sizes)
            for number, chain in enumerate(self.chains)
        ]


def two_alike(samples: int, steps: Sequence[Augmentation]) -> ClipViews:
    """Two views of each clip through the same chain, each with its own draws."""
    return ClipViews(samples, [steps, steps])


def clip_and_augmented(
    samples: int,
    *,
    speed: Sequence[float] = (0.8, 1.2),
    gain_db: Sequence[float] = (-6.02, 6.02),
    before: Sequence[Augmentation] = (),
) -> ClipViews:
    """The views of CAB: a clip, and the same clip at another speed and loudness. Intervals of (1, 1) and (0, 0) leave either out.

    The published ranges are not known; these are from 0.8 to 1.2 times the speed, and from half to twice the amplitude.
    """
    return ClipViews(samples, [[], [SpeedChange(speed), Gain(gain_db)]], before=before)


@dataclass(frozen=True)
class PacedView(View):
    """A view whose sample t is sample `start` + `pace` * t of the recording, `start` and `pace` (B,)."""

    start: Tensor = field(kw_only=True)
    pace: Tensor = field(kw_only=True)

    def __getitem__(self, rows: slice) -> PacedView:
        """The same view of some examples."""
        plain = super().__getitem__(rows)
        return PacedView(plain.signals, plain.lengths, plain.mask, plain.shared, start=self.start[rows], pace=self.pace[rows])


class PacedViews:
    """Views of the same words as if said by others: each example's tempo and its frequencies are scaled, each by its own factor.

    A view begins up to `shift_s` seconds (and at most a third of a recording) into the clip, plays it `tempo` times as fast
    with all frequencies times `pitch`, both drawn log-uniformly, is cut to `samples` samples and goes through `steps`.
    Frequencies that scale are what a longer or shorter vocal tract does; a tempo that differs between views is what keeps an
    encoder from counting frames instead of telling sounds apart. Where a moment of the recording lies in a view is known
    (`PacedView`).
    """

    def __init__(
        self,
        samples: int,
        *,
        sample_rate: float,
        steps: Sequence[Augmentation] = (),
        tempo: Sequence[float] = (0.8, 1.25),
        pitch: Sequence[float] = (0.83, 1.2),
        shift_s: float = 0.2,
        views: int = 2,
    ) -> None:
        self.samples = int(checked_number("samples", samples, least=1))
        self.tempo = checked_interval("tempo", tempo, least=WIDEST**-0.5, most=WIDEST**0.5)
        self.pitch = checked_interval("pitch", pitch, least=WIDEST**-0.5, most=WIDEST**0.5)
        self.shift = checked_number("shift_s", shift_s, least=0.0) * sample_rate
        self.steps, self.views = Compose(steps), views
        self._window = vocoder_window(sample_rate)

    def __call__(self, signals: Tensor, lengths: Tensor, random: KeyedRandom) -> list[View]:
        """Signals (B, C, T) -> views of (B, C, samples), in order."""
        return [self._view(signals, lengths, random.fold("view", number)) for number in range(self.views)]

    def _view(self, signals: Tensor, lengths: Tensor, random: KeyedRandom) -> View:
        tempo, pitch = (_log_uniform(random.fold(name), *pair) for name, pair in (("tempo", self.tempo), ("pitch", self.pitch)))
        start = (random.fold("start").uniform() * (lengths / 3).clamp(max=self.shift)).long()
        rest = take_windows(signals, start, signals.shape[-1])
        shifted, sizes = change_speed(rest, pitch, lengths=lengths - start)
        paced, sizes = time_stretch(shifted, pitch / tempo, lengths=sizes, window=self._window, size=self.samples)
        return PacedView(self.steps(paced, sizes, random.fold("steps")), sizes, start=start, pace=tempo)


def _log_uniform(random: KeyedRandom, low: float, high: float) -> Tensor:
    return random.uniform(low=math.log(low), high=math.log(high)).exp()


class Displacement(Augmentation):
    """Move a clip by up to `shift_s` seconds in either direction: what leaves it is lost, what comes in is silence."""

    def __init__(self, shift_s: float = 0.1, *, sample_rate: float, p: float = 1.0) -> None:
        super().__init__(p)
        self.samples = round(checked_number("shift_s", shift_s, least=0.0) * sample_rate)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`shift` (B,) int64 in samples: positive is later."""
        return {"shift": random.integers(low=-self.samples, high=self.samples + 1)}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """What was at sample t is at t + shift."""
        return take_windows(signals, -parameters["shift"], signals.shape[-1])
