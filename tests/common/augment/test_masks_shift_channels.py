"""Samples hidden, moved or exchanged: every value of the output is accounted for."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from antiphon.common.augment import ChannelDropout, ChannelShuffle, FrequencyMask, TimeMask, TimeReverse, TimeShift
from antiphon.common.augment.masks import inside_spans
from antiphon.common.random import KeyedRandom

COUNT = 300
INDEX = torch.arange(COUNT)
LENGTHS = 20 + INDEX % 81  # 20 .. 100


def keyed() -> KeyedRandom:
    return KeyedRandom.for_examples(0, 0, INDEX)


def numbered(channels: int = 2) -> Tensor:
    """Every sample is its own number: 1000 c + t + 1."""
    return (1000 * torch.arange(channels)[:, None] + torch.arange(100) + 1.0).expand(COUNT, -1, -1).clone()


def test_inside_spans_against_a_loop() -> None:
    starts = KeyedRandom(INDEX).integers(3, high=40)
    widths = KeyedRandom(INDEX + 1000).integers(3, high=15)
    expected = torch.zeros(COUNT, 40, dtype=torch.bool)
    for row in range(COUNT):
        for start, width in zip(starts[row].tolist(), widths[row].tolist(), strict=True):
            expected[row, start : start + width] = True
    assert torch.equal(inside_spans(starts, widths, 40), expected)


def test_frequency_mask_hides_neighbouring_channels_for_all_time() -> None:
    hidden = FrequencyMask(1, (0.1, 0.4))(numbered(40), LENGTHS, keyed()) == 0
    inside = torch.arange(100) < LENGTHS[:, None]
    rows = hidden[..., 0]
    assert torch.equal(hidden & inside[:, None], rows[..., None] & inside[:, None])
    assert bool((rows.int().diff(dim=1).abs().sum(dim=1) <= 2).all())  # one span
    widths = rows.sum(dim=1)
    assert int(widths.min()) == 4 and int(widths.max()) == 16


def test_time_mask_hides_one_span_of_the_asked_size_on_all_channels() -> None:
    hidden = TimeMask(1, (0.1, 0.3))(numbered(), LENGTHS, keyed()) == 0
    assert torch.equal(hidden[:, 0], hidden[:, 1])
    edges = hidden[:, 0].int().diff(dim=1, prepend=torch.zeros(COUNT, 1), append=torch.zeros(COUNT, 1))
    assert bool(((edges == 1).sum(dim=1) == 1).all())  # one piece
    share = hidden[:, 0].sum(dim=1) / LENGTHS
    rounding = 0.5 / LENGTHS
    assert bool((share >= 0.1 - rounding - 1e-6).all()) and bool((share <= 0.3 + rounding + 1e-6).all())
    assert share.min() < 0.13 and share.max() > 0.27
    begin, end = hidden[:, 0].int().argmax(dim=1), 100 - hidden[:, 0].int().flip(1).argmax(dim=1)
    assert bool((begin == 0).any()) and bool((end == LENGTHS).any()) and bool((end <= LENGTHS).all())


def test_time_shift_rolls_within_the_length() -> None:
    augmentation = TimeShift(0.5)
    changed = augmentation(numbered(), LENGTHS, keyed())
    shifts = augmentation.sample(keyed().fold("parameters"), numbered(), LENGTHS)["shift"]
    for row in range(COUNT):
        length = int(LENGTHS[row])
        assert torch.equal(changed[row, :, :length], numbered()[row, :, :length].roll(int(shifts[row]), dims=1))
    assert bool((shifts.abs() <= LENGTHS / 2).all()) and int(shifts.min()) < -40 and int(shifts.max()) > 40


def test_time_reverse_is_its_own_inverse() -> None:
    reverse = TimeReverse(p=1.0)
    once = reverse(numbered(), LENGTHS, keyed())
    assert torch.equal(once[3, 0, : int(LENGTHS[3])], numbered()[3, 0, : int(LENGTHS[3])].flip(0))
    assert torch.equal(reverse(once, LENGTHS, keyed()), numbered())


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_channel_dropout_drops_its_share_but_never_all(channels: int) -> None:
    hidden = (ChannelDropout(0.3)(numbered(channels), LENGTHS, keyed()) == 0)[:, :, :20]
    dropped = hidden.all(dim=2)
    assert torch.equal(dropped, hidden.any(dim=2))
    assert not bool(dropped.all(dim=1).any())
    if channels == 8:
        assert float(dropped.double().mean()) == pytest.approx(0.3, abs=0.03)
    all_but_one = (ChannelDropout(1.0)(numbered(channels), LENGTHS, keyed()) == 0)[:, :, :20].all(dim=2)
    assert bool((all_but_one.sum(dim=1) == channels - 1).all())
    assert channels == 1 or len((~all_but_one).int().argmax(dim=1).unique()) == channels  # which one stays is random


@pytest.mark.parametrize("shuffle_p", [0.0, 0.4, 1.0])
def test_channel_shuffle_permutes_whole_channels(shuffle_p: float) -> None:
    changed = ChannelShuffle(shuffle_p)(numbered(6), torch.full_like(LENGTHS, 100), keyed())
    source = (changed[:, :, 0] / 1000).long()
    assert torch.equal(changed, numbered(6).gather(1, source[..., None].expand_as(changed)))
    assert torch.equal(source.sort(dim=1).values, torch.arange(6).expand(COUNT, -1))
    stay = float((source == torch.arange(6)).double().mean())
    # A channel stays if it takes no part, or with chance 1 / (number of those who do).
    keeps_place = sum(
        math.comb(5, others) * shuffle_p**others * (1 - shuffle_p) ** (5 - others) / (others + 1) for others in range(6)
    )
    assert stay == pytest.approx(1 - shuffle_p + shuffle_p * keeps_place, abs=0.04)


def test_options_are_checked() -> None:
    for make in (lambda: TimeMask(0), lambda: TimeMask(1, (0.5, 1.5)), lambda: TimeShift(2.0), lambda: ChannelDropout(-0.1)):
        with pytest.raises(ValueError, match="must be"):
            make()
