"""What the speaker encoders have in common: raw waves of any length in, features inside, attentive pooling of frames."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from antiphon.common.encoder import Encoder, InputSpec
from antiphon.domains.speaker_verification.encoders.features import Scaling, SpeakerFeatures


class SpeakerEncoder(Encoder):
    """Mono waves (B, 1, T) of any length. `frames` gives the sequence before pooling, `embed` one vector an utterance.

    An utterance embeds the same alone as in a batch of longer ones, whatever stands behind its end: every layer, the statistics of
    norms included, sees only what is inside.
    """

    def __init__(
        self, *, in_channels: int, sample_rate: int, mels: int, scaling: Scaling, embedding_dim: int, config: Mapping[str, Any]
    ) -> None:
        if in_channels != 1:
            raise ValueError(f"speaker encoders hear one channel, got in_channels={in_channels}: mix down with data.channels=mono")
        spec = InputSpec(channels=1, sample_rate=sample_rate)
        super().__init__(embedding_dim=embedding_dim, input_spec=spec, config=config, pooling="own")
        self.features = SpeakerFeatures(sample_rate=sample_rate, mels=mels, scaling=scaling)

    @abstractmethod
    def encode_features(self, maps: Tensor, lengths: Tensor | None) -> Tensor:
        """Features (B, 1, mels, F), 0 behind `lengths` (B,) frames, -> frames (B, T', D), 0 behind each example."""

    @abstractmethod
    def pool_frames(self, frames: Tensor, lengths: Tensor | None) -> Tensor:
        """Frames (B, T', D), `lengths` (B,) of them inside (None: all) -> embeddings (B, embedding_dim)."""

    @abstractmethod
    def shortened(self, lengths: Tensor) -> Tensor:
        """How many of the encoder's frames come from `lengths` (B,) frames of features: (B,)."""

    def encode(
        self,
        signals: Tensor,
        lengths: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Waves (B, 1, T) -> frames (B, T', D); those behind an utterance are 0."""
        if mask is not None:
            raise ValueError(f"{type(self).__name__} cannot hide time stamps (mask): use views without a mask")
        lengths = _unequal(lengths, signals.shape[-1])
        maps = self.features(signals, lengths)
        return self.encode_features(maps, None if lengths is None else self.features.frame_lengths(lengths))

    def frame_lengths(self, lengths: Tensor, frames: int, samples: int) -> Tensor:
        """How many frames utterances of `lengths` (B,) samples have: (B,)."""
        return self.shortened(self.features.frame_lengths(lengths))

    def pool(self, frames: Tensor, lengths: Tensor | None = None, samples: int | None = None) -> Tensor:
        """Frames (B, T', D) -> embeddings (B, embedding_dim), by attention over those inside; they came from `samples` samples.

        Without `samples`, `lengths` (B,) counts frames.
        """
        count = frames.shape[1]
        lengths = _unequal(lengths, count if samples is None else samples)
        if lengths is not None and samples is not None:
            lengths = self.frame_lengths(lengths, count, samples)
        return self.pool_frames(frames, lengths)


def _unequal(lengths: Tensor | None, size: int) -> Tensor | None:
    """`lengths`, or None where every example is whole: then nothing has to be masked."""
    if lengths is None or bool((lengths >= size).all()):
        return None
    return lengths.clamp(min=1, max=size)


def he_weights(module: nn.Module) -> None:
    """He's initial weights by fan-out for convolutions, as the published speaker networks have them."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
