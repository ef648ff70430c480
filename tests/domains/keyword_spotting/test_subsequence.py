"""Subsequence DTW against plain loops, against librosa, and piece by piece."""

import numpy as np
import pytest

from antiphon.domains.keyword_spotting.subsequence import SubsequenceDTW


def by_loop(query: np.ndarray, stream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every path is a list of cells; the recursion asks for the best that ends in a cell."""
    m, n = len(query), len(stream)
    cost = np.array([[1 - q @ s / np.linalg.norm(q) / np.linalg.norm(s) for s in stream] for q in query])
    best: dict[tuple[int, int], tuple[float, int]] = {}
    for t in range(n):
        for i in range(m):
            if i == 0:
                best[i, t] = (cost[i, t], t)
                continue
            ways = []
            for di, dt, weight in ((1, 1, 1), (1, 2, 1), (2, 1, 2)):
                if (i - di, t - dt) in best:
                    total, start = best[i - di, t - dt]
                    ways.append((total + weight * cost[i, t], start))
            if ways:
                best[i, t] = min(ways, key=lambda way: way[0])
    found = [best.get((m - 1, t), (np.inf, -1)) for t in range(n)]
    return np.array([1 - total / m for total, _ in found]), np.array([start for _, start in found])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("sizes", [(2, 9), (5, 30), (8, 6)])
def test_it_is_the_loop(seed: int, sizes: tuple[int, int]) -> None:
    random = np.random.default_rng(seed)
    query, stream = (random.normal(size=(size, 4)) for size in sizes)
    scores, starts = SubsequenceDTW(query).update(stream)
    expected, begun = by_loop(query, stream)
    np.testing.assert_allclose(scores, expected, atol=1e-9)
    possible = np.isfinite(expected)
    np.testing.assert_array_equal(starts[possible], begun[possible])


def test_it_is_librosa_with_the_same_steps() -> None:
    import librosa

    random = np.random.default_rng(0)
    query, stream = random.normal(size=(7, 5)), random.normal(size=(60, 5))
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (query, stream)]
    total, path = librosa.sequence.dtw(
        C=1 - unit[0] @ unit[1].T,
        subseq=True,
        step_sizes_sigma=np.array([[1, 1], [1, 2], [2, 1]]),
        weights_mul=np.array([1.0, 1.0, 2.0]),
        weights_add=np.zeros(3),
    )
    scores, starts = SubsequenceDTW(query).update(stream)
    np.testing.assert_allclose(scores, 1 - total[-1] / 7, atol=1e-9)
    assert scores.argmax() == path[0][1] and starts[scores.argmax()] == path[-1][1]


@pytest.mark.parametrize("piece", [1, 2, 7, 100])
def test_pieces_give_what_the_whole_gives(piece: int) -> None:
    random = np.random.default_rng(1)
    query, stream = random.normal(size=(6, 3)), random.normal(size=(50, 3))
    whole = SubsequenceDTW(query).update(stream)
    search = SubsequenceDTW(query)
    parts = [search.update(stream[start : start + piece]) for start in range(0, 50, piece)]
    np.testing.assert_allclose(np.concatenate([part[0] for part in parts]), whole[0], atol=1e-12)
    np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), whole[1])


@pytest.mark.parametrize("times", [0.5, 1.0, 2.0])
def test_a_word_is_found_at_half_to_double_speed(times: float) -> None:
    """Played faster every second frame is left out; slower, each stands twice, and where the first begins is free."""
    random = np.random.default_rng(2)
    query = random.normal(size=(11, 8))
    said = query[::2] if times == 2 else np.repeat(query, round(1 / times), axis=0)
    scores, starts = SubsequenceDTW(query).update(np.concatenate((random.normal(size=(20, 8)), said, random.normal(size=(20, 8)))))
    end = int(scores.argmax())
    assert scores[end] == pytest.approx(1.0, abs=1e-9)
    assert 0 <= starts[end] - 20 <= (times == 0.5) and 0 <= 19 + len(said) - end <= (times == 0.5)
    assert np.sort(scores)[-3] < 0.95


def test_loudness_of_frames_and_zeros_do_no_harm() -> None:
    random = np.random.default_rng(3)
    query, stream = random.normal(size=(4, 3)), random.normal(size=(10, 3))
    stream[5] = 0.0
    first = SubsequenceDTW(query).update(stream)[0]
    np.testing.assert_allclose(SubsequenceDTW(7 * query).update(stream * 0.01)[0], first)
    assert np.isfinite(first[2:]).all() and (first[2:] <= 1).all() and np.isneginf(first[:1]).all()


def test_one_frame_has_no_order() -> None:
    with pytest.raises(ValueError, match=r"2 frames or more, got shape \(1, 3\)"):
        SubsequenceDTW(np.ones((1, 3)))
