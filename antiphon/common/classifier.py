"""An encoder with a linear layer on top, for one's own labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from antiphon.common.encoder import Encoder
from antiphon.common.hub import save_encoder, write_folder

HEAD, CLASSES = "classifier.safetensors", "classes.json"


class Classifier(nn.Module):
    """Scores of `classes` from raw signals: (B, C, T) -> (B, K)."""

    def __init__(self, encoder: Encoder, classes: Sequence[str]) -> None:
        super().__init__()
        self.encoder = encoder
        self.classes = list(classes)
        self.linear = nn.Linear(encoder.embedding_dim, len(self.classes))

    def forward(self, signals: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Scores before the softmax, (B, K)."""
        scores: Tensor = self.linear(self.encoder.embed(signals, lengths))
        return scores

    @torch.inference_mode()
    def scores(self, signals: NDArray[Any] | Tensor, lengths: NDArray[Any] | Tensor | None = None) -> NDArray[np.float32]:
        """Scores before the softmax of arrays or tensors, in evaluation mode: (n, C, T) -> (n, K)."""
        array = signals.numpy(force=True) if isinstance(signals, Tensor) else signals
        sizes = lengths.numpy(force=True) if isinstance(lengths, Tensor) else lengths
        embeddings = torch.from_numpy(self.encoder.embed(array, sizes)).to(self.linear.weight.device)
        scores: NDArray[np.float32] = self.linear(embeddings).cpu().numpy()
        return scores

    def predict(self, signals: NDArray[Any] | Tensor, lengths: NDArray[Any] | Tensor | None = None) -> list[str]:
        """The likeliest class of each signal, by name: (n, C, T) -> n names."""
        return [self.classes[number] for number in self.scores(signals, lengths).argmax(axis=1)]

    def save(self, folder: str | Path, *, about: dict[str, Any] | None = None) -> Path:
        """Write encoder, layer and class names to `folder`; `antiphon.load_classifier` reads it."""
        from safetensors.torch import save_file

        def fill(partial: Path) -> None:
            save_encoder(self.encoder, partial / "encoder", about=about)
            save_file({key: value.detach().cpu() for key, value in self.linear.state_dict().items()}, partial / HEAD)
            (partial / CLASSES).write_text(json.dumps(self.classes) + "\n")

        return write_folder(Path(folder), fill)
