"""Retrieval against a plain loop, and the cases in which a careless ranking flatters."""

import numpy as np
import pytest

from antiphon.common.evaluation.retrieval import average_precision_at, relevance_in_order, retrieval


def test_average_precision_of_five_captions() -> None:
    """Five relevant at the places 9, 0, 30, 4, 12 (from 0): (1/1 + 2/5 + 3/10) / 5."""
    order = np.zeros((1, 40), bool)
    order[0, [9, 0, 30, 4, 12]] = True
    assert average_precision_at(order)[0] == pytest.approx(0.34)


def test_against_a_loop() -> None:
    random = np.random.default_rng(0)
    queries, candidates = random.normal(size=(30, 5)), random.normal(size=(60, 5))
    names, others = random.integers(6, size=30), np.arange(60) % 6
    found = retrieval(queries, names, candidates, others, ks=(1, 3))
    ranks, precisions = [], []
    for query, name in zip(queries, names, strict=True):
        cosines = [query @ c / np.linalg.norm(query) / np.linalg.norm(c) for c in candidates]
        order = [int(others[place]) == name for place in np.argsort(cosines)[::-1]]
        ranks.append(order.index(True) + 1)
        hits, total = 0, 0.0
        for place, hit in enumerate(order[:10], 1):
            hits += hit
            total += hit * hits / place
        precisions.append(total / 10)
    assert found.recall == {1: np.mean(np.array(ranks) <= 1), 3: np.mean(np.array(ranks) <= 3)}
    assert found.median_rank == np.median(ranks) and found.map_at_10 == pytest.approx(np.mean(precisions))
    assert set(found.scores()) == {"recall_at_1", "recall_at_3", "map_at_10", "median_rank"}


def test_the_same_tracks_are_found() -> None:
    rows = np.eye(4)
    found = retrieval(3 * rows, list("abcd"), rows, list("abcd"))
    assert found.recall[1] == 1.0 and found.map_at_10 == 1.0 and found.median_rank == 1


def test_collapsed_embeddings_find_nothing() -> None:
    found = retrieval(np.ones((5, 3)), np.arange(5), np.ones((5, 3)), np.arange(5))
    assert found.recall[1] == 0.0 and found.median_rank == 5
    assert relevance_in_order(np.zeros((1, 3)), np.array([[True, False, False]])).tolist() == [[False, False, True]]


def test_a_query_without_a_match_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 queries have no relevant candidate, the first is 'c'"):
        retrieval(np.eye(3), ["a", "b", "c"], np.eye(3), ["a", "b", "b"])
