"""MoCo against a loop, golden values and InfoNCE; the queue's part in training."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives import MoCo, MoCoV3, ViewOutputs, info_nce, moco, moco_v3

TOY_A = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
TOY_B = torch.tensor([[0.6, 0.8], [0.0, 1.0]], dtype=torch.float64)


def vectors(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def outputs(step: int = 0, *, views: int = 2, batch: int = 3, dim: int = 4) -> ViewOutputs:
    queries, keys = vectors(views, batch, dim, seed=2 * step), vectors(views, batch, dim, seed=2 * step + 1)
    return ViewOutputs(index=torch.arange(batch), projections=list(queries), predictions=list(queries), targets=list(keys))


def moco_loop(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float, margin: float = 0.0) -> list[float]:
    losses = []
    for query, key in zip(F.normalize(queries, dim=1), F.normalize(keys, dim=1), strict=True):
        positive = (float(query @ key) - margin) / temperature
        negatives = [float(query @ row) / temperature for row in queue]
        losses.append(math.log(sum(map(math.exp, [positive, *negatives]))) - positive)
    return losses


@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_the_loop(margin: float) -> None:
    queries, keys, queue = vectors(5, 3), vectors(5, 3, seed=1), F.normalize(vectors(7, 3, seed=2), dim=1)
    found = moco(queries, keys, queue, temperature=0.3, margin=margin, reduction="none")
    torch.testing.assert_close(found.tolist(), moco_loop(queries, keys, queue, 0.3, margin))
    torch.testing.assert_close(moco(queries, keys, queue, temperature=0.3, margin=margin), found.mean())


def test_golden_value() -> None:
    queue = torch.tensor([[-1.0, 0.0], [0.0, -1.0]], dtype=torch.float64)
    assert moco(TOY_A, TOY_B, queue, temperature=0.5).item() == pytest.approx(0.218530, abs=1e-6)


def test_the_other_keys_of_the_batch_as_queue_are_info_nce() -> None:
    queries, keys = F.normalize(vectors(4, 3), dim=1), F.normalize(vectors(4, 3, seed=1), dim=1)
    rows = [moco(queries[[i]], keys[[i]], keys[[j for j in range(4) if j != i]], temperature=0.4) for i in range(4)]
    plain = info_nce(queries, keys, positives=torch.arange(4), temperature=0.4, reduction="none")
    torch.testing.assert_close(torch.stack(rows), plain)
    torch.testing.assert_close(moco_v3(queries, keys, temperature=0.4, reduction="none"), 0.8 * plain)


def test_tiles_and_angular_margins() -> None:
    queries, keys, queue = vectors(5, 3), vectors(5, 3, seed=1), F.normalize(vectors(7, 3, seed=2), dim=1)
    dense = moco(queries, keys, queue, margin=0.3, margin_kind="angular", reduction="none")
    torch.testing.assert_close(moco(queries, keys, queue, margin=0.3, margin_kind="angular", tiled=True, reduction="none"), dense)
    cosines = F.cosine_similarity(queries, keys)
    lower = cosines - torch.cos(cosines.acos() + 0.3)  # what the angular margin takes off
    each = [moco(queries[[i]], keys[[i]], queue, margin=float(lower[i])) for i in range(5) if cosines[i].acos() + 0.3 < math.pi]
    assert len(each) == 5
    torch.testing.assert_close(torch.stack(each), dense)


def test_collapse_and_an_empty_queue() -> None:
    ones = torch.ones(5, 4, dtype=torch.float64)
    queries = ones.clone().requires_grad_()
    assert moco(queries, ones, F.normalize(torch.ones(7, 4), dim=1)).item() == pytest.approx(math.log(8), rel=1e-6)
    empty = moco(queries, ones, torch.empty(0, 4))
    empty.backward()
    assert empty.item() == 0.0 and queries.grad is not None and not queries.grad.any()


def test_gradients_reach_queries_and_temperature_only() -> None:
    queries, keys = vectors(3, 4).requires_grad_(), vectors(3, 4, seed=1).requires_grad_()
    queue = F.normalize(vectors(5, 4, seed=2), dim=1).requires_grad_()
    temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda q, t: moco(q, keys, queue, temperature=t, margin=0.1), (queries, temperature))
    assert torch.autograd.gradcheck(lambda q: moco_v3(q, keys), (queries,))
    (moco(queries, keys, queue) + moco_v3(queries, keys)).backward()
    assert keys.grad is None and queue.grad is None


def test_a_batch_meets_the_keys_of_those_before() -> None:
    objective = MoCo(projection_dim=4, queue_size=10, temperature=0.3, margin=0.1).double()
    assert objective(outputs(0)).item() == 0.0  # nothing queued yet
    earlier = outputs(0).targets
    queue = F.normalize(torch.stack(list(earlier), dim=1).flatten(0, 1), dim=1)
    torch.testing.assert_close(objective.queue.rows(), queue)
    now = outputs(1)
    leaves = [view.requires_grad_() for view in now.projections]
    loss = objective(now)
    ways = [moco(now.projections[i], now.targets[1 - i], queue, temperature=0.3, margin=0.1) for i in (0, 1)]
    torch.testing.assert_close(loss, torch.stack(ways).mean())
    loss.backward()  # although the queue has changed since
    assert all(leaf.grad is not None and leaf.grad.any() for leaf in leaves)
    assert len(objective.queue) == 10 and int(objective.queue.position) == 2


def test_evaluation_leaves_the_queue_alone() -> None:
    objective = MoCo(projection_dim=4, queue_size=10).double()
    objective(outputs(0))
    before = objective.queue.rows()
    objective.eval()(outputs(1))
    torch.testing.assert_close(objective.queue.rows(), before)


@pytest.mark.parametrize("kind", [MoCo, MoCoV3])
@pytest.mark.parametrize("views", [2, 3])
def test_examples_and_views(kind: type, views: int) -> None:
    objective = MoCo(projection_dim=4, queue_size=32) if kind is MoCo else MoCoV3()
    objective = objective.double()
    objective(outputs(0, views=views))
    state, now = {name: value.clone() for name, value in objective.state_dict().items()}, outputs(1, views=views)
    rows = objective.per_example(now)
    objective.load_state_dict(state)
    assert rows.shape == (3,)
    torch.testing.assert_close(objective(now), rows.mean())
    objective.load_state_dict(state)
    swapped = replace(now, projections=now.projections[::-1], predictions=now.predictions[::-1], targets=now.targets[::-1])
    torch.testing.assert_close(objective(swapped), rows.mean())


def test_v3_is_the_mean_of_both_ways() -> None:
    now = outputs()
    ways = [moco_v3(now.predictions[i], now.targets[1 - i], temperature=0.3) for i in (0, 1)]
    torch.testing.assert_close(MoCoV3(temperature=0.3)(now), torch.stack(ways).mean())


def test_projections_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="length 4, the keys of the queue 8"):
        MoCo(projection_dim=8, queue_size=5)(outputs())
