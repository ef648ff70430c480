"""Mixed hard negatives: golden points, a loop over all columns, and MoCo where nothing is mixed."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives import MoCHi, MoCo, ViewOutputs, mochi, moco
from antiphon.common.objectives.mochi import mixed, synthetic_negatives
from antiphon.common.random import KeyedRandom


def unit(*shape: int, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=-1)


def streams(rows: int, step: int = 0) -> KeyedRandom:
    return KeyedRandom.for_examples(0, 0, torch.arange(rows), step=step)


def test_golden_points() -> None:
    query, near, far = (torch.tensor(point, dtype=torch.float64) for point in ([1.0, 0.0], [0.6, 0.8], [0.0, 1.0]))
    golden = torch.tensor([0.316228, 0.948683], dtype=torch.float64)
    torch.testing.assert_close(mixed(near, far, 0.5), golden, atol=1e-6, rtol=0)
    torch.testing.assert_close(mixed(query, far, 0.25), golden, atol=1e-6, rtol=0)


def test_points_come_from_the_hardest_and_are_never_easier_than_them() -> None:
    queries, queue = unit(6, 5), unit(40, 5, seed=1)
    hardest = (queries @ queue.T).topk(4, dim=1)
    points = synthetic_negatives(queries, queue, random=streams(6), hardest=4, pairs=50, with_query=50)
    assert points.shape == (6, 100, 5)
    torch.testing.assert_close(points.norm(dim=-1), torch.ones(6, 100, dtype=torch.float64))
    cosines = torch.einsum("bd,bsd->bs", queries, points)
    assert (cosines >= hardest.values[:, -1:] - 1e-7).all()  # both kinds: the fourth hardest is the easiest to start from
    for row, near in enumerate(hardest.indices):  # a point between two of the four, as a sum of them with shares of 0 or more
        between = torch.linalg.lstsq(queue[near].T, points[row, :50].T).solution
        assert (between > -1e-9).all() and ((between > 1e-6).sum(dim=0) <= 2).all()


def test_points_with_the_query_go_at_most_half_of_the_way() -> None:
    query, queue = torch.tensor([[1.0, 0.0]], dtype=torch.float64), torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    points = synthetic_negatives(query, queue, random=streams(1), hardest=1, pairs=0, with_query=400)[0]
    share = points[:, 0] / points.sum(dim=1)
    assert 0.0 <= share.min() < 0.02 and 0.48 < share.max() <= 0.5


def test_the_loop_over_queue_and_points() -> None:
    queries, keys, queue = unit(4, 3), unit(4, 3, seed=1), unit(9, 3, seed=2)
    options: dict[str, Any] = {"hardest": 5, "pairs": 6, "with_query": 3}
    points = synthetic_negatives(queries, queue, random=streams(4), **options)
    found = mochi(queries, keys, queue, random=streams(4), temperature=0.3, reduction="none", **options)
    for row in range(4):
        columns = [keys[row], *queue, *points[row]]
        logits = [float(queries[row] @ column) / 0.3 for column in columns]
        assert found[row].item() == pytest.approx(math.log(sum(map(math.exp, logits))) - logits[0])


def test_nothing_mixed_is_moco() -> None:
    queries, keys, queue = unit(4, 3), unit(4, 3, seed=1), unit(9, 3, seed=2)
    plain = moco(queries, keys, queue, reduction="none")
    torch.testing.assert_close(mochi(queries, keys, queue, random=streams(4), pairs=0, with_query=0, reduction="none"), plain)
    assert (mochi(queries, keys, queue, random=streams(4), pairs=2, with_query=0, reduction="none") > plain).all()
    assert mochi(queries, keys, queue[:0], random=streams(4)).item() == 0.0


def test_synthetic_points_are_constants() -> None:
    queries, keys, queue = unit(3, 4).requires_grad_(), unit(3, 4, seed=1), unit(6, 4, seed=2).requires_grad_()
    options: dict[str, Any] = {"hardest": 3, "pairs": 2, "with_query": 4}
    points = synthetic_negatives(queries, queue, random=streams(3), **options)
    assert not points.requires_grad
    (found,) = torch.autograd.grad(mochi(queries, keys, queue, random=streams(3), temperature=0.3, **options), queries)
    columns = torch.cat((keys[:, None], queue.detach().expand(3, -1, -1), points), dim=1)
    logits = torch.einsum("bd,bkd->bk", F.normalize(queries, dim=1), columns) / 0.3
    (expected,) = torch.autograd.grad((logits.logsumexp(1) - logits[:, 0]).mean(), queries)
    torch.testing.assert_close(found, expected)


def test_an_example_gets_the_same_points_in_any_batch() -> None:
    queries, queue = unit(4, 3), unit(9, 3, seed=2)
    options: dict[str, Any] = {"hardest": 5, "pairs": 6, "with_query": 3}
    together = synthetic_negatives(queries, queue, random=streams(4), **options)
    alone = synthetic_negatives(queries[2:3], queue, random=KeyedRandom.for_examples(0, 0, torch.tensor([2]), step=5), **options)
    torch.testing.assert_close(together[2:3], alone)


def test_mixing_starts_after_the_warm_up_and_a_checkpoint_knows_when() -> None:
    def batch(step: int) -> ViewOutputs:
        views = list(unit(2, 3, 4, seed=step))
        return ViewOutputs(index=torch.arange(3), projections=views, targets=views[::-1], random=streams(3, step))

    plain = MoCo(projection_dim=4, queue_size=12).double()
    mixing = MoCHi(projection_dim=4, queue_size=12, warmup_steps=2, hardest=3, pairs=2, with_query=2).double()
    same = [torch.equal(plain(batch(step)), mixing(batch(step))) for step in range(4)]
    assert same == [True, True, False, False]
    resumed = MoCHi(projection_dim=4, queue_size=12, warmup_steps=2, hardest=3, pairs=2, with_query=2).double()
    resumed.load_state_dict(mixing.state_dict())
    assert torch.equal(resumed(batch(4)), mixing(batch(4)))
    with pytest.raises(ValueError, match="random"):
        mixing(replace(batch(5), random=None))


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="hardest >= 1"):
        MoCHi(projection_dim=4, hardest=0)
