"""MVCNet with the face of scikit-learn, for arrays and for moabb's pipelines."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from antiphon.common.encoder import InputSpec
from antiphon.common.random import seeded_scope
from antiphon.domains.eeg.augmentations.electrodes import Unpaired
from antiphon.domains.eeg.data.epochs import EpochSet
from antiphon.domains.eeg.mvcnet.encoders import IFNetEncoder, MVCNetEncoder
from antiphon.domains.eeg.mvcnet.losses import MVCNet
from antiphon.domains.eeg.mvcnet.views import KINDS, MVCNetViews


class MVCNetClassifier(ClassifierMixin, BaseEstimator):
    """MVCNet (Wang et al., Knowledge-Based Systems 2025) on trials (n, channels, time), trained with the published settings.

    Adam at 1e-3 without a schedule, batches of 64, 100 epochs, the last weights. Every channel is standardised by the training
    trials. Two trainings with the same `seed` on the same machine give the same classifier.

    Args:
        names: of the electrodes, in order; for the space view.
        sample_rate: in Hz; for the frequency view.
        views: those beside the raw trials: time, frequency, space. None of them, and both weights 0: plain IFNet.
        mirrored_classes: what class a trial's mirror image has, see `mirror_order`: "auto" for classes that say left and right.
        pairs: left and right electrodes by name, see `reflection_order`; `unpaired`: error or keep.
        unpaired: see `pairs`.
        cross_view_weight: of L_CVC; 0 leaves it out.
        cross_model_weight: of L_CMC; 0 leaves it out.
        fusion: classify by both branches, as the paper says, instead of by the convolutional one, as the code does.
        pool: samples over which the convolutional branch averages.
        samples: at which the transformer branch sees a trial; None: all, as published, with very many weights.
        epochs: passes over the training trials.
        batch_size: trials in a batch.
        lr: learning rate.
        seed: of initial weights, order and dropout.
        trainer: further arguments of Lightning's Trainer (accelerator, devices, ...).
    """

    def __init__(
        self,
        names: Sequence[str] | None = None,
        sample_rate: float | None = None,
        *,
        views: Sequence[str] = KINDS,
        mirrored_classes: str | Sequence[str] | None = "auto",
        pairs: Sequence[Sequence[str]] | None = None,
        unpaired: Unpaired = "error",
        cross_view_weight: float = 0.1,
        cross_model_weight: float = 0.1,
        fusion: bool = False,
        pool: int = 125,
        samples: int | None = 256,
        epochs: int = 100,
        batch_size: int = 64,
        lr: float = 1e-3,
        seed: int = 0,
        trainer: dict[str, Any] | None = None,
    ) -> None:
        self.names, self.sample_rate = names, sample_rate
        self.views, self.mirrored_classes, self.pairs, self.unpaired = views, mirrored_classes, pairs, unpaired
        self.cross_view_weight, self.cross_model_weight, self.fusion = cross_view_weight, cross_model_weight, fusion
        self.pool, self.samples = pool, samples
        self.epochs, self.batch_size, self.lr, self.seed, self.trainer = epochs, batch_size, lr, seed, trainer

    def fit(self, signals: ArrayLike, labels: ArrayLike) -> MVCNetClassifier:
        """Train on `signals` (n, C, T) in any unit and `labels` (n,) of any kind."""
        values = np.asarray(signals, np.float32)
        if values.ndim != 3 or not np.isfinite(values).all():
            raise ValueError(f"trials must be (n, channels, time) without NaN or infinite values, got shape {values.shape}")
        self.classes_, codes = np.unique(np.asarray(labels), return_inverse=True)
        spec = InputSpec(channels=values.shape[1], names=tuple(self.names) if self.names else None, sample_rate=self.sample_rate)
        words = tuple(str(name) for name in self.classes_)
        self.classifier_ = self._train(EpochSet(values, spec, labels=codes.astype(np.int64), classes=words))
        self.n_features_in_ = values.shape[1]
        return self

    def _train(self, data: EpochSet) -> Any:
        from antiphon.common.data.loader import KeyedLoader
        from antiphon.common.learners.joint_embedding import JointEmbedding
        from antiphon.common.learners.training import TrainingSettings, fit
        from antiphon.common.optim import OptimizerSettings

        views = MVCNetViews(data.input_spec.names, self.sample_rate, kinds=self.views, pairs=self.pairs, unpaired=self.unpaired)
        encoder, objective = self._networks(data)
        steps = self.epochs * KeyedLoader(data, batch_size=self.batch_size, steps=1, drop_last=False).steps_per_epoch
        settings = OptimizerSettings(name="adam", lr=self.lr, weight_decay=0.0, schedule="constant")
        learner = JointEmbedding(encoder, views, objective, optimizer=settings, steps=steps, seed=self.seed)
        training = TrainingSettings(
            batch_size=self.batch_size,
            steps=steps,
            seed=self.seed,
            drop_last=False,
            checkpoint_every=steps,
            log_every=steps,
            progress=False,
            trainer=self.trainer or {},
        )
        with tempfile.TemporaryDirectory() as scratch:
            fit(learner, data, training, scratch)
        return objective.cpu().classifier(encoder.cpu().eval())

    def _networks(self, data: EpochSet) -> tuple[IFNetEncoder, MVCNet]:
        channels, window = data.signals.shape[1:]
        with seeded_scope(self.seed, "initial weights"):
            if self.fusion:
                encoder: IFNetEncoder = MVCNetEncoder(channels, window, pool=self.pool, samples=self.samples)
            else:
                encoder = IFNetEncoder(channels, window, pool=self.pool)
            encoder.name = "mvcnet" if self.fusion else "ifnet"
            objective = MVCNet(
                encoder=encoder,
                classes=data.classes,
                views=self.views,
                mirrored_classes=self.mirrored_classes,
                cross_view_weight=self.cross_view_weight,
                cross_model_weight=self.cross_model_weight,
                samples=self.samples,
            )
        encoder.describe_input(data.input_spec)
        encoder.fit_standardization(data.signals.mean(axis=(0, 2)), data.signals.std(axis=(0, 2)))
        return encoder, objective

    def predict_proba(self, signals: ArrayLike) -> NDArray[np.float64]:
        """Probabilities (n, classes) in order of `classes_`."""
        from scipy.special import softmax

        found: NDArray[np.float64] = softmax(self.classifier_.scores(np.asarray(signals)).astype(np.float64), axis=1)
        return found

    def predict(self, signals: ArrayLike) -> NDArray[Any]:
        """The likeliest class of each trial, (n,)."""
        return np.asarray(self.classes_[self.classifier_.scores(np.asarray(signals)).argmax(axis=1)])

    def transform(self, signals: ArrayLike) -> NDArray[np.float32]:
        """Embeddings (n, D) before the classifier."""
        found: NDArray[np.float32] = self.classifier_.encoder.embed(np.asarray(signals))
        return found
