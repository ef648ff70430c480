"""Embeddings of a text tower that does not learn: each text is embedded once, and kept on disk for the next run."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from antiphon.common.distributed import is_first_process
from antiphon.common.text.towers import TextTower

KEPT = 100_000  # texts that came unprepared and are kept in memory
TEXTS_A_FILE = 4096


class FrozenTexts:
    """What `tower` makes of texts, without gradient, each different text embedded once.

    With `folder`, `prepare` keeps embeddings there, below the tower's fingerprint, in files that appear whole or not at all: an
    interrupted run loses at most 4096 texts, and several processes may write at a time. Files hold hashes of the texts, not the
    texts, so that nothing of a medical report can be read in them.
    """

    def __init__(self, tower: TextTower, folder: str | Path | None = None) -> None:
        self.tower = tower.eval().requires_grad_(False)
        self.folder = None if folder is None else Path(folder).expanduser()
        self._rows: dict[bytes, NDArray[np.float32]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def prepare(self, texts: Iterable[str], *, device: torch.device | str = "cpu") -> int:
        """Know the embeddings of all `texts`: from disk, or from the tower on `device`. Returns how many it had to embed."""
        wanted = {_key(text): text for text in texts}
        place = None if self.folder is None else self.folder / self.tower.fingerprint()
        if place is not None:
            for file in sorted(place.glob("*.safetensors")):
                self._read(file, wanted)
        missing = [text for key, text in wanted.items() if key not in self._rows]
        self._warn_of_cut(missing)
        before = self.tower.device
        self.tower.to(device)
        for start in range(0, len(missing), TEXTS_A_FILE):
            part = missing[start : start + TEXTS_A_FILE]
            keys, embeddings = [_key(text) for text in part], self._embed(part)
            self._rows.update(zip(keys, embeddings, strict=True))
            if place is not None:
                _write(place, keys, embeddings)
        self.tower.to(before)
        return len(missing)

    def embed(self, texts: Sequence[str]) -> Tensor:
        """(n, D) float32 on the CPU. Texts that were not prepared are embedded now."""
        keys = [_key(text) for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._rows}
        fresh = dict(zip(missing, self._embed(list(missing.values())), strict=True))
        if len(self._rows) + len(fresh) <= KEPT:
            self._rows.update(fresh)
        rows = [fresh[key] if key in fresh else self._rows[key] for key in keys]
        return torch.from_numpy(np.stack(rows)) if rows else torch.empty(0, self.tower.embedding_dim)

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        with torch.no_grad():
            embeddings: NDArray[np.float32] = self.tower.embed_texts(texts).float().cpu().numpy()
        return embeddings

    def _read(self, file: Path, wanted: dict[bytes, str]) -> None:
        """Take the embeddings of wanted texts out of a file."""
        from safetensors.numpy import load_file

        stored = load_file(file)
        for key, row in zip(map(bytes, stored["keys"]), stored["embeddings"], strict=True):
            if key in wanted:
                self._rows[key] = row

    def _warn_of_cut(self, texts: Sequence[str]) -> None:
        cut = self.tower.count_cut(texts)
        if cut and is_first_process():
            from rich.console import Console

            limit = self.tower.config["max_tokens"]
            Console(stderr=True).print(
                f"{cut} of {len(texts)} texts are longer than {limit} tokens: {self.tower.name} reads only those"
            )


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _write(folder: Path, keys: Sequence[bytes], embeddings: NDArray[np.float32]) -> None:
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.blake2b(b"".join(keys), digest_size=16).hexdigest()
    table = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), -1)
    handle, partial = tempfile.mkstemp(prefix=".partial-", dir=folder)
    os.close(handle)
    try:
        save_file({"keys": table, "embeddings": embeddings}, partial)
        os.replace(partial, folder / f"{name}.safetensors")
    finally:
        Path(partial).unlink(missing_ok=True)
