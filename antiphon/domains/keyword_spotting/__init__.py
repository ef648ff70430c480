"""Contrastive pretraining for keywords: encoders of words, their views, Speech Commands, comparison across speakers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antiphon.domains.keyword_spotting.data import load, read, speech_commands
    from antiphon.domains.keyword_spotting.encoders import (
        AlignedFramesEncoder,
        BCResNetEncoder,
        CABEncoder,
        CPCEncoder,
        TCResNetEncoder,
    )
    from antiphon.domains.keyword_spotting.evaluation import cross_speaker, cross_speaker_scores, encode_words, word_distances

_HOME = {
    "AlignedFramesEncoder": "encoders",
    "BCResNetEncoder": "encoders",
    "CABEncoder": "encoders",
    "CPCEncoder": "encoders",
    "TCResNetEncoder": "encoders",
    "cross_speaker": "evaluation",
    "cross_speaker_scores": "evaluation",
    "encode_words": "evaluation",
    "load": "data",
    "read": "data",
    "speech_commands": "data",
    "word_distances": "evaluation",
}

__all__ = [
    "AlignedFramesEncoder",
    "BCResNetEncoder",
    "CABEncoder",
    "CPCEncoder",
    "TCResNetEncoder",
    "cross_speaker",
    "cross_speaker_scores",
    "encode_words",
    "load",
    "read",
    "speech_commands",
    "word_distances",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
