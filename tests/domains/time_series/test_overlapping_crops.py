"""TS2Vec's views: windows that overlap exactly, and the masks on them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch import Tensor

from antiphon.common.data.batch import View
from antiphon.common.random import KeyedRandom
from antiphon.domains.time_series.augmentations import OverlappingCrops, all_true_mask, binomial_mask, continuous_mask, last_mask

SIZE = 40
DEFAULT = OverlappingCrops()


def numbered(count: int, lengths: Tensor) -> Tensor:
    """Sample t is t; padding is NaN."""
    times = torch.arange(float(SIZE))
    return torch.where(times < lengths[:, None], times, float("nan"))[:, None].expand(count, 2, -1)


def crops(
    step: int = 0, *, lengths: Tensor | None = None, index: Tensor | None = None, epoch: int = 0, maker: OverlappingCrops = DEFAULT
) -> list[View]:
    lengths = torch.full((6,), SIZE) if lengths is None else lengths
    index = torch.arange(len(lengths)) if index is None else index
    random = KeyedRandom.for_examples(0, epoch, index, step=step)
    return maker(numbered(len(lengths), lengths), lengths, random)


def mask_of(view: View) -> Tensor:
    assert view.mask is not None
    return view.mask


@pytest.mark.parametrize("lengths", [None, torch.tensor([40, 12, 25, 40, 13])])
def test_both_views_share_exactly_the_overlap(lengths: Tensor | None) -> None:
    for step in range(200):
        first, second = crops(step, lengths=lengths)
        assert first.shared is not None and second.shared is not None
        overlap = first.signals[..., first.shared]
        assert overlap.shape[-1] >= 2
        assert torch.equal(overlap, second.signals[..., second.shared])
        assert first.shared.stop == first.signals.shape[-1]  # the last frames of the first view
        assert second.shared.start == 0  # the first frames of the second
        for view in (first, second):
            assert not bool(view.signals.isnan().any())  # nothing of the padding
            assert bool((view.signals.diff(dim=2) == 1).all())
            assert mask_of(view).shape == (len(view.signals), view.signals.shape[-1])
            assert bool((view.lengths == view.signals.shape[-1]).all()) and view.lengths.dtype == torch.int64


def test_overlap_edges_and_offsets_have_the_published_distribution() -> None:
    """Against the plain description: overlap uniform in 2..T, place uniform, edges uniform, offsets uniform over what fits."""
    maker = OverlappingCrops()
    bounds = torch.tensor([maker.bounds(KeyedRandom.for_examples(0, 0, torch.arange(1), step=step), 10) for step in range(3000)])
    first_start, second_start, first_end, second_end = bounds.T
    overlap = first_end - second_start
    assert stats.chisquare(torch.bincount(overlap, minlength=11)[2:].numpy()).pvalue > 1e-4
    three = overlap == 3
    assert stats.chisquare(torch.bincount(second_start[three], minlength=8).numpy()).pvalue > 1e-4
    at_five = second_start == 5
    assert stats.chisquare(torch.bincount(first_start[at_five], minlength=6).numpy()).pvalue > 1e-4
    at_seven = first_end == 7
    assert stats.chisquare((torch.bincount(second_end[at_seven], minlength=11)[7:]).numpy()).pvalue > 1e-4
    assert int(second_end.max()) == 10 and int(first_start.min()) == 0


def test_examples_have_offsets_of_their_own_uniform_over_their_room() -> None:
    count = 3000
    lengths = torch.where(torch.arange(count) % 2 == 0, 40, 30)
    first, second = crops(11, lengths=lengths)
    span = int(second.signals[0, 0, -1] - first.signals[0, 0, 0]) + 1  # from the first start to the second end
    for length in (40, 30):
        starts = first.signals[lengths == length, 0, 0].long()
        counts = torch.bincount(starts, minlength=length - span + 1)
        assert len(counts) == length - span + 1
        assert len(counts) == 1 or stats.chisquare(counts.numpy()).pvalue > 1e-4


def test_bounds_belong_to_the_step_and_offsets_to_the_example() -> None:
    one, again, other_step = crops(3), crops(3), crops(4)
    assert all(torch.equal(a.signals, b.signals) for a, b in zip(one, again, strict=True))
    assert all(torch.equal(mask_of(a), mask_of(b)) for a, b in zip(one, again, strict=True))
    assert one[0].signals.shape != other_step[0].signals.shape or not torch.equal(one[0].signals, other_step[0].signals)
    alone = crops(3, lengths=torch.tensor([SIZE]), index=torch.tensor([4]))
    for view, single in zip(one, alone, strict=True):
        assert torch.equal(view.signals[4:5], single.signals)
        assert torch.equal(mask_of(view)[4:5], mask_of(single))
    later = crops(3, epoch=1)
    assert later[0].signals.shape == one[0].signals.shape
    assert not torch.equal(mask_of(later[0]), mask_of(one[0]))


def test_the_masks_of_the_two_views_are_independent() -> None:
    agreements, total = 0, 0
    for step in range(100):
        first, second = map(mask_of, crops(step))
        size = min(first.shape[1], second.shape[1])
        agreements += int((first[:, :size] == second[:, :size]).sum())
        total += first[:, :size].numel()
    assert agreements / total == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("mask", ["binomial", "continuous", "last", "all_true"])
def test_each_mask_by_name(mask: str) -> None:
    seen = [mask_of(view) for step in range(100) for view in crops(step, maker=OverlappingCrops(mask, keep=0.8))]
    share = float(torch.cat([some.flatten() for some in seen]).double().mean())
    if mask == "binomial":
        assert share == pytest.approx(0.8, abs=0.015)
    elif mask == "continuous":
        assert all(bool((~some).any(dim=1).all()) for some in seen) and 0.4 < share < 0.95
    elif mask == "last":
        assert all(bool(some[:, :-1].all()) and not bool(some[:, -1].any()) for some in seen)
    else:
        assert share == 1.0


def test_too_short_a_series_is_named_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"at least 2 samples a series, the shortest of this batch has 1: drop"):
        crops(lengths=torch.tensor([40, 1]))
    with pytest.raises(ValueError, match="at least 8"):
        crops(lengths=torch.tensor([40, 7]), maker=OverlappingCrops(min_overlap=8))
    first, second = crops(lengths=torch.tensor([2, 2]))
    assert first.signals.shape == second.signals.shape == (2, 2, 2)


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="use one of binomial, continuous, last, all_true"):
        OverlappingCrops("random")
    with pytest.raises(ValueError, match="keep must be"):
        OverlappingCrops(keep=1.5)


# ---- the masks themselves


LENGTHS = torch.tensor([40, 17, 9, 3, 1] * 200)
INDEX = torch.arange(len(LENGTHS))


@pytest.mark.parametrize("make", [binomial_mask, continuous_mask, last_mask, all_true_mask])
def test_masks_are_keyed_hide_padding_and_ignore_how_much_there_is(make: Callable[..., Tensor]) -> None:
    mask = make(KeyedRandom(INDEX), LENGTHS, SIZE)
    assert mask.shape == (len(LENGTHS), SIZE) and mask.dtype == torch.bool
    assert not bool((mask & (torch.arange(SIZE) >= LENGTHS[:, None])).any())
    longer = make(KeyedRandom(INDEX), LENGTHS, SIZE + 9)
    assert torch.equal(longer[:, :SIZE], mask) and not bool(longer[:, SIZE:].any())
    assert torch.equal(make(KeyedRandom(INDEX[7:8]), LENGTHS[7:8], SIZE), mask[7:8])


@pytest.mark.parametrize("keep", [0.0, 0.3, 1.0])
def test_binomial_keeps_its_share(keep: float) -> None:
    mask = binomial_mask(KeyedRandom(INDEX), torch.full_like(LENGTHS, SIZE), SIZE, keep=keep)
    assert float(mask.double().mean()) == pytest.approx(keep, abs=0.02 if 0 < keep < 1 else 0.0)


def test_continuous_hides_spans_of_a_tenth() -> None:
    full = torch.full((1000,), 100)
    mask = continuous_mask(KeyedRandom(torch.arange(1000)), full, 100)
    hidden = (~mask).sum(dim=1)
    assert bool((hidden >= 10).all()) and bool((hidden <= 50).all()) and int(hidden.max()) == 50
    one = ~continuous_mask(KeyedRandom(torch.arange(1000)), full, 100, spans=1)
    assert bool((one.sum(dim=1) == 10).all()) and bool(((one.int().diff(dim=1) == 1).sum(dim=1) <= 1).all())
    starts = one.int().argmax(dim=1)
    assert stats.chisquare(torch.bincount(starts, minlength=91).numpy()).pvalue > 1e-4
    short = continuous_mask(KeyedRandom(INDEX), LENGTHS, SIZE)
    assert bool(((LENGTHS - short.sum(dim=1))[LENGTHS == 9] <= 4).all())  # 9 // 2 spans of one sample
    assert bool(((LENGTHS - short.sum(dim=1)) >= 1).all())


def test_last_hides_only_the_last() -> None:
    mask = last_mask(KeyedRandom(INDEX), LENGTHS, SIZE)
    assert torch.equal(mask.sum(dim=1), LENGTHS - 1)
    assert not bool(mask[INDEX, LENGTHS - 1].any())
