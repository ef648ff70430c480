"""Augmentations and views of time series; `Jitter` is the field's name for additive Gaussian noise."""

from antiphon.common.augment.noise import GaussianNoise as Jitter
from antiphon.domains.time_series.augmentations.amplitude import MagnitudeWarp, Scaling
from antiphon.domains.time_series.augmentations.overlapping_crops import OverlappingCrops
from antiphon.domains.time_series.augmentations.timestamp_masks import all_true_mask, binomial_mask, continuous_mask, last_mask
from antiphon.domains.time_series.augmentations.timing import Permutation, TimeWarp, WindowSlice

__all__ = [
    "Jitter",
    "MagnitudeWarp",
    "OverlappingCrops",
    "Permutation",
    "Scaling",
    "TimeWarp",
    "WindowSlice",
    "all_true_mask",
    "binomial_mask",
    "continuous_mask",
    "last_mask",
]
