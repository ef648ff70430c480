"""Score normalisation with a cohort: how a recording scores against voices that are neither side of the trial."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from antiphon.common.evaluation.inputs import same_dimension

Kind = Literal["z", "t", "s", "as"]
_BLOCK_VALUES = 1 << 22  # scores that are held at a time


class CohortStatistics(NamedTuple):
    """Mean and standard deviation (n,) of each recording's scores against the cohort."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ScoreNormalization:
    """Z-, T-, S- or adaptive S-norm with a `cohort` (c, D) of scoring vectors, of speakers that no trial has.

    With s a score, and mean and deviation those of one side's scores against the cohort:
    "z": (s - mean) / deviation of the first side (enrolment); "t": of the second side (test); "s": the mean of both;
    "as": the mean of both, with each side's `top_k` highest cohort scores only (all, where the cohort is smaller).
    """

    kind: Kind
    cohort: NDArray[np.float32]
    top_k: int = 300

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"unknown score normalisation {self.kind!r}: use one of {', '.join(get_args(Kind))}, or none")
        if self.cohort.ndim != 2 or len(self.cohort) < 2 or self.top_k < 2:
            raise ValueError(
                f"a cohort needs at least 2 vectors and top_k at least 2, got shape {self.cohort.shape} and top_k={self.top_k}"
            )

    @cached_property
    def _kept(self) -> int:
        return min(self.top_k, len(self.cohort)) if self.kind == "as" else len(self.cohort)

    def statistics(self, vectors: ArrayLike) -> CohortStatistics:
        """Mean and (unbiased) deviation of the scores of `vectors` (n, D) against the cohort, or its nearest members for "as"."""
        rows = np.asarray(vectors, np.float32)
        same_dimension(self.cohort, rows)
        mean, std = np.empty(len(rows), np.float32), np.empty(len(rows), np.float32)
        size = max(1, _BLOCK_VALUES // len(self.cohort))
        for start in range(0, len(rows), size):
            scores = rows[start : start + size] @ self.cohort.T  # (b, c)
            if self._kept < len(self.cohort):
                scores = np.partition(scores, -self._kept, axis=1)[:, -self._kept :]
            mean[start : start + size] = scores.mean(axis=1)
            std[start : start + size] = scores.std(axis=1, ddof=1)
        return CohortStatistics(mean, np.maximum(std, 1e-6))

    def apply(
        self, scores: NDArray[np.float32], first: CohortStatistics, second: CohortStatistics, rows: tuple[ArrayLike, ArrayLike]
    ) -> NDArray[np.float32]:
        """Normalise scores of any shape; `rows` say, in a shape that broadcasts, which row of `first` and `second` each is of."""
        sides = [
            (scores - side.mean[row]) / side.std[row] for side, row in zip((first, second), map(np.asarray, rows), strict=True)
        ]
        return sides[0] if self.kind == "z" else sides[1] if self.kind == "t" else (sides[0] + sides[1]) / 2
