"""The augmentation contract and the operations that any signal shares."""

from antiphon.common.augment.base import Augmentation, AugmentedViews, Compose
from antiphon.common.augment.channels import ChannelDropout, ChannelShuffle
from antiphon.common.augment.crops import CroppedViews
from antiphon.common.augment.gain import Gain, PolarityInversion
from antiphon.common.augment.masks import TimeMask
from antiphon.common.augment.mixing import Mixing
from antiphon.common.augment.noise import AdditiveNoise, GaussianNoise
from antiphon.common.augment.shift import TimeReverse, TimeShift
from antiphon.common.augment.spectrum import FrequencyPerturbation, PhasePerturbation

__all__ = [
    "AdditiveNoise",
    "Augmentation",
    "AugmentedViews",
    "ChannelDropout",
    "ChannelShuffle",
    "Compose",
    "CroppedViews",
    "FrequencyPerturbation",
    "Gain",
    "GaussianNoise",
    "Mixing",
    "PhasePerturbation",
    "PolarityInversion",
    "TimeMask",
    "TimeReverse",
    "TimeShift",
]
