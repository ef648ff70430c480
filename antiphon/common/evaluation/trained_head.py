"""A head trained by gradient descent on frozen embeddings: many tags an example, or one class, with a validation set to stop by."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from antiphon.common.evaluation.inputs import Embeddings, embedding_tensor, same_dimension
from antiphon.common.random import seeded_scope, shuffled


@dataclass(frozen=True)
class HeadSettings:
    """How a head is trained; the defaults are CLMR's: a linear map, Adam, the rate divided by 10 when validation stands still."""

    hidden_dim: int | None = None  # None: linear; a number: one hidden layer of that size with ReLU
    lr: float = 1e-3
    weight_decay: float = 1e-6
    batch_size: int = 48
    max_epochs: int = 200
    patience: int = 10
    lr_patience: int = 5


class TrainedHead:
    """Scores of tags (multi-hot targets (N, K)) or classes (targets (N,)) from embeddings.

    Embeddings enter as they are, as CLMR has it. `epochs` says how long it trained; the weights are those of its best epoch.
    """

    def __init__(self, model: nn.Module, epochs: int, *, many: bool) -> None:
        self.model, self.epochs, self.many = model, epochs, many

    @torch.no_grad()
    def probabilities(self, embeddings: Embeddings) -> NDArray[np.float32]:
        """(N, D) -> (N, K): a sigmoid for each tag, or a softmax over classes."""
        scores = self.model(embedding_tensor(embeddings).float())
        result: NDArray[np.float32] = (scores.sigmoid() if self.many else scores.softmax(dim=1)).numpy()
        return result


def train_head(
    train_x: Embeddings,
    train_y: NDArray[np.generic],
    valid_x: Embeddings,
    valid_y: NDArray[np.generic],
    *,
    classes: int,
    settings: HeadSettings | None = None,
    seed: int = 0,
) -> TrainedHead:
    """Train a head on frozen embeddings until the validation loss has not fallen for `patience` epochs.

    Args:
        train_x: (N, D) embeddings.
        train_y: (N, K) zeros and ones for tags, or (N,) int64 for classes.
        valid_x: (V, D), of other tracks.
        valid_y: like `train_y`.
        classes: K.
        settings: of the training.
        seed: of initial weights and order.
    """
    settings = settings or HeadSettings()
    inputs, held = embedding_tensor(train_x, "train embeddings").float(), embedding_tensor(valid_x, "validation embeddings").float()
    same_dimension(inputs, held)
    many = np.ndim(train_y) == 2
    targets, held_targets = (torch.as_tensor(np.asarray(y)).to(torch.float32 if many else torch.int64) for y in (train_y, valid_y))
    loss_of = binary_cross_entropy_with_logits if many else cross_entropy
    with seeded_scope(seed, "trained head"):
        model = _build(inputs.shape[1], classes, settings.hidden_dim)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=settings.lr_patience)
    best, best_loss, since, epoch = copy.deepcopy(model), float("inf"), 0, 0
    with torch.enable_grad():
        for epoch in range(1, settings.max_epochs + 1):
            _epoch(model, optimizer, inputs, targets, loss_of, shuffled(len(inputs), seed, epoch), settings.batch_size)
            loss = float(loss_of(model(held), held_targets).detach())
            schedule.step(loss)
            since = 0 if loss < best_loss else since + 1
            if since == 0:
                best, best_loss = copy.deepcopy(model), loss
            elif since >= settings.patience:
                break
    return TrainedHead(best.eval(), epoch, many=many)


def _build(in_dim: int, classes: int, hidden_dim: int | None) -> nn.Module:
    if hidden_dim is None:
        return nn.Linear(in_dim, classes)
    return nn.Sequential(nn.Linear(in_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, classes))


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    inputs: Tensor,
    targets: Tensor,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    order: Tensor,
    batch_size: int,
) -> None:
    for rows in order.split(batch_size):
        optimizer.zero_grad()
        loss_of(model(inputs[rows]), targets[rows]).backward()
        optimizer.step()


def tag_scores(probabilities: NDArray[np.floating], targets: NDArray[np.generic]) -> dict[str, float]:
    """Macro ROC-AUC and PR-AUC (average precision) of tags: (N, K) scores and zeros and ones -> means over tags.

    A tag that no example, or every example, carries has neither number and is left out; `tags_scored` counts the others.

    Raises:
        ValueError: no tag can be scored.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    truth = np.asarray(targets).astype(bool)
    defined = truth.any(axis=0) & ~truth.all(axis=0)
    if not defined.any():
        raise ValueError(f"none of {truth.shape[1]} tags has both examples with and without it in the test set: use a larger one")
    truth, scores = truth[:, defined], probabilities[:, defined]
    return {
        "roc_auc": float(roc_auc_score(truth, scores, average="macro")),
        "pr_auc": float(average_precision_score(truth, scores, average="macro")),
        "tags_scored": float(defined.sum()),
    }
