"""Segment-level accuracy: is the piece of sound that was heard among the k that fit the brain's signals best?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from antiphon.common.data.batch import context_rows
from antiphon.common.encoder import Encoder
from antiphon.domains.eeg.brain_speech.segments import SpeechSegments


def segment_ranks(encoder: Encoder, data: SpeechSegments, *, batch_size: int = 64) -> NDArray[np.int64]:
    """The rank (n,) of the true segment of each example among all different segments of the set, 1 is best.

    Candidates are ordered by <Z, Y> / |Y|, the logit of the contrastive loss, whatever the encoder was trained by. One that scores
    as much as the true segment counts as better, so that outputs that are all alike find nothing.
    """
    device, training = encoder.input_mean.device, encoder.training
    offered = torch.from_numpy(data.speech(data.candidates())).flatten(1).to(device)
    offered = normalize(offered, dim=1)  # (M, T * F)
    ranks = []
    encoder.eval()
    try:
        with torch.inference_mode():
            for start in range(0, len(data), batch_size):
                batch = data.batch(np.arange(start, min(start + batch_size, len(data))))
                context = context_rows(batch.context, slice(None), device)
                frames = encoder.frames(batch.signals.to(device), batch.lengths.to(device), context=context)
                scores = frames.float().flatten(1) @ offered.T
                true = torch.from_numpy(data.segment[batch.index.numpy()]).to(device)[:, None]
                ranks.append((scores >= scores.gather(1, true)).sum(dim=1).cpu().numpy())
    finally:
        encoder.train(training)
    return np.concatenate(ranks)


def segment_retrieval(
    encoder: Encoder,
    train: SpeechSegments,
    test: SpeechSegments,
    *,
    ks: Sequence[int] = (10, 5, 1),
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, float]:
    """Shares of examples whose segment is among the best k, for each of `ks`; the first with a bootstrap interval of 95 %.

    The bootstrap draws whole blocks of sound, with all that everybody heard in them: segments overlap, and a block is hard or easy
    for all. With a single block the interval is unknown, NaN. `chance` is that of the first k, k / M of M different segments.
    Nothing is fitted on `train`.

    Raises:
        ValueError: no more segments than the largest k, among which nothing can be missed.
    """
    ranks, offered = segment_ranks(encoder, test), len(test.candidates())
    if offered <= max(ks):
        raise ValueError(f"{test.name} has {offered} different segments: top-{max(ks)} needs more, or give evaluation.ks")
    low, high = block_interval(ranks <= ks[0], test.block, resamples=resamples, seed=seed)
    found = {f"top_{k}": float((ranks <= k).mean()) for k in ks}
    found |= {f"top_{ks[0]}_low": low, f"top_{ks[0]}_high": high, f"chance_top_{ks[0]}": ks[0] / offered}
    return {**found, "segments": float(offered)}


def block_interval(
    hits: NDArray[np.bool_], blocks: NDArray[np.int64], *, resamples: int = 1000, seed: int = 0, confidence: float = 0.95
) -> tuple[float, float]:
    """A percentile interval of the mean of `hits` (n,), whole `blocks` (n,) drawn with replacement. One block: NaN."""
    codes = np.unique(blocks, return_inverse=True)[1]
    sizes, found = np.bincount(codes), np.bincount(codes, weights=hits)
    if len(sizes) < 2:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(seed).integers(len(sizes), size=(resamples, len(sizes)))
    shares = found[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(shares, ((1 - confidence) / 2, (1 + confidence) / 2))
    return float(low), float(high)
