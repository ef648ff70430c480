"""The general contrastive loss, and the losses between two views that are calls of it.

Everything with a softmax over candidates is `info_nce`: who the anchors and candidates are, which candidates are positive (and
how much), which do not count, and whether positives stand in the denominator.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.distributed import world_size
from antiphon.common.objectives.denominators import MarginKind, exclude_, log_denominators, with_margin
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, gathered_views, reduce_rows

_EITHER = "give either positives (which candidates they are) or partners (vectors beside the candidates)"


def _check(anchors: Tensor, candidates: Tensor, positives: Tensor | None, partners: Tensor | None, ignore: Tensor | None) -> None:
    if anchors.ndim < 2 or candidates.ndim != anchors.ndim or anchors.shape[-1] != candidates.shape[-1]:
        raise ValueError(
            f"anchors (..., N, D) and candidates (..., M, D) must agree in D and in leading dimensions, "
            f"got {tuple(anchors.shape)} and {tuple(candidates.shape)}"
        )
    rows, full = anchors.shape[:-1], (*anchors.shape[:-1], candidates.shape[-2])
    if positives is not None and partners is not None:
        raise ValueError(_EITHER)
    if partners is not None and partners.shape != anchors.shape:
        raise ValueError(f"partners must be like the anchors, {tuple(anchors.shape)}, got {tuple(partners.shape)}")
    if positives is not None and positives.shape != (rows if positives.dtype == torch.int64 else full):
        raise ValueError(
            f"positives must be {tuple(rows)} int64 columns or {tuple(full)} weights, "
            f"got {positives.dtype} {tuple(positives.shape)}"
        )
    is_mask = ignore is not None and ignore.dtype == torch.bool and ignore.shape[-2:] == full[-2:]
    is_columns = ignore is not None and ignore.dtype == torch.int64 and ignore.shape[:-1] == rows
    if ignore is not None and not (is_mask or is_columns):
        raise ValueError(
            f"ignore must be a bool mask {tuple(full)} or int64 columns {(*rows, 'k')}, got {ignore.dtype} {tuple(ignore.shape)}"
        )
    for name, columns, lowest in (("positives", positives, 0), ("ignore", ignore, None)):
        if columns is None or columns.dtype != torch.int64 or not columns.numel():
            continue
        low, high = (int(bound) for bound in columns.aminmax())
        if high >= full[-1] or (lowest is not None and low < lowest):
            raise ValueError(f"{name} run from {low} to {high}, but there are {full[-1]} candidates")


def _one_positive(
    anchors: Tensor,
    candidates: Tensor,
    partners: Tensor,
    columns: Tensor | None,
    *,
    temperature: float | Tensor,
    margin: float | Tensor,
    margin_kind: MarginKind,
    ignore: Tensor | None,
    positives_in_denominator: bool,
    tiled: bool,
) -> tuple[Tensor, Tensor]:
    """Losses of anchors with one positive each, and which anchors count; (..., N) both.

    `columns` (..., N, 1) are the partners' places among the candidates, None where they stand beside them. The positive is left out
    of the logsumexp and comes back as log(e^lse + e^l_p) - l_p = softplus(lse - l_p).
    """
    similarity = (anchors * partners).sum(dim=-1, keepdim=True)
    positive_logits = (with_margin(similarity, margin, margin_kind) / temperature).squeeze(-1)
    lse = log_denominators(anchors, candidates, ignore, columns, temperature=temperature, tiled=tiled)
    gap, valid = lse - positive_logits, lse != -torch.inf  # nan counts
    if not positives_in_denominator:
        return gap, valid
    rows = F.softplus(gap, threshold=50.0)  # torch's 20 is too coarse for float64
    if columns is None:
        return rows, valid
    if ignore is None:
        return rows, torch.ones_like(valid)
    mask = ignore.dtype == torch.bool
    gone = ignore.expand(*lse.shape, -1).gather(-1, columns).squeeze(-1) if mask else (ignore == columns).any(dim=-1)
    return torch.where(gone, gap, rows), valid | ~gone  # a positive that is ignored stays out of the denominator


def _weighted_positives(
    anchors: Tensor,
    candidates: Tensor,
    positives: Tensor,
    *,
    temperature: float | Tensor,
    margin: float | Tensor,
    ignore: Tensor | None,
    log_weights: Tensor | None,
    positives_in_denominator: bool,
    normalize_targets: bool,
) -> tuple[Tensor, Tensor]:
    """Losses of anchors whose positives are weights of the candidates, and which anchors count; (..., N) both."""
    logits = (anchors / temperature) @ candidates.mT  # (..., N, M)
    weights = positives.detach().to(logits.dtype)
    total, is_positive = weights.sum(dim=-1), weights > 0
    valid = total > 0
    if normalize_targets:
        weights = weights / total.clamp_min(torch.finfo(weights.dtype).tiny).unsqueeze(-1)
        total = valid.to(weights.dtype)
    if isinstance(margin, Tensor) or margin != 0.0:
        logits = logits - margin / temperature * is_positive
    pulled = (weights * logits).sum(dim=-1)
    nothing = None if log_weights is None else log_weights == -torch.inf
    logits = logits if log_weights is None else logits + log_weights
    valid = valid & exclude_(logits, ignore, nothing, None if positives_in_denominator else is_positive)
    return total * logits.logsumexp(dim=-1) - pulled, valid


@full_precision
def info_nce(
    anchors: Tensor,
    candidates: Tensor,
    *,
    positives: Tensor | None = None,
    partners: Tensor | None = None,
    temperature: float | Tensor,
    margin: float | Tensor = 0.0,
    margin_kind: MarginKind = "additive",
    ignore: Tensor | None = None,
    log_weights: Tensor | None = None,
    anchor_weights: Tensor | None = None,
    positives_in_denominator: bool = True,
    normalize_targets: bool = True,
    tiled: bool = False,
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
        partners: instead of `positives`, (..., N, D): the positive of each anchor, which stands beside the candidates and is
            nobody else's (MoCo's key, whose negatives are a queue).
        temperature: a number, or a tensor that broadcasts against (..., N, 1).
        margin: taken off the similarity of positives, before the temperature, in numerator and denominator.
        margin_kind: "angular" adds the margin (in radians) to the angle instead, for unit vectors and one positive an anchor.
        ignore: candidates that are left out of an anchor's denominator (itself, for instance): (..., N, M) bool, or (..., N, k)
            int64 columns, negative ones meaning none.
        log_weights: (..., N, M), where positives are weights: logarithms of how often a candidate counts in the denominator.
        anchor_weights: (..., N), multiplied to the anchors' losses; the mean still divides by the number of anchors.
        positives_in_denominator: False is the decoupled form (DCL).
        normalize_targets: divide each anchor's weights by their sum; False keeps them as they are (SoftCLT).
        tiled: never hold the (N, M) similarities: slower by a product at most where anchors and candidates differ, faster where
            they are the same tensor. For (N, D) anchors with one positive each and `ignore` as columns.
        reduction: "mean", "sum", or "none" for the losses (..., N).

    An anchor without a positive, or without any candidate in its denominator, has loss 0, no gradient, and does not count in the
    mean. No such anchor at all: the mean is 0. This function looks at one process only; the losses below gather across ranks.

    Raises:
        ValueError: if shapes do not fit, `reduction` is unknown, not exactly one of `positives` and `partners` is given, or an
            option is not there for weights.
    """
    _check(anchors, candidates, positives, partners, ignore)
    weighted = positives is not None and positives.dtype != torch.int64
    if weighted and (tiled or margin_kind != "additive"):
        raise ValueError("tiled=True and margin_kind='angular' need one positive an anchor: int64 columns or partners, not weights")
    if log_weights is not None and not weighted:
        raise ValueError("log_weights need positives as weights (N, M)")
    columns: Tensor | None = None
    if positives is not None and not weighted:
        columns = positives.unsqueeze(-1)
        partners = candidates.gather(-2, columns.expand(anchors.shape))
    if partners is not None:
        rows, valid = _one_positive(
            anchors,
            candidates,
            partners,
            columns,
            temperature=temperature,
            margin=margin,
            margin_kind=margin_kind,
            ignore=ignore,
            positives_in_denominator=positives_in_denominator,
            tiled=tiled,
        )
    elif positives is not None:
        rows, valid = _weighted_positives(
            anchors,
            candidates,
            positives,
            temperature=temperature,
            margin=margin,
            ignore=ignore,
            log_weights=log_weights,
            positives_in_denominator=positives_in_denominator,
            normalize_targets=normalize_targets,
        )
    else:
        raise ValueError(_EITHER)
    rows = torch.where(valid, rows, 0.0)
    if anchor_weights is not None:
        rows = rows * anchor_weights
    if reduction == "mean":
        return rows.sum() / valid.sum().clamp_min(1)
    return reduce_rows(rows, reduction)


def _contrast_all(
    view_a: Tensor,
    view_b: Tensor,
    *,
    temperature: float | Tensor,
    margin: float | Tensor = 0.0,
    margin_kind: MarginKind = "additive",
    positives_in_denominator: bool = True,
    tiled: bool = False,
) -> Tensor:
    """Losses (2B,) of the vectors of both views against all others of all ranks, the example's other view being the positive."""
    local, everyone, own = gathered_views(view_a, view_b)
    count = everyone.shape[1]
    anchors = local.flatten(0, 1)
    return info_nce(
        anchors,
        anchors if world_size() == 1 else everyone.flatten(0, 1),  # the very same tensor: half of the tiles will do
        positives=torch.cat((own + count, own)),
        ignore=torch.cat((own, own + count)).unsqueeze(-1),
        temperature=temperature,
        margin=margin,
        margin_kind=margin_kind,
        positives_in_denominator=positives_in_denominator,
        tiled=tiled,
        reduction="none",
    )


@full_precision
def nt_xent(
    view_a: Tensor,
    view_b: Tensor,
    *,
    temperature: float | Tensor = 0.5,
    margin: float | Tensor = 0.0,
    margin_kind: MarginKind = "additive",
    symmetric: bool = True,
    tiled: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """NT-Xent (SimCLR, Chen et al. 2020); with a margin NT-Xent-AM, with an angular one NT-Xent-AAM (Lepage & Dehak, 2024).

    Views (B, D) and (B, D) are L2-normalised here. Symmetric: all 2B vectors are anchors, against the 2B - 2 vectors that are
    neither itself nor its positive. Otherwise the vectors of `view_a` are anchors against all of `view_b`. A batch of one has no
    negative: loss 0. Across ranks the negatives come from everywhere and the mean is this rank's share of the global mean.

    The margin, a number or a (learnable) tensor, is a cosine or, angular, an angle in radians. `tiled` never holds the similarity
    matrix.

    Returns:
        A scalar, or with reduction "none" this rank's losses: (2B,), those of `view_a` first, or (B,) if not symmetric.
    """
    if symmetric:
        rows = _contrast_all(view_a, view_b, temperature=temperature, margin=margin, margin_kind=margin_kind, tiled=tiled)
        return reduce_rows(rows, reduction)
    local, everyone, own = gathered_views(view_a, view_b)
    rows = info_nce(
        local[0],
        everyone[1],
        positives=own,
        temperature=temperature,
        margin=margin,
        margin_kind=margin_kind,
        tiled=tiled,
        reduction="none",
    )
    return reduce_rows(rows, reduction)


@full_precision
def dcl(
    view_a: Tensor,
    view_b: Tensor,
    *,
    temperature: float | Tensor = 0.1,
    sigma: float | None = None,
    tiled: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """Decoupled contrastive loss (Yeh et al., ECCV 2022): NT-Xent without the positive in the denominator.

    With `sigma` (the paper uses 0.5) it is DCLW, where the positive term of pair i weighs ``2 - B softmax_i(<a_i, b_i> / sigma)``
    over the B pairs of all ranks. Views (B, D) are L2-normalised here. The loss can be negative; a batch of one gives 0. `tiled`
    never holds the similarities.

    Returns:
        A scalar, or with reduction "none" this rank's losses (2B,), those of `view_a` first.
    """
    rows = _contrast_all(view_a, view_b, temperature=temperature, positives_in_denominator=False, tiled=tiled)
    if sigma is not None:
        local, everyone, own = gathered_views(view_a, view_b)
        closeness = (everyone[0] * everyone[1]).sum(dim=-1).detach() / sigma
        extra = everyone.shape[1] * closeness.softmax(dim=0)[own] - 1.0  # 1 - weight
        rows = rows + (extra * (local[0] * local[1]).sum(dim=-1) / temperature).repeat(2)
    return reduce_rows(rows, reduction)
