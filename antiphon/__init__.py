"""Antiphon: contrastive pretraining of encoders for signals. Attributes load on first use: importing this costs nothing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antiphon.common.hub import push_encoder, save_encoder, save_model
    from antiphon.models import create_encoder, list_encoders, load_classifier, load_encoder, load_model

__version__ = "0.1.0"
__all__ = [
    "create_encoder",
    "list_encoders",
    "load_classifier",
    "load_encoder",
    "load_model",
    "push_encoder",
    "save_encoder",
    "save_model",
]

_HOME = {
    "create_encoder": "antiphon.models",
    "list_encoders": "antiphon.models",
    "load_classifier": "antiphon.models",
    "load_encoder": "antiphon.models",
    "load_model": "antiphon.models",
    "push_encoder": "antiphon.common.hub",
    "save_encoder": "antiphon.common.hub",
    "save_model": "antiphon.common.hub",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'antiphon' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
