"""Operations that look beyond one example or one size."""

from __future__ import annotations

import torch

from antiphon.common.augment import CroppedViews, Gain, GaussianNoise, Mixing
from antiphon.common.augment.crops import take_repeated, take_windows
from antiphon.common.augment.mixing import ring_partners
from antiphon.common.random import KeyedRandom

INDEX = torch.arange(50) * 7
LENGTHS = 10 + torch.arange(50) % 31  # 10 .. 40


def keyed(index: torch.Tensor = INDEX, epoch: int = 0) -> KeyedRandom:
    return KeyedRandom.for_examples(0, epoch, index)


def test_partners_form_one_ring() -> None:
    partners = ring_partners(keyed())
    row, visited = 0, set()
    while row not in visited:
        visited.add(row)
        row = int(partners[row])
    assert visited == set(range(50))
    assert not torch.equal(partners, ring_partners(keyed(epoch=1)))


def test_mixing_is_the_weighted_sum_where_both_are_and_the_own_elsewhere() -> None:
    signals = KeyedRandom(INDEX).normal(2, 40).double()
    signals[5, 1, 3] = float("nan")
    mixing = Mixing((0.2, 0.5))
    parameters = mixing.sample(keyed().fold("parameters"), signals, LENGTHS)
    changed = mixing(signals, LENGTHS, keyed())
    assert parameters["weight"].min() >= 0.2 and parameters["weight"].max() <= 0.5
    for row in range(50):
        partner, weight = int(parameters["partner"][row]), float(parameters["weight"][row])
        for channel in range(2):
            for time in range(40):
                own, other = float(signals[row, channel, time]), float(signals[partner, channel, time])
                mixes = time < LENGTHS[row] and time < LENGTHS[partner] and other == other
                expected = (1 - weight) * own + weight * other if mixes else own
                assert torch.isclose(changed[row, channel, time], torch.tensor(expected).double(), equal_nan=True, atol=1e-6)


def test_mixing_does_not_depend_on_the_order_of_the_batch_and_leaves_a_lone_example() -> None:
    signals, order = KeyedRandom(INDEX).normal(2, 40), torch.randperm(50, generator=torch.Generator().manual_seed(0))
    mixed = Mixing()(signals, LENGTHS, keyed())
    again = Mixing()(signals[order], LENGTHS[order], keyed(INDEX[order]))
    assert torch.equal(again, mixed[order])
    assert torch.equal(Mixing()(signals[:1], LENGTHS[:1], keyed(INDEX[:1])), signals[:1])


def test_take_windows_against_slices() -> None:
    signals = KeyedRandom(INDEX).normal(2, 40)
    starts = torch.arange(50) - 10
    windows = take_windows(signals, starts, 12)
    padded = torch.nn.functional.pad(signals, (12, 12))
    for row, start in enumerate(starts.tolist()):
        expected = padded[row, :, start + 12 : start + 24] if start + 12 < 64 else torch.zeros(2, 12)
        assert torch.equal(windows[row, :, : expected.shape[1]], expected)


def test_cropped_views_are_windows_inside_each_example() -> None:
    times = torch.arange(40.0).expand(50, 1, -1) + 1
    signals = times.masked_fill((torch.arange(40) >= LENGTHS[:, None])[:, None], float("nan"))
    nothing = Gain((0.0, 0.0))
    first, second = CroppedViews(16, [nothing, nothing])(signals, LENGTHS, keyed())
    for view in (first, second):
        assert view.signals.shape == (50, 1, 16)
        assert torch.equal(view.lengths, LENGTHS.clamp(max=16))
        for row, length in enumerate(view.lengths.tolist()):
            window = view.signals[row, 0, :length]
            assert not bool(window.isnan().any()) and bool((window.diff() == 1).all())
    assert bool((first.signals[:, 0, 0] != second.signals[:, 0, 0]).any())
    latest = first.signals[:, 0, 0] - 1 + 16 == LENGTHS
    assert bool(latest.any()) and bool((first.signals[LENGTHS <= 16, 0, 0] == 1).all())


def test_the_same_window_may_be_seen_through_two_augmentations() -> None:
    signals = KeyedRandom(INDEX).normal(1, 40)
    full = torch.full((50,), 40)
    noise = GaussianNoise(1e-3)
    first, second = CroppedViews(16, [noise, noise], same_window=True)(signals, full, keyed())
    difference = (first.signals - second.signals).abs()
    assert 0 < float(difference.max()) < 0.02


def test_a_batch_shorter_than_the_window_is_padded() -> None:
    view = CroppedViews(64, [Gain((0.0, 0.0))])(torch.ones(50, 1, 40), torch.full((50,), 40), keyed())[0]
    assert bool((view.signals[..., :40] == 1).all()) and bool((view.signals[..., 40:] == 0).all())
    assert bool((view.lengths == 40).all())


def test_short_examples_start_again() -> None:
    times = torch.arange(40.0).expand(50, 1, -1)
    signals = times.masked_fill((torch.arange(40) >= LENGTHS[:, None])[:, None], float("nan"))
    windows = take_repeated(signals, LENGTHS, INDEX % LENGTHS, 24)
    assert windows.shape == (50, 1, 24) and torch.equal(windows[:, 0, 0].long(), INDEX % LENGTHS)
    assert bool((windows[:, 0].diff() % LENGTHS[:, None] == 1 % LENGTHS[:, None]).all())
