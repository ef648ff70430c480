"""Two towers: signals and texts as unit vectors of one space, where a cosine says how well they fit."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from antiphon.common.data.batch import View, length_mask
from antiphon.common.encoder import Encoder
from antiphon.common.fingerprint import hash_weights
from antiphon.common.heads import ProjectionHead
from antiphon.common.text.frozen import FrozenTexts
from antiphon.common.text.prompts import PromptSet
from antiphon.common.text.towers import TextTower

SIGNALS_AT_A_TIME = 64


class Side(nn.Module, ABC):
    """One tower with its projection. `projection` are the arguments of a `ProjectionHead` behind its input, None: there is none.

    `lr_factor` is the tower's share of the learning rate; 0 freezes it, in evaluation mode, while its projection learns.
    """

    def __init__(self, in_dim: int, projection: Mapping[str, Any] | None, lr_factor: float) -> None:
        super().__init__()
        if lr_factor < 0:
            raise ValueError(f"lr_factor is {lr_factor}: use 0 for a frozen tower, up to 1 for the full learning rate")
        self.projection_config = None if projection is None else dict(projection)
        self.projection = nn.Identity() if projection is None else ProjectionHead(in_dim, **projection)
        self.out_dim: int = in_dim if isinstance(self.projection, nn.Identity) else self.projection.out_dim
        self.lr_factor = lr_factor

    @property
    @abstractmethod
    def tower(self) -> nn.Module:
        """The encoder, or the text tower."""

    @property
    def learns(self) -> bool:
        """Whether the tower learns; the projection always does."""
        return self.lr_factor > 0

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation mode; a frozen tower stays in evaluation mode."""
        super().train(mode)
        if not self.learns:
            self.tower.eval()
        return self


class SignalSide(Side):
    """An encoder of signals and its projection.

    The projection sees the pooled embedding; with `per_frame` it sees every frame by itself, and its outputs are averaged over
    time, as EEG-CLIP does it.
    """

    def __init__(
        self,
        encoder: Encoder,
        projection: Mapping[str, Any] | None = None,
        *,
        per_frame: bool = False,
        lr_factor: float = 1.0,
    ) -> None:
        super().__init__(encoder.embedding_dim, projection, lr_factor)
        self.encoder = encoder.requires_grad_(self.learns)
        self.per_frame = per_frame

    @property
    def tower(self) -> nn.Module:
        """The encoder."""
        return self.encoder

    def features(self, view: View, *, context: Mapping[str, Any] | None = None) -> Tensor:
        """What the projection sees of a view in standardised units: embeddings (B, D), or frames (B, T', D)."""
        frames = self.encoder.encode(view.signals, view.lengths, mask=view.mask, context=context)
        return frames if self.per_frame else self.encoder.pool(frames, view.lengths, view.signals.shape[-1])

    def project(self, features: Tensor, view: View) -> Tensor:
        """`features` of a view -> (B, P)."""
        if not self.per_frame:
            projected: Tensor = self.projection(features)
            return projected
        counts = self.encoder.frame_lengths(view.lengths, features.shape[1], view.signals.shape[-1])
        inside = length_mask(counts, features.shape[1])
        found = self.projection(features[inside])  # what is behind an example stays out of batch norms, too
        frames = found.new_zeros(*inside.shape, self.out_dim)
        frames[inside] = found
        return frames.sum(dim=1) / counts[:, None]

    def forward(self, signals: Tensor, lengths: Tensor | None = None, *, context: Mapping[str, Any] | None = None) -> Tensor:
        """Raw signals (B, C, T) -> (B, P)."""
        self.encoder.check_input(signals)
        if lengths is None:
            lengths = torch.full((len(signals),), signals.shape[-1], device=signals.device)
        view = View(self.encoder.standardize(signals), lengths)
        return self.project(self.features(view, context=context), view)


class TextSide(Side):
    """A text tower and its projection. What a frozen tower makes of a text is computed once, and kept below `cache` if it is given.

    The weights of a frozen tower are those of its name: they stand in no checkpoint and in no saved model.
    """

    def __init__(
        self,
        tower: TextTower,
        projection: Mapping[str, Any] | None = None,
        *,
        lr_factor: float = 0.0,
        cache: str | None = None,
    ) -> None:
        super().__init__(tower.embedding_dim, projection, lr_factor)
        if self.learns:
            self.own_tower = tower.requires_grad_(True)
        self._tower = (tower,)  # a tuple hides it from nn.Module: a frozen tower is registered nowhere
        self.frozen = None if self.learns else FrozenTexts(tower, cache)

    @property
    def tower(self) -> TextTower:
        """The text tower."""
        return self._tower[0]

    def prepare(self, texts: Iterable[str]) -> int:
        """Let a frozen tower embed all `texts` now, on a GPU if there is one. Returns how many were not known yet."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return 0 if self.frozen is None else self.frozen.prepare(texts, device=device)

    def features(self, texts: Sequence[str]) -> Tensor:
        """What the projection sees: (n, D)."""
        if self.frozen is None:
            return self.tower.embed_texts(texts)
        return self.frozen.embed(texts)

    def project(self, features: Tensor) -> Tensor:
        """(n, D) -> (n, P)."""
        projected: Tensor = self.projection(features)
        return projected

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Texts -> (n, P)."""
        features = self.features(texts)
        first = next(self.projection.parameters(), None)
        return self.project(features if first is None else features.to(first.device, first.dtype))


class TwoTowers(nn.Module):
    """A pretrained pair of towers: `embed_signals` and `embed_texts` give unit vectors (n, P) whose dot product is their cosine.

    `scale` is the learned scale of the cosines (1 / temperature), `bias` the learned bias of a SigLIP objective or None. `prompts`
    are those that the model was made for, or None. `about` is what was saved with the weights. Also a model that was trained on
    dot products of rows as they come (EEG-CLIP's released form) is asked for cosines here.
    """

    about: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self, signals: SignalSide, texts: TextSide, *, scale: float, bias: float | None = None, prompts: PromptSet | None = None
    ) -> None:
        super().__init__()
        if signals.out_dim != texts.out_dim:
            raise ValueError(
                f"signals are projected to {signals.out_dim} dimensions and texts to {texts.out_dim}: set both to one out_dim"
            )
        self.signals, self.texts = signals, texts
        self.scale, self.bias, self.prompts = scale, bias, prompts

    @property
    def encoder(self) -> Encoder:
        """The signal encoder, without its projection."""
        return self.signals.encoder

    @property
    def embedding_dim(self) -> int:
        """P."""
        return self.signals.out_dim

    @property
    def device(self) -> torch.device:
        """Where the signal tower is."""
        return self.encoder.input_mean.device

    @overload
    def embed_signals(
        self, signals: Tensor, lengths: Tensor | None = ..., *, context: Mapping[str, Any] | None = ...
    ) -> Tensor: ...
    @overload
    def embed_signals(
        self, signals: NDArray[Any], lengths: NDArray[Any] | None = ..., *, context: Mapping[str, Any] | None = ...
    ) -> NDArray[np.float32]: ...
    def embed_signals(self, signals: Any, lengths: Any = None, *, context: Mapping[str, Any] | None = None) -> Any:
        """Raw signals (B, C, T) -> unit vectors (B, P).

        As in `Encoder.embed`, a tensor gives a tensor, with gradient where gradients are on; an array gives an array, in evaluation
        mode and without gradient, on the model's device.
        """
        if isinstance(signals, Tensor):
            return normalize(self.signals(signals, lengths, context=context), dim=-1)
        signals = np.asarray(signals)
        at_a_time = SIGNALS_AT_A_TIME if context is None else max(1, len(signals))
        parts = [np.empty((0, self.embedding_dim), np.float32)]
        training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                for start in range(0, len(signals), at_a_time):
                    rows = slice(start, start + at_a_time)
                    chunk = torch.from_numpy(np.array(signals[rows], np.float32)).to(self.device)
                    sizes = None if lengths is None else torch.as_tensor(np.asarray(lengths)[rows]).to(self.device)
                    parts.append(self.embed_signals(chunk, sizes, context=context).float().cpu().numpy())
        finally:
            self.train(training)
        return np.concatenate(parts)

    embed = embed_signals  # so that whatever asks an encoder for embeddings may ask a pair of towers

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Texts -> unit vectors (n, P) on the model's device; with gradient in training mode only.

        Raises:
            ValueError: an empty text.
        """
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            return normalize(self.texts(texts).to(self.device), dim=-1)

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that name all weights, those of a frozen text tower included."""
        state = hashlib.blake2b(digest_size=8)
        hash_weights(state, self.state_dict())
        state.update(f"{self.scale} {self.bias} {self.signals.per_frame} {self.texts.tower.fingerprint()}".encode())
        return state.hexdigest()
