"""Who speaks: encoders of utterances, rooms and noise, recordings split by speaker, verification, an index of speakers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antiphon.domains.speaker_verification.augmentations import Babble, Crops, OneOf, background, rooms, rooms_and_noise
    from antiphon.domains.speaker_verification.data import cn_celeb, load, read, voxceleb
    from antiphon.domains.speaker_verification.encoders import ECAPATDNNEncoder, FastResNet34Encoder
    from antiphon.domains.speaker_verification.evaluation import verification
    from antiphon.domains.speaker_verification.index import SpeakerIndex
    from antiphon.domains.speaker_verification.methods import SpeakerSoftmax, aam_softmax

__all__ = [
    "Babble",
    "Crops",
    "ECAPATDNNEncoder",
    "FastResNet34Encoder",
    "OneOf",
    "SpeakerIndex",
    "SpeakerSoftmax",
    "aam_softmax",
    "background",
    "cn_celeb",
    "load",
    "read",
    "rooms",
    "rooms_and_noise",
    "verification",
    "voxceleb",
]

_HOME = {
    "Babble": "augmentations",
    "Crops": "augmentations",
    "ECAPATDNNEncoder": "encoders",
    "FastResNet34Encoder": "encoders",
    "OneOf": "augmentations",
    "SpeakerIndex": "index",
    "SpeakerSoftmax": "methods",
    "aam_softmax": "methods",
    "background": "augmentations",
    "cn_celeb": "data",
    "load": "data",
    "read": "data",
    "rooms": "augmentations",
    "rooms_and_noise": "augmentations",
    "verification": "evaluation",
    "voxceleb": "data",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
