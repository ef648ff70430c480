"""The augmentation contract and the operations that any signal shares."""

from antiphon.common.augment.background_noise import BackgroundNoise
from antiphon.common.augment.base import Augmentation, AugmentedViews, Compose
from antiphon.common.augment.channels import ChannelDropout, ChannelShuffle
from antiphon.common.augment.crops import CroppedViews
from antiphon.common.augment.delay import Delay
from antiphon.common.augment.distortion import BitDepth, Clipping, Saturation
from antiphon.common.augment.filters import BandPass, BandStop, Equalizer, HighOrLowPass, HighPass, LowPass
from antiphon.common.augment.gain import Gain, PolarityInversion
from antiphon.common.augment.masks import FrequencyMask, TimeMask
from antiphon.common.augment.mixing import Mixing
from antiphon.common.augment.noise import AdditiveNoise, ColouredNoise, GaussianNoise
from antiphon.common.augment.pitch import PitchShift, SpeedChange, TimeStretch
from antiphon.common.augment.reverb import FreeverbReverb, ImpulseResponse, Reverb
from antiphon.common.augment.shift import TimeReverse, TimeShift
from antiphon.common.augment.spectrum import FrequencyPerturbation, PhasePerturbation

__all__ = [
    "AdditiveNoise",
    "Augmentation",
    "AugmentedViews",
    "BackgroundNoise",
    "BandPass",
    "BandStop",
    "BitDepth",
    "ChannelDropout",
    "ChannelShuffle",
    "Clipping",
    "ColouredNoise",
    "Compose",
    "CroppedViews",
    "Delay",
    "Equalizer",
    "FreeverbReverb",
    "FrequencyMask",
    "FrequencyPerturbation",
    "Gain",
    "GaussianNoise",
    "HighOrLowPass",
    "HighPass",
    "ImpulseResponse",
    "LowPass",
    "Mixing",
    "PhasePerturbation",
    "PitchShift",
    "PolarityInversion",
    "Reverb",
    "Saturation",
    "SpeedChange",
    "TimeMask",
    "TimeReverse",
    "TimeShift",
    "TimeStretch",
]
