"""A short name for exactly these weights, by which what was computed with an encoder remembers it."""

from __future__ import annotations

import hashlib
import json

from antiphon.common.encoder import Encoder


def fingerprint(encoder: Encoder) -> str:
    """16 hexadecimal digits of the encoder's name, its config and its weights, standardisation included."""
    digest = hashlib.sha256(json.dumps([encoder.name, encoder.config, encoder.pooling], sort_keys=True).encode())
    for name, value in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
