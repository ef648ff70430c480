"""The brain module (Défossez et al., Nature Machine Intelligence 2023): signals of many heads -> frames like those of speech."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import gelu, glu

from antiphon.common.backbones.norms import Norm, norm1d
from antiphon.common.data.batch import length_mask
from antiphon.common.encoder import Encoder, InputSpec
from antiphon.domains.eeg.brain_speech.layers import SpatialAttention, SubjectLayer, UnseenSubject, flat_positions

DILATIONS = (1, 2, 4, 8, 16)


class DilatedStack(nn.Module):
    """`layers` convolutions of kernel 3 with dilations 1, 2, 4, 8, 16, 1, ..., each followed by norm and GELU.

    Where a layer keeps the number of channels its input is added. After every second layer a convolution of kernel 3 to twice the
    channels and a gated linear unit, unless `gated` is False. What lies behind an example is read as zeros.
    """

    def __init__(self, in_channels: int, channels: int, *, layers: int = 10, gated: bool = True, norm: Norm = "batch") -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"the brain module needs at least one convolution, got layers={layers}")
        widths = [in_channels] + [channels] * layers
        steps = [DILATIONS[number % len(DILATIONS)] for number in range(layers)]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, channels, 3, padding=step, dilation=step) for before, step in zip(widths, steps, strict=False)
        )
        self.norms = nn.ModuleList(norm1d(norm, channels) for _ in range(layers))
        self.gates = nn.ModuleList(nn.Conv1d(channels, 2 * channels, 3, padding=1) for _ in range(layers // 2 if gated else 0))

    def forward(self, maps: Tensor, inside: Tensor | None = None) -> Tensor:
        """Maps (B, C, T) -> (B, channels, T); `inside` (B, 1, T) is 0 behind an example."""

        def cut(values: Tensor) -> Tensor:
            return values if inside is None else values * inside

        for number, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            made = gelu(norm(convolution(cut(maps))))
            maps = made + maps if made.shape == maps.shape else made
            if number % 2 and self.gates:
                maps = glu(self.gates[number // 2](cut(maps)), dim=1)
        return maps


class BrainModuleEncoder(Encoder):
    """Signals of the brain -> frames (B, T, `features`) at the signals' own rate, to be compared with features of speech.

    Spatial attention over the sensors' places, a 1x1 convolution, a matrix for each participant, dilated convolutions, two 1x1
    convolutions. Sensors are known by their places (`input_spec.positions`), so recordings of other montages can be read too: pass
    ``context={"positions": (B, C, 3)}`` in the same frame. A sensor that is NaN throughout is one that was not recorded.
    The participants are numbers, ``context={"subject": (B,)}``; `unseen_subject`, which may be changed at any time, says what
    becomes of others ("error", or "mean" of all matrices).

    The signals come robustly scaled for each recording (`antiphon.domains.eeg.Preparation`); nothing else is standardised here.
    `spatial_attention`, `subject_layer` and `glu` False leave these parts out, as the paper's ablations do; without attention the
    channels are those of `in_channels`, in their order.
    """

    places: Tensor | None
    corner: Tensor
    extent: Tensor

    def __init__(
        self,
        in_channels: int,
        *,
        subjects: int,
        features: int,
        attention_channels: int = 270,
        frequencies: int = 32,
        dropout_radius: float = 0.2,
        channels: int = 320,
        layers: int = 10,
        spatial_attention: bool = True,
        subject_layer: bool = True,
        glu: bool = True,
        unseen_subject: UnseenSubject = "error",
        norm: Norm = "batch",
    ) -> None:
        config: dict[str, Any] = {
            "in_channels": in_channels,
            "subjects": subjects,
            "features": features,
            "attention_channels": attention_channels,
        }
        config |= {"frequencies": frequencies, "dropout_radius": dropout_radius, "channels": channels, "layers": layers}
        config |= {"spatial_attention": spatial_attention, "subject_layer": subject_layer, "glu": glu}
        config |= {"unseen_subject": unseen_subject, "norm": norm}
        super().__init__(embedding_dim=features, input_spec=InputSpec(channels=in_channels), config=config, pooling="mean")
        self.unseen_subject: UnseenSubject = unseen_subject
        width = attention_channels if spatial_attention else in_channels
        self.attention = (
            SpatialAttention(width, frequencies=frequencies, dropout_radius=dropout_radius) if spatial_attention else None
        )
        self.mix = nn.Conv1d(width, attention_channels, 1)
        self.subject = SubjectLayer(subjects, attention_channels) if subject_layer else None
        self.body = DilatedStack(attention_channels, channels, layers=layers, gated=glu, norm=norm)
        self.final = nn.Sequential(nn.Conv1d(channels, 2 * channels, 1), nn.GELU(), nn.Conv1d(2 * channels, features, 1))
        # They follow from input_spec, which is saved by itself.
        self.register_buffer("places", None, persistent=False)
        self.register_buffer("corner", torch.zeros(2), persistent=False)
        self.register_buffer("extent", torch.ones(2), persistent=False)

    def describe_input(self, spec: InputSpec) -> None:
        """As `Encoder.describe_input`; the places of the sensors span the unit square."""
        super().describe_input(spec)
        positions = self.input_spec.positions
        if positions is None or self.attention is None:
            return
        flat = flat_positions(torch.tensor(positions, dtype=torch.float32, device=self.input_mean.device))
        self.corner = flat.amin(dim=0)
        extent = flat.amax(dim=0) - self.corner
        self.extent = torch.where(extent > 0, extent, 1.0)
        self.places = (flat - self.corner) / self.extent

    def fit_standardization(self, mean: Any, std: Any) -> None:
        """Not available: recordings are scaled one by one when they are read.

        Raises:
            ValueError: always.
        """
        raise ValueError("the brain module reads robustly scaled recordings: set standardization=null")

    def standardize(self, signals: Tensor) -> Tensor:
        """The signals as they are."""
        return signals

    def check_input(self, signals: Tensor | NDArray[Any]) -> None:
        """As `Encoder.check_input`; with spatial attention any number of channels will do, as long as their places are known."""
        if self.attention is None or signals.ndim != 3:
            super().check_input(signals)

    def _places(self, channels: int, context: Mapping[str, Any], device: torch.device) -> Tensor:
        """(C, 2) of the encoder's montage, or (B, C, 2) of the context's, in sides of the former."""
        given = context.get("positions")
        if given is not None:
            return (flat_positions(torch.as_tensor(given, dtype=torch.float32, device=device)) - self.corner) / self.extent
        if self.places is None:
            raise ValueError(
                "spatial attention needs to know where the sensors are: give positions (x, y, z) with the recordings, "
                "context={'positions': (B, C, 3)}, or set encoder.spatial_attention=false"
            )
        if len(self.places) != channels:
            raise ValueError(
                f"the encoder knows the places of {len(self.places)} sensors, the signals have {channels}: "
                "say where these are, context={'positions': (B, C, 3)}"
            )
        return self.places

    def _channels(self, signals: Tensor, context: Mapping[str, Any]) -> Tensor:
        """Sensors (B, C, T), NaN where nothing was recorded, -> (B, attention_channels, T)."""
        absent = signals.isnan()
        signals = signals.masked_fill(absent, 0.0)
        if self.attention is not None:
            present = ~absent.all(dim=-1)
            if not bool(present.any(dim=1).all()):
                raise ValueError("an example has no sensor at all: each of its channels is NaN throughout")
            signals = self.attention(signals, self._places(signals.shape[1], context, signals.device), present)
        mixed: Tensor = self.mix(signals)
        if self.subject is None:
            return mixed
        subject = context.get("subject")
        subject = None if subject is None else torch.as_tensor(subject, device=signals.device)
        told: Tensor = self.subject(mixed, subject, unseen=self.unseen_subject)
        return told

    def encode(
        self,
        signals: Tensor,
        lengths: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Signals (B, C, T) -> frames (B, T, features). Hidden time stamps (`mask`) are read as zeros."""
        inside = None
        if lengths is not None and bool((lengths < signals.shape[-1]).any()):
            inside = length_mask(lengths, signals.shape[-1])[:, None].to(signals.dtype)
        if mask is not None:
            signals = signals.masked_fill(~mask[:, None], 0.0)
        frames: Tensor = self.final(self.body(self._channels(signals, context or {}), inside))
        return frames.mT
