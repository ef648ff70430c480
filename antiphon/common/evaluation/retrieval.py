"""Retrieval: which of the candidates belong to a query, by cosine similarity of embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from antiphon.common.evaluation.inputs import Embeddings, Labels, embedding_array, label_array, same_dimension

QUERIES_AT_A_TIME = 256


@dataclass(frozen=True)
class RetrievalResult:
    """Means over queries: `recall` by k (is a relevant candidate among the first k?), mean average precision of the first 10,
    and the median rank (1 is best) of the first relevant candidate.
    """

    recall: dict[int, float]
    map_at_10: float
    median_rank: float
    queries: int
    candidates: int

    def scores(self) -> dict[str, float]:
        """The numbers by name."""
        recalls = {f"recall_at_{k}": value for k, value in self.recall.items()}
        return {**recalls, "map_at_10": self.map_at_10, "median_rank": self.median_rank}


def retrieval(
    queries: Embeddings, query_names: Labels, candidates: Embeddings, candidate_names: Labels, *, ks: Sequence[int] = (1, 5, 10)
) -> RetrievalResult:
    """Rank all candidates for each query; those of the query's own name (track, caption, class) are relevant.

    Equal similarities count against the query: embeddings that are all alike find nothing.

    Args:
        queries: (Q, D) embeddings, array or tensor.
        query_names: (Q,) what each query belongs to.
        candidates: (M, D).
        candidate_names: (M,).
        ks: the depths of the recall.

    Raises:
        ValueError: a query without any relevant candidate, or shapes that do not fit.
    """
    wanted, offered = embedding_array(queries, "queries"), embedding_array(candidates, "candidates")
    same_dimension(wanted, offered)
    names, others = (
        label_array(query_names, len(wanted), "query names"),
        label_array(candidate_names, len(offered), "candidate names"),
    )
    lost = ~np.isin(names, others)
    if lost.any():
        raise ValueError(
            f"{int(lost.sum())} queries have no relevant candidate, the first is {str(names[lost][0])!r}: leave them out"
        )
    ranks, precision = [], []
    for start in range(0, len(wanted), QUERIES_AT_A_TIME):
        rows = slice(start, start + QUERIES_AT_A_TIME)
        relevant = names[rows, None] == others
        order = relevance_in_order(_unit(wanted[rows]) @ _unit(offered).T, relevant)
        ranks.append(order.argmax(axis=1) + 1)
        precision.append(average_precision_at(order))
    rank = np.concatenate(ranks)
    return RetrievalResult(
        {k: float((rank <= k).mean()) for k in ks},
        float(np.concatenate(precision).mean()),
        float(np.median(rank)),
        len(wanted),
        len(offered),
    )


def _unit(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def relevance_in_order(similarity: NDArray[np.floating], relevant: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`relevant` (Q, M) in order of falling similarity (Q, M), the irrelevant first where it is equal."""
    order = np.lexsort((relevant, -similarity), axis=1)
    return np.take_along_axis(relevant, order, axis=1)


def average_precision_at(ordered: NDArray[np.bool_], k: int = 10) -> NDArray[np.float64]:
    """Average precision of the first `k`: relevance in order (Q, M) -> (Q,).

    The precision at each relevant place, summed and divided by the number of relevant candidates (at most k).
    """
    first = ordered[:, :k]
    precision = first.cumsum(axis=1) / np.arange(1, first.shape[1] + 1)
    return np.asarray((precision * first).sum(axis=1) / np.minimum(ordered.sum(axis=1), k))
