"""Which recordings are compared: all pairs, a list of pairs, or enrolled speakers; scored in blocks, never listed whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from antiphon.common.evaluation.inputs import Embeddings, label_array
from antiphon.common.evaluation.verification.metrics import Scores, checked
from antiphon.common.evaluation.verification.normalization import CohortStatistics, ScoreNormalization
from antiphon.common.random import shuffled

Codes = NDArray[np.int64]
_BLOCK_TRIALS = 1 << 20


class Block(NamedTuple):
    """Some trials: scores (m,), whether one speaker spoke both (m,) bool, and the two recordings (m,) that they compare.

    An enrolled speaker stands in `first` as the first recording that was enrolled.
    """

    scores: NDArray[np.float32]
    targets: NDArray[np.bool_]
    first: Codes
    second: Codes


def scoring_vectors(embeddings: Embeddings) -> NDArray[np.float32]:
    """Rows (n, D) whose dot products are scores.

    Embeddings (n, D) are brought to length 1: scores are cosines. Of embeddings (n, crops, D) the unit vectors of a recording's
    crops are averaged: the dot product is then the mean of the crops x crops matrix of cosines, since it is linear on both sides.

    Raises:
        ValueError: another shape, or a row that is 0, NaN or infinite.
    """
    rows = np.asarray(embeddings.detach().cpu() if hasattr(embeddings, "detach") else embeddings, np.float32)
    if rows.ndim not in (2, 3):
        raise ValueError(f"embeddings must be (recordings, D) or (recordings, crops, D), got shape {rows.shape}")
    sizes = np.linalg.norm(rows, axis=-1, keepdims=True)
    bad = ~(np.isfinite(sizes) & (sizes > 0)).reshape(len(rows), -1).all(axis=1)
    if bad.any():
        raise ValueError(
            f"{int(bad.sum())} of {len(rows)} embeddings are 0, NaN or infinite (first: row {int(bad.argmax())}): "
            "look for silent or damaged recordings"
        )
    units = rows / sizes
    return units if units.ndim == 2 else units.mean(axis=1)


def speaker_codes(speakers: ArrayLike, count: int | None = None) -> Codes:
    """Labels (n,) of any type as numbers from 0 on, in their sorted order."""
    codes: Codes = np.unique(label_array(speakers, count, "speakers"), return_inverse=True)[1].astype(np.int64)
    return codes


@dataclass(frozen=True, eq=False)
class Trials(ABC):
    """Trials among recordings with scoring `vectors` (n, D), see `scoring_vectors`. Iterating scores them, anew each time."""

    vectors: NDArray[np.float32]
    normalization: ScoreNormalization | None = field(default=None, kw_only=True)

    @abstractmethod
    def __iter__(self) -> Iterator[Block]: ...

    def _statistics(self, vectors: NDArray[np.float32]) -> CohortStatistics | None:
        return None if self.normalization is None else self.normalization.statistics(vectors)

    def _normalize(
        self, scores: NDArray[np.float32], sides: tuple[CohortStatistics | None, ...], rows: tuple[ArrayLike, ArrayLike]
    ) -> NDArray[np.float32]:
        first, second = sides
        if self.normalization is None or first is None or second is None:
            return scores
        return self.normalization.apply(scores, first, second, rows)

    def scores(self) -> Scores:
        """All scores, sorted: 4 bytes a trial.

        Raises:
            ValueError: trials of one kind only.
        """
        return collect(block[:2] for block in self)


def collect(parts: Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]) -> Scores:
    """Sorted scores of (scores, targets) parts."""
    same: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
    other: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
    for scores, targets in parts:
        same.append(scores[targets])
        other.append(scores[~targets])
    sorted_scores = Scores(np.concatenate(same), np.concatenate(other))
    for part in sorted_scores:
        part.sort()
    return checked(sorted_scores)


@dataclass(frozen=True, eq=False)
class AllPairs(Trials):
    """Every pair of two different recordings, once; the earlier recording is the first side. `speakers` (n,): any labels."""

    speakers: ArrayLike

    def __iter__(self) -> Iterator[Block]:
        count = len(self.vectors)
        speakers = speaker_codes(self.speakers, count)
        stats = self._statistics(self.vectors)
        size = max(1, _BLOCK_TRIALS // max(1, count))
        for start in range(0, count - 1, size):
            rows = np.arange(start, min(start + size, count - 1))[:, None]
            columns = np.arange(start + 1, count)[None]
            scores = self._normalize(self.vectors[rows[:, 0]] @ self.vectors[start + 1 :].T, (stats, stats), (rows, columns))
            keep = columns > rows
            first, second = (np.broadcast_to(side, keep.shape)[keep] for side in (rows, columns))
            yield Block(scores[keep], speakers[first] == speakers[second], first, second)


@dataclass(frozen=True, eq=False)
class ListedPairs(Trials):
    """Pairs from a list: recordings `first` (m,) and `second` (m,), `targets` (m,) bool."""

    first: Codes
    second: Codes
    targets: NDArray[np.bool_]

    def __iter__(self) -> Iterator[Block]:
        stats = self._statistics(self.vectors)
        size = max(1, (_BLOCK_TRIALS << 2) // self.vectors.shape[1])
        for start in range(0, len(self.first), size):
            first, second = self.first[start : start + size], self.second[start : start + size]
            scores = np.einsum("nd,nd->n", self.vectors[first], self.vectors[second])
            yield Block(self._normalize(scores, (stats, stats), (first, second)), self.targets[start : start + size], first, second)


@dataclass(frozen=True, eq=False)
class EnrolledSpeakers(Trials):
    """Each speaker is enrolled with `enrol` recordings, drawn by `seed`; all others are tried against every enrolled speaker.

    The score is the mean over the enrolled recordings, which keeps it on the scale of single pairs. A speaker without more than
    `enrol` recordings is not enrolled; its recordings are tried against the others.
    """

    speakers: ArrayLike
    enrol: int = 3
    seed: int = 0

    def __iter__(self) -> Iterator[Block]:
        speakers = speaker_codes(self.speakers, len(self.vectors))
        enrolled = self.enrolled()
        probes = np.setdiff1d(np.arange(len(speakers)), np.concatenate(enrolled))
        models = np.stack([self.vectors[rows].mean(axis=0) for rows in enrolled])  # (k, D)
        owners = np.asarray([rows[0] for rows in enrolled])
        sides = (self._statistics(models), self._statistics(self.vectors))
        size = max(1, _BLOCK_TRIALS // len(models))
        for start in range(0, len(probes), size):
            second = probes[None, start : start + size]
            scores = self._normalize(models @ self.vectors[second[0]].T, sides, (np.arange(len(models))[:, None], second))
            rows, columns = (np.broadcast_to(side, scores.shape).ravel() for side in (owners[:, None], second))
            yield Block(scores.ravel(), speakers[rows] == speakers[columns], rows, columns)

    def enrolled(self) -> list[Codes]:
        """The recordings (enrol,) of each speaker that is enrolled.

        Raises:
            ValueError: a number below 1, or no speaker has more than `enrol` recordings.
        """
        codes = speaker_codes(self.speakers, len(self.vectors))
        counts = np.bincount(codes)
        if self.enrol < 1 or counts.max() <= self.enrol:
            raise ValueError(
                f"enrol={self.enrol}: the speaker with most recordings has {counts.max()} of them, one is needed besides those "
                f"enrolled: use a value from 1 to {counts.max() - 1}" + (", if there is one" if counts.max() < 2 else "")
            )
        order = shuffled(len(codes), self.seed, 0).numpy()
        drawn = order[np.argsort(codes[order], kind="stable")]  # speaker by speaker, in the drawn order
        starts = np.concatenate(([0], counts.cumsum()[:-1]))
        return [drawn[start : start + self.enrol] for start, size in zip(starts, counts, strict=True) if size > self.enrol]
