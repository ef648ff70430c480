"""Contrastive pretraining of time series: encoders, augmentations, data, methods, evaluation, and a scikit-learn face."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antiphon.domains.time_series.data import TimeSeriesSet, load, load_aeon, read
    from antiphon.domains.time_series.encoders import ResNet1dEncoder, TS2VecEncoder, TsaiEncoder, TSTCCEncoder
    from antiphon.domains.time_series.estimator import ContrastiveTransformer

__all__ = [
    "ContrastiveTransformer",
    "ResNet1dEncoder",
    "TS2VecEncoder",
    "TSTCCEncoder",
    "TimeSeriesSet",
    "TsaiEncoder",
    "load",
    "load_aeon",
    "read",
]

_HOME = {
    "ContrastiveTransformer": "estimator",
    "ResNet1dEncoder": "encoders",
    "TS2VecEncoder": "encoders",
    "TSTCCEncoder": "encoders",
    "TimeSeriesSet": "data",
    "TsaiEncoder": "encoders",
    "load": "data",
    "load_aeon": "data",
    "read": "data",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
