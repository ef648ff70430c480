"""Contrast between two towers: CLIP / CLAP, SigLIP, CWCL, and the objectives that learn their scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from antiphon.common.distributed import first_row, gather, ring, row_counts, world_size
from antiphon.common.objectives.base import Objective, PairObjective, ViewOutputs
from antiphon.common.objectives.info_nce import info_nce
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, column_mask, gathered_views, reduce_rows
from antiphon.common.objectives.temperature import LearnedScale, PlainScale
from antiphon.common.objectives.uniformity import align_uniform
from antiphon.common.tiled import logsumexp_both_ways, softplus_sum

Exchange = Literal["ring", "gather"]
# This rank's unit rows (B, D) and all ranks' (n, D) of one modality -> how positive each is for each, (B, n), not negative.
PairWeights = Callable[[Tensor, Tensor], Tensor]


def _same_group(groups: Tensor, candidates: Tensor, own: Tensor | None) -> Tensor | None:
    """Of each of this rank's rows (B,) the places of the others of its group among `candidates` (n,): (B, k), filled up with -1.

    `own` (B,) are its own places there, None where the candidates are other ranks'. None: nobody has such a candidate.
    """
    ordered, order = candidates.sort(stable=True)
    first, behind = torch.searchsorted(ordered, groups), torch.searchsorted(ordered, groups, right=True)
    largest = int((behind - first).max()) if len(groups) else 0
    if largest < (1 if own is None else 2):
        return None
    places = first[:, None] + torch.arange(largest, device=groups.device)
    columns = order[places.clamp(max=len(order) - 1)]
    others = places < behind[:, None] if own is None else (places < behind[:, None]) & (columns != own[:, None])
    return torch.where(others, columns, -1)


def _left_out(groups: Tensor | None, own: Tensor) -> Tensor | None:
    """`_same_group` among all ranks' rows."""
    return None if groups is None else _same_group(groups, gather(groups, with_grad=False), own)


@full_precision
def clip(
    first: Tensor,
    second: Tensor,
    *,
    scale: float | Tensor,
    groups: Tensor | None = None,
    normalize: bool = True,
    tiled: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """CLIP's and CLAP's loss (Radford et al., ICML 2021): each row has to find its partner in the other modality, both ways.

    Rows (B, D) and (B, D) are L2-normalised here; `scale` multiplies cosines, 1 / temperature. The mean over both directions of two
    one-way InfoNCE losses, candidates from all ranks. There is no bias: a softmax does not see it. `tiled` never holds the
    similarities; on one process both directions share one pass.

    `groups` (B,) int64: rows of one group (windows of one recording, which share a report) are no negatives of each other; they are
    left out of each other's denominators, on whichever rank they are. ``normalize=False`` takes dot products of rows as they come,
    as EEG-CLIP's released code does.

    Returns:
        A scalar, or with reduction "none" this rank's losses (2B,), first to second before second to first.
    """
    local, everyone, own = gathered_views(first, second, normalize=normalize)
    ignore = _left_out(groups, own)
    if tiled and ignore is None and world_size() == 1:
        scaled = local[0] * scale
        positives = (scaled * local[1]).sum(dim=-1)
        return reduce_rows(torch.cat(logsumexp_both_ways(scaled, local[1])) - positives.repeat(2), reduction)
    options: dict[str, Any] = {"positives": own, "ignore": ignore, "temperature": 1.0 / scale, "tiled": tiled, "reduction": "none"}
    there, back = info_nce(local[0], everyone[1], **options), info_nce(local[1], everyone[0], **options)
    return reduce_rows(torch.cat((there, back)), reduction)


def cosine_weights(rows: Tensor, everyone: Tensor) -> Tensor:
    """CWCL's weights, (1 + cosine) / 2 of unit rows: (B, D), (n, D) -> (B, n)."""
    return (0.5 + 0.5 * rows @ everyone.T).clamp_min(0.0)


@full_precision
def cwcl(
    trained: Tensor,
    frozen: Tensor,
    *,
    scale: float | Tensor,
    weights: PairWeights = cosine_weights,
    groups: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Continuously weighted contrastive loss (Srinivasa et al., NeurIPS 2023), for a tower trained towards a frozen one.

    From the trained to the frozen modality every candidate is a positive by its weight, a function of the frozen embeddings alone
    that carries no gradient; an anchor's weights are divided by their sum. The other direction is the ordinary cross-entropy. The
    two are **added**, so with identity weights this is twice CLIP. Rows (B, D) and (B, D) are L2-normalised here. There is no
    official code: that weights are divided by their sum, and the temperature of CLIP, are this library's reading.

    With `groups` (B,) int64 rows of one group are no negatives of each other on the way from the frozen modality; the weights
    of the other way are what the frozen embeddings say, of such rows as of any.

    Returns:
        A scalar, or with reduction "none" this rank's losses (B,), both directions added.
    """
    local, everyone, own = gathered_views(trained, frozen)
    with torch.no_grad():
        positives = weights(local[1], everyone[1])
    there = info_nce(local[0], everyone[1], positives=positives, temperature=1.0 / scale, reduction="none")
    ignore = _left_out(groups, own)
    back = info_nce(local[1], everyone[0], positives=own, ignore=ignore, temperature=1.0 / scale, reduction="none")
    return reduce_rows(there + back, reduction)


def _sigmoid_losses(
    anchors: Tensor,
    candidates: Tensor,
    positives: Tensor | None,
    ignore: Tensor | None,
    scale: float | Tensor,
    bias: float | Tensor,
    tiled: bool,
) -> Tensor:
    """Losses (B,) of anchors against one block of candidates.

    `positives` (B,) and `ignore` (B, k; -1 fills up) are columns of the block, None where it has none.
    """
    scaled = anchors * scale
    if tiled:
        with_bias = F.pad(scaled, (0, 1)) + bias * F.pad(torch.zeros_like(anchors), (0, 1), value=1.0)
        losses = softplus_sum(with_bias, F.pad(candidates, (0, 1), value=1.0))  # a bias is one more dimension
        if positives is not None:  # softplus(-l) = softplus(l) - l
            losses = losses - (scaled * candidates[positives]).sum(dim=-1) - bias
        if ignore is not None:
            logits = torch.einsum("bd,bkd->bk", scaled, candidates[ignore.clamp(min=0)]) + bias
            losses = losses - torch.where(ignore >= 0, _softplus(logits), 0.0).sum(dim=-1)
        return losses
    logits = scaled @ candidates.T + bias
    if positives is not None:
        logits = torch.where(column_mask(positives, len(candidates)), -logits, logits)
    losses = _softplus(logits)
    if ignore is not None:
        # A column more than there are candidates takes the -1s that fill up.
        asked = losses.new_ones(len(losses), len(candidates) + 1, dtype=torch.bool).scatter_(
            1, ignore % (len(candidates) + 1), False
        )
        losses = torch.where(asked[:, :-1], losses, 0.0)
    return losses.sum(dim=-1)


def _softplus(logits: Tensor) -> Tensor:
    return F.softplus(logits, threshold=50.0)  # torch's threshold of 20 is too coarse for float64


class _Block(NamedTuple):
    """Rows of one rank, or of all, with the places of this rank's rows among them, or None; and of others of their groups."""

    rows: Tensor
    own: Tensor | None
    ignore: Tensor | None


def _blocks(rows: Tensor, groups: Tensor | None, exchange: Exchange) -> Iterator[_Block]:
    """All ranks' `rows`, a block at a time."""
    counts, own = row_counts(len(rows), device=rows.device), torch.arange(len(rows), device=rows.device)
    if exchange == "gather":
        own = own + first_row(counts)
        yield _Block(gather(rows, counts=counts), own, _left_out(groups, own))
    elif exchange == "ring":
        blocks = ring(rows, counts=counts)
        theirs = repeat(None) if groups is None else ring(groups, counts=counts)
        for hop, (block, other) in enumerate(zip(blocks, theirs, strict=False)):
            here = None if hop else own
            yield _Block(block, here, None if groups is None or other is None else _same_group(groups, other, here))
    else:
        raise ValueError(f"exchange is {exchange!r}: use 'ring' or 'gather'")


@full_precision
def siglip(
    first: Tensor,
    second: Tensor,
    *,
    scale: float | Tensor,
    bias: float | Tensor,
    groups: Tensor | None = None,
    exchange: Exchange = "ring",
    tiled: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """SigLIP (Zhai et al., ICCV 2023): every pair of rows is a yes-or-no question of its own, without a softmax.

    ``(1/B) sum_i sum_j softplus(-y_ij (scale cos_ij + bias))`` with y = 1 for partners and -1 for all others: the sum over j, the
    mean over i. Rows (B, D) and (B, D) are L2-normalised here. Across ranks the rows of `second` travel round a ring, one block at
    a time, or are gathered ("gather"); the two agree. `tiled` never holds the similarities, not even of one block. Different rows
    of one group (`groups`, (B,) int64) are no question.

    Returns:
        A scalar, or with reduction "none" this rank's losses (B,), those of the rows of `first`.
    """
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(f"rows must both be (batch, dim) of one shape, got {tuple(first.shape)} and {tuple(second.shape)}")
    anchors, partners = F.normalize(first, dim=-1), F.normalize(second, dim=-1)
    blocks = _blocks(partners, groups, exchange)
    losses = [_sigmoid_losses(anchors, *block, scale, bias, tiled) for block in blocks]
    return reduce_rows(torch.stack(losses).sum(dim=0), reduction)


class _LearnedScalePairs(PairObjective):
    """A function of two views whose `scale` is learned; examples of one group may be no negatives of each other."""

    def __init__(
        self, function: Callable[..., Tensor], scale: LearnedScale | PlainScale, *, ignore_same_group: bool, **options: Any
    ) -> None:
        super().__init__(function, **options)
        self.scale, self.ignore_same_group = scale, ignore_same_group

    def _over_pairs(self, outputs: ViewOutputs, **options: Any) -> Tensor:
        if self.ignore_same_group and outputs.groups is None:
            raise ValueError(
                "ignore_same_group needs groups, but the training set has none: give its manifest a column `group`, or say "
                "objective.ignore_same_group=false"
            )
        groups = outputs.groups if self.ignore_same_group else None
        return super()._over_pairs(outputs, scale=self.scale(), groups=groups, **options)

    def after_update(self) -> None:
        """Keep the scale between its bounds."""
        self.scale.clamp()


class Clip(_LearnedScalePairs):
    """`clip` with a learned scale: 1 / `temperature` at first, never outside [1, `highest_scale`].

    With `ignore_same_group` the examples of one group are no negatives of each other. ``normalize=False`` and
    ``exponential_scale=False`` together are EEG-CLIP's released form: dot products of rows as they come, and a scale that begins at
    ln(1 / `temperature`) and is used without exp and without bounds.

    The weights add `align_uniform`'s terms, which close the gap between the modalities: alignment, the mean of both uniformities
    and cross-modal uniformity (all 1 in the structure of Fahim et al., 2024). With any of them there is no loss per example.
    """

    def __init__(
        self,
        *,
        temperature: float = 0.07,
        highest_scale: float = 100.0,
        ignore_same_group: bool = False,
        normalize: bool = True,
        exponential_scale: bool = True,
        alignment_weight: float = 0.0,
        uniformity_weight: float = 0.0,
        cross_weight: float = 0.0,
        tiled: bool = False,
    ) -> None:
        start = 1.0 / temperature
        scale = LearnedScale(start, highest=highest_scale) if exponential_scale else PlainScale(math.log(start))
        super().__init__(clip, scale, ignore_same_group=ignore_same_group, normalize=normalize, tiled=tiled)
        self.gap_weights = {
            "alignment_weight": alignment_weight,
            "uniformity_weight": uniformity_weight,
            "cross_weight": cross_weight,
        }
        self.tiled = tiled

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        loss = super().forward(outputs)
        if any(self.gap_weights.values()):
            loss = loss + align_uniform(*outputs.projections, **self.gap_weights, tiled=self.tiled)
        return loss

    def per_example(self, outputs: ViewOutputs) -> Tensor:
        """The loss of each pair, (B,): the mean of its two directions."""
        return Objective.per_example(self, outputs) if any(self.gap_weights.values()) else super().per_example(outputs)


class Cwcl(_LearnedScalePairs):
    """`cwcl` with a learned scale as in `Clip`; the first view is the trained tower's, the second the frozen one's."""

    def __init__(
        self,
        *,
        temperature: float = 0.07,
        highest_scale: float = 100.0,
        weights: PairWeights = cosine_weights,
        ignore_same_group: bool = False,
    ) -> None:
        scale = LearnedScale(1.0 / temperature, highest=highest_scale)
        super().__init__(cwcl, scale, ignore_same_group=ignore_same_group, weights=weights)


class SigLip(_LearnedScalePairs):
    """`siglip` with a learned scale, between 1 and 100 as open_clip keeps it, and a learned bias.

    The published bias of -10 is for batches of thousands; for small ones it drowns the start of training. `bias=None` begins at
    -ln(`batch_size` - 1), the bias that is best as long as similarities say nothing; `batch_size` counts all ranks' pairs.
    """

    def __init__(
        self,
        *,
        scale: float = 10.0,
        bias: float | None = -10.0,
        batch_size: int | None = None,
        exchange: Exchange = "ring",
        ignore_same_group: bool = False,
        tiled: bool = False,
    ) -> None:
        super().__init__(siglip, LearnedScale(scale), ignore_same_group=ignore_same_group, exchange=exchange, tiled=tiled)
        if bias is None:
            if batch_size is None or batch_size < 2:
                raise ValueError(f"a bias that follows the batch size needs batch_size of at least 2, got {batch_size}")
            bias = -math.log(batch_size - 1)
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    def _over_pairs(self, outputs: ViewOutputs, **options: Any) -> Tensor:
        return super()._over_pairs(outputs, bias=self.bias, **options)
