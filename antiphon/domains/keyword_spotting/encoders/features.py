"""What the keyword encoders see: log-mel maps of 40 bands, 30 ms of speech every 10 ms."""

from __future__ import annotations

from torch import Tensor

from antiphon.common.signal.spectral import LogMel, MelSpec

SAMPLE_RATE = 16_000  # Hz, of Speech Commands
QUIETEST = 1e-8  # power that counts as silence: 80 dB below a band with power 1


class SpeechMel(LogMel):
    """Log-mel maps scaled so that silence is -1 and a band of power 1 is +1; loudness stays in them. No weights.

    Beyond the ends there is silence, so that a frame sees nothing twice.
    """

    def __init__(self, sample_rate: int = SAMPLE_RATE, *, mels: int = 40, frame_s: float = 0.03, hop_s: float = 0.01) -> None:
        size = round(frame_s * sample_rate)
        spec = MelSpec(
            sample_rate=sample_rate,
            bands=mels,
            n_fft=1 << (size - 1).bit_length(),
            window_size=size,
            hop=round(hop_s * sample_rate),
            pad_mode="constant",
            floor=QUIETEST,
        )
        super().__init__(spec)

    def forward(self, waves: Tensor) -> Tensor:
        """Waves (B, C, T) -> (B, C, mels, T // hop + 1) in float32."""
        return super().forward(waves) / 40.0 + 1.0
