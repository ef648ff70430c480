"""The shape of the embedding space, on arrays or tensors: no labels needed for most of it, no trainer for any.

Cosine measures put rows on the unit sphere themselves. Everything is computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from antiphon.common.evaluation.inputs import Embeddings, Labels, embedding_tensor, label_array

_CHUNK_ROWS = 1024


def _unit_rows(values: Embeddings, name: str = "embeddings") -> Tensor:
    return normalize(embedding_tensor(values, name).double(), dim=1)


def _aligned(first: Embeddings, second: Embeddings) -> tuple[Tensor, Tensor]:
    a, b = _unit_rows(first, "first views"), _unit_rows(second, "second views")
    if a.shape != b.shape:
        raise ValueError(f"views must be aligned row by row, got shapes {tuple(a.shape)} and {tuple(b.shape)}")
    return a, b.to(a.device)


def _need_two(rows: Tensor, what: str) -> None:
    if len(rows) < 2:
        raise ValueError(f"{what} is defined on pairs, got {len(rows)} embedding: pass at least 2")


def alignment(first: Embeddings, second: Embeddings, *, alpha: float = 2.0) -> float:
    """Mean distance between positives to the power alpha, on the unit sphere (Wang & Isola, ICML 2020); 0 is perfect."""
    a, b = _aligned(first, second)
    return float((a - b).norm(dim=1).pow(alpha).mean())


def uniformity(embeddings: Embeddings, *, t: float = 2.0) -> float:
    """The log of mean exp(-t d^2) over pairs on the unit sphere (Wang & Isola, ICML 2020): 0 if all are equal, lower is evener."""
    unit = _unit_rows(embeddings)
    _need_two(unit, "uniformity")
    parts = []
    for start, chunk in _chunks(unit):
        columns = torch.arange(start, len(unit), device=unit.device)
        later = columns > torch.arange(start, start + len(chunk), device=unit.device)[:, None]
        exponents = 2 * t * (chunk @ unit[start:].T - 1)  # -t d^2 = 2t (s - 1) on the sphere
        parts.append(exponents.masked_fill(~later, -torch.inf).flatten().logsumexp(dim=0))
    return float(torch.stack(parts).logsumexp(dim=0)) - math.log(len(unit) * (len(unit) - 1) / 2)


def modality_gap(first: Embeddings, second: Embeddings) -> float:
    """Distance between the mean unit vectors of two modalities (Liang et al., NeurIPS 2022): 0 to 2; the rows need not be pairs."""
    a, b = _unit_rows(first, "first modality"), _unit_rows(second, "second modality")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"both modalities must have one dimension, got shapes {tuple(a.shape)} and {tuple(b.shape)}")
    return float((a.mean(dim=0) - b.mean(dim=0).to(a.device)).norm())


def _chunks(rows: Tensor) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(rows), _CHUNK_ROWS):
        yield start, rows[start : start + _CHUNK_ROWS]


def _spectrum(embeddings: Embeddings) -> Tensor:
    """Singular values divided by their sum (all zero for an all-zero matrix)."""
    values = torch.linalg.svdvals(embedding_tensor(embeddings).double())
    return values / values.sum() if values.sum() > 0 else values


def effective_rank(embeddings: Embeddings) -> float:
    """Exponential of the singular values' entropy (Roy & Vetterli, EUSIPCO 2007): between 1 and min(N, D); 0 for zeros."""
    shares = _spectrum(embeddings)
    return float(torch.special.entr(shares).sum().exp()) if shares.sum() > 0 else 0.0


def rankme(embeddings: Embeddings, *, eps: float = 1e-7) -> float:
    """RankMe (Garrido et al., ICML 2023): `effective_rank` with eps added to each share, as published; 0 for zeros.

    Neither centres the embeddings. At N much larger than D both saturate at D; compare encoders on the same number of examples.
    """
    shares = _spectrum(embeddings)
    return float(torch.special.entr(shares + eps).sum().exp()) if shares.sum() > 0 else 0.0


@dataclass(frozen=True)
class PairSimilarity:
    """Cosine similarities of positive pairs (row i with row i) and negative pairs (row i with row j), as histograms and moments.

    `edges` (bins + 1,) from -1 to 1; the counts (bins,) are whole numbers of pairs.
    """

    edges: NDArray[np.float64]
    positive_counts: NDArray[np.int64]
    negative_counts: NDArray[np.int64]
    positive_mean: float
    positive_std: float
    negative_mean: float
    negative_std: float

    @property
    def gap(self) -> float:
        """Mean similarity of positives minus that of negatives."""
        return self.positive_mean - self.negative_mean


def _histogram(values: Tensor, bins: int) -> Tensor:
    return torch.histc(values.clamp(-1.0, 1.0), bins=bins, min=-1.0, max=1.0).long()


def positive_negative_similarity(first: Embeddings, second: Embeddings, *, bins: int = 100) -> PairSimilarity:
    """Similarities of N positive pairs and all N (N - 1) negative pairs between two views, (N, D) each."""
    a, b = _aligned(first, second)
    _need_two(a, "similarity of negatives")
    positives, negative_counts = (a * b).sum(dim=1), torch.zeros(bins, dtype=torch.int64, device=a.device)
    total = square = torch.zeros((), dtype=torch.float64, device=a.device)
    for start, chunk in _chunks(a):
        rows = torch.arange(len(chunk), device=a.device)
        similarity = chunk @ b.T
        negative = torch.ones_like(similarity, dtype=torch.bool)
        negative[rows, start + rows] = False
        values = similarity[negative]
        negative_counts += _histogram(values, bins)
        total, square = total + values.sum(), square + values.square().sum()
    count = len(a) * (len(a) - 1)
    mean = float(total) / count
    return PairSimilarity(
        edges=np.linspace(-1.0, 1.0, bins + 1),
        positive_counts=_histogram(positives, bins).cpu().numpy(),
        negative_counts=negative_counts.cpu().numpy(),
        positive_mean=float(positives.mean()),
        positive_std=float(positives.std(correction=0)),
        negative_mean=mean,
        negative_std=math.sqrt(max(0.0, float(square) / count - mean**2)),
    )


def tolerance(embeddings: Embeddings, labels: Labels) -> float:
    """Mean cosine similarity of pairs within a class (Wang & Liu, CVPR 2021): how close examples of one meaning stay."""
    unit = _unit_rows(embeddings)
    _, codes = np.unique(label_array(labels, len(unit)), return_inverse=True)
    sizes = torch.as_tensor(np.bincount(codes), dtype=torch.float64, device=unit.device)
    sums = torch.zeros(len(sizes), unit.shape[1], dtype=torch.float64, device=unit.device)
    sums.index_add_(0, torch.as_tensor(codes, device=unit.device), unit)
    pairs = (sizes * (sizes - 1)).sum()
    if pairs == 0:
        raise ValueError(f"tolerance needs a class with two examples, got {len(sizes)} classes of one: pass more examples")
    return float((sums.square().sum() - unit.square().sum()) / pairs)  # a class of n sums to n self-pairs and n (n - 1) others


def mean_cosine(embeddings: Embeddings) -> float:
    """Mean cosine similarity over all pairs of different rows."""
    unit = _unit_rows(embeddings)
    _need_two(unit, "mean cosine")
    return float((unit.sum(dim=0).square().sum() - unit.square().sum()) / (len(unit) * (len(unit) - 1)))


def collapse_reasons(
    embeddings: Embeddings,
    *,
    reference: Embeddings | None = None,
    cosine_above: float = 0.9999,
    rank_below: float = 1.5,
    shrunk_to: float = 0.1,
) -> list[str]:
    """Why these embeddings count as collapsed, in words; an empty list where they do not.

    Any one is enough: a mean cosine of different rows above `cosine_above` (one direction); an effective rank of the centred rows
    below `rank_below` (one line); or, given `reference`, a spread 1 - mean cosine below `shrunk_to` times that of `reference`, the
    same examples embedded before training.

    The limits are wide because untrained encoders look collapsed: on UCR ArrowHead, where a probe reads them well, they reach a
    mean cosine of 0.9994 and an uncentred RankMe of 1.4. Pass some tens of different examples. A supervised objective on two
    classes may rightly end on one line.
    """
    rows = embedding_tensor(embeddings).double()
    _need_two(rows, "collapse")
    if not bool(rows.any()):
        return ["all embeddings are zero"]
    reasons = []
    cosine, rank = mean_cosine(rows), effective_rank(rows - rows.mean(dim=0))
    if cosine > cosine_above:
        reasons.append(f"mean cosine between examples is {cosine:.6f}, above {cosine_above:g}")
    if rank < rank_below:
        reasons.append(f"effective rank around the mean is {rank:.2f}, below {rank_below:g}")
    if reference is not None:
        before = 1 - mean_cosine(reference)
        if 1 - cosine < shrunk_to * before:
            reasons.append(f"spread (1 - mean cosine) fell from {before:.2e} to {1 - cosine:.2e}, below {shrunk_to:g} of it")
    return reasons


def is_collapsed(embeddings: Embeddings, *, reference: Embeddings | None = None, **limits: float) -> bool:
    """True where `collapse_reasons` finds any; `limits` are its `cosine_above`, `rank_below` and `shrunk_to`."""
    return bool(collapse_reasons(embeddings, reference=reference, **limits))
