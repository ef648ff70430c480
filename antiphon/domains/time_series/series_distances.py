"""SoftCLT's distances as a recipe's config names them: settings now, the training set later."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from antiphon.common.data.loader import BatchSource
from antiphon.domains.time_series.distance_rows import DistanceRows, soft_distances


class SeriesDistances:
    """Distances between training series, (B,) rows -> (B, B); computed, or found in the cache, when `prepare` sees the set.

    Takes the settings of `soft_distances`: metric, window, scaling, exact_limit, approximation, ...
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.rows: DistanceRows | None = None

    def prepare(self, train: BatchSource) -> None:
        """Compute the distances between the series of `train`.

        Raises:
            ValueError: a set that draws its windows anew in every epoch, so that they have no distance once and for all.
        """
        signals, lengths = getattr(train, "signals", None), getattr(train, "lengths", None)
        if not isinstance(signals, np.ndarray) or lengths is None:
            raise ValueError(
                "the distances between examples need examples that stay the same, all in one array: give data.in_memory=true "
                "for EEG, or use another objective"
            )
        self.rows = soft_distances(signals, lengths=lengths, **self.settings)

    def __call__(self, index: Tensor) -> Tensor:
        """Normalised distances between rows `index` (B,) of the training set, (B, B)."""
        if self.rows is None:
            raise ValueError("the distances have not seen the training set yet: call prepare(train) first")
        return self.rows(index)
