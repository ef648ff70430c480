"""Alignment and uniformity against pairwise distances in float64, and against the metrics of the same names."""

import math
from collections.abc import Callable
from itertools import combinations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common import evaluation
from antiphon.common.objectives import ViewOutputs, ViewsObjective, align_uniform, alignment, cross_uniformity, uniformity

TOY_A = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
TOY_B = torch.tensor([[0.6, 0.8], [0.0, 1.0]], dtype=torch.float64)


def views(batch: int = 6, dim: int = 3, count: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return list(torch.randn(count, batch, dim, generator=generator, dtype=torch.float64))


def distance(a: Tensor, b: Tensor) -> float:
    return math.dist((a / a.norm()).tolist(), (b / b.norm()).tolist())


def test_golden_values() -> None:
    assert alignment(TOY_A, TOY_B).item() == pytest.approx(0.4)
    assert uniformity(TOY_A).item() == pytest.approx(-4.0)
    assert uniformity(TOY_B).item() == pytest.approx(-0.8)
    assert cross_uniformity(TOY_A, TOY_B).item() == pytest.approx(-1.453194, abs=1e-6)
    assert uniformity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).item() == pytest.approx(-8.0)


@pytest.mark.parametrize("t", [0.5, 2.0, 300.0])
def test_matches_the_loop(t: float) -> None:
    first, second = views()
    pairs = [distance(first[i], first[j]) for i, j in combinations(range(6), 2)]
    log_mean = torch.tensor([-t * d**2 for d in pairs], dtype=torch.float64).logsumexp(0) - math.log(len(pairs))
    torch.testing.assert_close(uniformity(first, t=t), log_mean)
    pairs = [distance(first[i], second[j]) for i in range(6) for j in range(6) if i != j]
    log_mean = torch.tensor([-t * d**2 for d in pairs], dtype=torch.float64).logsumexp(0) - math.log(len(pairs))
    torch.testing.assert_close(cross_uniformity(first, second, t=t), log_mean)


@pytest.mark.parametrize("alpha", [1.0, 2.0, 3.0])
def test_alignment_matches_the_loop(alpha: float) -> None:
    first, second = views()
    expected = [distance(a, b) ** alpha for a, b in zip(first, second, strict=True)]
    assert alignment(first, second, alpha=alpha, reduction="none").tolist() == pytest.approx(expected)


def test_gradients_are_those_of_the_form_with_distances() -> None:
    leaf = views()[0].requires_grad_()
    (ours,) = torch.autograd.grad(uniformity(leaf), leaf)
    plain = torch.pdist(F.normalize(leaf, dim=-1)).square().mul(-2.0).exp().mean().log()
    torch.testing.assert_close(torch.autograd.grad(plain, leaf)[0], ours)


def test_metrics_of_the_same_names_agree() -> None:
    first, second = views()
    assert evaluation.alignment(first, second, alpha=3.0) == pytest.approx(alignment(first, second, alpha=3.0).item())
    assert evaluation.uniformity(first, t=3.0) == pytest.approx(uniformity(first, t=3.0).item())


def test_identities_and_bounds() -> None:
    first, second = views()
    assert alignment(first, 3.0 * first).item() == pytest.approx(0.0, abs=1e-30)
    assert uniformity(torch.ones(5, 3)).item() == pytest.approx(0.0, abs=1e-6)
    assert -8.0 <= uniformity(first).item() < 0.0
    torch.testing.assert_close(cross_uniformity(first, first), uniformity(first))
    assert uniformity(first[:1]).item() == cross_uniformity(first[:1], second[:1]).item() == 0.0


@pytest.mark.parametrize("alpha", [1.0, 2.0, 3.0])
def test_equal_rows_have_a_finite_gradient(alpha: float) -> None:
    """The form with pairwise distances has none: the square root's slope at 0 is infinite."""
    leaf = torch.ones(4, 3, requires_grad=True)
    loss = alignment(leaf, leaf.detach(), alpha=alpha) + uniformity(leaf)
    assert torch.autograd.grad(loss, leaf)[0].isfinite().all()


def test_the_sum_is_of_its_terms() -> None:
    a, b, c = views(count=3)
    weights = {"alignment_weight": 0.5, "uniformity_weight": 2.0, "cross_weight": 0.3}
    expected = 0.5 * (alignment(a, b) + alignment(a, c) + alignment(b, c)) / 3
    expected = expected + 2.0 * (uniformity(a) + uniformity(b) + uniformity(c)) / 3
    expected = expected + 0.3 * (cross_uniformity(a, b) + cross_uniformity(a, c) + cross_uniformity(b, c)) / 3
    torch.testing.assert_close(align_uniform(a, b, c, **weights), expected)
    torch.testing.assert_close(align_uniform(a, b), alignment(a, b) + (uniformity(a) + uniformity(b)) / 2)
    assert align_uniform(a, b, alignment_weight=0.0, uniformity_weight=0.0).item() == 0.0
    outputs = ViewOutputs(index=torch.arange(6), projections=[a, b, c])
    torch.testing.assert_close(ViewsObjective(align_uniform, **weights)(outputs), expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a, b: alignment(a, b, alpha=0.5), "alpha is 0.5: use 1 or more"),
        (lambda a, b: cross_uniformity(a, b[:2]), "views must all be"),
        (lambda a, b: align_uniform(a), "got 1: pass two or more"),
    ],
)
def test_errors_name_the_value(call: Callable[[Tensor, Tensor], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(*views())
