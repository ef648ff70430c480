"""What speaker encoders hear: a log-mel spectrogram, centred and scaled over the time of its utterance."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from antiphon.common.data.batch import length_mask
from antiphon.common.signal.spectral import LogMel, MelSpec, frame_lengths

Scaling = Literal["bands", "whole"]


class SpeakerFeatures(nn.Module):
    """Log-mel bands with mean 0 and deviation 1 over the frames of the utterance.

    With `scaling` "bands" each band by itself, as published: what a channel adds to a band is gone, and the voice's own mean
    spectrum with it. "whole" scales the utterance as one, so that only loudness is gone: better for utterances of a second, if
    recordings are of like channels.

    Power spectra of Hamming windows of 25 ms every 10 ms, an FFT of 512 points at 16 kHz (other rates: the power of two from the
    window on); `mels` bands, ln(x + 1e-6). Without gradient and in float32. Beyond an utterance's ends is silence, where torchaudio
    mirrors: so one of any length has frames, the same alone as in a padded batch.
    """

    def __init__(self, *, sample_rate: int, mels: int = 40, scaling: Scaling = "bands") -> None:
        super().__init__()
        if scaling not in get_args(Scaling):
            raise ValueError(f"unknown scaling {scaling!r}: use one of {', '.join(get_args(Scaling))}")
        self.over = (-1,) if scaling == "bands" else (-2, -1)
        window, hop = round(0.025 * sample_rate), round(0.01 * sample_rate)
        self.spec = MelSpec(
            sample_rate=sample_rate,
            bands=mels,
            n_fft=1 << (window - 1).bit_length(),
            window_size=window,
            hop=hop,
            window="hamming",
            pad_mode="constant",
            log="ln",
            floor=1e-6,
        )
        self.log_mel = LogMel(self.spec)

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """How many frames an utterance of `lengths` (B,) samples has: (B,)."""
        return frame_lengths(lengths, self.spec)

    @torch.no_grad()
    def forward(self, waves: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Waves (B, 1, T) -> (B, 1, mels, T // hop + 1); 0 in frames behind an utterance of `lengths` (B,) samples."""
        if lengths is None:
            maps = self.log_mel(waves)
            count = maps[0, 0].numel() if len(self.over) == 2 else maps.shape[-1]
            return self._scaled(maps - maps.mean(dim=self.over, keepdim=True), count)
        inside = length_mask(lengths, waves.shape[-1])[:, None]
        maps = self.log_mel(waves.masked_fill(~inside, 0.0))
        frames = self.frame_lengths(lengths)
        outside = ~length_mask(frames, maps.shape[-1])[:, None, None]
        counts = frames.view(-1, 1, 1, 1) * (maps.shape[-2] if len(self.over) == 2 else 1)
        mean = maps.masked_fill(outside, 0.0).sum(dim=self.over, keepdim=True) / counts
        return self._scaled((maps - mean).masked_fill(outside, 0.0), counts)

    def _scaled(self, centred: Tensor, count: Tensor | int) -> Tensor:
        """Divided by the deviation; the smallest is that of instance norm, sqrt(1e-5)."""
        return centred * (centred.square().sum(dim=self.over, keepdim=True) / count + 1e-5).rsqrt()
