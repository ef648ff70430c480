"""Where the sound of a recording begins and ends."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

FRAME_S = 0.02
KEPT_S = 0.05  # on either side, so that a soft onset is not cut off
SILENCE = 1e-10  # mean square, -100 dB of full scale


def sound_bounds(waves: Tensor, sample_rate: int, *, below_db: float = 40.0) -> tuple[int, int] | None:
    """The first sample of sound in waves (C, T), and the one behind the last; None where there is only silence.

    Sound are frames of 20 ms whose power lies at most `below_db` under that of the loudest; 50 ms on either side count too. Pauses
    inside are left alone.

    Raises:
        ValueError: `below_db` that is not positive.
    """
    if below_db <= 0:
        raise ValueError(f"below_db must be positive, got {below_db}: 40 finds the ends of clean speech")
    size, frame = waves.shape[-1], max(1, round(FRAME_S * sample_rate))
    if size == 0:
        return None
    frames = F.pad(waves, (0, -size % frame), mode="replicate").unflatten(1, (-1, frame))  # (C, frames, samples)
    power = frames.var(dim=2, correction=0).mean(dim=0)  # not the mean square: a constant offset is silent
    loudest = float(power.max())
    if loudest <= SILENCE:
        return None
    loud = (power >= loudest * 10.0 ** (-below_db / 10.0)).nonzero()[:, 0]
    kept = round(KEPT_S * sample_rate)
    return max(0, int(loud[0]) * frame - kept), min(size, (int(loud[-1]) + 1) * frame + kept)
