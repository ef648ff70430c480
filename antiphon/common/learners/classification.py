"""Supervised training of an encoder with a linear layer: fine-tuning, or the network trained from scratch beside it."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from torch.nn.functional import cross_entropy

from antiphon.common.classifier import Classifier
from antiphon.common.data.batch import SignalBatch
from antiphon.common.optim import OptimizerSettings
from antiphon.common.random import seeded_scope


class Classification(pl.LightningModule):
    """Cross-entropy on `labels["label"]` (B,) int64; all weights learn."""

    def __init__(self, classifier: Classifier, *, optimizer: OptimizerSettings, steps: int, seed: int = 0) -> None:
        super().__init__()
        self.classifier, self.settings, self.steps, self.seed = classifier, optimizer, steps, seed
        self.metrics: dict[str, Tensor] = {}

    def training_step(self, batch: SignalBatch, _: int = 0) -> Tensor:
        """The loss of a batch."""
        with seeded_scope(self.seed, batch.step, self.global_rank):
            scores = self.classifier(batch.signals, batch.lengths)
            loss = cross_entropy(scores.float(), batch.labels["label"])
        self.metrics = {"loss": loss.detach(), "accuracy": (scores.argmax(dim=1) == batch.labels["label"]).float().mean()}
        return loss

    def configure_optimizers(self) -> Any:
        """The optimiser of all weights with its schedule by step."""
        optimizer, schedule = self.settings.build(self.classifier, self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
