"""How recordings are prepared, and prepared parts of recordings: what is read of one is what the whole one would hold there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from antiphon.common.encoder import InputSpec
from antiphon.domains.eeg.data.montage import ChannelMap
from antiphon.domains.eeg.data.names import canonical_name
from antiphon.domains.eeg.data.preprocessing import average_reference, baseline, robust_statistics

Reference = str | tuple[str, ...] | None
_SEGMENTS = 200  # of one second each, that robust statistics are estimated on
_FINEST = 1000  # rates that are not whole numbers are rounded to fractions of this denominator


@dataclass(frozen=True)
class Preparation:
    """What is done to a recording in microvolts, in this order.

    `clip_uv`: cut off at +- so many microvolts. `band_hz`: mne's zero-phase FIR filter from low to high (None: open on that side).
    `reference`: "average" takes the mean over the channels off, one or several channel names the mean of those; None: as recorded.
    `divide_by`: a number. `sample_rate`: resample to so many Hz (None: as recorded). `baseline_s`: the mean of the first so many
    seconds of a window is taken off it. `robust`: centre and scale each channel by median and interquartile range of its recording,
    estimated on 200 seconds spread over it (with a baseline, on 200 windows that have lost theirs). `clamp`: cut off at +- this
    value. `align`: whiten trials by the mean covariance of their subject (Euclidean alignment), in train and test apart.

    Raises:
        ValueError: a rate, limit or divisor that is not positive, or a band whose edges are in the wrong order.
    """

    clip_uv: float | None = None
    band_hz: tuple[float | None, float | None] | None = None
    reference: Reference = None
    divide_by: float = 1.0
    sample_rate: float | None = None
    baseline_s: float | None = None
    robust: bool = False
    clamp: float | None = None
    align: bool = False

    def __post_init__(self) -> None:
        for name in ("clip_uv", "divide_by", "sample_rate", "baseline_s", "clamp"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, got {value}")
        low, high = self.band_hz or (None, None)
        if low is not None and high is not None and not low < high:
            raise ValueError(f"band_hz must run from low to high, got {low:g} to {high:g} Hz")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From plain JSON or YAML.

        Raises:
            ValueError: a step that does not exist.
        """
        unknown = [name for name in values if name not in {item.name for item in fields(cls)}]
        if unknown:
            raise ValueError(
                f"no such step of preparation: {', '.join(unknown)}; use {', '.join(item.name for item in fields(cls))}"
            )
        known = dict(values)
        for name in ("band_hz", "reference"):
            if isinstance(known.get(name), list):
                known[name] = tuple(known[name])
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON of the steps that do something."""
        made = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {name: value for name, value in made.items() if value not in (None, False) and (name, value) != ("divide_by", 1.0)}

    @property
    def unit(self) -> str:
        """Of prepared signals."""
        if self.align or self.robust:
            return "deviations"
        return "uV" if self.divide_by == 1 else f"{self.divide_by:g} uV"


def preparation_of(spec: InputSpec) -> Preparation:
    """What an encoder's signals went through, from its contract; what else stands there (windows, events) is left aside."""
    names = {item.name for item in fields(Preparation)}
    made = {name: value for name, value in spec.preparation.items() if name in names}
    return Preparation.from_dict({**made, **({} if spec.sample_rate is None else {"sample_rate": spec.sample_rate})})


@dataclass(frozen=True, eq=False)
class Prepared:
    """The steps for one recording: `rate` in Hz and number of `samples` as recorded, `channels` as `map_channels` found them."""

    preparation: Preparation
    channels: ChannelMap
    rate: float
    samples: int

    def __post_init__(self) -> None:
        for edge in self.preparation.band_hz or ():
            if edge is not None and edge >= self.rate / 2:
                raise ValueError(f"its sampling rate of {self.rate:g} Hz is too low for a filter at {edge:g} Hz")
        _reference_rows(self.preparation.reference, self.channels)

    @cached_property
    def sample_rate(self) -> float:
        """Of what is read, in Hz."""
        return self.preparation.sample_rate or self.rate

    @cached_property
    def _ratio(self) -> Fraction:
        target = Fraction(self.sample_rate).limit_denominator(_FINEST)
        return target / Fraction(self.rate).limit_denominator(_FINEST)

    @cached_property
    def length(self) -> int:
        """How many samples there are to read."""
        return int(self.samples * self._ratio)

    def source_part(self, start: int, size: int) -> tuple[int, int]:
        """Which recorded samples `read` needs: from, to; they may lie outside of the recording."""
        up, down = self._ratio.numerator, self._ratio.denominator
        reach = len(self._filter) // 2 + (0 if up == down else _resampling_half(up, down) // up + 1)
        return start * down // up - reach, -(-(start + size) * down // up) + reach

    def read(self, values: NDArray[np.float64], start: int, size: int) -> NDArray[np.float32]:
        """The prepared samples `start` to `start + size`, (C, size), from those in `source_part` that exist, (P, T) in microvolts.

        Beyond its ends a recording goes on as its own mirror image through its first and last sample.
        """
        steps = self.preparation
        first, last = self.source_part(start, size)
        signals = self.channels.apply(values)
        signals = _cut_off(signals, steps.clip_uv)
        signals = _mirrored(signals, max(0, -first), max(0, last - self.samples))
        if len(self._filter) > 1:
            from scipy.signal import oaconvolve

            signals = oaconvolve(signals, self._filter[None], mode="valid", axes=-1)
            first += len(self._filter) // 2
        signals = _referenced(signals, steps.reference, self.channels) / steps.divide_by
        return np.ascontiguousarray(self._resampled(signals, first, start, size), np.float32)

    def _resampled(self, signals: NDArray[np.float64], first: int, start: int, size: int) -> NDArray[np.float64]:
        """`signals` begin at recorded sample `first`; the filter is that of scipy's resample_poly."""
        up, down = self._ratio.numerator, self._ratio.denominator
        if up == down:
            return signals[:, start - first : start - first + size]
        from scipy.signal import upfirdn

        # In steps of the rate that both divide, the first sample wanted lies `ahead` behind where the filter begins.
        ahead = start * down - first * up + _resampling_half(up, down)
        skipped = -(-ahead // down)
        delayed = np.concatenate((np.zeros(skipped * down - ahead), _resampling_filter(up, down)))
        return np.asarray(upfirdn(delayed, signals, up, down, axis=-1))[:, skipped : skipped + size]

    @cached_property
    def _filter(self) -> NDArray[np.float64]:
        band = self.preparation.band_hz
        return np.ones(1) if band is None else _design(self.rate, *band)


def _resampling_half(up: int, down: int) -> int:
    return 10 * max(up, down)


@lru_cache(maxsize=32)
def _resampling_filter(up: int, down: int) -> NDArray[np.float64]:
    from scipy.signal import firwin

    return np.asarray(firwin(2 * _resampling_half(up, down) + 1, 1 / max(up, down), window=("kaiser", 5.0))) * up


def prepare_trials(signals: NDArray[Any], steps: Preparation, channels: ChannelMap, sample_rate: float) -> NDArray[Any]:
    """The steps that trials (n, C, T) in microvolts of the mapped `channels` allow: all but filter, rate, robust, alignment."""
    made = _referenced(_cut_off(signals, steps.clip_uv), steps.reference, channels) / steps.divide_by
    if steps.baseline_s is not None:
        made = baseline(made, round(steps.baseline_s * sample_rate))
    return _cut_off(made, steps.clamp)


def _cut_off(signals: NDArray[Any], limit: float | None) -> NDArray[Any]:
    return signals if limit is None else signals.clip(-limit, limit)


def _referenced(signals: NDArray[Any], reference: Reference, channels: ChannelMap) -> NDArray[Any]:
    """Signals (..., C, T) less their reference; channels that are empty stay so."""
    filled = channels.present | np.isin(channels.names, channels.interpolated)
    if reference is None:
        return signals
    if reference == "average":
        return average_reference(signals, filled)
    mean = signals[..., _reference_rows(reference, channels), :].mean(axis=-2, keepdims=True)
    return np.where(filled[:, None], signals - mean, signals)


def _reference_rows(reference: Reference, channels: ChannelMap) -> list[int]:
    """The numbers of the channels that are the reference by name. Raises ValueError if one is not there."""
    if reference is None or reference == "average":
        return []
    wanted = [canonical_name(name) for name in ([reference] if isinstance(reference, str) else reference)]
    missing = [name for name in wanted if name not in channels.names or name in channels.absent]
    if missing:
        raise ValueError(f"the reference {', '.join(missing)} is not among the channels {', '.join(channels.names)}")
    return [channels.names.index(name) for name in wanted]


@lru_cache(maxsize=32)
def _design(rate: float, low_hz: float | None, high_hz: float | None) -> NDArray[np.float64]:
    import mne

    return np.asarray(mne.filter.create_filter(None, rate, low_hz, high_hz, verbose="ERROR"))


def _mirrored(signals: NDArray[np.float64], before: int, behind: int) -> NDArray[np.float64]:
    """Odd reflection at both ends; where the signal is shorter than that, its end value goes on."""
    if not before and not behind:
        return signals
    reach = signals.shape[-1] - 1
    inner = (min(before, reach), min(behind, reach))
    made = np.pad(signals, ((0, 0), inner), mode="reflect", reflect_type="odd")
    return np.pad(made, ((0, 0), (before - inner[0], behind - inner[1])), mode="edge")


def segment_starts(length: int, size: int, count: int = _SEGMENTS) -> Sequence[int]:
    """Where `count` segments begin that are spread evenly over `length` samples; fewer where it is short."""
    starts: list[int] = np.unique(np.linspace(0, max(0, length - size), count).astype(np.int64)).tolist()
    return starts


def pooled_statistics(pieces: Sequence[NDArray[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`robust_statistics` of pieces (C, T) of a recording together."""
    return robust_statistics(np.concatenate(pieces, axis=-1))
