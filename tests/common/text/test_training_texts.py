"""Where the texts of a set are found, and what is said where they are not."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from antiphon.common.data.batch import SignalBatch
from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.text.training_texts import given_texts, training_texts


@dataclass
class Told:
    """A set that tells its texts in batches, and perhaps beforehand."""

    told: list[str] | None
    texts: tuple[str | None, ...] | None = None
    substrings: bool = False

    def __len__(self) -> int:
        return 3

    def batch(self, index, *, epoch: int = 0) -> SignalBatch:
        rows = torch.as_tensor(index)
        told = None if self.told is None else [self.told[row] for row in rows.tolist()]
        return SignalBatch(torch.zeros(len(rows), 1, 4), torch.full((len(rows),), 4), rows, texts=told)


@dataclass
class Listed(Told):
    rows: np.ndarray = field(default_factory=lambda: np.array([1, 0, 1]))
    manifest: Manifest = field(default_factory=lambda: Manifest((Row("a.wav", text="one "), Row("b.wav", text="two"))))


def test_texts_are_told_by_the_set_or_its_manifest() -> None:
    assert training_texts(Told(None, ("x", "y", "z"))) == ["x", "y", "z"]
    assert training_texts(Listed(["two", "one", "two"])) == ["two", "one", "two"]
    assert training_texts(Told(["x", "y", "z"])) is None
    assert training_texts(Listed(["o", "n", "e"], substrings=True)) is None
    assert given_texts(Told(None)) is None


def test_missing_texts_are_counted() -> None:
    with pytest.raises(ValueError, match="no texts"):
        training_texts(Told(None))
    with pytest.raises(ValueError, match=r"1 of 3 training examples have no text \(the first: example 1\)"):
        training_texts(Told(["x", "", "z"], ("x", None, "z")))
