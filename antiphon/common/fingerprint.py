"""A short name for exactly these weights, by which what was computed with a model remembers it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from antiphon.common.encoder import Encoder


def fingerprint(encoder: Encoder) -> str:
    """16 hexadecimal digits of the encoder's name, its config and its weights, standardisation included."""
    digest = hashlib.sha256(json.dumps([encoder.name, encoder.config, encoder.pooling], sort_keys=True).encode())
    hash_weights(digest, encoder.state_dict())
    return digest.hexdigest()[:16]


def hash_weights(digest: Any, weights: Mapping[str, Tensor]) -> None:
    """Feed names, types, shapes and values of `weights` to a hash, in order of the names."""
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
