"""TS2Vec's encoder (Yue et al., AAAI 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from antiphon.common.backbones.dilated import DilatedStack
from antiphon.common.backbones.dropout import Dropout
from antiphon.common.encoder import Encoder, InputSpec, Pooling
from antiphon.domains.time_series.encoders.missing import padding_mask


class TS2VecEncoder(Encoder):
    """A linear layer for each time stamp, then `depth` + 1 residual blocks of dilated convolutions: one frame a time stamp.

    A time stamp with a NaN in any channel, or hidden by `mask`, enters the convolutions as zeros. Frames of missing values inside a
    series are pooled like any other: the network fills them in from their surroundings.

    Two deliberate differences from the authors' code concern padding, and only padding. Positions behind an example (`lengths`) are
    zeroed before every convolution, not only at the input, and left out of the pooling; so an example embeds alike whatever it is
    padded to. Theirs lets the biases of the layers leak back from the padding, and pools over it. Frames behind an example are 0.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        hidden_dim: int = 64,
        embedding_dim: int = 320,
        depth: int = 10,
        dropout: float = 0.1,
        pooling: Pooling = "max",
    ) -> None:
        config = {
            "in_channels": in_channels,
            "hidden_dim": hidden_dim,
            "embedding_dim": embedding_dim,
            "depth": depth,
            "dropout": dropout,
            "pooling": pooling,
        }
        super().__init__(embedding_dim=embedding_dim, input_spec=InputSpec(channels=in_channels), config=config, pooling=pooling)
        self.project = nn.Linear(in_channels, hidden_dim)
        self.body = DilatedStack(hidden_dim, [hidden_dim] * depth + [embedding_dim])
        self.dropout = Dropout(dropout)

    def encode(
        self,
        signals: Tensor,
        lengths: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context: Mapping[str, Any] | None = None,
        keep: slice | None = None,
    ) -> Tensor:
        """Standardised signals (B, C, T) -> frames (B, T, D), or only the frames `keep`: the same values for less work.

        `mask` (B, T) bool hides the latent vectors where it is False. Raises ValueError if its shape does not fit.
        """
        missing = signals.isnan()
        visible = ~missing.any(dim=1)
        if mask is not None:
            if mask.shape != visible.shape:
                raise ValueError(f"mask must be (batch, time) = {tuple(visible.shape)}, got {tuple(mask.shape)}")
            visible = visible & mask
        inside = padding_mask(signals, lengths)
        if inside is not None:
            visible = visible & inside
        latent = self.project(signals.masked_fill(missing, 0.0).transpose(1, 2))  # (B, T, H)
        frames = self.body(latent.masked_fill(~visible[..., None], 0.0), inside=inside, keep=keep)
        if inside is not None:
            frames = frames * inside[:, keep or slice(None), None]
        return self.dropout(frames)

    def encode_kept(self, signals: Tensor, lengths: Tensor | None = None, *, keep: slice, mask: Tensor | None = None) -> Tensor:
        """The frames `keep`, without computing the others where nothing looks at them any more."""
        return self.encode(signals, lengths, mask=mask, keep=keep)
