"""The learner of two modalities: each side is embedded and projected, and the objective brings partners together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from zlib import crc32

import torch
from torch import Tensor, nn

from antiphon.common.data.batch import PairedBatch, SignalBatch, View, context_rows
from antiphon.common.encoder import Encoder
from antiphon.common.grad_cache import BatchNorms, batch_norms, cached_loss
from antiphon.common.learners.base import Batch, ViewLearner, Views, similarity_means
from antiphon.common.objectives.base import Objective, ViewOutputs
from antiphon.common.optim import OptimizerSettings
from antiphon.common.text.prompts import PromptSet
from antiphon.common.two_towers import SignalSide, TextSide, TwoTowers

GroupBy = Literal["group", "text"]


class CrossModal(ViewLearner):
    """Trains two sides by `objective`: signals and their texts, or the signals of both halves of a `PairedBatch`.

    `first` sees the signals of a batch, or of the first half of a pair; `second` the batch's texts, or the second half. `views`
    (None: the signals as they are) augments what `first` sees; it must make one view. Each side's tower has a share of the learning
    rate of its own, 0 for a frozen one (see `antiphon.common.two_towers.Side`).

    `group_by` says which examples an objective with ``ignore_same_group`` takes for no negatives of each other: those of one
    `batch.groups` ("group": a recording, whose windows share a report), or those with the very same text ("text").

    With `chunk_size` the towers see that many examples at a time, as in `JointEmbedding`. Every draw is a function of (`seed`,
    step).
    """

    def __init__(
        self,
        first: SignalSide,
        second: SignalSide | TextSide,
        objective: Objective,
        *,
        views: Views | None = None,
        group_by: GroupBy = "group",
        optimizer: OptimizerSettings | None = None,
        chunk_size: int | None = None,
        batch_norm: BatchNorms = "refuse",
        steps: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__(objective, optimizer=optimizer, chunk_size=chunk_size, batch_norm=batch_norm, steps=steps, seed=seed)
        if set(objective.needs) != {"projections"}:
            raise ValueError(
                f"{type(objective).__name__} reads {', '.join(objective.needs)}; two towers have projections: use clip"
            )
        if first.out_dim != second.out_dim:
            raise ValueError(f"the sides are projected to {first.out_dim} and {second.out_dim} dimensions: set both to one out_dim")
        if group_by not in ("group", "text"):
            raise ValueError(f"group_by is {group_by!r}: use group or text")
        self.first, self.second = first, second
        self.views = views
        self.group_by = group_by

    @property
    def encoder(self) -> Encoder:
        """The first side's encoder, without its projection."""
        return self.first.encoder

    @property
    def trained_encoder(self) -> Encoder:
        """What `antiphon.load_encoder` is to give back."""
        return self.encoder

    def two_towers(self, prompts: PromptSet | None = None) -> TwoTowers:
        """The pretrained pair, which shares its weights with this learner."""
        if not isinstance(self.second, TextSide):
            raise ValueError("a pair of signals has no text tower: use the sides by themselves")
        scale: Any = getattr(self.objective, "scale", None)
        bias: Any = getattr(self.objective, "bias", None)
        return TwoTowers(
            self.first,
            self.second,
            scale=1.0 if scale is None else float(scale().detach()),
            bias=None if bias is None else float(bias.detach()),
            prompts=prompts,
        )

    def make_views(self, batch: Batch) -> Sequence[View]:
        """What the first side sees, as the one view of the batch, in standardised units."""
        half = halves(batch)[0]
        if self.views is None:
            return [_plain_view(self.first, half)]
        with torch.autocast(half.signals.device.type, enabled=False):
            views = self.views(self.encoder.standardize(half.signals), half.lengths, self.randomness(batch))
        if len(views) != 1:
            raise ValueError(f"the first modality is one side of a pair, but views makes {len(views)} of it: set views.views=1")
        return views

    def outputs(self, batch: Batch, views: Sequence[View]) -> ViewOutputs:
        """Both sides' projections, and whatever else the objective needs."""
        return self._finish(batch, views, self._encode(batch, views, slice(None)))

    def _encode(self, batch: Batch, views: Sequence[View], rows: slice) -> list[Tensor]:
        """What both projections see of some of the examples."""
        first, second = halves(batch)
        features = self.first.features(views[0][rows], context=context_rows(first.context, rows))
        if isinstance(self.second, TextSide):
            return [features, self.second.features(_texts(second)[rows]).to(features.device)]
        return [features, self.second.features(_plain_view(self.second, second)[rows], context=context_rows(second.context, rows))]

    def _finish(self, batch: Batch, views: Sequence[View], features: Sequence[Tensor]) -> ViewOutputs:
        first, second = halves(batch)
        ours = self.first.project(features[0], views[0])
        if isinstance(self.second, TextSide):
            theirs = self.second.project(features[1])
        else:
            theirs = self.second.project(features[1], _plain_view(self.second, second))
        return ViewOutputs(
            index=batch.index,
            views=views,
            projections=[ours, theirs],
            labels=first.labels,
            groups=first.groups if self.group_by == "group" else _text_codes(second),
            random=self.randomness(batch).fold("objective"),
        )

    def _loss(self, batch: Batch, outputs: ViewOutputs) -> Tensor:
        loss: Tensor = self.objective(outputs)
        self.metrics = {"loss": loss.detach(), **similarity_means(outputs)}
        scale: Any = getattr(self.objective, "scale", None)
        if scale is not None:
            self.metrics["scale"] = scale().detach()
        return loss

    def _chunked_loss(self, batch: Batch, views: Sequence[View]) -> Tensor:
        towers = nn.ModuleList(side.tower for side in (self.first, self.second) if side.learns)

        def encode(rows: slice) -> list[Tensor]:
            with batch_norms(towers, self.batch_norm):
                return self._encode(batch, views, rows)

        rest = (self.first.projection, self.second.projection, self.objective)
        return cached_loss(
            encode,
            self._chunks(len(batch)),
            lambda features: self._loss(batch, self._finish(batch, views, features)),
            encoder_parameters=towers.parameters(),
            loss_parameters=[parameter for module in rest for parameter in module.parameters()],
        )

    def configure_optimizers(self) -> Any:
        """The optimiser of all that learns, each tower at its share of the rate, with its schedule by step."""
        trained = nn.ModuleList([self.first.projection, self.second.projection, self.objective])
        towers = [(side.tower, side.lr_factor) for side in (self.first, self.second) if side.learns]
        optimizer, schedule = self.settings.build(trained, self.steps, lr_factors=towers)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def halves(batch: Batch) -> tuple[SignalBatch, SignalBatch]:
    """What each side looks at: the two halves of a pair, or twice the same batch."""
    return (batch.first, batch.second) if isinstance(batch, PairedBatch) else (batch, batch)


def _plain_view(side: SignalSide, batch: SignalBatch) -> View:
    return View(side.encoder.standardize(batch.signals), batch.lengths)


def _texts(batch: SignalBatch) -> list[str]:
    if batch.texts is None:
        raise ValueError("the training set has no texts: give its manifest a column `text`, or train on signals alone")
    return batch.texts


def _text_codes(batch: SignalBatch) -> Tensor:
    """(B,) int64, equal for equal texts."""
    return torch.tensor([crc32(text.encode()) for text in _texts(batch)], device=batch.signals.device)
