"""The contract of a text tower: strings in, one vector each out."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from antiphon.common.fingerprint import hash_weights

TEXTS_AT_A_TIME = 64


class TextTower(nn.Module, ABC):
    """Base of every text tower.

    `name` is what `antiphon.common.text.open_tower` finds it by: a package's or Hugging Face's name, or a local folder. `config`
    holds the other arguments as plain JSON: how tokens are pooled, after how many tokens a text is cut (None: never), and a
    `prefix` that is set before every text ("query: "). `embedding_dim` is D.
    """

    def __init__(self, *, name: str, embedding_dim: int, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.name = name
        self.embedding_dim = embedding_dim
        self.config = dict(config)

    @abstractmethod
    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The token numbers of each text, cut where `config["max_tokens"]` says so."""

    @abstractmethod
    def embed_tokens(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Texts as token numbers -> (n, D), with gradient where gradients are on."""

    @abstractmethod
    def vocabulary(self) -> Mapping[str, int]:
        """Every token and its number."""

    @abstractmethod
    def uncut_length(self, text: str) -> int:
        """How many tokens the whole of `text` has."""

    def save_architecture(self, folder: Path) -> None:
        """Write into `folder` what it takes, beside the weights, to build this tower where `name` cannot be reached."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Texts -> (n, D) on the tower's device, with gradient where gradients are on; similar lengths are embedded together.

        Raises:
            ValueError: a text that is empty, or one text where a list of them is expected.
        """
        if isinstance(texts, str):
            raise ValueError(f"expected a list of texts, got the single text {texts[:40]!r}: pass [text]")
        if not texts:
            return torch.empty(0, self.embedding_dim, device=self.device)
        empty = next((number for number, text in enumerate(texts) if not text.strip()), None)
        if empty is not None:
            raise ValueError(f"text {empty} of {len(texts)} is empty: leave such examples out, or describe them")
        tokens = self.tokens([self.config.get("prefix", "") + text for text in texts])
        order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
        parts = [
            self.embed_tokens([tokens[row] for row in order[start : start + TEXTS_AT_A_TIME]])
            for start in range(0, len(order), TEXTS_AT_A_TIME)
        ]
        places = torch.empty(len(order), dtype=torch.int64)
        places[torch.tensor(order)] = torch.arange(len(order))
        return torch.cat(parts)[places.to(parts[0].device)]

    def count_cut(self, texts: Sequence[str]) -> int:
        """How many of `texts` are longer than what the tower reads of them."""
        limit = self.config.get("max_tokens")
        prefix = self.config.get("prefix", "")
        return 0 if limit is None else sum(self.uncut_length(prefix + text) > limit for text in texts)

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that name weights, vocabulary and pooling: equal ones embed alike."""
        state = hashlib.blake2b(digest_size=8)
        state.update(json.dumps(self.config, sort_keys=True).encode())
        state.update(json.dumps(sorted(self.vocabulary().items())).encode())
        hash_weights(state, self.state_dict())
        return state.hexdigest()

    def forward(self, texts: Sequence[str]) -> Tensor:
        """`embed_texts`, for code that calls modules."""
        return self.embed_texts(texts)
