"""What the time-series augmentations do, sample by sample; tests/common/augment/test_contract.py has what all of them owe."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.interpolate import CubicSpline
from torch import Tensor

from antiphon.common.augment import Compose
from antiphon.common.random import KeyedRandom
from antiphon.domains.time_series.augmentations import Jitter, MagnitudeWarp, Permutation, Scaling, TimeWarp, WindowSlice
from antiphon.domains.time_series.augmentations.splines import smooth_curve
from antiphon.domains.time_series.augmentations.timing import interpolate

COUNT, SIZE = 400, 90
INDEX = torch.arange(COUNT)
LENGTHS = 30 + INDEX % 61  # 30 .. 90


def keyed(index: Tensor = INDEX) -> KeyedRandom:
    return KeyedRandom.for_examples(0, 0, index)


def ramps(channels: int = 2) -> Tensor:
    """Sample t of channel c is 1000 c + t."""
    return (1000.0 * torch.arange(channels)[:, None] + torch.arange(SIZE)).double().expand(COUNT, -1, -1).clone()


# ---- amplitude


@pytest.mark.parametrize(("per", "shape"), [("time", (1, SIZE)), ("channel", (3, 1)), ("example", (1, 1))])
def test_scaling_draws_one_normal_factor_for_each_time_channel_or_example(
    per: Literal["time", "channel", "example"], shape: tuple[int, int]
) -> None:
    full = torch.full((COUNT,), SIZE)
    factors = Scaling(2.0, 1.1, per=per)(torch.ones(COUNT, 3, SIZE), full, keyed())
    unique = factors[:, : shape[0], : shape[1]]
    assert torch.equal(factors, unique.expand_as(factors))
    assert stats.kstest(unique.flatten().numpy(), "norm", args=(2.0, 1.1)).pvalue > 1e-4
    assert len(unique.flatten().unique()) > 0.98 * unique.numel()


def test_smooth_curve_is_scipys_natural_spline() -> None:
    values = KeyedRandom(INDEX[:8]).normal(2, 6).double()
    lengths = torch.tensor([90, 2, 3, 30, 31, 64, 89, 50])
    curve = smooth_curve(values, lengths, SIZE)
    for row, length in enumerate(lengths.tolist()):
        spline = CubicSpline(np.linspace(0, length - 1, 6), values[row].numpy(), axis=1, bc_type="natural")
        np.testing.assert_allclose(curve[row, :, :length], spline(np.arange(length)), atol=1e-10)
        assert torch.allclose(curve[row, :, length:], values[row, :, -1:], atol=1e-12)
    line = smooth_curve(torch.tensor([[[1.0, 3.0]]]), torch.tensor([5]), 5)
    assert torch.allclose(line, torch.tensor([[[1.0, 1.5, 2.0, 2.5, 3.0]]]))


def test_magnitude_warp_is_smooth_and_starts_from_its_own_factors() -> None:
    warp = MagnitudeWarp(0.2, 4)
    curves = warp(torch.ones(COUNT, 2, SIZE).double(), LENGTHS, keyed())
    assert float(curves.diff(dim=2, n=2).abs()[:, :, :28].max()) < 0.1
    assert stats.kstest(curves[:, :, 0].flatten().numpy(), "norm", args=(1.0, 0.2)).pvalue > 1e-4
    assert bool((curves[:, 0, 0] != curves[:, 1, 0]).all())
    shared = MagnitudeWarp(0.2, 4, per_channel=False)(torch.ones(COUNT, 2, SIZE), LENGTHS, keyed())
    assert torch.equal(shared[:, 0], shared[:, 1])
    assert bool((shared[:, 0, 0] != shared[:, 0, 20]).all())


# ---- timing


def test_interpolation_between_samples_and_exactly_on_them() -> None:
    signals = torch.tensor([[[0.0, 10.0, float("nan"), 30.0]]])
    places = torch.tensor([[0.0, 0.25, 1.0, 1.5, 3.0]])
    expected = torch.tensor([[[0.0, 2.5, 10.0, float("nan"), 30.0]]])
    assert torch.equal(interpolate(signals, places).isnan(), expected.isnan())
    assert torch.allclose(interpolate(signals, places), expected, equal_nan=True)


def test_time_warp_is_monotone_keeps_both_ends_and_moves_the_middle() -> None:
    warped = TimeWarp(0.5, 4)(ramps(), LENGTHS, keyed())
    assert torch.allclose(warped[:, 1] - 1000.0, warped[:, 0], atol=1e-9)  # all channels alike; past the end nothing moved
    inside = torch.arange(SIZE) < LENGTHS[:, None]
    steps = warped[:, 0].diff(dim=1)
    assert bool((steps > 0)[inside[:, 1:]].all())
    assert bool((warped[:, 0, 0] == 0).all())
    assert torch.allclose(warped[INDEX, 0, LENGTHS - 1], (LENGTHS - 1).double())
    middle = (warped[INDEX, 0, LENGTHS // 2] - LENGTHS // 2) / LENGTHS
    assert 0.03 < float(middle.std()) < 0.2 and abs(float(middle.mean())) < 0.02
    still = TimeWarp(0.0, 4)(ramps(), LENGTHS, keyed())
    assert torch.allclose(still, ramps(), atol=1e-9)


def test_time_warp_handles_the_shortest_examples() -> None:
    lengths = torch.tensor([1, 2])
    signals = torch.tensor([[[5.0, float("nan")]], [[5.0, 6.0]]])
    warped = TimeWarp(0.5)(signals, lengths, keyed(INDEX[:2]))
    assert torch.allclose(warped, signals, equal_nan=True)


def test_window_slice_zooms_into_a_window_of_the_drawn_size() -> None:
    zoomed = WindowSlice((0.5, 0.8))(ramps(), LENGTHS, keyed())
    assert torch.allclose(zoomed[:, 1] - 1000.0, zoomed[:, 0], atol=1e-9)
    steps = zoomed[:, 0, :30].diff(dim=1)
    assert torch.allclose(steps, steps[:, :1].expand_as(steps), atol=1e-9)
    assert 0.5 <= float(steps.min()) < 0.52 and 0.78 < float(steps.max()) <= 0.8
    first, last = zoomed[:, 0, 0], zoomed[INDEX, 0, LENGTHS - 1]
    assert bool((first >= 0).all()) and bool((last <= LENGTHS - 1).all())
    room = (1 - steps[:, 0]) * (LENGTHS - 1)
    assert stats.kstest((first / room).numpy(), "uniform").pvalue > 1e-4


def test_rounding_never_carries_a_window_into_the_padding() -> None:
    """The rightmost window ends on the last sample, whatever the fraction: one ulp more would read what lies behind it."""
    signals = ramps(1).masked_fill((torch.arange(SIZE) >= LENGTHS[:, None])[:, None], float("nan"))
    fraction = torch.linspace(0.01, 0.99, COUNT, dtype=torch.float64)[:, None]
    zoomed = WindowSlice().apply(signals, LENGTHS, {"fraction": fraction, "start": torch.ones(COUNT, 1)})
    assert torch.allclose(zoomed[INDEX, 0, LENGTHS - 1], (LENGTHS - 1).double())


def test_a_tone_in_a_zoomed_window_is_lower_by_its_fraction() -> None:
    size = 2000
    tone = torch.sin(2 * math.pi * 100 * torch.arange(size).double() / size).expand(20, 1, -1)
    zoom = WindowSlice((0.5, 0.5))(tone, torch.full((20,), size), keyed(INDEX[:20]))
    assert torch.equal(torch.fft.rfft(zoom).abs()[:, 0].argmax(dim=1), torch.full((20,), 50))


@pytest.mark.parametrize("segments", [(2, 8), (1, 7), (5, 5), (1, 1)])
def test_permutation_keeps_every_sample_and_cuts_into_the_drawn_number_of_segments(segments: tuple[int, int]) -> None:
    augmentation = Permutation(segments)
    changed = augmentation(ramps(), LENGTHS, keyed())
    assert torch.equal(changed[:, 1] - 1000.0, changed[:, 0])
    assert torch.equal(changed.sort(dim=2).values, ramps())  # a permutation of the samples, and of those inside: the rest stays
    ends = augmentation.sample(keyed().fold("parameters"), ramps(), LENGTHS)["ends"]
    counts = torch.tensor([len(set(row)) for row in ends.tolist()])  # the distinct ends
    expected = torch.arange(segments[0], segments[1] + 1)
    assert torch.equal(counts.unique(), expected)
    assert len(expected) == 1 or stats.chisquare(torch.bincount(counts)[segments[0] :].numpy()).pvalue > 1e-4
    for row in range(COUNT):
        length = int(LENGTHS[row])
        pieces = np.split(np.arange(length), np.array(sorted(set(ends[row].tolist()) - {length})))
        by_first = {int(piece[0]): piece for piece in pieces}
        rest = changed[row, 0, :length].long().numpy()
        rebuilt: list[int] = []
        while len(rebuilt) < length:  # the output is a sequence of whole pieces
            rebuilt.extend(by_first.pop(int(rest[len(rebuilt)])).tolist())
        np.testing.assert_array_equal(rest, rebuilt)


def test_orders_and_cuts_of_permutation_are_uniform() -> None:
    count = 6000
    signals, lengths = torch.arange(12.0).expand(count, 1, -1), torch.full((count,), 10)
    augmentation = Permutation((3, 3))
    parameters = augmentation.sample(keyed(torch.arange(count)), signals, lengths)
    ends = parameters["ends"]
    assert torch.equal(ends[:, 2], lengths)
    _, pairs = (ends[:, 0] * 100 + ends[:, 1]).unique(return_counts=True)
    assert len(pairs) == 36  # two distinct cuts among 1 .. 9
    assert stats.chisquare(pairs.numpy()).pvalue > 1e-4
    source = augmentation.source(ends, parameters["order"], lengths, 12)
    starts = torch.cat((torch.zeros(count, 1, dtype=torch.int64), ends[:, :2]), dim=1)
    leading = (source[:, :1] == starts).int().argmax(dim=1)
    assert stats.chisquare(torch.bincount(leading, minlength=3).numpy()).pvalue > 1e-4


def test_permutation_of_examples_shorter_than_the_number_of_segments() -> None:
    lengths = torch.tensor([1, 2, 3, 5])
    signals = torch.arange(6.0).expand(4, 1, -1)
    changed = Permutation((8, 8))(signals, lengths, keyed(INDEX[:4]))
    for row, length in enumerate(lengths.tolist()):
        assert sorted(changed[row, 0, :length].tolist()) == list(range(length))
        assert changed[row, 0, length:].tolist() == list(range(length, 6))


# ---- the published pairs of views


def test_the_views_of_dbpm_and_ts_tcc_are_expressible() -> None:
    weak, strong = Scaling(1.0, 1.1, per="time"), Compose([Permutation((2, 8)), Jitter(0.8)])
    full = torch.full((COUNT,), SIZE)
    factor = weak(ramps() + 1.0, full, keyed()) / (ramps() + 1.0)
    assert torch.allclose(factor[:, 0], factor[:, 1])
    noise = strong(torch.zeros(COUNT, 2, SIZE), full, keyed())
    assert stats.kstest(noise.flatten().numpy(), "norm", args=(0.0, 0.8)).pvalue > 1e-4
    moved = strong(1e6 * ramps(), full, keyed())
    assert torch.equal((moved[:, 0] / 1e6).round().sort(dim=1).values, ramps()[:, 0])


def test_options_are_checked() -> None:
    unknown: Any = "row"
    with pytest.raises(ValueError, match="per must be"):
        Scaling(per=unknown)
    with pytest.raises(ValueError, match="segments must be a pair"):
        Permutation((0, 4))
    with pytest.raises(ValueError, match="fraction must be a pair"):
        WindowSlice((0.5, 1.2))
    with pytest.raises(ValueError, match="std must be"):
        TimeWarp(-0.1)
