"""A small file of voices: who was enrolled, with which recordings, by which encoder."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from antiphon.common.encoder import Encoder
from antiphon.common.fingerprint import fingerprint

FORMAT = 1


@dataclass(frozen=True, eq=False)
class SpeakerIndex:
    """Scoring `vectors` (n, D) of enrolled recordings, their `speakers` (n,) and `paths` (n,), and whose embeddings they are.

    Embeddings of another encoder, or of the same one with other weights, mean nothing here and are refused.
    """

    encoder_name: str
    encoder_config: str  # JSON
    encoder_fingerprint: str
    vectors: NDArray[np.float32]
    speakers: NDArray[np.str_]
    paths: NDArray[np.str_]

    @classmethod
    def empty(cls, encoder: Encoder) -> Self:
        """An index for the voices that `encoder` will embed."""
        nobody = np.empty(0, np.str_)
        config = json.dumps(encoder.config, sort_keys=True)
        return cls(encoder.name, config, fingerprint(encoder), np.empty((0, encoder.embedding_dim), np.float32), nobody, nobody)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """An index from disk; nothing in the file is run.

        Raises:
            FileNotFoundError: no such file.
            ValueError: a file that is no index, or one of a later format.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no speaker index {str(path)!r}: `antiphon enroll` makes one")
        try:
            if not zipfile.is_zipfile(path):
                raise ValueError("it is no .npz file")
            with np.load(path, allow_pickle=False) as file:
                about = json.loads(str(file["about"]))
                arrays = {name: file[name] for name in ("vectors", "speakers", "paths")}
            if about["format"] > FORMAT:
                raise ValueError(f"it has format {about['format']}, this Antiphon reads up to {FORMAT}: upgrade antiphon")
            return cls(about["encoder"], about["config"], about["fingerprint"], **arrays)
        except (ValueError, KeyError, TypeError, EOFError, AttributeError, zipfile.BadZipFile, OSError) as error:
            raise ValueError(f"{path} is no speaker index that could be read: {' '.join(str(error).split())}") from error

    def write(self, path: str | Path) -> None:
        """Write the file whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {
            "format": FORMAT,
            "encoder": self.encoder_name,
            "config": self.encoder_config,
            "fingerprint": self.encoder_fingerprint,
        }
        partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
        try:
            with partial.open("wb") as file:
                np.savez(file, about=np.asarray(json.dumps(about)), vectors=self.vectors, speakers=self.speakers, paths=self.paths)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    @property
    def names(self) -> tuple[str, ...]:
        """Who is enrolled, in alphabetical order."""
        return tuple(np.unique(self.speakers).tolist())

    def check(self, encoder: Encoder) -> None:
        """Raise a ValueError where these voices were embedded by another encoder than this one."""
        if self.encoder_fingerprint == fingerprint(encoder):
            return
        other = json.dumps(encoder.config, sort_keys=True)
        if (self.encoder_name, self.encoder_config) == (encoder.name, other):
            difference = "of the same architecture with other weights"
        else:
            difference = f"{self.encoder_name} {self.encoder_config}, this is {encoder.name} {other}"
        raise ValueError(
            f"the index was made with another encoder ({difference}): use the run it was made with, or enrol the voices anew into "
            "another index"
        )

    def enrol(self, vectors: ArrayLike, speakers: ArrayLike, paths: ArrayLike) -> Self:
        """The index with further recordings, each path once a speaker: a later one takes the place of an earlier one."""
        rows, names, files = np.asarray(vectors, np.float32), np.asarray(speakers, np.str_), np.asarray(paths, np.str_)
        fresh = {pair: place for place, pair in enumerate(zip(names.tolist(), files.tolist(), strict=True))}
        last = sorted(fresh.values())
        rows, names, files = rows[last], names[last], files[last]
        keep = [pair not in fresh for pair in zip(self.speakers.tolist(), self.paths.tolist(), strict=True)]
        return replace(
            self,
            vectors=np.concatenate((self.vectors[keep], rows)),
            speakers=np.concatenate((self.speakers[keep], names)),
            paths=np.concatenate((self.paths[keep], files)),
        )

    def scores(self, vectors: ArrayLike) -> NDArray[np.float32]:
        """Scores (m, speakers) of recordings (m, D) against `names`: the mean over the recordings that each is enrolled with."""
        names, codes = np.unique(self.speakers, return_inverse=True)
        means = np.stack([self.vectors[codes == code].mean(axis=0) for code in range(len(names))])
        scores: NDArray[np.float32] = np.asarray(vectors, np.float32) @ means.T
        return scores
