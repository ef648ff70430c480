"""The general contrastive loss, and the losses between two views that are calls of it.

Everything with a softmax over candidates is `info_nce`: who the anchors and candidates are, which candidates are positive (and
how much), which do not count, and whether positives stand in the denominator.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.distributed import first_row, gather, row_counts
from antiphon.common.objectives.base import Objective, ViewOutputs, labels_of
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, column_mask, gathered_views, reduce_rows


def _check(anchors: Tensor, candidates: Tensor, positives: Tensor, ignore: Tensor | None) -> None:
    if anchors.ndim < 2 or candidates.ndim != anchors.ndim or anchors.shape[-1] != candidates.shape[-1]:
        raise ValueError(
            f"anchors (..., N, D) and candidates (..., M, D) must agree in D and in leading dimensions, "
            f"got {tuple(anchors.shape)} and {tuple(candidates.shape)}"
        )
    rows, full = anchors.shape[:-1], (*anchors.shape[:-1], candidates.shape[-2])
    expected = rows if positives.dtype == torch.int64 else full
    if positives.shape != expected:
        raise ValueError(
            f"positives must be {tuple(rows)} int64 columns or {tuple(full)} weights, "
            f"got {positives.dtype} {tuple(positives.shape)}"
        )
    if positives.dtype == torch.int64 and positives.numel():
        low, high = (int(bound) for bound in positives.aminmax())
        if low < 0 or high >= full[-1]:
            raise ValueError(f"positives run from {low} to {high}, but there are {full[-1]} candidates")
    if ignore is not None and (ignore.dtype != torch.bool or ignore.shape[-2:] != full[-2:]):
        raise ValueError(f"ignore must be a bool mask {tuple(full)}, got {ignore.dtype} {tuple(ignore.shape)}")


def _pull(
    logits: Tensor, positives: Tensor, shift: float | Tensor | None, normalize_targets: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """What the positives contribute.

    Returns the logits with the margin's `shift` taken off the positives, the weighted sum of positive logits (..., N), the total
    weight (..., N) and, where positives are weights, which candidates are positive.
    """
    if positives.dtype == torch.int64:
        columns = positives.unsqueeze(-1)
        if shift is not None:
            shift = torch.as_tensor(shift, dtype=logits.dtype, device=logits.device)
            logits = logits.scatter_add(-1, columns, -shift.expand(columns.shape))
        cells = torch.arange(positives.numel(), device=logits.device) * logits.shape[-1] + positives.flatten()
        pulled = logits.flatten().index_select(0, cells).view(positives.shape)  # unlike gather, it does not keep the logits
        return logits, pulled, torch.ones_like(pulled), None
    weights = positives.detach().to(logits.dtype)
    total, is_positive = weights.sum(dim=-1), weights > 0
    if normalize_targets:
        weights = weights / total.clamp_min(torch.finfo(weights.dtype).tiny).unsqueeze(-1)
        total = (total > 0).to(weights.dtype)
    if shift is not None:
        logits = logits - shift * is_positive
    return logits, (weights * logits).sum(dim=-1), total, is_positive


@full_precision
def info_nce(
    anchors: Tensor,
    candidates: Tensor,
    *,
    positives: Tensor,
    temperature: float | Tensor,
    margin: float | Tensor = 0.0,
    ignore: Tensor | None = None,
    anchor_weights: Tensor | None = None,
    positives_in_denominator: bool = True,
    normalize_targets: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy between target weights over candidates and the softmax of similarities.

    With s_ij the dot product of anchor i and candidate j (nothing is normalised here), w_ij the weight of j as a positive of i and
    m the margin, the logits are l_ij = (s_ij - m [w_ij > 0]) / temperature and the loss of an anchor is
    ``(sum_j w_ij) * logsumexp_j l_ij - sum_j w_ij l_ij``.

    Args:
        anchors: (..., N, D).
        candidates: (..., M, D), the same leading dimensions.
        positives: (..., N) int64, the column of each anchor's one positive; or (..., N, M) weights (bool or float, not negative),
            which carry no gradient.
        temperature: a number, or a tensor that broadcasts against (..., N, 1).
        margin: taken off the similarity of positives, before the temperature, in numerator and denominator.
        ignore: (..., N, M) bool, True where a candidate is left out of an anchor's denominator (itself, for instance).
        anchor_weights: (..., N), multiplied to the anchors' losses; the mean still divides by the number of anchors.
        positives_in_denominator: False is the decoupled form (DCL).
        normalize_targets: divide each anchor's weights by their sum; False keeps them as they are (SoftCLT).
        reduction: "mean", "sum", or "none" for the losses (..., N).

    An anchor without a positive, or without any candidate in its denominator, has loss 0, no gradient, and does not count in the
    mean. No such anchor at all: the mean is 0. This function looks at one process only; the losses below gather across ranks.

    Raises:
        ValueError: if shapes do not fit or `reduction` is unknown.
    """
    _check(anchors, candidates, positives, ignore)
    logits = (anchors / temperature) @ candidates.mT  # (..., N, M)
    shift = margin / temperature if isinstance(margin, Tensor) or margin != 0.0 else None
    logits, pulled, total, is_positive = _pull(logits, positives, shift, normalize_targets)
    valid = total > 0
    if not positives_in_denominator:
        if is_positive is None:
            is_positive = torch.zeros_like(logits, dtype=torch.bool).scatter_(-1, positives.unsqueeze(-1), True)
        ignore = is_positive if ignore is None else ignore | is_positive
    if ignore is not None:
        valid = valid & ~ignore.all(dim=-1)
        # Filled outside autograd: the gradient of logsumexp at -inf is zero anyway, and no operation above has kept the logits,
        # so this saves a copy of the matrix in the backward pass. A row that has nothing left stays as it is: see `valid`.
        with torch.no_grad():
            logits.masked_fill_(ignore & valid.unsqueeze(-1), -torch.inf)
    rows = torch.where(valid, total * logits.logsumexp(dim=-1) - pulled, 0.0)
    if anchor_weights is not None:
        rows = rows * anchor_weights
    if reduction == "mean":
        return rows.sum() / valid.sum().clamp_min(1)
    return reduce_rows(rows, reduction)


@full_precision
def nt_xent(
    view_a: Tensor,
    view_b: Tensor,
    *,
    temperature: float | Tensor = 0.5,
    margin: float | Tensor = 0.0,
    symmetric: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """NT-Xent (SimCLR, Chen et al. 2020); with a margin NT-Xent-AM (Lepage & Dehak, 2024).

    Views (B, D) and (B, D) are L2-normalised here. Symmetric: all 2B vectors are anchors, against the 2B - 2 vectors that are
    neither itself nor its positive. Otherwise the vectors of `view_a` are anchors against all of `view_b`. A batch of one has no
    negative: loss 0. Across ranks the negatives come from everywhere and the mean is this rank's share of the global mean.

    Returns:
        A scalar, or with reduction "none" this rank's losses: (2B,), those of `view_a` first, or (B,) if not symmetric.
    """
    local, everyone, own = gathered_views(view_a, view_b)
    count = everyone.shape[1]
    if symmetric:
        rows = info_nce(
            local.flatten(0, 1),
            everyone.flatten(0, 1),
            positives=torch.cat((own + count, own)),
            ignore=column_mask(torch.cat((own, own + count)), 2 * count),
            temperature=temperature,
            margin=margin,
            reduction="none",
        )
    else:
        rows = info_nce(local[0], everyone[1], positives=own, temperature=temperature, margin=margin, reduction="none")
    return reduce_rows(rows, reduction)


@full_precision
def dcl(
    view_a: Tensor,
    view_b: Tensor,
    *,
    temperature: float | Tensor = 0.1,
    sigma: float | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Decoupled contrastive loss (Yeh et al., ECCV 2022): NT-Xent without the positive in the denominator.

    With `sigma` (the paper uses 0.5) it is DCLW, where the positive term of pair i weighs ``2 - B softmax_i(<a_i, b_i> / sigma)``
    over the B pairs of all ranks. Views (B, D) are L2-normalised here. The loss can be negative; a batch of one gives 0.

    Returns:
        A scalar, or with reduction "none" this rank's losses (2B,), those of `view_a` first.
    """
    local, everyone, own = gathered_views(view_a, view_b)
    count = everyone.shape[1]
    rows = info_nce(
        local.flatten(0, 1),
        everyone.flatten(0, 1),
        positives=torch.cat((own + count, own)),
        ignore=column_mask(torch.cat((own, own + count)), 2 * count),
        temperature=temperature,
        positives_in_denominator=False,
        reduction="none",
    )
    if sigma is not None:
        closeness = (everyone[0] * everyone[1]).sum(dim=-1).detach() / sigma
        extra = count * closeness.softmax(dim=0)[own] - 1.0  # 1 - weight
        rows = rows + (extra * (local[0] * local[1]).sum(dim=-1) / temperature).repeat(2)
    return reduce_rows(rows, reduction)


@full_precision
def supcon(embeddings: Tensor, labels: Tensor, *, temperature: float | Tensor = 0.1, reduction: Reduction = "mean") -> Tensor:
    """Supervised contrastive loss, the form with the sum outside the logarithm (Khosla et al. 2020).

    `embeddings` (N, D), L2-normalised here, and `labels` (N,): the positives of an anchor are all others with its label, on every
    rank; for several views, concatenate them and repeat the labels. An anchor with no positive has loss 0 and does not count in
    the mean (the authors' code counts it).

    Returns:
        A scalar, or with reduction "none" this rank's losses (N,).
    """
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise ValueError(f"embeddings must be (N, D) and labels (N,), got {tuple(embeddings.shape)} and {tuple(labels.shape)}")
    local = F.normalize(embeddings, dim=-1)
    counts = row_counts(len(local), device=local.device)
    everyone, everyones_labels = gather(local, counts=counts), gather(labels, with_grad=False, counts=counts)
    own = column_mask(torch.arange(len(local), device=local.device) + first_row(counts), len(everyone))
    positives = (labels[:, None] == everyones_labels) & ~own
    rows = info_nce(local, everyone, positives=positives, ignore=own, temperature=temperature, reduction="none")
    return reduce_rows(rows, reduction, positives.any(dim=-1))


class SupCon(Objective):
    """Supervised contrast on `labels["label"]`: `supcon` on the projections of all views together.

    Raises:
        ValueError: from `forward`, if the training set has no labels.
    """

    def __init__(self, *, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        labels = labels_of(outputs).repeat(len(outputs.projections))
        return supcon(torch.cat(list(outputs.projections)), labels, temperature=self.temperature)
