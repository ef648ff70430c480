"""A text tower small enough to learn in a test."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from antiphon.common.text import TextTower


class Letters(TextTower):
    """The mean of one learnable vector a letter; counts what it embeds."""

    def __init__(self, dim: int = 6, max_tokens: int | None = None) -> None:
        super().__init__(name="letters", embedding_dim=dim, config={"max_tokens": max_tokens, "prefix": ""})
        self.vectors = nn.Parameter(torch.randn(128, dim, generator=torch.Generator().manual_seed(0)))
        self.embedded: list[int] = []

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return [[ord(letter) % 128 for letter in text][: self.config["max_tokens"]] for text in texts]

    def embed_tokens(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        self.embedded.append(len(tokens))
        return torch.stack([self.vectors[list(text)].mean(dim=0) for text in tokens])

    def vocabulary(self) -> Mapping[str, int]:
        return {chr(number): number for number in range(128)}

    def uncut_length(self, text: str) -> int:
        return len(text)


@pytest.fixture
def letters() -> Callable[..., Any]:
    return Letters
