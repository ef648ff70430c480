"""Dynamic time warping of frame sequences: how unlike are two words, when one may be spoken faster than the other?

The recurrence ``D[i, j] = cost[i, j] + min(D[i-1, j-1], D[i-1, j], D[i, j-1])`` (Sakoe & Chiba, 1978) on costs between frames,
which are matrix products. Importing this module imports numba; the compiled loop is kept on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence

FrameMetric = Literal["cosine", "euclidean"]
Sequences = Tensor | Sequence[Tensor]
_COSTS_AT_A_TIME = 2**25  # 128 MB of float32


def dtw_distances(
    queries: Sequences,
    references: Sequences,
    *,
    query_lengths: Tensor | None = None,
    reference_lengths: Tensor | None = None,
    metric: FrameMetric = "cosine",
    band: float | None = None,
) -> Tensor:
    """The mean cost along the cheapest alignment of every query with every reference.

    An alignment runs from the first frames of both to the last ones, and each step goes on by one frame in one or both of them. The
    one of least total cost counts, and its cost is divided by the number of its cells, so that long words are not far from all.

    Args:
        queries: (Q, Tq, D), or a list of (T, D), each of its own length.
        references: the same with R.
        query_lengths: (Q,) frames that belong to each query; all by default. Not with a list.
        reference_lengths: the same for the references.
        metric: "cosine" (1 - cosine of two frames; a frame of zeros is at 1 from all) or "euclidean".
        band: how far an alignment may stray from the straight line between the corners, as a share of the length; None: at will.

    Returns:
        (Q, R) float32 on the CPU.

    Raises:
        ValueError: shapes that do not fit, a sequence without frames, an unknown metric, a negative band, or values that are
            not finite.
    """
    if metric not in ("cosine", "euclidean"):
        raise ValueError(f"metric must be 'cosine' or 'euclidean', got {metric!r}")
    if band is not None and band < 0:
        raise ValueError(f"band is a share of the length, got {band}: use a number from 0 to 1, or None")
    first, first_lengths = _padded(queries, query_lengths, "queries")
    second, second_lengths = _padded(references, reference_lengths, "references")
    if first.shape[2] != second.shape[2]:
        raise ValueError(f"queries have frames of {first.shape[2]} dimensions, references of {second.shape[2]}: use one encoder")
    found = torch.empty(len(first), len(second))
    size = max(1, _COSTS_AT_A_TIME // (first.shape[1] * second.shape[0] * second.shape[1]))
    for start in range(0, len(first), size):
        rows = slice(start, start + size)
        costs = _costs(first[rows], second, metric)
        _align(costs.numpy(), first_lengths[rows], second_lengths, -1.0 if band is None else band, found[rows].numpy())
    return found


def _padded(sequences: Sequences, lengths: Tensor | None, name: str) -> tuple[Tensor, NDArray[np.int64]]:
    """(N, T, D) float32 on the CPU, 0 beyond the lengths, and these."""
    if not isinstance(sequences, Tensor):
        if lengths is not None:
            raise ValueError(f"{name} are a list, whose sequences have their own lengths: leave lengths out")
        if not len(sequences):
            raise ValueError(f"there are no {name}")
        lengths = torch.tensor([len(one) for one in sequences])
        sequences = pad_sequence(list(sequences), batch_first=True)
    if sequences.ndim != 3 or not len(sequences):
        raise ValueError(f"{name} must be (number, frames, dimensions), at least one of them, got shape {tuple(sequences.shape)}")
    sizes = torch.full((len(sequences),), sequences.shape[1]) if lengths is None else lengths.cpu()
    if sizes.shape != sequences.shape[:1] or int(sizes.min()) < 1 or int(sizes.max()) > sequences.shape[1]:
        raise ValueError(f"lengths of {name} must be {len(sequences)} numbers from 1 to {sequences.shape[1]}, got {sizes.tolist()}")
    inside = torch.arange(sequences.shape[1]) < sizes[:, None]
    frames = sequences.detach().float().cpu().masked_fill(~inside[..., None], 0.0)
    if not torch.isfinite(frames).all():
        raise ValueError(f"{name} hold values that are not finite: check the encoder and its input")
    return frames, sizes.numpy().astype(np.int64)


def _costs(queries: Tensor, references: Tensor, metric: FrameMetric) -> Tensor:
    """(Q, Tq, R, Tr) costs between all frames."""
    if metric == "cosine":
        flat = 1.0 - normalize(queries, dim=-1).flatten(0, 1) @ normalize(references, dim=-1).flatten(0, 1).T
    else:
        flat = torch.cdist(queries.flatten(0, 1), references.flatten(0, 1))
    return flat.view(*queries.shape[:2], *references.shape[:2])


@njit(cache=True, nogil=True)
def _align(
    costs: NDArray[np.float32],
    query_lengths: NDArray[np.int64],
    reference_lengths: NDArray[np.int64],
    band: float,
    found: NDArray[np.float32],
) -> None:
    """`found` (Q, R) from `costs` (Q, Tq, R, Tr); a negative `band` is none. The diagonal wins where steps are equally cheap."""
    total = np.empty(costs.shape[3], np.float64)  # of the row above, then of this one
    cells = np.empty(costs.shape[3], np.int64)
    for query in range(costs.shape[0]):
        rows = query_lengths[query]
        for reference in range(costs.shape[2]):
            columns = reference_lengths[reference]
            # The second term keeps the line itself in one piece: every row and column has a cell as near as that.
            widest = band * (rows - 1) * (columns - 1) + max(rows - 1, columns - 1) / 2
            for i in range(rows):
                diagonal, steps = np.inf, 0  # of the cell before in the row above
                if i == 0:
                    total[:columns] = np.inf
                    diagonal = 0.0
                for j in range(columns):
                    up, up_steps = total[j], cells[j]
                    least, least_steps = diagonal, steps
                    if up < least:
                        least, least_steps = up, up_steps
                    if j > 0 and total[j - 1] < least:
                        least, least_steps = total[j - 1], cells[j - 1]
                    diagonal, steps = up, up_steps
                    if band >= 0 and abs(i * (columns - 1) - j * (rows - 1)) > widest:
                        least = np.inf
                    total[j] = least + costs[query, i, reference, j]
                    cells[j] = least_steps + 1
            found[query, reference] = total[columns - 1] / cells[columns - 1]
