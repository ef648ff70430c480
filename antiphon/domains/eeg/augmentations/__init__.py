"""Augmentations of EEG. Those of the core have here the names that the field gives them."""

from antiphon.common.augment.channels import ChannelDropout, ChannelShuffle
from antiphon.common.augment.gain import Gain
from antiphon.common.augment.gain import PolarityInversion as SignFlip
from antiphon.common.augment.masks import TimeMask
from antiphon.common.augment.mixing import Mixing as Mixup
from antiphon.common.augment.noise import GaussianNoise
from antiphon.common.augment.shift import TimeReverse
from antiphon.common.augment.spectrum import PhasePerturbation as FourierSurrogate
from antiphon.domains.eeg.augmentations.braindecode_adapter import BraindecodeTransforms
from antiphon.domains.eeg.augmentations.electrodes import ChannelReflection, RandomReference, reflection_order
from antiphon.domains.eeg.augmentations.masks import SmoothTimeMask
from antiphon.domains.eeg.augmentations.rotation import SensorRotation
from antiphon.domains.eeg.augmentations.spectra import FrequencyShift, NarrowBandStop
from antiphon.domains.eeg.augmentations.views import same_chain

__all__ = [
    "BraindecodeTransforms",
    "ChannelDropout",
    "ChannelReflection",
    "ChannelShuffle",
    "FourierSurrogate",
    "FrequencyShift",
    "Gain",
    "GaussianNoise",
    "Mixup",
    "NarrowBandStop",
    "RandomReference",
    "SensorRotation",
    "SignFlip",
    "SmoothTimeMask",
    "TimeMask",
    "TimeReverse",
    "reflection_order",
    "same_chain",
]
