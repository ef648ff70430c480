"""Parts of reports."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from antiphon.common.random import KeyedRandom


def random_substrings(texts: Sequence[str], *, seed: int, epoch: int, index: Tensor) -> list[str]:
    """Of each text (B,) a run of neighbouring pieces between commas: first and last are drawn anew for each example and epoch.

    Keyed on (seed, epoch, `index` (B,)), so the same example gets the same part whatever its batch.
    """
    ends = KeyedRandom.for_examples(seed, epoch, index).fold("substring").uniform(2)
    return [_run(text, *sorted(pair)) for text, pair in zip(texts, torch.as_tensor(ends).tolist(), strict=True)]


def _run(text: str, low: float, high: float) -> str:
    pieces = [piece.strip() for piece in text.split(",") if piece.strip()]
    return ", ".join(pieces[int(low * len(pieces)) : int(high * len(pieces)) + 1])
