"""A text tower without layers: the mean of one vector a token, from the package wordllama."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from antiphon.common.text.towers import TextTower

_TOKENIZER, _WEIGHTS = "tokenizers/l2_supercat_tokenizer_config.json", "weights/l2_supercat_256.safetensors"


class WordLlamaTower(TextTower):
    """Static 256-dimensional token vectors (WordLlama, MIT licence, 19 MB): a text is the mean of its tokens' vectors.

    Word order does not count. Thousands of texts a second on a CPU, and no download: good for tests, demos and captions of a few
    words. The two files are read directly, since the package's own loader wants a network.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """

    def __init__(self, *, max_tokens: int | None = None, prefix: str = "") -> None:
        super().__init__(name="wordllama", embedding_dim=256, config={"max_tokens": max_tokens, "prefix": prefix})
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        folder = _package_folder()
        self.tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.vectors = nn.Parameter(load_file(folder / _WEIGHTS)["embedding.weight"].float())

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The token numbers of each text."""
        encoded = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [encoding.ids[: self.config["max_tokens"]] for encoding in encoded]

    def embed_tokens(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """(n, 256)."""
        starts = [0, *accumulate(len(text) for text in tokens)][:-1]
        numbers = torch.tensor([number for text in tokens for number in text], device=self.device)
        return embedding_bag(numbers, self.vectors, torch.tensor(starts, device=self.device), mode="mean")

    def uncut_length(self, text: str) -> int:
        """How many tokens `text` has."""
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def vocabulary(self) -> Mapping[str, int]:
        """Every token and its number."""
        known: dict[str, Any] = self.tokenizer.get_vocab()
        return known


def _package_folder() -> Path:
    found = find_spec("wordllama")  # the package itself is not imported: its files are all that is wanted
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("the text tower 'wordllama' needs the package wordllama", name="wordllama")
    return Path(found.submodule_search_locations[0])
