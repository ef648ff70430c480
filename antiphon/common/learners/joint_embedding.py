"""The learner of every method that embeds views of one example alike: views -> outputs -> objective."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from antiphon.common.data.batch import SignalBatch, View, context_rows
from antiphon.common.distributed import mean_over_ranks
from antiphon.common.encoder import Encoder
from antiphon.common.grad_cache import BatchNorms, batch_norms, cached_loss
from antiphon.common.learners.base import ViewLearner, Views, similarity_means
from antiphon.common.momentum import AveragedWeights, MomentumTwin
from antiphon.common.objectives.base import Objective, ViewOutputs
from antiphon.common.optim import OptimizerSettings
from antiphon.common.pair_mining import BadPairMining

Encoded = dict[str, Tensor]
PROJECTED = {"projections", "predictions", "targets"}  # what needs the head
POOLED = {"embeddings"} | PROJECTED  # what needs one vector an example


class JointEmbedding(ViewLearner):
    """Trains `encoder` by `objective` on `views` of each batch.

    `views` maps standardised signals (B, C, T), lengths (B,) and keyed randomness to views; `head` maps embeddings to projections
    (None: the embeddings themselves), and is left out where the objective reads none; `predictor` maps projections to predictions
    and `twin` gives targets, for objectives that want them (without a twin, targets are the learner's own projections, without
    gradient); `averaging` keeps averaged weights beside the encoder, and these are then what is saved and evaluated, or, with
    `save_twin`, those of the twin (DINO);
    `pair_mining` weighs each example's loss.

    With `chunk_size` the encoder sees that many examples at a time, so that memory does not grow with the batch; head, predictor
    and objective still see the whole batch, and the gradient is that of the whole (`antiphon.common.grad_cache`, where
    `batch_norm` is explained). Every draw, dropout included, is a function of (`seed`, step).
    """

    def __init__(
        self,
        encoder: Encoder,
        views: Views,
        objective: Objective,
        *,
        head: nn.Module | None = None,
        predictor: nn.Module | None = None,
        twin: MomentumTwin | None = None,
        optimizer: OptimizerSettings | None = None,
        averaging: AveragedWeights | None = None,
        save_twin: bool = False,
        pair_mining: BadPairMining | None = None,
        chunk_size: int | None = None,
        batch_norm: BatchNorms = "refuse",
        steps: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__(objective, optimizer=optimizer, chunk_size=chunk_size, batch_norm=batch_norm, steps=steps, seed=seed)
        needs = objective.needs
        if "predictions" in needs and predictor is None:
            raise ValueError(f"{type(objective).__name__} needs a predictor after the head: add predictor=mlp")
        if twin is not None and "targets" not in needs:
            raise ValueError(f"{type(objective).__name__} uses no targets, so the twin would do nothing: leave it out with ~twin")
        if save_twin and (twin is None or averaging is not None):
            raise ValueError("save_twin needs a twin and no averaging: use an objective with a twin, such as dino or moco")
        self.encoder = encoder
        # A head that is not used would wait for gradients in vain.
        self.head = nn.Identity() if head is None or PROJECTED.isdisjoint(needs) else head
        self.predictor = predictor if "predictions" in needs else None
        self.twin = twin
        self.averaging = averaging
        self.save_twin = save_twin
        self.pair_mining = pair_mining
        self.views = views

    @property
    def trained_encoder(self) -> Encoder:
        """What the run is for: the averaged encoder where weights are averaged, the twin's with `save_twin`, else the encoder."""
        if self.save_twin and self.twin is not None:
            return _as_encoder(self.twin.encoder)
        if self.averaging is None:
            return self.encoder
        return _as_encoder(self.averaging.module)

    def make_views(self, batch: SignalBatch) -> Sequence[View]:
        """The views of a batch, in the encoder's standardised units; in full precision, whatever the network runs in."""
        with torch.autocast(batch.signals.device.type, enabled=False):
            return self.views(self.encoder.standardize(batch.signals), batch.lengths, self.randomness(batch))

    def outputs(self, batch: SignalBatch, views: Sequence[View]) -> ViewOutputs:
        """Run encoder and head on every view, and whatever else the objective needs."""
        return self._finish(batch, views, [self._encode(self.encoder, view, batch.context) for view in views])

    def _encode(self, encoder: Encoder, view: View, context: Mapping[str, Any] | None = None) -> Encoded:
        """What the objective needs of one view from the encoder, by name: embeddings, frames, stages."""
        needs, encoded = self.objective.needs, {}
        if "stages" in needs:
            stages = encoder.stages(view.signals, view.lengths)
            encoded = {f"stage {number}": stage for number, stage in enumerate(stages)}
            whole = stages[-1]
        elif "frames" in needs and view.shared is not None:  # some encoders leave the others out before their costliest layers
            whole = encoder.encode_kept(view.signals, view.lengths, mask=view.mask, keep=view.shared)
        else:
            whole = encoder.encode(view.signals, view.lengths, mask=view.mask, context=context or None)
        if "frames" in needs or POOLED.isdisjoint(needs):  # something must be there for the monitor to compare
            encoded["frames"] = whole
        if not POOLED.isdisjoint(needs):
            encoded["embeddings"] = encoder.pool(whole, view.lengths, view.signals.shape[-1])
        return encoded

    def _finish(self, batch: SignalBatch, views: Sequence[View], encoded: Sequence[Encoded]) -> ViewOutputs:
        """Heads and targets: from what the encoder gave to what the objective reads."""
        needs = self.objective.needs
        projections: list[Tensor] = []
        if not PROJECTED.isdisjoint(needs):
            projections = [self.head(view["embeddings"]) for view in encoded]
        return ViewOutputs(
            index=batch.index,
            views=views,
            frames=[view["frames"] for view in encoded if "frames" in view],
            embeddings=[view["embeddings"] for view in encoded if "embeddings" in view],
            projections=projections,
            stages=[[tensor for name, tensor in view.items() if name.startswith("stage")] for view in encoded if "stages" in needs],
            predictions=[] if self.predictor is None else [self.predictor(projection) for projection in projections],
            targets=self._targets(batch, views, projections) if "targets" in needs else [],
            labels=batch.labels,
            groups=batch.groups,
            random=self.randomness(batch).fold("objective"),
            step=batch.step,
        )

    @torch.no_grad()
    def _targets(self, batch: SignalBatch, views: Sequence[View], projections: Sequence[Tensor]) -> list[Tensor]:
        views, projections = views[: self.objective.target_views], projections[: self.objective.target_views]
        if self.twin is None:
            return [projection.detach() for projection in projections]
        encoder = _as_encoder(self.twin.encoder)
        chunks = self._chunks(len(views[0].signals))

        def embeddings(view: View, rows: slice) -> Tensor:
            return self._encode(encoder, view[rows], context_rows(batch.context, rows))["embeddings"]

        return [self.twin.head(torch.cat([embeddings(view, rows) for rows in chunks])) for view in views]

    def _loss(self, batch: SignalBatch, outputs: ViewOutputs) -> Tensor:
        if self.pair_mining is None:
            loss = self.objective(outputs)
        else:
            losses = self.objective.per_example(outputs)
            loss = mean_over_ranks(losses * self.pair_mining.weights(batch.index, losses.detach(), batch.epoch))
            self.pair_mining.record(batch.index, losses.detach(), batch.epoch)
        self.metrics = {"loss": loss.detach(), **similarity_means(outputs)}
        return loss

    def _chunked_loss(self, batch: SignalBatch, views: Sequence[View]) -> Tensor:
        names: list[list[str]] = []

        def encode(rows: slice) -> list[Tensor]:
            with batch_norms(self.encoder, self.batch_norm):
                context = context_rows(batch.context, rows)
                encoded = [self._encode(self.encoder, view[rows], context) for view in views]
            names[:] = [list(view) for view in encoded]
            return [tensor for view in encoded for tensor in view.values()]

        def loss(tensors: list[Tensor]) -> Tensor:
            rest = iter(tensors)
            encoded = [{name: next(rest) for name in view} for view in names]
            return self._loss(batch, self._finish(batch, views, encoded))

        modules = [self.head, self.objective] + ([] if self.predictor is None else [self.predictor])
        return cached_loss(
            encode,
            self._chunks(len(batch)),
            loss,
            encoder_parameters=self.encoder.parameters(),
            loss_parameters=[parameter for module in modules for parameter in module.parameters()],
        )

    def after_update(self) -> None:
        """What has to happen after every update: to the objective, the head and the predictor, the twin, the average."""
        super().after_update()
        for module in (self.head, self.predictor):
            follow = getattr(module, "after_update", None)
            if follow is not None:
                follow()
        if self.twin is not None:
            self.twin.follow(self.encoder, self.head)
        if self.averaging is not None:
            self.averaging.update(self.encoder)

    def configure_optimizers(self) -> Any:
        """The optimiser of all that is trained, with its schedule by step."""
        trained = nn.ModuleList([self.encoder, self.head, self.objective])
        if self.predictor is not None:
            trained.append(self.predictor)
        optimizer, schedule = self.settings.build(trained, self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _as_encoder(module: nn.Module) -> Encoder:
    if not isinstance(module, Encoder):
        raise TypeError(f"expected a copy of the encoder, got {type(module).__name__}")
    return module
