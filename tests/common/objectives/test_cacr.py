"""CACR against a loop, its golden value and its limits."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives import cacr
from antiphon.common.objectives.cacr import expected_cost


def views(count: int = 3, batch: int = 4, dim: int = 3) -> list[Tensor]:
    return list(torch.randn(count, batch, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64))


def cacr_loop(sides: list[Tensor], attract: float, repel: float, alpha: float, beta: float) -> list[float]:
    unit, losses = [F.normalize(side, dim=1) for side in sides], []

    def expected(costs: list[float], sharpness: float) -> float:
        weights = [math.exp(sharpness * cost) for cost in costs]
        return sum(weight * cost for weight, cost in zip(weights, costs, strict=True)) / sum(weights)

    for v in range(len(unit)):
        others = [w for w in range(len(unit)) if w != v]
        for i, anchor in enumerate(unit[v]):
            positives = [float((anchor - unit[w][i]).square().sum()) for w in others]
            repulsion = [
                expected([float((anchor - row).square().sum()) for j, row in enumerate(unit[w]) if j != i], -repel) for w in others
            ]
            losses.append(alpha * expected(positives, attract) - beta * sum(repulsion) / len(repulsion))
    return losses


@pytest.mark.parametrize("count", [2, 3])
def test_the_loop(count: int) -> None:
    sides = views(count)
    found = cacr(
        *sides, attraction_sharpness=0.7, repulsion_sharpness=0.9, attraction_weight=1.5, repulsion_weight=0.5, reduction="none"
    )
    torch.testing.assert_close(found.tolist(), cacr_loop(sides, 0.7, 0.9, 1.5, 0.5))


def test_golden_value() -> None:
    query = torch.tensor([1.0, 0.0], dtype=torch.float64)
    positives = torch.tensor([[0.6, 0.8], [0.8, 0.6]], dtype=torch.float64)
    negatives = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    near, far = ((query - points).square().sum(dim=1) for points in (positives, negatives))
    assert (expected_cost(near, 1.0) - expected_cost(far, -1.0)).item() == pytest.approx(-1.598931, abs=1e-6)


def test_without_sharpness_it_is_a_difference_of_mean_distances() -> None:
    first, second = (F.normalize(side, dim=1) for side in views(2))
    distances = (first[:, None] - second).square().sum(-1)
    aligned, apart = distances.diagonal().mean(), distances[~torch.eye(4, dtype=torch.bool)].mean()
    torch.testing.assert_close(cacr(first, second, attraction_sharpness=0.0, repulsion_sharpness=0.0), aligned - apart)


def test_one_positive_is_alignment_and_the_loss_is_bounded() -> None:
    first, second = (F.normalize(side, dim=1) for side in views(2))
    torch.testing.assert_close(cacr(first, second, repulsion_weight=0.0), (first - second).square().sum(1).mean())
    poles = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    assert cacr(poles, poles).item() == pytest.approx(-4.0) and cacr(poles, poles.flip(0)).item() == pytest.approx(4.0)


def test_gradients_run_through_the_weights_unless_detached() -> None:
    leaves = tuple(view.requires_grad_() for view in views())
    assert torch.autograd.gradcheck(lambda *sides: cacr(*sides), leaves)
    plain, detached = (torch.autograd.grad(cacr(*leaves, detach_weights=flag), leaves[0])[0] for flag in (False, True))
    assert cacr(*leaves, detach_weights=True).item() == pytest.approx(cacr(*leaves).item())
    assert not torch.allclose(plain, detached)
    costs = torch.tensor([1.0, 3.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(expected_cost(costs, 0.5, detach_weights=True), costs)
    torch.testing.assert_close(slope, (0.5 * costs.detach()).softmax(0))


def test_one_view_is_refused() -> None:
    with pytest.raises(ValueError, match="got 1"):
        cacr(views(1)[0])
