import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from antiphon.common.evaluation.dtw import dtw_distances


def sequences(count: int, frames: int = 7, dim: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(count, frames, dim, generator=torch.Generator().manual_seed(seed))


def by_hand(query: Tensor, reference: Tensor, metric: str, band: float | None) -> float:
    """The recurrence in plain Python; each cell holds (total cost, cells)."""
    table: dict[tuple[int, int], tuple[float, int]] = {}
    m, n = len(query), len(reference)
    for i in range(m):
        for j in range(n):
            if metric == "cosine":
                cost = 1 - float(cosine_similarity(query[i], reference[j], dim=0))
            else:
                cost = math.dist(query[i].tolist(), reference[j].tolist())
            if band is not None and abs(i * (n - 1) - j * (m - 1)) > band * (m - 1) * (n - 1) + max(m - 1, n - 1) / 2:
                table[i, j] = (math.inf, 0)
                continue
            before = [table[cell] for cell in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if cell in table]
            total, cells = min(before, key=lambda cell: cell[0]) if before else (0.0, 0)
            table[i, j] = (total + cost, cells + 1)
    total, cells = table[m - 1, n - 1]
    return total / cells


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("band", [None, 0.0, 0.2])
def test_equals_the_recurrence_in_plain_python(metric: str, band: float | None) -> None:
    queries, references = sequences(3), sequences(4, frames=11, seed=1)
    lengths, others = torch.tensor([7, 1, 4]), torch.tensor([11, 2, 6, 1])
    found = dtw_distances(queries, references, query_lengths=lengths, reference_lengths=others, metric=metric, band=band)
    for q, query in enumerate(queries):
        for r, reference in enumerate(references):
            assert found[q, r] == pytest.approx(by_hand(query[: lengths[q]], reference[: others[r]], metric, band), abs=1e-5)


def test_a_sequence_is_at_no_distance_from_itself_spoken_slowly() -> None:
    queries = sequences(2)
    slow = queries.repeat_interleave(3, dim=1)
    found = dtw_distances(queries, slow)
    assert found.diagonal().abs().max() < 1e-6
    assert found[0, 1] > 0.1


def test_order_counts() -> None:
    words = sequences(1, frames=6)
    assert dtw_distances(words, words.flip(1)) > 0.1


def test_a_list_equals_padded_sequences_and_padding_does_not_count() -> None:
    queries, references = sequences(3), sequences(2, seed=1)
    lengths = torch.tensor([7, 3, 5])
    padded = queries.clone()
    padded[1, 3:], padded[2, 5:] = 1e6, torch.nan
    listed = dtw_distances([query[:size] for query, size in zip(queries, lengths, strict=True)], list(references))
    assert torch.equal(dtw_distances(padded, references, query_lengths=lengths), listed)


def test_symmetric_and_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, references = sequences(5), sequences(4, frames=5, seed=1)
    found = dtw_distances(queries, references)
    torch.testing.assert_close(dtw_distances(references, queries).T, found)
    monkeypatch.setattr("antiphon.common.evaluation.dtw._COSTS_AT_A_TIME", 1)
    torch.testing.assert_close(dtw_distances(queries, references), found)


def test_a_narrow_band_on_equal_lengths_is_the_straight_comparison() -> None:
    queries, references = sequences(1), sequences(1, seed=1)
    straight = (1 - cosine_similarity(queries, references, dim=-1)).mean()
    assert dtw_distances(queries, references, band=0.0).item() == pytest.approx(straight.item(), abs=1e-6)
    assert dtw_distances(queries, references) <= straight + 1e-6


def test_silence_is_far_from_everything() -> None:
    assert dtw_distances(torch.zeros(1, 4, 3), sequences(1)).item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": "angle"}, "metric must be"),
        ({"band": -1.0}, "band is a share"),
        ({"query_lengths": torch.tensor([0, 7])}, "lengths of queries must be 2 numbers from 1 to 7"),
        ({"query_lengths": torch.tensor([7])}, "lengths of queries must be 2 numbers"),
        ({"references": sequences(2, dim=4)}, "3 dimensions, references of 4"),
        ({"references": torch.full((1, 2, 3), torch.inf)}, "not finite"),
        ({"references": []}, "there are no references"),
        ({"references": [torch.zeros(2, 3)], "reference_lengths": torch.tensor([2])}, "leave lengths out"),
        ({"references": torch.zeros(2, 3)}, "must be .number, frames, dimensions."),
    ],
)
def test_wrong_input_is_explained(arguments: dict[str, object], message: str) -> None:
    given = {"queries": sequences(2), "references": sequences(2), **arguments}
    with pytest.raises(ValueError, match=message):
        dtw_distances(**given)  # type: ignore[arg-type]
