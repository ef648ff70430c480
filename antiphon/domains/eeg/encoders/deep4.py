"""Deep4Net through braindecode, a frame for every place in time, as EEG-CLIP has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from antiphon.common.encoder import Encoder, InputSpec
from antiphon.domains.eeg.encoders.braindecode_adapter import build_network

POOL = 3  # stride of each block
_LATER = (2, 3, 4)
_CHUNK = 6000  # frames that are computed at a time outside training: an hour of EEG must not fill the memory


class Deep4Encoder(Encoder):
    """Deep4Net (Schirrmeister et al., Human Brain Mapping 2017) with dense predictions: frames (B, T - 681, `embedding_dim`).

    Temporal and spatial convolution to 25, then blocks of 50, 100 and 200 filters of 10 samples, each with batch norm, ELU and
    max-pooling by 3 with the stride before the pool; a last convolution of length 2. Strides are then traded for dilations, so each
    frame sees 682 samples and a window of 1200 gives 519 frames. The mean over frames is the embedding.

    `window` is what it learns from; it takes anything from 682 samples on, and a long recording's frames are those of its windows
    519 samples apart. Weights have braindecode's names. The strides are set here, since braindecode 1.8 loses the first one.
    """

    def __init__(
        self,
        in_channels: int = 21,
        *,
        window: int = 1200,
        sample_rate: float | None = None,
        embedding_dim: int = 128,
        final_conv_length: int = 2,
        dropout: float = 0.5,
        norm: str = "batch",
    ) -> None:
        if norm not in ("batch", "none"):
            raise ValueError(f"unknown norm {norm!r}: use batch or none")
        config = {
            "in_channels": in_channels,
            "window": window,
            "sample_rate": sample_rate,
            "embedding_dim": embedding_dim,
            "final_conv_length": final_conv_length,
            "dropout": dropout,
            "norm": norm,
        }
        options = {"n_outputs": embedding_dim, "final_conv_length": final_conv_length, "drop_prob": dropout}
        # Built for a window that its strides divide; a dense network takes any.
        body = build_network(
            "Deep4Net", in_channels, 100 * POOL**4, None, {**options, "stride_before_pool": True, "batch_norm": norm == "batch"}
        )
        reach = _make_dense(body, final_conv_length)
        if window < reach:
            raise ValueError(f"Deep4Net sees {reach} samples at a time, the window has {window}: use at least {reach}")
        spec = InputSpec(channels=in_channels, sample_rate=sample_rate, window=window, min_length=reach)
        super().__init__(embedding_dim=embedding_dim, input_spec=spec, config=config, pooling="mean")
        self.body, self.reach = body, reach

    def encode(
        self,
        signals: Tensor,
        lengths: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Standardised signals (B, C, T) -> frames (B, T - 681, D)."""
        if mask is not None:
            raise ValueError("Deep4Net cannot hide time stamps (mask): use views without a mask")
        count = signals.shape[-1] - self.reach + 1
        size = count if self.training else _CHUNK
        parts = [self.body(signals[..., start : start + size + self.reach - 1]) for start in range(0, count, size)]
        maps = [part if part.ndim == 3 else part[..., None] for part in parts]  # braindecode drops a single frame's axis
        return torch.cat(maps, dim=-1).transpose(1, 2)

    def frame_lengths(self, lengths: Tensor, frames: int, samples: int) -> Tensor:
        """The frames that see nothing behind an example: its length less 681, at least one."""
        return (lengths - self.reach + 1).clamp(min=1)


def _make_dense(body: nn.Module, final_conv_length: int) -> int:
    """Stride 1 and dilation everywhere, in place; how many samples a frame then sees."""
    modules = dict(body.named_modules())
    reach, dilation = 10, 1
    for block in (1, *_LATER):
        if block > 1:
            _set(modules[f"conv_{block}"], dilation)
            reach += 9 * dilation
        dilation *= POOL
        _set(modules["pool" if block == 1 else f"pool_{block}"], dilation)
        reach += (POOL - 1) * dilation
    _set(modules["final_layer.conv_classifier"], dilation)
    return reach + (final_conv_length - 1) * dilation


def _set(layer: Any, dilation: int) -> None:
    layer.stride, layer.dilation = (1, 1), (dilation, 1)
