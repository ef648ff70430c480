"""What every augmentation owes, whichever domain it belongs to. A new augmentation is added to CASES and gets all of it."""

from __future__ import annotations

import wave
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from antiphon.common.augment import (
    AdditiveNoise,
    Augmentation,
    AugmentedViews,
    BackgroundNoise,
    BandPass,
    BandStop,
    BitDepth,
    ChannelDropout,
    ChannelShuffle,
    Clipping,
    ColouredNoise,
    Compose,
    Delay,
    Equalizer,
    FreeverbReverb,
    FrequencyMask,
    FrequencyPerturbation,
    Gain,
    GaussianNoise,
    HighOrLowPass,
    HighPass,
    ImpulseResponse,
    LowPass,
    Mixing,
    PhasePerturbation,
    PitchShift,
    PolarityInversion,
    Reverb,
    Saturation,
    SpeedChange,
    TimeMask,
    TimeReverse,
    TimeShift,
    TimeStretch,
)
from antiphon.common.augment.base import Parameters
from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.random import KeyedRandom
from antiphon.common.signal.noise_bank import NoiseBank
from antiphon.common.signal.response_bank import ResponseBank
from antiphon.domains.eeg.augmentations import (
    ChannelReflection,
    FrequencyShift,
    NarrowBandStop,
    RandomReference,
    SensorRotation,
    SmoothTimeMask,
)
from antiphon.domains.speaker_verification.augmentations import Babble, OneOf
from antiphon.domains.time_series.augmentations import Jitter, MagnitudeWarp, Permutation, Scaling, TimeWarp, WindowSlice

ELECTRODES = ("F3", "C3", "Cz", "C4", "F4")
PLACES = ((-0.5, 0.6, 0.6), (-0.7, 0.0, 0.7), (0.0, 0.0, 1.0), (0.7, 0.0, 0.7), (0.5, 0.6, 0.6))


@cache
def bank() -> NoiseBank:
    """Two short recordings of noise, in memory from the first draw on."""
    with TemporaryDirectory() as folder:
        rows = []
        for name, count in (("a", 900), ("b", 40)):
            path = Path(folder) / f"{name}.wav"
            with wave.open(str(path), "wb") as file:
                file.setparams((1, 2, 1000, 0, "NONE", ""))
                file.writeframes((KeyedRandom(INDEX[:1]).normal(count) * 5000).to(torch.int16).numpy().tobytes())
            rows.append(Row(str(path), labels=(name,)))
        noises = NoiseBank(Manifest(tuple(rows)), sample_rate=1000)
        noises.segments(torch.tensor([0, 1]), torch.zeros(2), torch.tensor([1, 1]), channels=1, size=1)
    return noises


def responses() -> ResponseBank:
    """Five short impulse responses that begin at once."""
    noise = KeyedRandom(INDEX[:5]).normal(1, 40) * 0.9 ** torch.arange(40)
    noise[..., 0] = 3.0
    return ResponseBank(list(noise), sample_rate=1000)


@dataclass(frozen=True)
class Case:
    """`moves_time`: samples change place, and missing values with them. `mixes_rows`: the result depends on the batch."""

    make: Callable[[float], Augmentation]
    moves_time: bool = False
    mixes_rows: bool = False


CASES = {
    "gain": Case(lambda p: Gain((-6.0, 6.0), p=p)),
    "gain per channel": Case(lambda p: Gain((-6.0, 6.0), per="channel", p=p)),
    "polarity": Case(lambda p: PolarityInversion(p=p)),
    "gaussian noise": Case(lambda p: GaussianNoise(0.1, p=p)),
    "noise at snr": Case(lambda p: AdditiveNoise((5.0, 20.0), p=p)),
    "noise relative to the signal": Case(lambda p: GaussianNoise((0.1, 0.5), relative=True, p=p)),
    "coloured noise": Case(lambda p: ColouredNoise((5.0, 20.0), sample_rate=1000, p=p)),
    "background noise": Case(lambda p: BackgroundNoise(bank(), {"a": (0.0, 5.0), "b": (5.0, 9.0)}, p=p)),
    "gain with a limit": Case(lambda p: Gain((-6.0, 6.0), limit=1.0, p=p)),
    "low pass": Case(lambda p: LowPass((50.0, 200.0), sample_rate=1000, p=p)),
    "high pass": Case(lambda p: HighPass((50.0, 200.0), sample_rate=1000, p=p)),
    "high or low pass": Case(lambda p: HighOrLowPass((20.0, 50.0), (100.0, 200.0), sample_rate=1000, p=p)),
    "band pass": Case(lambda p: BandPass((100.0, 200.0), sample_rate=1000, p=p)),
    "band stop": Case(lambda p: BandStop((100.0, 200.0), sample_rate=1000, p=p)),
    "peaking equalizer": Case(lambda p: Equalizer((100.0, 200.0), sample_rate=1000, p=p)),
    "shelf": Case(lambda p: Equalizer((100.0, 200.0), sample_rate=1000, kind="high_shelf", p=p)),
    "delay": Case(lambda p: Delay((0.003, 0.005, 0.011), level=(0.3, 0.9), sample_rate=1000, p=p)),
    "clipping": Case(lambda p: Clipping((0.02, 0.5), p=p)),
    "saturation": Case(lambda p: Saturation((-5.0, 15.0), p=p)),
    "bit depth": Case(lambda p: BitDepth((2, 16), p=p)),
    "mu-law": Case(lambda p: BitDepth((2, 16), mu_law=True, p=p)),
    "pitch shift": Case(lambda p: PitchShift(sample_rate=1000, p=p)),
    "time stretch": Case(lambda p: TimeStretch(sample_rate=1000, p=p), moves_time=True),
    "speed change": Case(lambda p: SpeedChange((0.7, 1.4), p=p), moves_time=True),
    "reverb": Case(lambda p: Reverb((0.02, 0.05), sample_rate=5000, p=p)),
    "reverb as freeverb": Case(lambda p: FreeverbReverb(sample_rate=5000, p=p)),
    "impulse response": Case(lambda p: ImpulseResponse(responses(), wet=(0.3, 1.0), p=p)),
    "frequency mask": Case(lambda p: FrequencyMask(1, (0.2, 0.6), p=p)),
    "time mask": Case(lambda p: TimeMask(3, (0.1, 0.2), p=p)),
    "time shift": Case(lambda p: TimeShift(0.5, p=p), moves_time=True),
    "time reverse": Case(lambda p: TimeReverse(p=p), moves_time=True),
    "channel dropout": Case(lambda p: ChannelDropout(0.5, p=p)),
    "channel shuffle": Case(lambda p: ChannelShuffle(1.0, p=p), moves_time=True),  # a missing value goes with its channel
    "mixing": Case(lambda p: Mixing((0.2, 0.5), p=p), mixes_rows=True),
    "frequencies": Case(lambda p: FrequencyPerturbation(remove_p=0.2, scale_p=0.5, p=p)),
    "phases": Case(lambda p: PhasePerturbation(0.5, p=p)),
    "phases per channel": Case(lambda p: PhasePerturbation(1.0, per_channel=True, p=p)),
    "compose": Case(lambda p: Compose([Gain((-6.0, 6.0)), GaussianNoise(0.1)], p=p)),
    "jitter": Case(lambda p: Jitter(0.8, p=p)),
    "scaling per time": Case(lambda p: Scaling(1.0, 1.1, per="time", p=p)),
    "scaling per channel": Case(lambda p: Scaling(1.0, 0.1, per="channel", p=p)),
    "scaling": Case(lambda p: Scaling(1.0, 0.1, p=p)),
    "magnitude warp": Case(lambda p: MagnitudeWarp(0.2, 4, p=p)),
    "time warp": Case(lambda p: TimeWarp(0.2, 4, p=p), moves_time=True),
    "window slice": Case(lambda p: WindowSlice((0.5, 0.9), p=p), moves_time=True),
    "permutation": Case(lambda p: Permutation((2, 8), p=p), moves_time=True),
    "strong": Case(lambda p: Compose([Permutation((2, 8)), Jitter(0.8)], p=p), moves_time=True),
    "one of several": Case(lambda p: OneOf([Gain((-6.0, 6.0)), AdditiveNoise((5.0, 20.0))], p=p)),
    "babble": Case(lambda p: Babble(bank(), (5.0, 9.0), voices=(1, 3), category="a", p=p)),
    "reflection": Case(lambda p: ChannelReflection(ELECTRODES, pairs=(("F3", "F4"), ("C3", "C4")), p=p), moves_time=True),
    "random reference": Case(lambda p: RandomReference(p=p)),
    "sensor rotation": Case(lambda p: SensorRotation(positions=PLACES, degrees=60.0, p=p)),
    "frequency shift": Case(lambda p: FrequencyShift((-50.0, 50.0), sample_rate=1000, p=p)),
    "narrow band stop": Case(lambda p: NarrowBandStop(sample_rate=1000, width_hz=100.0, edge_hz=50.0, p=p)),
    "smooth time mask": Case(lambda p: SmoothTimeMask((0.01, 0.02), sample_rate=1000, edge_s=0.001, p=p)),
}
NOT_RANDOM = {"polarity", "time reverse", "reflection"}  # with p = 1 there is nothing left to draw
every_case = pytest.mark.parametrize("name", CASES)

LENGTHS = torch.tensor([57, 64, 30, 41, 64, 12])
INDEX = torch.tensor([3, 14, 15, 92, 65, 35])


def make_signals(dtype: torch.dtype = torch.float32, size: int = 64, padding: float = float("nan")) -> Tensor:
    signals = KeyedRandom(INDEX).normal(5, size).to(dtype)
    outside = torch.arange(size) >= LENGTHS[:, None]
    return signals.masked_fill(outside[:, None], padding)


def keyed(epoch: int = 0, index: Tensor = INDEX) -> KeyedRandom:
    return KeyedRandom.for_examples(7, epoch, index)


def same(a: Tensor, b: Tensor, tolerance: float = 0.0) -> bool:
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_dtype_and_device_are_kept(name: str, dtype: torch.dtype) -> None:
    signals = make_signals(dtype)
    changed = CASES[name].make(1.0)(signals, LENGTHS, keyed())
    assert (changed.shape, changed.dtype, changed.device) == (signals.shape, dtype, signals.device)


@every_case
def test_it_does_something(name: str) -> None:
    signals = make_signals()
    changed = CASES[name].make(1.0)(signals, LENGTHS, keyed())
    assert sum(not same(a, b, 1e-4) for a, b in zip(changed, signals, strict=True)) >= 4  # a permutation may be the identity


@every_case
def test_probability_zero_is_the_identity(name: str) -> None:
    signals = make_signals()
    assert same(CASES[name].make(0.0)(signals, LENGTHS, keyed()), signals)


@every_case
def test_each_example_has_its_own_coin(name: str) -> None:
    signals, lengths = make_signals()[:1].expand(400, -1, -1), LENGTHS[:1].expand(400)
    if CASES[name].mixes_rows:
        signals = torch.stack([signals[0] + row for row in range(400)])
    changed = CASES[name].make(0.3)(signals, lengths, keyed(index=torch.arange(400)))
    touched = sum(not same(a, b) for a, b in zip(changed, signals, strict=True))
    assert 85 <= touched <= 155  # 120 expected, deviation 9


@every_case
def test_the_same_key_gives_the_same_output(name: str) -> None:
    signals, augmentation = make_signals(), CASES[name].make(1.0)
    assert same(augmentation(signals, LENGTHS, keyed()), augmentation(signals, LENGTHS, keyed()))


@every_case
def test_epochs_differ(name: str) -> None:
    # Long enough that two epochs cannot draw the same permutation or the same channels by chance in every example.
    signals, augmentation = make_signals(), CASES[name].make(0.5 if name in NOT_RANDOM else 1.0)
    index = torch.arange(60)
    many, lengths = signals.repeat(10, 1, 1), LENGTHS.repeat(10)
    first, second = (augmentation(many, lengths, keyed(epoch, index)) for epoch in (0, 1))
    differing = sum(not same(a, b, 1e-6) for a, b in zip(first, second, strict=True))
    assert differing >= 15  # a coin differs in half of 60; everything else in nearly all
    if name not in NOT_RANDOM:
        assert differing >= 45


@every_case
def test_a_batch_equals_its_examples_one_by_one(name: str) -> None:
    if CASES[name].mixes_rows:
        pytest.skip("mixes rows by design; test_mixing.py has its invariances")
    signals, augmentation = make_signals(), CASES[name].make(0.7)
    together = augmentation(signals, LENGTHS, keyed())
    for row in range(len(signals)):
        alone = augmentation(signals[row : row + 1], LENGTHS[row : row + 1], keyed(index=INDEX[row : row + 1]))
        assert same(alone[0], together[row], 1e-5)


@every_case
def test_more_padding_changes_nothing_inside(name: str) -> None:
    augmentation = CASES[name].make(1.0)
    short = make_signals(torch.float64)
    longer = torch.cat((short, torch.full((len(short), 5, 37), float("nan"), dtype=short.dtype)), dim=2)
    expected, changed = augmentation(short, LENGTHS, keyed()), augmentation(longer, LENGTHS, keyed())
    for row, length in enumerate(LENGTHS.tolist()):
        assert same(changed[row, :, :length], expected[row, :, :length], 1e-9)


@every_case
@pytest.mark.parametrize("padding", [float("nan"), 0.0, 1e30])
def test_padding_comes_back_and_does_not_leak(name: str, padding: float) -> None:
    augmentation = CASES[name].make(1.0)
    reference, signals = make_signals(), make_signals(padding=padding)
    expected, changed = (augmentation(some, LENGTHS, keyed()) for some in (reference, signals))
    for row, length in enumerate(LENGTHS.tolist()):
        assert same(changed[row, :, length:], signals[row, :, length:])
        assert same(changed[row, :, :length], expected[row, :, :length], 1e-5)
        assert not changed[row, :, :length].isnan().any()


@every_case
def test_missing_values_stay_missing(name: str) -> None:
    case = CASES[name]
    signals = make_signals()
    signals[:, 1, 4:8] = float("nan")
    changed = case.make(1.0)(signals, LENGTHS, keyed())
    inside = torch.arange(64) < LENGTHS[:, None, None]
    if case.moves_time:  # where they are is each operation's own test
        assert bool((changed.isnan() & inside).flatten(1).any(dim=1).sum() >= 4)
        assert not bool((changed.isnan() & inside).flatten(1).all(dim=1).any())
    else:
        assert torch.equal(changed.isnan(), signals.isnan())


@every_case
def test_the_input_is_not_modified_and_no_global_generator_moves(name: str) -> None:
    signals = make_signals()
    before, state = signals.clone(), torch.get_rng_state()
    CASES[name].make(0.5)(signals, LENGTHS, keyed())
    assert same(signals, before)
    assert torch.equal(torch.get_rng_state(), state)


@every_case
def test_sampled_parameters_can_be_kept_and_applied_again(name: str) -> None:
    augmentation, signals = CASES[name].make(1.0), make_signals()
    if isinstance(augmentation, Compose):
        with pytest.raises(TypeError, match="call it"):
            augmentation.sample(keyed(), signals, LENGTHS)
        return
    parameters = augmentation.sample(keyed().fold("parameters"), signals, LENGTHS)
    assert all(len(value) == len(signals) for value in parameters.values())
    expected = augmentation(signals, LENGTHS, keyed())
    inside = (torch.arange(64) < LENGTHS[:, None])[:, None]
    for _ in range(2):
        applied = augmentation.apply(signals, LENGTHS, parameters)
        assert same(torch.where(inside, applied, 0.0), torch.where(inside, expected, 0.0))


@every_case
def test_gradients_flow(name: str) -> None:
    signals = make_signals(torch.float64, padding=0.0).requires_grad_()
    CASES[name].make(1.0)(signals, LENGTHS, keyed()).square().sum().backward()
    assert signals.grad is not None and bool(signals.grad.isfinite().all()) and bool((signals.grad != 0).any())


@every_case
def test_probability_is_checked(name: str) -> None:
    with pytest.raises(ValueError, match="probability"):
        CASES[name].make(1.5)


def test_the_steps_of_compose_and_two_views_draw_differently() -> None:
    zeros, lengths = torch.zeros(4, 2, 50), torch.full((4,), 50)
    noise = GaussianNoise(1.0)
    once = Compose([noise])(zeros, lengths, keyed(index=torch.arange(4)))
    twice = Compose([noise, noise])(zeros, lengths, keyed(index=torch.arange(4)))
    assert not same(twice, 2 * once, 0.1)
    first, second = AugmentedViews([noise, noise])(zeros, lengths, keyed(index=torch.arange(4)))
    assert abs(torch.corrcoef(torch.stack((first.signals.flatten(), second.signals.flatten())))[0, 1]) < 0.2


def test_only_the_chosen_examples_are_computed() -> None:
    class Counted(Gain):
        """Remembers how many examples it was given."""

        def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
            computed.append(len(signals))
            return super().apply(signals, lengths, parameters)

    computed: list[int] = []
    signals, lengths = torch.ones(400, 1, 5), torch.full((400,), 5)
    changed = Counted((6.0, 6.0), p=0.1)(signals, lengths, keyed(index=torch.arange(400)))
    assert computed == [int((changed != signals).any(dim=2).sum())] and 20 <= computed[0] <= 60
    assert Counted(p=1e-9)(signals, lengths, keyed(index=torch.arange(400))) is signals and len(computed) == 1


class Rows(Dataset[int]):
    """22 examples that are only their index."""

    def __len__(self) -> int:
        return 22

    def __getitem__(self, row: int) -> int:
        if not 0 <= row < 22:
            raise IndexError(row)
        return row


class Collate:
    """Signals by index, augmented where the batch is put together: in a worker process, or in this one without workers."""

    def __init__(self, augmentation: Augmentation, epoch: int, *, augment: bool) -> None:
        self.augmentation, self.epoch, self.augment = augmentation, epoch, augment

    def __call__(self, rows: list[int]) -> tuple[Tensor, Tensor]:
        index = torch.tensor(rows)
        signals, lengths = KeyedRandom(index).normal(2, 80), torch.full((len(rows),), 80)
        if self.augment:
            signals = self.augmentation(signals, lengths, KeyedRandom.for_examples(0, self.epoch, index))
        return index, signals


def one_epoch(epoch: int, *, workers: int, augment_in_loader: bool, batch_size: int = 4) -> Tensor:
    """The 22 augmented examples in order of their index."""
    augmentation = Compose([TimeShift(), AdditiveNoise((0.0, 10.0), p=0.8)])
    collate = Collate(augmentation, epoch, augment=augment_in_loader)
    loader = DataLoader(Rows(), batch_size=batch_size, num_workers=workers, collate_fn=collate)
    rows = torch.empty(22, 2, 80)
    for index, signals in loader:
        lengths = torch.full((len(index),), 80)
        if not augment_in_loader:
            signals = augmentation(signals, lengths, KeyedRandom.for_examples(0, epoch, index))
        rows[index] = signals
    return rows


def test_workers_and_epochs_never_repeat_and_agree_with_no_workers() -> None:
    epochs = [one_epoch(epoch, workers=0, augment_in_loader=False) for epoch in (0, 1)]
    assert same(one_epoch(0, workers=0, augment_in_loader=True, batch_size=7), epochs[0], 1e-6)
    for epoch in (0, 1):
        assert same(one_epoch(epoch, workers=2, augment_in_loader=True), epochs[epoch], 1e-6)
    assert same(one_epoch(0, workers=2, augment_in_loader=False), epochs[0], 1e-6)
    everything = torch.cat(epochs).flatten(1).round(decimals=4)
    assert len(everything.unique(dim=0)) == 44
