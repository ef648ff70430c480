"""Encoders of speakers."""

from antiphon.domains.speaker_verification.encoders.base import SpeakerEncoder
from antiphon.domains.speaker_verification.encoders.ecapa import ECAPATDNNEncoder
from antiphon.domains.speaker_verification.encoders.fast_resnet import FastResNet34Encoder

__all__ = ["ECAPATDNNEncoder", "FastResNet34Encoder", "SpeakerEncoder"]
