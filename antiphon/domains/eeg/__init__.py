"""Contrastive pretraining of EEG: reading and preparing recordings, encoders, trials, simulation."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antiphon.domains.eeg.data import (
        EpochSet,
        Preparation,
        RecordingError,
        RecordingSet,
        from_braindecode,
        from_moabb,
        load,
        open_recording,
        read,
        read_epochs,
        tuh_abnormal,
        write_epochs,
    )
    from antiphon.domains.eeg.encoders import BraindecodeEncoder, Deep4Encoder

__all__ = [
    "BraindecodeEncoder",
    "Deep4Encoder",
    "EpochSet",
    "Preparation",
    "RecordingError",
    "RecordingSet",
    "from_braindecode",
    "from_moabb",
    "load",
    "open_recording",
    "read",
    "read_epochs",
    "tuh_abnormal",
    "write_epochs",
]

_HOME = {"BraindecodeEncoder": "encoders", "Deep4Encoder": "encoders"}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"{__name__}.{_HOME.get(name, 'data')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
