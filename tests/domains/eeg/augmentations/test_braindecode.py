"""Our operations equal braindecode's, given the same parameters; its transforms run inside our views."""

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from antiphon.common.augment import AugmentedViews, ChannelDropout, ChannelShuffle, Compose, Gain, TimeReverse
from antiphon.common.random import KeyedRandom
from antiphon.domains.eeg.augmentations import (
    BraindecodeTransforms,
    ChannelReflection,
    FrequencyShift,
    NarrowBandStop,
    RandomReference,
    SensorRotation,
    SignFlip,
    SmoothTimeMask,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    braindecode = pytest.importorskip("braindecode.augmentation")
    functional = pytest.importorskip("braindecode.augmentation.functional")

RATE = 250.0
NAMES = ["F3", "C3", "Cz", "C4", "F4"]
SIGNALS = KeyedRandom(torch.arange(6)).normal(5, 1001)
LENGTHS, LABELS = torch.full((6,), 1001), torch.zeros(6)


def keyed(epoch: int = 0, index: Tensor | None = None) -> KeyedRandom:
    return KeyedRandom.for_examples(0, epoch, torch.arange(6) if index is None else index)


def close(ours: Tensor, theirs: Tensor, tolerance: float = 1e-5) -> bool:
    return torch.allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def test_time_reverse_sign_flip_and_reflection() -> None:
    assert close(TimeReverse(p=1.0)(SIGNALS, LENGTHS, keyed()), functional.time_reverse(SIGNALS, LABELS)[0])
    assert close(SignFlip(p=1.0)(SIGNALS, LENGTHS, keyed()), functional.sign_flip(SIGNALS, LABELS)[0])
    order = braindecode.ChannelsSymmetry(1.0, NAMES).permutation
    theirs = functional.channels_permute(SIGNALS, LABELS, order)[0]
    assert close(ChannelReflection(NAMES, p=1.0)(SIGNALS, LENGTHS, keyed()), theirs)


def test_frequency_shift() -> None:
    shifts = torch.tensor([-2.0, -0.7, 0.0, 0.1, 1.3, 2.0])
    theirs = functional.frequency_shift(SIGNALS, LABELS, shifts, RATE)[0]
    assert close(FrequencyShift(sample_rate=RATE).apply(SIGNALS, LENGTHS, {"shift_hz": shifts}), theirs, 1e-4)


def test_smooth_time_mask() -> None:
    starts = torch.tensor([0, 10, 200, 500, 800, 900])
    theirs = functional.smooth_time_mask(SIGNALS, LABELS, starts, 100)[0]
    mask = SmoothTimeMask(sample_rate=RATE, edge_s=1001 / 1000 / RATE)
    ours = mask.apply(SIGNALS, LENGTHS, {"start_s": starts / RATE, "duration_s": torch.full((6,), 100 / RATE)})
    assert close(ours, theirs, 1e-3)


def test_amplitude_scale_is_a_gain_for_each_channel() -> None:
    factors = torch.from_numpy(np.random.RandomState(3).uniform(0.5, 2.0, size=(6, 5, 1))).float()
    theirs = functional.amplitude_scale(SIGNALS, LABELS, (0.5, 2.0), random_state=3)[0]
    assert close(Gain().apply(SIGNALS, LENGTHS, {"gain_db": 20 * factors.log10()}), theirs)


def test_reference_dropout_and_shuffle() -> None:
    reference = torch.from_numpy(np.random.RandomState(5).randint(0, 5, size=6))
    theirs = functional.channels_rereference(SIGNALS, LABELS, random_state=5)[0]
    assert close(RandomReference().apply(SIGNALS, LENGTHS, {"reference": reference}), theirs)
    dropped = functional.channels_dropout(SIGNALS, LABELS, 0.4, random_state=5)[0]
    silent = dropped.abs().amax(dim=2) < 1e-3
    assert close(ChannelDropout().apply(SIGNALS, LENGTHS, {"dropped": silent}), dropped, 1e-2)
    shuffled = functional.channels_shuffle(SIGNALS, LABELS, 0.8, random_state=5)[0]
    source = torch.cdist(shuffled, SIGNALS).argmin(dim=2)
    assert close(ChannelShuffle().apply(SIGNALS, LENGTHS, {"source": source}), shuffled)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_sensor_rotation(axis: str) -> None:
    rotation = SensorRotation(NAMES, axis=axis)  # type: ignore[arg-type]
    degrees = torch.tensor([-15.0, -4.0, 0.0, 3.0, 9.0, 15.0])
    theirs = functional.sensors_rotation(SIGNALS, LABELS, rotation.positions.T, axis, degrees.double(), True)[0]
    assert close(rotation.apply(SIGNALS, LENGTHS, {"angle_rad": degrees.deg2rad()}), theirs, 1e-3)


def test_band_stop_agrees_but_for_the_shape_of_the_edges() -> None:
    """mne's FIR has other edges: what the two leave differs by a small part of what they take away."""
    centres = torch.tensor([12.0, 20.0, 35.0, 50.0, 80.0, 100.0])
    theirs = functional.bandstop_filter(SIGNALS, LABELS, RATE, 4.0, centres.tolist())[0]
    ours = NarrowBandStop(sample_rate=RATE, width_hz=4.0, edge_hz=1.0).apply(SIGNALS, LENGTHS, {"centre_hz": centres})
    inside = slice(250, -250)
    taken = (SIGNALS - theirs)[..., inside].square().mean()
    assert float((ours - theirs)[..., inside].square().mean() / taken) < 0.1


def views(epoch: int = 0, *, seed: int = 0) -> list[Tensor]:
    chain = BraindecodeTransforms([braindecode.GaussianNoise(1.0, std=0.5, random_state=seed), braindecode.TimeReverse(0.5)])
    return [view.signals for view in AugmentedViews([chain, chain])(SIGNALS, LENGTHS, keyed(epoch))]


def test_braindecodes_transforms_are_keyed() -> None:
    first, second = views()
    assert first.shape == SIGNALS.shape and first.dtype == torch.float32
    assert all(torch.equal(a, b) for a, b in zip(views(), views(seed=9), strict=True))  # their own seed does not count
    noises = [first, second, *views(epoch=1)]
    assert all(not torch.allclose(a, b, atol=0.1) for n, a in enumerate(noises) for b in noises[:n])  # views and epochs differ


def test_the_order_of_transforms_inside_compose_is_kept_and_their_state_is_not_touched() -> None:
    noise = braindecode.GaussianNoise(1.0, std=0.5, random_state=1)
    before = noise.rng.get_state()[1].copy()
    single = BraindecodeTransforms([noise, braindecode.SignFlip(1.0)])(SIGNALS, LENGTHS, keyed())
    nested = BraindecodeTransforms([braindecode.Compose([noise, braindecode.SignFlip(1.0)])])(SIGNALS, LENGTHS, keyed())
    assert torch.equal(single, nested) and np.array_equal(before, noise.rng.get_state()[1])


def test_ours_and_theirs_in_one_chain() -> None:
    chain = Compose([Gain(), BraindecodeTransforms([braindecode.FTSurrogate(1.0)])])
    changed = chain(SIGNALS, LENGTHS, keyed())
    assert changed.shape == SIGNALS.shape and not torch.allclose(changed, SIGNALS, atol=0.1)


def test_what_braindecode_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match="Mixup would change labels"):
        BraindecodeTransforms([braindecode.Mixup(0.5)])
    with pytest.raises(ValueError, match="no transform of braindecode"):
        BraindecodeTransforms([Gain()])
    flip = BraindecodeTransforms([braindecode.SignFlip(1.0)])
    with pytest.raises(ValueError, match="one length"):
        flip(SIGNALS, torch.tensor([1001] * 5 + [900]), keyed())
