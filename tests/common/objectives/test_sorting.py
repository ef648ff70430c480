"""GroCo: the whole sorting matrix by loops, golden values of one pair, and what sorting must not depend on."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives import groco
from antiphon.common.objectives.sorting import mass_at_the_end


def views(count: int = 2, batch: int = 5, dim: int = 3) -> list[Tensor]:
    return list(torch.randn(count, batch, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64))


def order_loop(values: list[float], steepness: float, art: float) -> list[list[float]]:
    """The soft permutation matrix: how much of the element (column) is at the place (row)."""
    size = len(values)
    matrix = [[float(i == j) for j in range(size)] for i in range(size)]
    for layer in range(size):
        for i in range(layer % 2, size - 1, 2):
            gap = values[i + 1] - values[i]
            keep = math.atan(steepness * math.copysign(abs(gap) ** (1 - art), gap)) / math.pi + 0.5
            a, b = values[i], values[i + 1]
            values[i], values[i + 1] = keep * a + (1 - keep) * b, keep * b + (1 - keep) * a
            above, below = matrix[i], matrix[i + 1]
            matrix[i] = [keep * x + (1 - keep) * y for x, y in zip(above, below, strict=True)]
            matrix[i + 1] = [keep * y + (1 - keep) * x for x, y in zip(above, below, strict=True)]
    return matrix


def groco_loop(sides: list[Tensor], negatives: int, steepness: float, art: float) -> list[float]:
    unit, losses = [F.normalize(side, dim=1) for side in sides], []
    for v, view in enumerate(unit):
        for i, anchor in enumerate(view):
            positive = sorted(float(anchor @ other[i]) for w, other in enumerate(unit) if w != v)
            negative = sorted(float(anchor @ row) for j, row in enumerate(view) if j != i)[-negatives:]
            matrix = order_loop([*negative, *positive], steepness, art)
            size, half = len(matrix), []
            for places, wanted in ((range(len(negative), size), range(len(negative), size)), (range(len(negative)),) * 2):
                mass = [sum(matrix[place][element] for place in places) for element in range(size)]
                half.append(-sum(math.log(m if e in wanted else 1 - m) for e, m in enumerate(mass)) / size)
            losses.append(sum(half) / 2)
    return losses


@pytest.mark.parametrize(("count", "negatives", "art"), [(2, 3, 0.25), (3, 2, 0.0), (4, 10, 0.25)])
def test_the_loop_with_both_halves_of_the_published_loss(count: int, negatives: int, art: float) -> None:
    sides = views(count)
    found = groco(*sides, negatives=negatives, steepness=2.0, art=art, reduction="none")
    torch.testing.assert_close(found.tolist(), groco_loop(sides, negatives, 2.0, art))


def test_one_pair_is_minus_the_log_of_its_share() -> None:
    values = torch.tensor([0.1, 0.4], dtype=torch.float64)
    for art, golden in ((0.0, 0.522943), (0.25, 0.473872)):
        mass = mass_at_the_end(values, 1, steepness=1.0, art=art)
        loss = F.binary_cross_entropy(mass, torch.tensor([0.0, 1.0], dtype=torch.float64))
        assert loss.item() == pytest.approx(golden, abs=1e-6)
        assert loss.item() == pytest.approx(-math.log(math.atan(0.3 ** (1 - art)) / math.pi + 0.5))


def test_mass_is_shared_out_and_follows_the_values() -> None:
    values = torch.randn(6, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mass = mass_at_the_end(values, 3, steepness=5.0, art=0.25)
    torch.testing.assert_close(mass.sum(dim=1), torch.full((6,), 3.0, dtype=torch.float64))
    assert (mass >= 0.0).all() and (mass <= 1.0).all()
    hard = mass_at_the_end(values, 3, steepness=1e9, art=0.0)
    torch.testing.assert_close(hard, torch.zeros_like(hard).scatter(1, values.topk(3).indices, 1.0), atol=1e-6, rtol=0)


def test_every_element_is_in_one_place() -> None:
    values = torch.randn(5, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    upper = mass_at_the_end(values, 2, steepness=1.0, art=0.25)
    torch.testing.assert_close(mass_at_the_end(values, 4, steepness=1.0, art=0.25), torch.ones_like(upper))
    torch.testing.assert_close(mass_at_the_end(-values.flip(1), 2, steepness=1.0, art=0.25).flip(1), 1.0 - upper)


def test_ties_have_a_finite_gradient() -> None:
    values = torch.zeros(2, 6, requires_grad=True)
    mass_at_the_end(values, 2, steepness=1.0, art=0.25)[:, -1].sum().backward()
    assert values.grad is not None and values.grad.isfinite().all() and values.grad.any()


def test_only_anchors_learn_unless_asked_otherwise() -> None:
    leaves = tuple(view.requires_grad_() for view in views(3))
    assert torch.autograd.gradcheck(lambda *sides: groco(*sides, stop_gradient=False), leaves)
    rows = groco(*leaves, reduction="none")
    (gradient, *others) = torch.autograd.grad(rows[0], leaves, retain_graph=True)
    assert gradient[0].any() and not gradient[1:].any() and not any(other.any() for other in others)
    constants = [leaf.detach() for leaf in leaves]
    (free,) = torch.autograd.grad(groco(leaves[0], *constants[1:], stop_gradient=False, reduction="none")[0], leaves[0])
    torch.testing.assert_close(free[0], gradient[0])


def test_too_little_to_sort_is_refused() -> None:
    with pytest.raises(ValueError, match="got 1 views"):
        groco(views()[0])
    with pytest.raises(ValueError, match="negatives=0"):
        groco(*views(), negatives=0)
