"""Training that watches itself: online probe, RankMe, similarity histograms, and an alarm when the representation collapses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.functional import normalize

from antiphon.common.data.batch import SignalBatch, View
from antiphon.common.data.loader import BatchSource
from antiphon.common.evaluation.geometry import PairSimilarity, is_collapsed, positive_negative_similarity, rankme
from antiphon.common.learners.joint_embedding import JointEmbedding
from antiphon.common.random import seeded_scope, shuffled


@dataclass(frozen=True)
class Snapshot:
    """What the monitor saw after `step` batches: numbers, and the cosines of two views of the same and of different examples."""

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
        self.history: list[Snapshot] = []

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
        if not isinstance(pl_module, JointEmbedding):
            raise TypeError(f"Monitor watches a JointEmbedding, got {type(pl_module).__name__}")
        snapshot = take_snapshot(pl_module, self.source.batch(self.rows), step)
        self.history.append(snapshot)
        for logger in trainer.loggers:
            logger.log_metrics(snapshot.metrics, step=step)
        if snapshot.metrics["collapsed"] and trainer.is_global_zero:
            from rich.console import Console

            Console(stderr=True).print(
                f"[bold yellow]collapse alarm[/] at step {step}: all embeddings are nearly alike "
                f"(RankMe {snapshot.metrics['rankme']:.2f}). Lower optimizer.lr, raise the temperature, or use stronger views."
            )

    def state_dict(self) -> dict[str, Any]:
        """The history as plain containers."""
        return {"history": [snapshot.to_dict() for snapshot in self.history]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the history back."""
        self.history = [Snapshot.from_dict(entry) for entry in state_dict["history"]]


@torch.no_grad()
def take_snapshot(learner: JointEmbedding, batch: SignalBatch, step: int) -> Snapshot:
    """Measure the encoder in training on `batch`, without a trace in its state."""
    batch = replace(batch.to(learner.device), epoch=0, step=0)
    was_training = learner.training
    learner.eval()
    with seeded_scope(learner.seed, "monitor"):
        embeddings = learner.encoder.embed(batch.signals, batch.lengths).float()
        sides = [_pooled(learner, view) for view in learner.make_views(batch)[:2]]
    learner.train(was_training)
    metrics = {"rankme": float(rankme(embeddings)), "collapsed": float(is_collapsed(embeddings))}
    if "label" in batch.labels:
        metrics["online_probe"] = leave_one_out_accuracy(embeddings, batch.labels["label"])
    if len(sides) < 2 or len(sides[0]) < 2:
        return Snapshot(step, metrics)
    return Snapshot(step, metrics, positive_negative_similarity(sides[0], sides[1], bins=50))


def _pooled(learner: JointEmbedding, view: View) -> Tensor:
    frames = learner.encoder.encode(view.signals, view.lengths, mask=view.mask)
    return learner.encoder.pool(frames, view.lengths, view.signals.shape[-1]).float()


def leave_one_out_accuracy(embeddings: Tensor, labels: Tensor, neighbours: int = 5) -> float:
    """Accuracy of a cosine nearest-neighbour vote for each row among the others: (N, D), (N,) -> share; ties go to the nearer side."""
    if len(embeddings) < 2:
        return float("nan")
    unit = normalize(embeddings, dim=-1)
    cosines = (unit @ unit.T).fill_diagonal_(-torch.inf)
    weight, nearest = cosines.topk(min(neighbours, len(unit) - 1))
    votes = torch.zeros(len(unit), int(labels.max()) + 1, device=unit.device)
    votes.scatter_add_(1, labels[nearest], 1.0 + 1e-3 * weight)
    return float((votes.argmax(dim=1) == labels).float().mean())
