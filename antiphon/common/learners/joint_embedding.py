"""The learner of every method that embeds views of one example alike: views -> outputs -> objective."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from antiphon.common.data.batch import SignalBatch, View
from antiphon.common.distributed import mean_over_ranks
from antiphon.common.encoder import Encoder
from antiphon.common.objectives.base import Objective, ViewOutputs
from antiphon.common.optim import AveragedWeights, OptimizerSettings
from antiphon.common.pair_mining import BadPairMining
from antiphon.common.random import KeyedRandom, seeded_scope

Views = Callable[[Tensor, Tensor, KeyedRandom], Sequence[View]]


class JointEmbedding(pl.LightningModule):
    """Trains `encoder` by `objective` on `views` of each batch.

    `views` maps standardised signals (B, C, T), lengths (B,) and keyed randomness to views; `head` maps embeddings to projections
    (None: the embeddings themselves); `averaging` keeps averaged weights beside the encoder, and these are then what is saved and
    evaluated; `pair_mining` weighs each example's loss. Every draw, dropout included, is a function of (`seed`, step).
    """

    def __init__(
        self,
        encoder: Encoder,
        views: Views,
        objective: Objective,
        *,
        head: nn.Module | None = None,
        optimizer: OptimizerSettings | None = None,
        averaging: AveragedWeights | None = None,
        pair_mining: BadPairMining | None = None,
        steps: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head if head is not None else nn.Identity()
        self.objective = objective
        self.averaging = averaging
        self.pair_mining = pair_mining
        self.views = views
        self.settings = optimizer or OptimizerSettings()
        self.steps = steps
        self.seed = seed
        self.metrics: dict[str, Tensor] = {}  # of the last step, for the progress bar and the loggers

    @property
    def trained_encoder(self) -> Encoder:
        """What the run is for: the averaged encoder where weights are averaged, else the encoder itself."""
        if self.averaging is None:
            return self.encoder
        averaged = self.averaging.module
        if not isinstance(averaged, Encoder):
            raise TypeError(f"averaging must hold a copy of the encoder, got {type(averaged).__name__}")
        return averaged

    def make_views(self, batch: SignalBatch) -> Sequence[View]:
        """The views of a batch, in the encoder's standardised units."""
        return self.views(self.encoder.standardize(batch.signals), batch.lengths, self.randomness(batch))

    def randomness(self, batch: SignalBatch) -> KeyedRandom:
        """The keyed streams of a batch."""
        return KeyedRandom.for_examples(self.seed, batch.epoch, batch.index, step=batch.step)

    def outputs(self, batch: SignalBatch, views: Sequence[View]) -> ViewOutputs:
        """Run the encoder on every view, and the head if the objective wants projections."""
        needs = self.objective.needs
        frames: list[Tensor] = []
        embeddings: list[Tensor] = []
        stages: list[list[Tensor]] = []
        for view in views:
            if "stages" in needs:
                stages.append(self.encoder.stages(view.signals, view.lengths))
                whole = stages[-1][-1]
            else:
                whole = self._frames(view, cut="frames" in needs)
            frames.append(whole)
            if "projections" in needs or "embeddings" in needs:
                embeddings.append(self.encoder.pool(whole, view.lengths, view.signals.shape[-1]))
        projections = [self.head(embedding) for embedding in embeddings] if "projections" in needs else []
        return ViewOutputs(
            index=batch.index,
            views=views,
            frames=frames,
            embeddings=embeddings,
            projections=projections,
            stages=stages,
            labels=batch.labels,
            random=self.randomness(batch).fold("objective"),
        )

    def _frames(self, view: View, *, cut: bool) -> Tensor:
        """Frames of a view; `cut` keeps those that the views share, which some encoders can do before their costliest layers."""
        if not cut or view.shared is None:
            return self.encoder.encode(view.signals, view.lengths, mask=view.mask)
        return self.encoder.encode_kept(view.signals, view.lengths, mask=view.mask, keep=view.shared)

    def training_step(self, batch: SignalBatch, _: int = 0) -> Tensor:
        """The loss of a batch."""
        with seeded_scope(self.seed, batch.step, self.global_rank):
            outputs = self.outputs(batch, self.make_views(batch))
            if self.pair_mining is None:
                loss = self.objective(outputs)
            else:
                losses = self.objective.per_example(outputs)
                loss = mean_over_ranks(losses * self.pair_mining.weights(batch.index, losses.detach(), batch.epoch))
                self.pair_mining.record(batch.index, losses.detach(), batch.epoch)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {batch.step}: lower optimizer.lr, raise the temperature, or check the data for "
                "infinite values"
            )
        self.metrics = {"loss": loss.detach(), **similarity_means(outputs)}
        return loss

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """Update, and take the new weights into the average; here, so that a checkpoint after this step holds both."""
        super().optimizer_step(*arguments, **options)
        if self.averaging is not None:
            self.averaging.update(self.encoder)

    def configure_optimizers(self) -> Any:
        """The optimiser of encoder, head and objective with its schedule by step."""
        trained = nn.ModuleList([self.encoder, self.head, self.objective])
        optimizer, schedule = self.settings.build(trained, self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


@torch.no_grad()
def similarity_means(outputs: ViewOutputs) -> dict[str, Tensor]:
    """Mean cosine of the two views of an example, and of views of different examples."""
    sides = outputs.projections or outputs.embeddings or [frames.mean(dim=1) for frames in outputs.frames]
    if len(sides) < 2 or len(sides[0]) < 2:
        return {}
    cosines = normalize(sides[0].detach().float(), dim=-1) @ normalize(sides[1].detach().float(), dim=-1).T
    positive, count = cosines.diagonal().sum(), len(cosines)
    return {"positive_similarity": positive / count, "negative_similarity": (cosines.sum() - positive) / (count * (count - 1))}
