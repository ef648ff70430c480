"""Contrastive pretraining of music: encoders of raw waves and log-mel maps, CLMR's views, collections, evaluation by track."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antiphon.domains.music.augmentations import same_chain
    from antiphon.domains.music.data import load, read
    from antiphon.domains.music.encoders import LogMelEncoder, SampleCNNEncoder, SpectralStatisticsEncoder
    from antiphon.domains.music.evaluation import label_fractions, segment_retrieval, track_probe

__all__ = [
    "LogMelEncoder",
    "SampleCNNEncoder",
    "SpectralStatisticsEncoder",
    "label_fractions",
    "load",
    "read",
    "same_chain",
    "segment_retrieval",
    "track_probe",
]

_HOME = {
    "LogMelEncoder": "encoders",
    "SampleCNNEncoder": "encoders",
    "SpectralStatisticsEncoder": "encoders",
    "label_fractions": "evaluation",
    "load": "data",
    "read": "data",
    "same_chain": "augmentations",
    "segment_retrieval": "evaluation",
    "track_probe": "evaluation",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
