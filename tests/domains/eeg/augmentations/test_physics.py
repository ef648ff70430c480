"""What each EEG augmentation does to a signal, measured."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from antiphon.common.random import KeyedRandom
from antiphon.domains.eeg.augmentations import (
    ChannelReflection,
    FourierSurrogate,
    FrequencyShift,
    NarrowBandStop,
    RandomReference,
    SensorRotation,
    SmoothTimeMask,
    reflection_order,
)
from antiphon.domains.eeg.augmentations.rotation import rotation_matrices
from antiphon.domains.eeg.augmentations.spectra import shift_frequencies

pytest.importorskip("mne")

RATE = 250
NAMES = ["Fp1", "F3", "C3", "Cz", "C4", "F4", "Fp2", "O1", "O2", "T7", "T8", "Pz"]


def keyed(examples: int) -> KeyedRandom:
    return KeyedRandom.for_examples(0, 0, torch.arange(examples))


def noise(examples: int, channels: int, size: int) -> Tensor:
    return KeyedRandom(torch.arange(examples)).normal(channels, size).double()


def tone(frequency_hz: float, size: int = 1000) -> Tensor:
    return torch.sin(2 * math.pi * frequency_hz * torch.arange(size, dtype=torch.float64) / RATE)[None, None]


def peak_hz(signals: Tensor) -> Tensor:
    """The strongest frequency of the first channel, to a hundredth of a hertz."""
    spectrum = torch.fft.rfft(signals[:, 0] * torch.hann_window(signals.shape[-1], dtype=signals.dtype), n=RATE * 100)
    return spectrum.abs().argmax(dim=1) / 100


def test_a_shift_moves_the_peak_by_exactly_that_many_hertz() -> None:
    signals, lengths = tone(10.0).repeat(40, 1, 1), torch.full((40,), 1000)
    shift = FrequencyShift((-2.0, 2.0), sample_rate=RATE)
    drawn = shift.sample(keyed(40), signals, lengths)
    moved = peak_hz(shift.apply(signals, lengths, drawn)) - 10.0
    assert float((moved - drawn["shift_hz"]).abs().max()) <= 0.02
    assert drawn["shift_hz"].min() < -1.5 and drawn["shift_hz"].max() > 1.5


def test_a_shift_uses_the_sampling_rate_it_is_told() -> None:
    times = torch.arange(1024, dtype=torch.float64) / 512
    signals = torch.sin(2 * math.pi * 10 * times)[None, None]
    moved = shift_frequencies(signals, torch.tensor([1024]), torch.tensor([3.0]), sample_rate=512)
    expected = torch.sin(2 * math.pi * 13 * times)
    assert float((moved[0, 0] - expected)[100:-100].abs().max()) < 0.02
    assert float((moved[0, 0].square().mean() / signals.square().mean() - 1).abs()) < 0.01  # one side band: no power is lost


def test_shifting_by_nothing_is_the_identity() -> None:
    signals, lengths = noise(3, 2, 300), torch.tensor([300, 200, 17])
    shifted = shift_frequencies(signals, lengths, torch.zeros(3), sample_rate=RATE)
    for row, length in enumerate(lengths):
        assert torch.allclose(shifted[row, :, :length], signals[row, :, :length])


def test_the_notch_is_deep_where_it_is_drawn_and_nowhere_else() -> None:
    signals, lengths = noise(60, 3, 2000), torch.full((60,), 2000)
    stop = NarrowBandStop((10.0, 100.0), sample_rate=RATE, width_hz=4.0, edge_hz=1.0)
    drawn = stop.sample(keyed(60), signals, lengths)
    before, after = (torch.fft.rfft(some).abs().square().mean(dim=1) for some in (signals, stop.apply(signals, lengths, drawn)))
    distance = (torch.fft.rfftfreq(2000, 1 / RATE) - drawn["centre_hz"][:, None]).abs()
    inside, outside = distance < 2.0, distance > 3.0
    assert float(after[inside].sum() / before[inside].sum()) < 1e-6  # more than 60 dB
    assert torch.allclose(after[outside], before[outside])


def test_a_band_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"does not fit below 50\.0 Hz"):
        NarrowBandStop(sample_rate=100, width_hz=40.0, edge_hz=10.0)
    with pytest.raises(ValueError, match="centre_hz"):
        NarrowBandStop((10.0, 80.0), sample_rate=100)


def test_a_smooth_mask_silences_its_span_and_nothing_else() -> None:
    signals, lengths = torch.ones(50, 2, 1000, dtype=torch.float64), torch.full((50,), 1000)
    mask = SmoothTimeMask((0.4, 0.8), sample_rate=RATE)
    drawn = mask.sample(keyed(50), signals, lengths)
    masked = mask.apply(signals, lengths, drawn)
    times = torch.arange(1000) / RATE
    start, end = drawn["start_s"][:, None], (drawn["start_s"] + drawn["duration_s"])[:, None]
    deep, far = (times > start + 0.05) & (times < end - 0.05), (times < start - 0.05) | (times > end + 0.05)
    assert float(masked[:, 0][deep].max()) < 1e-4 and float((masked[:, 0][far] - 1).abs().max()) < 1e-4
    assert float(masked.diff(dim=-1).abs().max()) < 0.3  # no click: a hard edge would be 1
    assert bool((start >= 0).all()) and bool((end <= 4.0 + 1e-6).all())


def test_a_mask_longer_than_its_example_hides_all_of_it() -> None:
    signals, lengths = torch.ones(1, 1, 100), torch.tensor([100])
    mask = SmoothTimeMask((5.0, 5.0), sample_rate=RATE, edge_s=1e-4)
    assert float(mask(signals, lengths, keyed(1))[..., 2:-2].max()) < 1e-6


def test_a_surrogate_keeps_powers_and_shared_phases_keep_relations_between_channels() -> None:
    signals, lengths = noise(2, 3, 501), torch.full((2,), 501)
    signals[:, 1] += signals[:, 0]

    def relations(some: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(some)
        return spectrum[:, :, None] * spectrum[:, None].conj()

    shared, apart = (FourierSurrogate(per_channel=flag)(signals, lengths, keyed(2)) for flag in (False, True))
    for changed in (shared, apart):
        assert torch.allclose(torch.fft.rfft(changed).abs(), torch.fft.rfft(signals).abs())
    assert torch.allclose(relations(shared), relations(signals))
    assert not torch.allclose(relations(apart), relations(signals), atol=1.0)


def test_reflection_exchanges_the_hemispheres_and_keeps_the_mid_line() -> None:
    order = reflection_order(NAMES)
    assert [NAMES[place] for place in order] == ["Fp2", "F4", "C4", "Cz", "C3", "F3", "Fp1", "O2", "O1", "T8", "T7", "Pz"]
    assert [order[place] for place in order] == list(range(len(NAMES)))
    assert reflection_order(["FFC5h", "ffc6H", "M1", "M2", "T3", "T4", "P9", "P10"]) == [1, 0, 3, 2, 5, 4, 7, 6]


def test_the_published_pairs_of_bnci2014001() -> None:
    names = [
        *("Fz", "FC3", "FC1", "FCz", "FC2", "FC4", "C5", "C3", "C1", "Cz", "C2"),
        *("C4", "C6", "CP3", "CP1", "CPz", "CP2", "CP4", "P1", "Pz", "P2", "POz"),
    ]
    order = reflection_order(names)
    left, right = [1, 2, 6, 7, 8, 13, 14, 18], [5, 4, 12, 11, 10, 17, 16, 20]
    assert [order[place] for place in left] == right and [order[place] for place in right] == left


def test_channels_without_a_mirror_image_are_named() -> None:
    with pytest.raises(ValueError, match=r"no mirror image for EOG, F7 among .*unpaired=keep"):
        reflection_order(["C3", "C4", "EOG", "F7"])
    assert reflection_order(["C3", "C4", "EOG", "F7"], unpaired="keep") == [1, 0, 2, 3]
    assert reflection_order(["E36", "E104", "E129"], pairs=[("E36", "E104")]) == [1, 0, 2]
    with pytest.raises(ValueError, match="pairs name E37"):
        reflection_order(["E36", "E104"], pairs=[("E36", "E37")])
    with pytest.raises(ValueError, match="unpaired"):
        reflection_order(["C3"], unpaired="drop")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="2 electrode names for 3 channels"):
        ChannelReflection(["C3", "C4"], p=1.0)(noise(1, 3, 10), torch.tensor([10]), keyed(1))


def test_reflecting_twice_gives_the_signals_back() -> None:
    signals, lengths = noise(2, len(NAMES), 20), torch.full((2,), 20)
    reflection = ChannelReflection(NAMES, p=1.0)
    once = reflection(signals, lengths, keyed(2))
    assert torch.equal(once[:, 2], signals[:, 4]) and torch.equal(reflection(once, lengths, keyed(2)), signals)


def test_a_new_reference_keeps_all_differences_between_electrodes() -> None:
    signals, lengths = noise(20, 4, 30), torch.full((20,), 30)
    rereferenced = RandomReference()
    chosen = rereferenced.sample(keyed(20), signals, lengths)["reference"]
    changed = rereferenced.apply(signals, lengths, {"reference": chosen})
    assert len(chosen.unique()) == 4
    for row, reference in enumerate(chosen.tolist()):
        whole = torch.cat((signals[row], torch.zeros(1, 30, dtype=torch.float64)))  # the old reference is 0 by definition
        expected = whole - whole[reference]
        expected[reference] = expected[4]
        assert torch.allclose(changed[row], expected[:4])


def test_rotations_turn_the_right_way_round() -> None:
    quarter = torch.tensor([math.pi / 2], dtype=torch.float64)
    for axis, start, end in (("x", (0.0, 1, 0), (0.0, 0, 1)), ("y", (0.0, 0, 1), (1.0, 0, 0)), ("z", (1.0, 0, 0), (0.0, 1, 0))):
        turned = rotation_matrices(quarter, axis)[0] @ torch.tensor(start, dtype=torch.float64)  # type: ignore[arg-type]
        assert torch.allclose(turned, torch.tensor(end, dtype=torch.float64))


def test_a_smooth_potential_is_seen_where_the_cap_was_turned_to() -> None:
    names = [
        *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8", "P7", "P3", "Pz"),
        *("P4", "P8", "O1", "O2", "FC1", "FC2", "CP1", "CP2", "FC5", "FC6", "CP5", "CP6", "AFz", "Oz", "POz"),
    ]
    rotation = SensorRotation(names, axis="z", degrees=15.0)
    potential = torch.tensor([0.3, -0.8, 0.5], dtype=torch.float64)  # a dipole far below: linear on the sphere
    signals = (rotation.positions @ potential)[None, :, None].repeat(9, 1, 7)
    drawn = rotation.sample(keyed(9), signals, torch.full((9,), 7))
    seen = rotation.apply(signals, torch.full((9,), 7), drawn)
    turned = rotation.positions @ rotation_matrices(drawn["angle_rad"].double(), "z").mT
    assert float((seen[..., 0] - turned @ potential).abs().max()) < 0.02
    still = rotation.apply(signals, torch.full((9,), 7), {"angle_rad": torch.zeros(9)})
    assert torch.allclose(still, signals, atol=1e-3)


def test_rotation_needs_places() -> None:
    with pytest.raises(ValueError, match="give their names, or positions"):
        SensorRotation()
    with pytest.raises(ValueError, match="origin"):
        SensorRotation(positions=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="axis"):
        SensorRotation(positions=np.eye(3), axis="w")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="3 positions for 4 channels"):
        SensorRotation(positions=np.eye(3))(noise(1, 4, 5), torch.tensor([5]), keyed(1))


def test_unknown_names_have_no_standard_position() -> None:
    with pytest.raises(ValueError, match="no standard position for EOG"):
        SensorRotation(["C3", "EOG"])
    assert SensorRotation(["c3", "EEG C4-REF", "T3"]).positions.shape == (3, 3)
