"""The convolutional encoders of TS-TCC (Eldele et al., IJCAI 2021) and of bad-pair mining (Lan et al., ICLR 2024)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from antiphon.common.backbones.conv_stack import ConvLayer, ConvStack
from antiphon.common.backbones.norms import Norm
from antiphon.common.backbones.resnet1d import ResNet1d
from antiphon.common.encoder import Encoder, InputSpec, Pooling
from antiphon.domains.time_series.encoders.missing import fill_missing, refuse_mask


class TSTCCEncoder(Encoder):
    """Three blocks of convolution, norm, ReLU and max-pooling by 2: frames (B, about T / (8 stride), 128).

    The first kernel and stride are the paper's choice per data set: 8 and 1 (HAR, Epilepsy), 25 and 3 (Sleep-EDF), 32 and 4 (fault
    diagnosis). A missing value is 0 after standardisation, and so is padding; pooling leaves padding out.

    TS-TCC's own linear evaluation reads all frames flattened, which ties it to one length. `embed` pools instead (mean, or
    `pooling`); for the paper's protocol take ``encoder.frames(signals).flatten(1)``.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        kernel_size: int = 8,
        stride: int = 1,
        dropout: float = 0.35,
        embedding_dim: int = 128,
        norm: Norm = "batch",
        pooling: Pooling = "mean",
    ) -> None:
        config = {
            "in_channels": in_channels,
            "kernel_size": kernel_size,
            "stride": stride,
            "dropout": dropout,
            "embedding_dim": embedding_dim,
            "norm": norm,
            "pooling": pooling,
        }
        super().__init__(embedding_dim=embedding_dim, input_spec=InputSpec(channels=in_channels), config=config, pooling=pooling)
        layers = [ConvLayer(32, kernel_size, stride, dropout=dropout), ConvLayer(64, 8), ConvLayer(embedding_dim, 8)]
        self.body = ConvStack(in_channels, layers, norm=norm)

    def encode(
        self,
        signals: Tensor,
        lengths: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Standardised signals (B, C, T) -> frames (B, T', D)."""
        refuse_mask(self, mask)
        return self.stages(signals, lengths)[-1]

    def stages(self, signals: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        """The maps of the three blocks, each (B, T_k, D_k)."""
        return [maps.transpose(1, 2) for maps in self.body(fill_missing(signals, lengths))]


class ResNet1dEncoder(Encoder):
    """A 1-D ResNet (34 layers by default) and a linear map to `embedding_dim`: frames (B, about T / 8, D), pooled by their mean.

    Dynamic bad-pair mining pools before the linear map; mean pooling commutes with it, so embeddings are the same and frames exist.
    A missing value is 0 after standardisation, and so is padding; pooling leaves padding out.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        blocks: Sequence[int] = (3, 4, 6, 3),
        width: int = 64,
        embedding_dim: int = 256,
        norm: Norm = "batch",
    ) -> None:
        config = {
            "in_channels": in_channels,
            "blocks": list(blocks),
            "width": width,
            "embedding_dim": embedding_dim,
            "norm": norm,
        }
        super().__init__(embedding_dim=embedding_dim, input_spec=InputSpec(channels=in_channels), config=config, pooling="mean")
        self.body = ResNet1d(in_channels, blocks=blocks, width=width, norm=norm)
        self.project = nn.Linear(self.body.out_channels, embedding_dim)

    def encode(
        self,
        signals: Tensor,
        lengths: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Standardised signals (B, C, T) -> frames (B, T', D)."""
        refuse_mask(self, mask)
        return self.stages(signals, lengths)[-1]

    def stages(self, signals: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        """The map of each residual stage, (B, T_k, width * 2^k), then the frames."""
        found = [maps.transpose(1, 2) for maps in self.body(fill_missing(signals, lengths))]
        return [*found, self.project(found[-1])]
