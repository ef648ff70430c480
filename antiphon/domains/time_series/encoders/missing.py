"""Missing values, padding and masks: what the encoders of this domain do about them."""

from __future__ import annotations

from torch import Tensor

from antiphon.common.data.batch import length_mask


def padding_mask(signals: Tensor, lengths: Tensor | None) -> Tensor | None:
    """(B, T) bool, True inside each example of `signals` (B, C, T); None where no example is padded."""
    if lengths is None:
        return None
    size = signals.shape[-1]
    if lengths.device.type == "cpu" and bool((lengths >= size).all()):  # on a GPU the question would cost more than a mask
        return None
    return length_mask(lengths, size)


def fill_missing(signals: Tensor, lengths: Tensor | None) -> Tensor:
    """Standardised signals (B, C, T) with 0, the mean, where a value is missing or lies behind its example."""
    filled = signals.nan_to_num(nan=0.0)
    inside = padding_mask(signals, lengths)
    return filled if inside is None else filled.masked_fill(~inside[:, None], 0.0)


def refuse_mask(encoder: object, mask: Tensor | None) -> None:
    """Raise ValueError where an encoder that cannot hide time stamps is given a mask."""
    if mask is not None:
        raise ValueError(f"{type(encoder).__name__} cannot hide time stamps (mask): use ts2vec, or views without a mask")
