"""MVCNet: supervised motor imagery with contrasts between views and between networks (Wang et al., KBS 2025)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antiphon.domains.eeg.mvcnet.encoders import IFNetEncoder, MVCNetEncoder
    from antiphon.domains.eeg.mvcnet.estimator import MVCNetClassifier
    from antiphon.domains.eeg.mvcnet.evaluation import motor_imagery
    from antiphon.domains.eeg.mvcnet.losses import MVCNet, cross_model_loss, cross_view_loss
    from antiphon.domains.eeg.mvcnet.protocols import cross_validate, protocol_folds, subject_accuracy
    from antiphon.domains.eeg.mvcnet.views import MVCNetViews, mirror_order

__all__ = [
    "IFNetEncoder",
    "MVCNet",
    "MVCNetClassifier",
    "MVCNetEncoder",
    "MVCNetViews",
    "cross_model_loss",
    "cross_validate",
    "cross_view_loss",
    "mirror_order",
    "motor_imagery",
    "protocol_folds",
    "subject_accuracy",
]

_HOME = {
    "IFNetEncoder": "encoders",
    "MVCNet": "losses",
    "MVCNetClassifier": "estimator",
    "MVCNetEncoder": "encoders",
    "MVCNetViews": "views",
    "cross_model_loss": "losses",
    "cross_validate": "protocols",
    "cross_view_loss": "losses",
    "mirror_order": "views",
    "motor_imagery": "evaluation",
    "protocol_folds": "protocols",
    "subject_accuracy": "protocols",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
