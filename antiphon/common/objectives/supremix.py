"""Supervised contrast for regression, with mixtures of examples as further positives and harder negatives."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.distributed import gather
from antiphon.common.objectives.base import Objective, ViewOutputs, labels_of, streams_of
from antiphon.common.objectives.info_nce import info_nce
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, column_mask, gathered_views, reduce_rows
from antiphon.common.random import KeyedRandom

Weighting = Literal["l1", "squared", "none"]
_BETA = (2, 8)  # of the share that the anchor has in a mixed negative, as published


class Mixtures(NamedTuple):
    """Synthetic points of each anchor: unit `vectors` (N, K, D), `gaps` (N, K) of their labels to the anchor's, `exist` (N, K)."""

    vectors: Tensor
    gaps: Tensor
    exist: Tensor


def _draw_columns(allowed: Tensor, unit: Tensor) -> Tensor:
    """(N, M) bool, (N, K) uniform in [0, 1) -> (N, K) columns, evenly among the allowed ones; any where none is."""
    place = (unit * allowed.sum(dim=1, keepdim=True)).floor() + 1
    return torch.searchsorted(allowed.cumsum(dim=1), place.long()).clamp_max(allowed.shape[1] - 1)


@torch.no_grad()
def mixed_negatives(anchors: Tensor, candidates: Tensor, differences: Tensor, draws: Tensor) -> Mixtures:
    """Mix-neg: each anchor with one that has another label, ``a z_i + (1 - a) z_k``, a from Beta(2, 8); the label is mixed alike.

    `anchors` (N, D) and `candidates` (M, D) of length 1, `differences` (N, M) of the anchors' labels to the candidates',
    `draws` (N, K, 10) uniform.
    """
    allowed = differences != 0
    columns = _draw_columns(allowed, draws[..., 0])
    # The a-th smallest of a + b - 1 uniform numbers is distributed as Beta(a, b).
    share = draws[..., 1 : sum(_BETA)].sort(dim=-1).values[..., _BETA[0] - 1].to(anchors.dtype)
    vectors = torch.lerp(candidates[columns], anchors[:, None], share[..., None])
    gaps = (1 - share) * differences.gather(1, columns).abs()
    return Mixtures(F.normalize(vectors, dim=-1), gaps, allowed.any(dim=1, keepdim=True).expand(columns.shape))


@torch.no_grad()
def mixed_positives(candidates: Tensor, differences: Tensor, draws: Tensor, *, window: float) -> Mixtures:
    """Mix-pos: one with a smaller and one with a larger label, at most `window` away, in shares that mix to the anchor's label.

    `candidates` (M, D) of length 1, `differences` (N, M) of the anchors' labels to the candidates', `draws` (N, K, 2) uniform.
    """
    below, above = (differences > 0) & (differences <= window), (differences < 0) & (differences >= -window)
    lower, upper = _draw_columns(below, draws[..., 0]), _draw_columns(above, draws[..., 1])
    exist = (below.any(dim=1) & above.any(dim=1))[:, None].expand(lower.shape)
    down, up = differences.gather(1, lower), -differences.gather(1, upper)
    share = torch.where(exist, up / (down + up), 0.5)  # of the lower one: (y_i - y_k) / (y_j - y_k)
    vectors = torch.lerp(candidates[upper], candidates[lower], share[..., None])
    return Mixtures(F.normalize(vectors, dim=-1), torch.zeros_like(share), exist)


def _block_diagonal(values: Tensor) -> Tensor:
    """(N, K) -> (N, N K), zero where a column belongs to another row."""
    own = torch.eye(len(values), dtype=torch.bool, device=values.device)
    return (values[:, None] * own[..., None]).flatten(1)


def _log_weights(gaps: Tensor, weighting: Weighting) -> Tensor:
    if weighting not in ("l1", "squared", "none"):
        raise ValueError(f"weighting is {weighting!r}: use 'l1', 'squared' or 'none'")
    return torch.zeros_like(gaps) if weighting == "none" else torch.log1p(gaps if weighting == "l1" else gaps.square())


@full_precision
def supremix(
    *views: Tensor,
    labels: Tensor,
    random: KeyedRandom,
    temperature: float | Tensor = 0.3,
    window: float = 5.0,
    negatives: int = 4,
    positives: int = 4,
    weighting: Weighting = "l1",
    reduction: Reduction = "mean",
) -> Tensor:
    """SupReMix (Wu et al., 2023): SupCon on equal labels with synthetic points, negatives weighted by the distance of labels.

    With P_i the others of the anchor's label y_i and its mixed positives, and a running over all others and its mixtures, the loss
    is the mean over p in P_i of ``-(s_ip / t - log(sum_a w_ia e^(s_ia / t)))`` with w_ia = 1 + |y_i - y_a|. Mixtures are normalised
    and carry no gradient, each anchor has its own, and real and synthetic points share one logsumexp. An anchor without a
    positive does not count. All pairs could be mixed; here `negatives` and `positives` of them are drawn for each anchor, from
    the examples' keys, so that neither the order of the batch nor the number of ranks matters.

    Args:
        views: V tensors (B, D), L2-normalised here.
        labels: (B,), the regression target.
        random: streams of the B examples.
        temperature: of the softmax.
        window: how far the labels of what makes a mixed positive may be from the anchor's, in the unit of the labels.
        negatives: mixed negatives an anchor.
        positives: mixed positives an anchor; it has none where no label in the window is smaller, or none is larger.
        weighting: w = 1 + gap ("l1"), 1 + gap^2 ("squared") or 1 ("none").
        reduction: "mean", "sum", or "none" for this rank's losses (V B,), those of the first view first.

    Raises:
        ValueError: if shapes do not fit or `weighting` is unknown.
    """
    local, everyone, own = gathered_views(*views)
    if labels.shape != views[0].shape[:1] or len(random) != len(labels):
        raise ValueError(f"labels and random must be of {len(views[0])} examples, got {tuple(labels.shape)} and {len(random)}")
    order = gather(random.keys, with_grad=False).argsort()  # what is drawn is then the same in whichever order examples come
    total = len(order)
    everyone, own = everyone[:, order].flatten(0, 1), order.argsort()[own]
    anchors, own = local.flatten(0, 1), torch.cat([own + view * total for view in range(len(views))])
    labels = labels.to(anchors.dtype)
    differences = labels.repeat(len(views))[:, None] - gather(labels, with_grad=False)[order].repeat(len(views))

    def draws(stream: str, count: int, size: int) -> Tensor:
        return random.fold(stream).uniform(len(views), count, size).transpose(0, 1).flatten(0, 1)  # (V B, count, size)

    near = mixed_positives(everyone, differences, draws("positives", positives, 2), window=window)
    far = mixed_negatives(anchors, everyone, differences, draws("negatives", negatives, sum(_BETA)))
    vectors, gaps, exist = (torch.cat(pair, dim=1) for pair in zip(near, far, strict=True))
    mine = column_mask(own, len(everyone))
    is_positive = torch.cat((near.exist, torch.zeros_like(far.exist)), dim=1)
    rows = info_nce(
        anchors,
        torch.cat((everyone, vectors.flatten(0, 1))),
        positives=torch.cat(((differences == 0) & ~mine, _block_diagonal(is_positive)), dim=1),
        ignore=torch.cat((mine, ~_block_diagonal(exist)), dim=1),
        log_weights=torch.cat((_log_weights(differences.abs(), weighting), _block_diagonal(_log_weights(gaps, weighting))), dim=1),
        temperature=temperature,
        reduction="none",
    )
    valid = ((differences == 0) & ~mine).any(dim=1) | is_positive.any(dim=1)
    return reduce_rows(rows, reduction, valid)


class SupReMix(Objective):
    """`supremix` on the projections of all views, with `labels[label]` as the target.

    Raises:
        ValueError: from `forward`, if the training set has no such labels.
    """

    def __init__(
        self,
        *,
        temperature: float = 0.3,
        window: float = 5.0,
        negatives: int = 4,
        positives: int = 4,
        weighting: Weighting = "l1",
        label: str = "label",
    ) -> None:
        super().__init__()
        self.temperature, self.window, self.label = temperature, window, label
        self.negatives, self.positives = negatives, positives
        self.weighting: Weighting = weighting

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        return supremix(
            *outputs.projections,
            labels=labels_of(outputs, self.label),
            random=streams_of(outputs),
            temperature=self.temperature,
            window=self.window,
            negatives=self.negatives,
            positives=self.positives,
            weighting=self.weighting,
        )
