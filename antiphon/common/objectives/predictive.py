"""Contrastive predictive coding: the past has to recognise its own future."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from antiphon.common.distributed import first_row, gather, row_counts
from antiphon.common.objectives.base import Objective, ViewOutputs
from antiphon.common.objectives.info_nce import info_nce
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, reduce_rows
from antiphon.common.random import KeyedRandom

Negatives = Literal["same_time", "batch", "uniform"]


def _check(frames: Tensor, contexts: Tensor, weights: Tensor) -> None:
    if frames.ndim != 3 or contexts.ndim != 3 or frames.shape[:2] != contexts.shape[:2]:
        raise ValueError(
            f"frames (B, T, Dz) and contexts (B, T, Dc) must agree in B and T, "
            f"got {tuple(frames.shape)} and {tuple(contexts.shape)}"
        )
    if weights.ndim != 3 or weights.shape[1:] != (frames.shape[2], contexts.shape[2]):
        raise ValueError(f"weights must be (K, {frames.shape[2]}, {contexts.shape[2]}), got {tuple(weights.shape)}")
    if frames.shape[1] <= len(weights):
        raise ValueError(
            f"CPC predicts {len(weights)} steps ahead but there are {frames.shape[1]} frame(s): use longer signals, "
            f"an encoder with less pooling, or prediction_steps of at most {frames.shape[1] - 1}"
        )


def _at_same_time(predictions: Tensor, everyone: Tensor, own: Tensor, step: int) -> Tensor:
    """Candidates are the true frames of all examples at the predicted time."""
    there = own.expand(predictions.shape[1], -1)
    anchors, candidates = predictions.transpose(0, 1), everyone[:, step:].transpose(0, 1)  # (T - k, B, Dz), (T - k, n, Dz)
    return info_nce(anchors, candidates, positives=there, temperature=1.0, reduction="none").mT


def _in_batch(predictions: Tensor, everyone: Tensor, own: Tensor, step: int) -> Tensor:
    """Candidates are the true frames of all examples at all times from `step` on."""
    batch, times, _ = predictions.shape
    there = own[:, None] * times + torch.arange(times, device=own.device)
    anchors, candidates = predictions.flatten(0, 1), everyone[:, step:].flatten(0, 1)
    return info_nce(anchors, candidates, positives=there.flatten(), temperature=1.0, reduction="none").view(batch, times)


def _among_drawn(predictions: Tensor, frames: Tensor, drawn: Tensor, candidates: Tensor, own: Tensor, step: int) -> Tensor:
    """Negatives are `candidates` (B, M, Dz), the frames at `drawn` (B, M) of the flattened batch, unless one is the true frame."""
    total = frames.shape[1]
    truth = own[:, None] * total + torch.arange(step, total, device=own.device)  # (B, T - k)
    return info_nce(
        predictions,
        candidates,
        partners=frames[:, step:],
        ignore=drawn[:, None] == truth[..., None],
        temperature=1.0,
        reduction="none",
    )


@full_precision
def cpc(
    frames: Tensor,
    contexts: Tensor,
    weights: Tensor,
    *,
    negatives: Negatives = "same_time",
    draws: int = 128,
    random: KeyedRandom | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Contrastive predictive coding (van den Oord et al., 2018): InfoNCE of each step ahead, log-bilinear, without normalisation.

    The prediction ``W_k c_bt`` has to find the frame z_b,t+k; the loss is the mean over k = 1 .. K of the mean over examples and
    t < T - k. Its softmax runs over that frame and

    * "same_time": the frames of all other examples at t + k;
    * "batch": all other frames of the batch from k on, (B (T - k))^2 similarities a step;
    * "uniform": `draws` frames drawn from the whole batch for each example and shared by its anchors and steps. A draw that hits
      the true frame does not count.

    Args:
        frames: z (B, T, Dz). All are taken to lie inside their example.
        contexts: c (B, T, Dc), where c_bt must have seen frames up to t only.
        weights: W (K, Dz, Dc), K < T.
        negatives: as above; on every rank they come from all ranks.
        draws: M, for "uniform".
        random: one stream an example, for "uniform".
        reduction: "mean", "sum", or "none" for the losses of examples (B,).

    Raises:
        ValueError: if shapes do not fit, T is not above K, `negatives` is unknown, or "uniform" has no `random`.
    """
    _check(frames, contexts, weights)
    counts = row_counts(len(frames), device=frames.device)
    everyone = gather(frames, counts=counts)  # (n, T, Dz)
    own = torch.arange(len(frames), device=frames.device) + first_row(counts)
    total = frames.shape[1]
    if negatives == "uniform":
        if random is None or len(random) != len(frames):
            raise ValueError(f"uniform negatives need random=, a KeyedRandom of {len(frames)} streams, one an example")
        drawn = random.integers(draws, high=len(everyone) * total)  # (B, M)
        candidates = everyone.flatten(0, 1)[drawn]
    elif negatives not in ("same_time", "batch"):
        raise ValueError(f"negatives is {negatives!r}: use 'same_time', 'batch' or 'uniform'")
    losses = []
    for step, matrix in enumerate(weights, start=1):
        predictions = contexts[:, : total - step] @ matrix.T  # (B, T - k, Dz)
        if negatives == "uniform":
            rows = _among_drawn(predictions, frames, drawn, candidates, own, step)
        else:
            rows = (_at_same_time if negatives == "same_time" else _in_batch)(predictions, everyone, own, step)
        losses.append(rows.mean(dim=1))
    return reduce_rows(torch.stack(losses).mean(dim=0), reduction)


class CPC(Objective):
    """`cpc` on the frames of each view, one view or more, with the network that summarises the past (a GRU) and the maps W_k.

    Frames must not see far into the future themselves, or there is nothing to predict: prefer an encoder whose receptive field is
    short beside K steps. The mean over views is taken; each view predicts itself.
    """

    needs = ("frames",)

    def __init__(
        self,
        *,
        in_dim: int,
        hidden_dim: int = 256,
        prediction_steps: int = 12,
        negatives: Negatives = "uniform",
        draws: int = 128,
    ) -> None:
        super().__init__()
        if prediction_steps < 1:
            raise ValueError(f"prediction_steps is {prediction_steps}: predict at least one step")
        self.negatives: Negatives = negatives
        self.draws = draws
        self.summary = nn.GRU(in_dim, hidden_dim, batch_first=True)
        bound = hidden_dim**-0.5  # as torch's linear layers begin
        self.weights = nn.Parameter(torch.empty(prediction_steps, in_dim, hidden_dim).uniform_(-bound, bound))

    def _over_views(self, outputs: ViewOutputs, reduction: Reduction) -> Tensor:
        losses = []
        for number, frames in enumerate(outputs.frames):
            contexts, _ = self.summary(frames)
            loss = cpc(
                frames,
                contexts,
                self.weights,
                negatives=self.negatives,
                draws=self.draws,
                random=None if outputs.random is None else outputs.random.fold("cpc", number),
                reduction=reduction,
            )
            losses.append(loss)
        return torch.stack(losses).mean(dim=0)

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        return self._over_views(outputs, "mean")

    def per_example(self, outputs: ViewOutputs) -> Tensor:
        """The loss of each example, (B,)."""
        return self._over_views(outputs, "none")
