"""The scikit-learn face: fit on series, transform to embeddings."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from antiphon.domains.time_series.data import TimeSeriesSet


class ContrastiveTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Pretrains an encoder by a recipe of this domain on unlabelled series and embeds series with it.

    Takes (n, channels, time), or (n, time) for univariate series; NaN is a missing value, and NaN to the end means that the
    series is shorter. Pretraining needs the extra
    `train`; a fitted transformer pickles and transforms without it.

    Args:
        recipe: a recipe of the domain: "ts2vec", "softclt", "simclr", "dbpm", "ts_tcc", "softclt_ts_tcc".
        steps: number of updates; None: as the recipe says.
        seed: of the initial weights and of every draw.
        overrides: further Hydra overrides, such as ("optimizer.lr=0.0005",).

    Attributes:
        encoder_: the pretrained `Encoder`.
        n_features_in_: length of the series seen in fit.
    """

    def __init__(self, recipe: str = "ts2vec", *, steps: int | None = None, seed: int = 0, overrides: Sequence[str] = ()) -> None:
        self.recipe = recipe
        self.steps = steps
        self.seed = seed
        self.overrides = overrides

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Pretrain on X; y is not looked at."""
        from antiphon.run.pretrain import pretrain_set

        signals = self._signals(X, reset=True)
        overrides = [*self.overrides, *([] if self.steps is None else [f"training.steps={self.steps}"])]
        data = TimeSeriesSet.from_arrays(signals)
        with tempfile.TemporaryDirectory() as scratch:
            self.encoder_ = pretrain_set(f"time_series/{self.recipe}", data, overrides, seed=self.seed, folder=scratch)
        self._n_features_out = self.encoder_.embedding_dim
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Embeddings, (n, embedding_dim)."""
        check_is_fitted(self)
        data = TimeSeriesSet.from_arrays(self._signals(X, reset=False))
        # In float64, rounded at the end: then neither the order of the series nor their company changes a bit of any embedding.
        return deepcopy(self.encoder_).double().embed(data.signals, data.lengths)

    def _signals(self, X: ArrayLike, *, reset: bool) -> NDArray[np.float32]:
        array = validate_data(
            self,
            X,
            reset=reset,
            dtype=np.float32,
            ensure_all_finite="allow-nan",
            allow_nd=True,
            ensure_min_features=2 if reset else 1,
        )
        return array[:, None, :] if array.ndim == 2 else array

    def __sklearn_tags__(self) -> Any:
        """NaN are missing values; three-dimensional input is welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
