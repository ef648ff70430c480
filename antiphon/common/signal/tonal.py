"""What is played rather than how it sounds: constant-Q spectra and chroma, by librosa.

References and features for probes, computed in NumPy: no gradient, and every call goes through the CPU.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def constant_q(
    waves: Tensor, *, sample_rate: float, hop: int = 512, f_min_hz: float = 32.703, octaves: int = 7, bins_per_octave: int = 12
) -> Tensor:
    """Magnitudes of librosa's constant-Q transform: (B, C, T) -> (B, C, octaves x bins_per_octave, T // hop + 1).

    The lowest bin is `f_min_hz` (the note C1). Raises librosa's ParameterError where the highest lies above half the sampling rate.
    """
    import librosa

    spectra = librosa.cqt(
        _array(waves),
        sr=sample_rate,
        hop_length=hop,
        fmin=f_min_hz,
        n_bins=octaves * bins_per_octave,
        bins_per_octave=bins_per_octave,
    )
    return torch.from_numpy(np.abs(spectra).astype(np.float32)).to(waves.device)


def chroma(waves: Tensor, *, sample_rate: float, hop: int = 512, n_fft: int = 2048) -> Tensor:
    """How strong each pitch class is, from C to B, per frame: (B, C, T) -> (B, C, 12, T // hop + 1), each frame's maximum 1.

    librosa's `chroma_stft` with the tuning taken as 440 Hz: its guess would be one for the whole batch.
    """
    import librosa

    classes = librosa.feature.chroma_stft(y=_array(waves), sr=sample_rate, hop_length=hop, n_fft=n_fft, tuning=0.0)
    return torch.from_numpy(classes.astype(np.float32)).to(waves.device)


def _array(waves: Tensor) -> np.ndarray:
    return waves.detach().float().cpu().numpy()
