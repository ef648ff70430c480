"""Counter-based randomness: every draw is a function of keys, never of a hidden state.

A key names an example: (seed, epoch, dataset index). The numbers it yields are the same whatever batch the example sits in,
however many workers or ranks there are, and on whichever device; a resumed run therefore sees what an uninterrupted one sees.
Nothing here reads or moves torch's global generator.

The generator is SplitMix64 (Steele, Lea & Flood, OOPSLA 2014) used as a hash of (key, position).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


def _mix_(state: Tensor) -> Tensor:
    """SplitMix64's finaliser in place; int64 arithmetic wraps, shifts are made logical by a mask."""
    state.bitwise_xor_((state >> 30).bitwise_and_((1 << 34) - 1)).mul_(_MIX_1)
    state.bitwise_xor_((state >> 27).bitwise_and_((1 << 37) - 1)).mul_(_MIX_2)
    return state.bitwise_xor_((state >> 31).bitwise_and_((1 << 33) - 1))


def _mix_number(word: int) -> int:
    """`_mix_` of a plain integer: much cheaper than a tensor of one element, and nothing is copied to a device."""
    word &= (1 << 64) - 1
    word = ((word ^ (word >> 30)) * _MIX_1) & ((1 << 64) - 1)
    word = ((word ^ (word >> 27)) * _MIX_2) & ((1 << 64) - 1)
    word ^= word >> 31
    return word - (1 << 64) if word >> 63 else word


def _fold(keys: Tensor, value: int | Tensor) -> Tensor:
    """Keys of another stream: the hash of (key, value). Folding in a different order gives different keys."""
    mixed = _mix_(value.to(torch.int64) + _MIX_1) if isinstance(value, Tensor) else _mix_number(value + _MIX_1)
    return _mix_(_mix_(keys + _GOLDEN).bitwise_xor(mixed))


@cache
def _stride(dim: int) -> int:
    """The odd step between neighbours along the dimension that is `dim` from the last."""
    return _GOLDEN if dim == 0 else int(_fold(torch.zeros(1, dtype=torch.int64), dim).item()) | 1


def _number(value: int | str) -> int:
    return zlib.crc32(value.encode()) if isinstance(value, str) else value


class KeyedRandom:
    """Random numbers for a batch of examples, each from its own key.

    Every method returns a tensor whose first dimension is the batch: ``uniform(3, 5)`` is (B, 3, 5). Successive calls give new
    numbers; `fold` opens an independent stream. A position's number does not depend on how many positions are drawn, so padding
    a batch to another length changes nothing.

    `shared` is a stream of one key for the few draws that a method makes once a batch (TS2Vec's crop bounds); it is keyed on the
    step, so all ranks agree on it.
    """

    def __init__(self, keys: Tensor, shared_key: Tensor | None = None) -> None:
        if keys.ndim != 1 or keys.dtype != torch.int64:
            raise ValueError(f"keys must be an int64 tensor of shape (B,), got {keys.dtype} of shape {tuple(keys.shape)}")
        self.keys = keys
        self._shared_key = shared_key
        self._shared: KeyedRandom | None = None
        self._draws = 0

    @classmethod
    def for_examples(cls, seed: int, epoch: int, index: Tensor, *, step: int = 0) -> KeyedRandom:
        """Streams for the examples of a batch: `index` (B,) int64 holds their rows in the training set."""
        start = torch.zeros(1, dtype=torch.int64, device=index.device)
        keys = _fold(_fold(_fold(start, seed), epoch).expand(len(index)), index)
        return cls(keys, _fold(_fold(_fold(start, seed), _number("batch")), step))

    @property
    def shared(self) -> KeyedRandom:
        """The batch-wide stream: its draws have a first dimension of 1."""
        if self._shared_key is None:
            raise ValueError("this KeyedRandom has no batch-wide key: make it with KeyedRandom.for_examples(...)")
        if self._shared is None:  # one object, so that successive draws differ here too
            self._shared = KeyedRandom(self._shared_key)
        return self._shared

    @property
    def device(self) -> torch.device:
        """Where the keys are, hence every draw."""
        return self.keys.device

    def __len__(self) -> int:
        return len(self.keys)

    def fold(self, *values: int | str) -> KeyedRandom:
        """An independent stream named by `values` (a view number, the name of an operation)."""
        keys, shared = self.keys, self._shared_key
        for value in map(_number, values):
            keys = _fold(keys, value)
            shared = None if shared is None else _fold(shared, value)
        return KeyedRandom(keys, shared)

    def take(self, rows: Tensor) -> KeyedRandom:
        """The streams of some of the examples, `rows` (R,) int64, from their beginning."""
        return KeyedRandom(self.keys[rows], self._shared_key)

    def _bits(self, shape: tuple[int, ...]) -> Tensor:
        """64 random bits a position, (B, *shape) int64. Each dimension has its own stride, so no position depends on the shape."""
        self._draws += 1
        state = _fold(self.keys, self._draws).view(-1, *([1] * len(shape)))
        for dim, size in enumerate(reversed(shape)):  # the last dimension counts 0, 1, 2, ...
            positions = torch.arange(size, device=self.device).mul_(_stride(dim))
            state = state + positions.view(-1, *([1] * dim))
        return _mix_(state.contiguous())

    def uniform(self, *shape: int, low: float | Tensor = 0.0, high: float | Tensor = 1.0) -> Tensor:
        """(B, *shape) float32 in [low, high): the unit draw is below 1, though rounding may carry a scaled one up to `high`."""
        unit = (self._bits(shape) >> 40).bitwise_and_((1 << 24) - 1).to(torch.float32).mul_(2.0**-24)
        if isinstance(low, int | float) and isinstance(high, int | float) and (low, high) == (0, 1):
            return unit
        return low + unit * (high - low)

    def normal(self, *shape: int, mean: float = 0.0, std: float = 1.0) -> Tensor:
        """(B, *shape) float32 from a normal distribution (Box-Muller: a 64-bit word gives two neighbours of the last dimension)."""
        *head, size = shape if shape else (1,)
        bits = self._bits((*head, (size + 1) // 2))
        radius = ((bits >> 40).bitwise_and_((1 << 24) - 1) + 1).to(torch.float32).mul_(2.0**-24).log_().mul_(-2.0).sqrt_()
        angle = bits.bitwise_and_((1 << 24) - 1).to(torch.float32).mul_(2.0 * math.pi * 2.0**-24)
        pairs = torch.stack((radius * angle.cos(), radius * angle.sin()), dim=-1).flatten(-2)[..., :size]
        pairs = pairs if mean == 0.0 and std == 1.0 else pairs.mul(std).add_(mean)
        return pairs if shape else pairs[..., 0]

    def integers(self, *shape: int, low: int | Tensor = 0, high: int | Tensor) -> Tensor:
        """(B, *shape) int64, low <= value < high; the bounds may be tensors that broadcast."""
        span = torch.as_tensor(high, device=self.device) - torch.as_tensor(low, device=self.device)
        if bool((span <= 0).any()):
            raise ValueError(f"integers need low < high, got low={low} and high={high}")
        unit = (self._bits(shape) >> 11).bitwise_and_((1 << 53) - 1).to(torch.float64).mul_(2.0**-53)
        return (unit * span).floor().to(torch.int64) + low

    def bernoulli(self, *shape: int, p: float | Tensor = 0.5) -> Tensor:
        """(B, *shape) bool, True with probability p (p = 0 never, p = 1 always)."""
        return self.uniform(*shape) < p

    def permutation(self, size: int) -> Tensor:
        """(B, size) int64: a random order of 0 .. size-1 for each example."""
        return self._bits((size,)).argsort(dim=-1)  # 64 bits: no ties, whose order would depend on the device


def shuffled(count: int, seed: int, epoch: int) -> Tensor:
    """The order in which epoch number `epoch` visits `count` examples, (count,) int64."""
    return KeyedRandom.for_examples(seed, epoch, torch.zeros(1, dtype=torch.int64)).fold("shuffle").permutation(count)[0]


@contextmanager
def seeded_scope(seed: int, *values: int | str) -> Iterator[None]:
    """Seed torch's global generators inside the block only, for layers that draw from them (nn.Dropout); restored afterwards."""
    key = int(KeyedRandom(torch.tensor([seed])).fold("scope", *values).keys) & 0x7FFF_FFFF_FFFF_FFFF
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        # Not torch.manual_seed: it would also seed the devices that are not restored.
        torch.default_generator.manual_seed(key)
        if devices:
            torch.cuda.manual_seed(key)
        yield
