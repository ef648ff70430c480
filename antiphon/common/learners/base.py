"""What learners of views share: keyed draws, a loss of the whole batch or in chunks, and what follows an update."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.functional import normalize

from antiphon.common.data.batch import PairedBatch, SignalBatch, View
from antiphon.common.grad_cache import BatchNorms
from antiphon.common.objectives.base import Objective, ViewOutputs
from antiphon.common.optim import OptimizerSettings
from antiphon.common.random import KeyedRandom, seeded_scope

Batch = SignalBatch | PairedBatch
Views = Callable[[Tensor, Tensor, KeyedRandom], Sequence[View]]


class ViewLearner(pl.LightningModule):
    """Views of a batch -> outputs -> `objective`. With `chunk_size` networks see that many examples at a time.

    Every draw, dropout included, is a function of (`seed`, step).
    """

    def __init__(
        self,
        objective: Objective,
        *,
        optimizer: OptimizerSettings | None,
        chunk_size: int | None,
        batch_norm: BatchNorms,
        steps: int,
        seed: int,
    ) -> None:
        super().__init__()
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size is {chunk_size}: use the number of examples to encode at a time, or null for all")
        self.objective = objective
        self.settings = optimizer or OptimizerSettings()
        self.chunk_size = chunk_size
        self.batch_norm: BatchNorms = batch_norm
        self.steps = steps
        self.seed = seed
        self.metrics: dict[str, Tensor] = {}  # of the last step, for the progress bar and the loggers

    @abstractmethod
    def make_views(self, batch: Any) -> Sequence[View]:
        """The views of a batch, in the encoder's standardised units."""

    @abstractmethod
    def outputs(self, batch: Any, views: Sequence[View]) -> ViewOutputs:
        """What the objective reads."""

    @abstractmethod
    def _loss(self, batch: Any, outputs: ViewOutputs) -> Tensor:
        """The objective, with what is told of it in `metrics`."""

    @abstractmethod
    def _chunked_loss(self, batch: Any, views: Sequence[View]) -> Tensor:
        """The same loss and gradients, a chunk of examples at a time."""

    def randomness(self, batch: Batch) -> KeyedRandom:
        """The keyed streams of a batch."""
        return KeyedRandom.for_examples(self.seed, batch.epoch, batch.index, step=batch.step)

    def _chunks(self, examples: int) -> list[slice]:
        size = self.chunk_size or examples
        return [slice(start, start + size) for start in range(0, examples, size)]

    def training_step(self, batch: Any, _: int = 0) -> Tensor:
        """The loss of a batch."""
        with seeded_scope(self.seed, batch.step, self.global_rank):
            views = self.make_views(batch)
            chunked = self.chunk_size is not None
            try:
                loss = self._chunked_loss(batch, views) if chunked else self._loss(batch, self.outputs(batch, views))
            except ValueError as error:
                if len(batch) > 1 or "more than 1 value per channel" not in str(error):
                    raise
                raise ValueError(
                    "a batch of one example, which batch norm cannot be trained on: give more training examples (recordings can "
                    "be cut into several windows)"
                ) from error
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {batch.step}: lower optimizer.lr, raise the temperature, or check the data for "
                "infinite values"
            )
        return loss

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """Update, and let all that follows the weights follow; here, so that a checkpoint after this step holds both."""
        super().optimizer_step(*arguments, **options)
        self.after_update()

    def after_update(self) -> None:
        """What has to happen after every update: the objective's constraints."""
        self.objective.after_update()


@torch.no_grad()
def similarity_means(outputs: ViewOutputs) -> dict[str, Tensor]:
    """Mean cosine of the two views of an example, and of views of different examples."""
    sides = outputs.projections or outputs.embeddings or [frames.mean(dim=1) for frames in outputs.frames]
    if len(sides) < 2 or len(sides[0]) < 2:
        return {}
    cosines = normalize(sides[0].detach().float(), dim=-1) @ normalize(sides[1].detach().float(), dim=-1).T
    positive, count = cosines.diagonal().sum(), len(cosines)
    return {"positive_similarity": positive / count, "negative_similarity": (cosines.sum() - positive) / (count * (count - 1))}
