"""SoftCLT's distances as a recipe's config names them: settings now, the training set later."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from antiphon.common.data.loader import BatchSource
from antiphon.domains.time_series.data import TimeSeriesSet
from antiphon.domains.time_series.distance_rows import DistanceRows, soft_distances


class SeriesDistances:
    """Distances between training series, (B,) rows -> (B, B); computed, or found in the cache, when `prepare` sees the set.

    Takes the settings of `soft_distances`: metric, window, scaling, exact_limit, approximation, ...
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.rows: DistanceRows | None = None

    def prepare(self, train: BatchSource) -> None:
        """Compute the distances between the series of `train`."""
        if not isinstance(train, TimeSeriesSet):
            raise TypeError(f"distances between series need a TimeSeriesSet, got {type(train).__name__}")
        self.rows = soft_distances(train.signals, lengths=train.lengths, **self.settings)

    def __call__(self, index: Tensor) -> Tensor:
        """Normalised distances between rows `index` (B,) of the training set, (B, B)."""
        if self.rows is None:
            raise ValueError("the distances have not seen the training set yet: call prepare(train) first")
        return self.rows(index)
