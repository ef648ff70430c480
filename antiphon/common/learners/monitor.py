"""Training that watches itself: online probe, RankMe, similarity histograms, and an alarm when the representation collapses."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.functional import normalize

from antiphon.common.data.loader import BatchSource
from antiphon.common.evaluation.geometry import PairSimilarity, collapse_reasons, is_collapsed, positive_negative_similarity, rankme
from antiphon.common.learners.cross_modal import Batch, CrossModal, halves
from antiphon.common.learners.joint_embedding import JointEmbedding
from antiphon.common.objectives.base import ViewOutputs
from antiphon.common.random import seeded_scope, shuffled

FRAMES = 4  # time stamps an example whose frames are compared, where the objective compares frames


@dataclass(frozen=True)
class Snapshot:
    """What the monitor saw after `step` batches: numbers, and the cosines of what the objective pulls together and pushes apart."""

    step: int
    metrics: dict[str, float]
    similarity: PairSimilarity | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, for checkpoints and JSON."""
        pairs = None if self.similarity is None else {key: _plain(value) for key, value in vars(self.similarity).items()}
        return {"step": self.step, "metrics": self.metrics, "similarity": pairs}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Snapshot:
        """The inverse of `to_dict`."""
        pairs = entry["similarity"]
        arrays = pairs and {key: np.asarray(value) if isinstance(value, list) else value for key, value in pairs.items()}
        return cls(entry["step"], dict(entry["metrics"]), PairSimilarity(**arrays) if arrays else None)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


class Monitor(pl.Callback):
    """Looks at a fixed sample of at most `examples` training examples `times` times, evenly over training.

    The online probe is the leave-one-out accuracy of a 5-nearest-neighbour vote on the sample's `label`s: no test data, no
    parameters. `history` goes into the checkpoint.
    """

    def __init__(self, source: BatchSource, *, steps: int, times: int = 10, examples: int = 256, seed: int = 0) -> None:
        rows = shuffled(len(source), seed, epoch=-1)[:examples].numpy()
        self.source, self.rows = source, np.sort(rows)
        self.moments = {round(moment) for moment in np.linspace(0, steps, times + 1)} if times else set()
        self.seconds = 0.0  # spent on looking, which is no training
        self.history: list[Snapshot] = []
        self.reference: Tensor | None = None  # embeddings before training, which a collapse is measured against

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The untrained encoder is the first snapshot."""
        if 0 in self.moments and not self.history:
            self._look(trainer, pl_module, 0)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look again when the moment has come."""
        if batch.step + 1 in self.moments:
            self._look(trainer, pl_module, batch.step + 1)

    def _look(self, trainer: pl.Trainer, pl_module: pl.LightningModule, step: int) -> None:
        if not isinstance(pl_module, JointEmbedding | CrossModal):
            raise TypeError(f"Monitor watches a JointEmbedding or a CrossModal, got {type(pl_module).__name__}")
        start = time.monotonic()
        snapshot, embeddings = take_snapshot(pl_module, self.source.batch(self.rows), step, reference=self.reference)
        reference = self.reference
        self.reference = embeddings if reference is None else reference
        self.history.append(snapshot)
        self.seconds += time.monotonic() - start
        for logger in trainer.loggers:
            logger.log_metrics(snapshot.metrics, step=step)
        trained = reference is not None  # what is untrained may look collapsed, but did not collapse
        if snapshot.metrics.get("collapsed") and trained and trainer.is_global_zero:
            from rich.console import Console

            Console(stderr=True).print(
                f"[bold yellow]collapse alarm[/] at step {step}: {'; '.join(collapse_reasons(embeddings, reference=reference))}. "
                "Lower optimizer.lr, raise the temperature, or use stronger views."
            )

    def state_dict(self) -> dict[str, Any]:
        """The history and the first embeddings, in plain containers."""
        return {"history": [snapshot.to_dict() for snapshot in self.history], "reference": self.reference}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them back."""
        self.reference = state_dict["reference"]
        self.history = [Snapshot.from_dict(entry) for entry in state_dict["history"]]


@torch.no_grad()
def take_snapshot(
    learner: JointEmbedding | CrossModal, batch: Batch, step: int, *, reference: Tensor | None = None
) -> tuple[Snapshot, Tensor]:
    """Measure the encoder in training on `batch`, without a trace in its state. Returns the embeddings (B, D) too.

    Embeddings count as collapsed when they are all alike, or have shrunk to a point beside `reference`, those before training.
    """
    batch = replace(batch.to(learner.device), epoch=0, step=0)
    signals = halves(batch)[0]
    was_training = learner.training
    learner.eval()
    with seeded_scope(learner.seed, "monitor"):
        heard = signals.signals[..., : max(int(signals.lengths.max()), learner.encoder.input_spec.min_length)]  # no padding behind
        embeddings = learner.encoder.embed(heard, signals.lengths, context=signals.context or None).float().cpu()
        sides = [side.float() for side in compared(_outputs(learner, batch))[:2]]
    learner.train(was_training)
    if len(embeddings) < 2:
        return Snapshot(step, {}), embeddings
    metrics = {"rankme": float(rankme(embeddings)), "collapsed": float(is_collapsed(embeddings, reference=reference))}
    if "label" in signals.labels:
        metrics["online_probe"] = leave_one_out_accuracy(embeddings, signals.labels["label"].cpu())
    if len(sides) < 2 or len(sides[0]) < 2:
        return Snapshot(step, metrics), embeddings
    return Snapshot(step, metrics, positive_negative_similarity(sides[0], sides[1], bins=100)), embeddings


def _outputs(learner: JointEmbedding | CrossModal, batch: Batch) -> ViewOutputs:
    if isinstance(learner, CrossModal):
        return learner.outputs(batch, learner.make_views(batch))
    (whole, _) = halves(batch)
    return learner.outputs(whole, learner.make_views(whole))


def compared(outputs: ViewOutputs) -> Sequence[Tensor]:
    """What the objective compares, as rows (N, D) a view: projections, embeddings, or some of the aligned frames."""
    if outputs.projections or outputs.embeddings:
        return outputs.projections or outputs.embeddings
    stride = -(-outputs.frames[0].shape[1] // FRAMES)
    return [frames[:, ::stride].flatten(0, 1) for frames in outputs.frames]


def leave_one_out_accuracy(embeddings: Tensor, labels: Tensor, neighbours: int = 5) -> float:
    """Accuracy of a cosine nearest-neighbour vote among the other rows: (N, D), (N,) -> share; ties go to the nearer side."""
    if len(embeddings) < 2:
        return float("nan")
    unit = normalize(embeddings, dim=-1)
    cosines = (unit @ unit.T).fill_diagonal_(-torch.inf)
    weight, nearest = cosines.topk(min(neighbours, len(unit) - 1))
    votes = torch.zeros(len(unit), int(labels.max()) + 1, device=unit.device)
    votes.scatter_add_(1, labels[nearest], 1.0 + 1e-3 * weight)
    return float((votes.argmax(dim=1) == labels).float().mean())
