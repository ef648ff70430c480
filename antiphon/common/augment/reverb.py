"""Signals in a room: a synthetic one with parameters of each example's own, or one from a bank of impulse responses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from antiphon.common.augment.base import Augmentation, Parameters, checked_interval
from antiphon.common.augment.noise import observed
from antiphon.common.random import KeyedRandom
from antiphon.common.signal.response_bank import ResponseBank
from antiphon.common.signal.rooms import SyntheticRooms, convolve, freeverb


class Reverb(Augmentation):
    """A synthetic room for each example: a direct path, and noise that decays exponentially (see `SyntheticRooms`).

    All ranges are drawn from uniformly: `decay_time_s` (to -60 dB), `high_decay` (decay time above 2 kHz over that below),
    `pre_delay_s` (from the direct path to the tail), `direct_to_reverberant_db` (their energies). The level of the signal stays
    about the same, the direct path is not delayed. Missing values count as zero and stay missing.
    """

    def __init__(
        self,
        decay_time_s: Sequence[float] = (0.2, 1.0),
        *,
        sample_rate: float,
        high_decay: Sequence[float] = (0.4, 1.0),
        pre_delay_s: Sequence[float] = (0.0, 0.03),
        direct_to_reverberant_db: Sequence[float] = (-3.0, 12.0),
        p: float = 1.0,
    ) -> None:
        super().__init__(p)
        self.decay_time_s = checked_interval("decay_time_s", decay_time_s, least=0.01, most=20.0)
        self.high_decay = checked_interval("high_decay", high_decay, least=0.05, most=1.0)
        self.pre_delay_s = checked_interval("pre_delay_s", pre_delay_s, least=0.0, most=1.0)
        self.direct_to_reverberant_db = checked_interval("direct_to_reverberant_db", direct_to_reverberant_db)
        self._rooms = SyntheticRooms(sample_rate=sample_rate, longest_s=self.pre_delay_s[1] + self.decay_time_s[1])

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`decay_time_s`, `high_decay_time_s`, `pre_delay_s`, `direct_to_reverberant_db`, each (B,), and `offsets` (B, C)."""
        decay = random.uniform(low=self.decay_time_s[0], high=self.decay_time_s[1])
        return {
            "decay_time_s": decay,
            "high_decay_time_s": decay * random.uniform(low=self.high_decay[0], high=self.high_decay[1]),
            "pre_delay_s": random.uniform(low=self.pre_delay_s[0], high=self.pre_delay_s[1]),
            "direct_to_reverberant_db": random.uniform(low=self.direct_to_reverberant_db[0], high=self.direct_to_reverberant_db[1]),
            "offsets": self._rooms.offsets(random, signals.shape[1]),
        }

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Each signal in its room."""
        responses = self._rooms.responses(**parameters, size=signals.shape[-1]).to(signals.dtype)
        return _as_heard(signals, lengths, lambda filled: convolve(filled, responses))


class FreeverbReverb(Reverb):
    """`Reverb` with the controls of Freeverb, 0 to 100 as in sox's `reverb`, drawn uniformly; the defaults are those of CLMR.

    It is not sox's output but a room with the same decay times, first reflection and balance (`freeverb` tells how).
    """

    def __init__(
        self,
        reverberance: Sequence[float] = (0.0, 99.0),
        damping: Sequence[float] = (0.0, 99.0),
        room_size: Sequence[float] = (0.0, 99.0),
        *,
        sample_rate: float,
        p: float = 1.0,
    ) -> None:
        self.reverberance = checked_interval("reverberance", reverberance, least=0.0, most=100.0)
        self.damping = checked_interval("damping", damping, least=0.0, most=100.0)
        self.room_size = checked_interval("room_size", room_size, least=0.0, most=100.0)
        longest = freeverb(*(torch.tensor(high) for high in (self.reverberance[1], self.damping[0], self.room_size[1])))
        super().__init__((0.01, float(longest["decay_time_s"])), sample_rate=sample_rate, p=p)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """The parameters of `Reverb`."""
        controls = (random.uniform(low=low, high=high) for low, high in (self.reverberance, self.damping, self.room_size))
        return {**freeverb(*controls), "offsets": self._rooms.offsets(random, signals.shape[1])}


class ImpulseResponse(Augmentation):
    """Convolve with a random impulse response of `bank`.

    `wet` is drawn uniformly: 1 is the response alone, 0 the signal alone. The direct path is not delayed, so the two do not comb.
    Missing values count as zero and stay missing.
    """

    def __init__(self, bank: ResponseBank, *, wet: Sequence[float] = (1.0, 1.0), p: float = 1.0) -> None:
        super().__init__(p)
        self.bank = bank
        self.wet = checked_interval("wet", wet, least=0.0, most=1.0)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`response` (B,), a number in the bank, and `wet` (B,)."""
        return {
            "response": random.integers(high=len(self.bank)),
            "wet": random.uniform(low=self.wet[0], high=self.wet[1]),
        }

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """(1 - wet) signal + wet reverberation."""
        reverberant = _as_heard(signals, lengths, lambda filled: self.bank.convolve(filled, parameters["response"]))
        if self.wet == (1.0, 1.0):
            return reverberant
        return torch.lerp(signals, reverberant, parameters["wet"].to(signals.dtype)[:, None, None])


def _as_heard(signals: Tensor, lengths: Tensor, room: Callable[[Tensor], Tensor]) -> Tensor:
    """What `room` makes of the signals, silence where something is missing, which then stays missing."""
    known = observed(signals, lengths)
    if bool(known.all()):  # the usual case, spared of copies
        return room(signals)
    return torch.where(signals.isnan(), signals, room(torch.where(known, signals, 0.0)))
