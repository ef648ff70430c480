"""TS2Vec's two views: crops that overlap, each with time stamps hidden."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from antiphon.common.augment.base import checked_number
from antiphon.common.augment.crops import take_windows
from antiphon.common.data.batch import View
from antiphon.common.random import KeyedRandom
from antiphon.domains.time_series.augmentations.timestamp_masks import TIMESTAMP_MASKS


class OverlappingCrops:
    """Two random windows of each series that overlap by the same number of frames throughout the batch (TS2Vec, Yue et al. 2022).

    The overlap is uniform in [`min_overlap`, n] samples; the first view starts uniformly at or before it and ends with it, the
    second starts with it and ends uniformly at or after it. These bounds are drawn once a batch (`random.shared`); each example
    adds its own offset, uniform over those that keep both windows inside its series. `mask` hides time stamps in each view
    independently: "binomial" (each seen with probability `keep`), "continuous", "last" or "all_true" (see `timestamp_masks`).

    n is the length of the shortest series of the batch, so that no window reaches into padding and the overlap is real for every
    example; longer series are covered by their offsets. (The reference code uses the padded length and lets windows fall on NaN.)
    """

    def __init__(self, mask: str = "binomial", *, keep: float = 0.5, min_overlap: int = 2) -> None:
        if mask not in TIMESTAMP_MASKS:
            raise ValueError(f"unknown mask {mask!r}: use one of {', '.join(TIMESTAMP_MASKS)}")
        self.mask = mask
        self.keep = checked_number("keep", keep, least=0.0, most=1.0)
        self.min_overlap = int(checked_number("min_overlap", min_overlap, least=1))

    def bounds(self, random: KeyedRandom, size: int) -> tuple[int, int, int, int]:
        """The edges of the windows: first start <= second start < first end <= second end, inside 0 .. `size`."""
        shared = random.shared
        overlap = int(shared.integers(low=self.min_overlap, high=size + 1))
        second_start = int(shared.integers(high=size - overlap + 1))
        first_end = second_start + overlap
        first_start = int(shared.integers(high=second_start + 1))
        second_end = int(shared.integers(low=first_end, high=size + 1))
        return first_start, second_start, first_end, second_end

    def __call__(self, signals: Tensor, lengths: Tensor, random: KeyedRandom) -> list[View]:
        """Signals (B, C, T), lengths (B,) -> two views, (B, C, T1) and (B, C, T2), their `shared` slices of one length.

        Raises:
            ValueError: if a series is shorter than `min_overlap` samples.
        """
        shortest = int(lengths.min())
        if shortest < self.min_overlap:
            raise ValueError(
                f"overlapping crops need at least {self.min_overlap} samples a series, the shortest of this batch has {shortest}: "
                "drop or lengthen such series"
            )
        first_start, second_start, first_end, second_end = self.bounds(random, shortest)
        offsets = random.fold("offset").integers(low=-first_start, high=lengths - second_end + 1)
        draw_mask = partial(TIMESTAMP_MASKS[self.mask], **({"keep": self.keep} if self.mask == "binomial" else {}))
        views = []
        for number, (start, end) in enumerate(((first_start, first_end), (second_start, second_end))):
            size = end - start
            sizes = torch.full_like(lengths, size)
            overlap = slice(second_start - start, first_end - start)
            mask = draw_mask(random.fold("view", number), sizes, size)
            views.append(View(take_windows(signals, offsets + start, size), sizes, mask, overlap))
        return views
