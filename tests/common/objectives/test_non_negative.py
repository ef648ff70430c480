"""Non-negative contrast: where it is NT-Xent, its floor, and that it tells coordinates apart."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives import dcl, non_negative, nt_xent, rep_relu


def views(batch: int = 6, dim: int = 4) -> tuple[Tensor, Tensor]:
    first, second = torch.randn(2, batch, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return first, second


def test_rep_relu_is_relu_with_the_gradient_of_gelu() -> None:
    values = torch.linspace(-3.0, 3.0, 25, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(rep_relu(values), values.relu())
    found, expected = (torch.autograd.grad(function(values).sum(), values)[0] for function in (rep_relu, F.gelu))
    torch.testing.assert_close(found, expected)
    assert found[0] != 0  # where ReLU has none


def test_without_negative_entries_it_is_the_loss_itself() -> None:
    first, second = (view.abs() for view in views())
    torch.testing.assert_close(non_negative(first, second, temperature=0.3), nt_xent(first, second, temperature=0.3))
    torch.testing.assert_close(non_negative(first, second, loss=dcl), dcl(first, second))


def test_it_is_the_loss_of_the_activated_views() -> None:
    first, second = views()
    expected = nt_xent(first.relu(), second.relu(), temperature=0.3, margin=0.1, reduction="none")
    torch.testing.assert_close(non_negative(first, second, temperature=0.3, margin=0.1, reduction="none"), expected)
    torch.testing.assert_close(non_negative(first, second, activation=torch.sigmoid), nt_xent(first.sigmoid(), second.sigmoid()))


def test_floor_is_that_of_orthogonal_examples() -> None:
    apart = torch.eye(6, dtype=torch.float64)
    floor = math.log1p(10 * math.exp(-1 / 0.3))
    assert non_negative(apart, apart, temperature=0.3).item() == pytest.approx(floor)
    assert nt_xent(*(view - view.mean() for view in (apart, apart)), temperature=0.3).item() < floor  # negative cosines go below it
    assert non_negative(*views(), temperature=0.3).item() > floor


def test_coordinates_may_be_exchanged_but_not_mixed() -> None:
    first, second = views()
    loss = non_negative(first, second)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(non_negative(first[:, order], second[:, order]), loss)
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)).Q
    torch.testing.assert_close(nt_xent(first @ rotation, second @ rotation), nt_xent(first, second))
    assert abs(non_negative(first @ rotation, second @ rotation) - loss) > 1e-2


def test_a_row_without_positive_entries_has_a_way_back() -> None:
    first, second = (view.float() for view in views())
    first[0] = -first[0].abs()
    gradients = {}
    for activation in (rep_relu, torch.relu):
        leaf = first.clone().requires_grad_()
        non_negative(leaf, second, activation=activation).backward()
        assert leaf.grad is not None and leaf.grad.isfinite().all()
        gradients[activation] = leaf.grad[0]
    assert gradients[rep_relu].any() and not gradients[torch.relu].any()
    assert gradients[rep_relu].abs().max() < 1.0
