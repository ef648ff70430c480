"""The encoder contract: raw signals in, frames or one embedding out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Literal, Self, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from antiphon.common.data.batch import context_rows, length_mask

Pooling = Literal["max", "mean", "last", "own"]  # own: a `pool` of the encoder's own, by attention say


@dataclass(frozen=True)
class InputSpec:
    """What an encoder expects: `channels`, their `names`, `sample_rate` in Hz (None: not bound to one), `unit`, `window` in samples
    (None: any length), and `min_length` in samples.

    `positions` of the channels (electrodes, microphones) are (x, y, z) in metres. `preparation` says, as plain JSON, how the
    signals were prepared before the encoder saw them (filter, reference, scaling), in the terms of the domain that reads them.
    """

    channels: int
    names: tuple[str, ...] | None = None
    sample_rate: float | None = None
    unit: str | None = None
    window: int | None = None
    min_length: int = 1
    positions: tuple[tuple[float, float, float], ...] | None = None
    preparation: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What `to_dict` gave, from JSON; what an older Antiphon did not write is left at its default."""
        known = {item.name: values[item.name] for item in fields(cls) if item.name in values}
        if known.get("names") is not None:
            known["names"] = tuple(known["names"])
        if known.get("positions") is not None:
            known["positions"] = tuple(tuple(place) for place in known["positions"])
        return cls(**known)


class Encoder(nn.Module, ABC):
    """Base of every encoder.

    A subclass implements `encode` on standardised signals and says how its frames are pooled; users call `frames` and `embed`
    with raw signals. `config` holds the constructor's arguments as plain JSON, so that ``type(e)(**e.config)`` is the same
    architecture; `name` is the encoder's name in `antiphon.models`, filled in there, and `about` is what was saved with its weights
    (recipe, data, results).

    Standardisation belongs to the encoder (buffers `input_mean`, `input_std`, (C,), fitted on training data by
    `fit_standardization`), so whoever imports it feeds raw signals.
    """

    name: str = ""
    about: Mapping[str, Any] = MappingProxyType({})
    input_mean: Tensor
    input_std: Tensor

    def __init__(self, *, embedding_dim: int, input_spec: InputSpec, config: Mapping[str, Any], pooling: Pooling = "max") -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.input_spec = input_spec
        self.config = dict(config)
        self.pooling: Pooling = pooling
        self.register_buffer("input_mean", torch.zeros(input_spec.channels))
        self.register_buffer("input_std", torch.ones(input_spec.channels))

    def describe_input(self, spec: InputSpec) -> None:
        """Take over what is known of the signals that the encoder learns from: names, unit, rate, positions, preparation.

        It is saved with the weights, so that recordings of strangers can be brought into the same form.

        Raises:
            ValueError: another number of channels, or another sampling rate than the encoder is bound to.
        """
        own = self.input_spec
        if spec.channels != own.channels:
            raise ValueError(f"{type(self).__name__} has {own.channels} channel(s), the signals have {spec.channels}")
        if own.sample_rate is not None and spec.sample_rate not in (None, own.sample_rate):
            raise ValueError(
                f"{type(self).__name__} is bound to {own.sample_rate:g} Hz, the signals have {spec.sample_rate:g} Hz: "
                "resample them, or build the encoder for their rate"
            )
        told = ("names", "unit", "sample_rate", "positions", "preparation")
        self.input_spec = replace(own, **{name: getattr(spec, name) or getattr(own, name) for name in told})

    @abstractmethod
    def encode(
        self,
        signals: Tensor,
        lengths: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Standardised signals (B, C, T) -> frames (B, T', D). `mask` (B, T) bool marks the time stamps that may be seen."""

    def encode_kept(self, signals: Tensor, lengths: Tensor | None = None, *, keep: slice, mask: Tensor | None = None) -> Tensor:
        """The frames `keep` of `encode`. An encoder that can do without the others in its last layers overrides this."""
        return self.encode(signals, lengths, mask=mask)[:, keep]

    def stages(self, signals: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        """Intermediate maps of standardised signals, each (B, T_k, D_k), the frames of `encode` last."""
        raise ValueError(f"{type(self).__name__} exposes no intermediate stages: use an encoder that does (ts_tcc_cnn, resnet1d)")

    def frame_lengths(self, lengths: Tensor, frames: int, samples: int) -> Tensor:
        """How many of `frames` belong to each example, when `samples` samples gave `frames` frames: (B,) -> (B,)."""
        return lengths if frames == samples else torch.ceil(lengths * (frames / samples)).long().clamp(1, frames)

    def pool(self, frames: Tensor, lengths: Tensor | None = None, samples: int | None = None) -> Tensor:
        """Frames (B, T', D) -> embeddings (B, D) over the frames inside each example; they came from `samples` samples."""
        if lengths is not None:
            lengths = self.frame_lengths(lengths, frames.shape[1], samples or frames.shape[1])
        if self.pooling == "last":
            last = frames.shape[1] - 1 if lengths is None else lengths - 1
            return frames[torch.arange(len(frames), device=frames.device), last]
        if lengths is None:
            return frames.amax(dim=1) if self.pooling == "max" else frames.mean(dim=1)
        inside = length_mask(lengths, frames.shape[1])[..., None]
        if self.pooling == "max":
            return frames.masked_fill(~inside, -torch.inf).amax(dim=1)
        return (frames * inside).sum(dim=1) / lengths[:, None]

    def standardize(self, signals: Tensor) -> Tensor:
        """(x - mean) / std per channel; NaN stays NaN."""
        return (signals - self.input_mean[:, None]) / self.input_std[:, None]

    @torch.no_grad()
    def fit_standardization(self, mean: NDArray[Any] | Tensor, std: NDArray[Any] | Tensor) -> None:
        """Set the statistics, each (C,), that `standardize` applies; a channel that does not vary is only centred."""
        mean, std = torch.as_tensor(mean), torch.as_tensor(std)
        if mean.shape != self.input_mean.shape or std.shape != self.input_std.shape:
            raise ValueError(
                f"statistics must be ({self.input_spec.channels},), got mean {tuple(mean.shape)} and std {tuple(std.shape)}"
            )
        self.input_mean.copy_(mean)
        self.input_std.copy_(torch.where(std > 0, std, torch.ones_like(std)))

    def check_input(self, signals: Tensor | NDArray[Any]) -> None:
        """Raise a ValueError that names the remedy where `signals` do not fit `input_spec`."""
        spec, shape = self.input_spec, tuple(signals.shape)
        if signals.ndim != 3:
            raise ValueError(f"{type(self).__name__} expects (batch, channels, time), got shape {shape}")
        if shape[1] != spec.channels:
            named = f" ({', '.join(spec.names)})" if spec.names else ""
            raise ValueError(
                f"{type(self).__name__} expects {spec.channels} channel(s){named}, got {shape[1]} in shape {shape}: "
                f"pass signals with {spec.channels} channel(s) or build the encoder with in_channels={shape[1]}"
            )
        if shape[2] < spec.min_length:
            raise ValueError(f"{type(self).__name__} needs at least {spec.min_length} samples, got {shape[2]}: use longer ones")

    def frames(
        self, signals: Tensor | NDArray[Any], lengths: Tensor | None = None, *, context: Mapping[str, Any] | None = None
    ) -> Tensor:
        """Raw signals (B, C, T), a tensor or an array -> frames (B, T', D), a tensor."""
        if not isinstance(signals, Tensor):
            signals = torch.from_numpy(_as_array(signals).astype(np.float32)).to(self.input_mean.device, self.input_mean.dtype)
        self.check_input(signals)
        return self.encode(self.standardize(signals), lengths, context=context)

    @overload
    def embed(self, signals: Tensor, lengths: Tensor | None = ..., *, context: Mapping[str, Any] | None = ...) -> Tensor: ...
    @overload
    def embed(
        self, signals: NDArray[Any], lengths: NDArray[Any] | None = ..., *, context: Mapping[str, Any] | None = ...
    ) -> NDArray[np.float32]: ...
    def embed(self, signals: Any, lengths: Any = None, *, context: Mapping[str, Any] | None = None) -> Any:
        """Raw signals (B, C, T) -> embeddings (B, D).

        A tensor gives a tensor, with gradient where gradients are on. An array gives an array: the encoder then runs in evaluation
        mode without gradients, on its own device, 256 examples at a time.

        Raises:
            ValueError: signals of another shape; in arrays also a signal that is NaN everywhere, or has no finite embedding.
        """
        if isinstance(signals, Tensor):
            return self.pool(self.frames(signals, lengths, context=context), lengths, signals.shape[-1])
        array = _as_array(signals)
        self.check_input(array)
        return self._embed_array(array, lengths, context)

    def _embed_array(self, signals: NDArray[Any], lengths: Any, context: Mapping[str, Any] | None) -> NDArray[np.float32]:
        device, training = self.input_mean.device, self.training
        self.eval()
        try:
            with torch.inference_mode():
                parts = []
                for start in range(0, len(signals), 256):
                    rows = slice(start, start + 256)
                    values = np.array(signals[rows], np.float32)  # of a memory map no more than this is read at a time
                    _refuse(np.asarray(np.isnan(values).all(axis=(1, 2))), start, "is NaN everywhere: leave it out")
                    chunk = torch.from_numpy(values).to(device, self.input_mean.dtype)
                    sizes = None if lengths is None else torch.as_tensor(np.asarray(lengths)[rows]).to(device)
                    told = context_rows(context, rows, device)
                    found = self.embed(chunk, sizes, context=told).float().cpu().numpy()
                    _refuse(~np.isfinite(found).all(axis=1), start, "has no finite embedding: repair or leave out NaN and infinity")
                    parts.append(found)
        finally:
            self.train(training)
        return np.concatenate(parts) if parts else np.empty((0, self.embedding_dim), np.float32)

    def forward(self, signals: Tensor, lengths: Tensor | None = None) -> Tensor:
        """`embed`, for code that calls modules."""
        return self.embed(signals, lengths)


def _refuse(bad: NDArray[np.bool_], start: int, why: str) -> None:
    """Raise for the first of a chunk's examples that is `bad`; the chunk begins at `start`."""
    if bad.any():
        raise ValueError(f"example {start + int(bad.argmax())} {why}")


def _as_array(signals: Any) -> NDArray[Any]:
    """What was given as signals, as an array; a memory map stays one."""
    if isinstance(signals, np.ndarray | list | tuple):
        return np.asarray(signals)
    raise ValueError(
        f"signals are a {type(signals).__name__}: give a tensor or an array (batch, channels, time). `antiphon embed RUN FILE`, or "
        "the reader of the encoder's domain (read_audio, eeg.load), opens files and recordings"
    )
