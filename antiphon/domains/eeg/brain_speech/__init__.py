"""Brain to speech: which piece of sound was heard? (Défossez et al., Nature Machine Intelligence 2023)"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antiphon.domains.eeg.brain_speech.blocks import Cut, Heard
    from antiphon.domains.eeg.brain_speech.data import load, read_listening
    from antiphon.domains.eeg.brain_speech.evaluation import segment_ranks, segment_retrieval
    from antiphon.domains.eeg.brain_speech.listening import Listening, listening_from_arrays, listening_from_trials
    from antiphon.domains.eeg.brain_speech.methods import BrainToSpeech, SpeechRegression, brain_to_speech
    from antiphon.domains.eeg.brain_speech.module import BrainModuleEncoder
    from antiphon.domains.eeg.brain_speech.segments import SpeechSegments, cut_parts
    from antiphon.domains.eeg.brain_speech.speech import MelBandsEncoder, SpeechTransformerEncoder, speech_features

_HOME = {
    "BrainModuleEncoder": "module",
    "BrainToSpeech": "methods",
    "Cut": "blocks",
    "Heard": "blocks",
    "Listening": "listening",
    "MelBandsEncoder": "speech",
    "SpeechRegression": "methods",
    "SpeechSegments": "segments",
    "SpeechTransformerEncoder": "speech",
    "brain_to_speech": "methods",
    "cut_parts": "segments",
    "listening_from_arrays": "listening",
    "listening_from_trials": "listening",
    "load": "data",
    "read_listening": "data",
    "segment_ranks": "evaluation",
    "segment_retrieval": "evaluation",
    "speech_features": "speech",
}

__all__ = [
    "BrainModuleEncoder",
    "BrainToSpeech",
    "Cut",
    "Heard",
    "Listening",
    "MelBandsEncoder",
    "SpeechRegression",
    "SpeechSegments",
    "SpeechTransformerEncoder",
    "brain_to_speech",
    "cut_parts",
    "listening_from_arrays",
    "listening_from_trials",
    "load",
    "read_listening",
    "segment_ranks",
    "segment_retrieval",
    "speech_features",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
