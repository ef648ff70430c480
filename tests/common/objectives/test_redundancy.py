"""VICReg and Barlow Twins against loops in float64, golden values and what their statistics cannot see."""

import math

import pytest
import torch
from torch import Tensor

from antiphon.common.objectives.redundancy import barlow_twins, vicreg

FIRST = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
SECOND = torch.tensor([[1.0, 0.5], [0.0, 1.0], [-1.0, -1.5]], dtype=torch.float64)


def views(batch: int = 7, dim: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.randn(2, batch, dim, generator=generator, dtype=torch.float64)
    return 0.6 * first, 0.6 * first + 0.4 * second + 0.3


def covariance_loop(first: Tensor, second: Tensor, d: int, e: int, divisor: int) -> float:
    xs, ys = first[:, d].tolist(), second[:, e].tolist()
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / divisor


def vicreg_loop(first: Tensor, second: Tensor, halve_variance: bool) -> tuple[float, float, float]:
    """Invariance, variance and covariance, unweighted."""
    batch, dim = first.shape
    pairs = zip(first.flatten().tolist(), second.flatten().tolist(), strict=True)
    invariance = sum((x - y) ** 2 for x, y in pairs) / (batch * dim)
    variance = covariance = 0.0
    for view in (first, second):
        for d in range(dim):
            variance += max(0.0, 1 - math.sqrt(covariance_loop(view, view, d, d, batch - 1) + 1e-4)) / dim
            covariance += sum(covariance_loop(view, view, d, e, batch - 1) ** 2 for e in range(dim) if e != d) / dim
    return invariance, variance / 2 if halve_variance else variance, covariance


def barlow_loop(first: Tensor, second: Tensor, off_diagonal: float) -> float:
    batch, dim = first.shape
    total = 0.0
    for d in range(dim):
        for e in range(dim):
            scales = [
                math.sqrt(covariance_loop(view, view, column, column, batch) + 1e-5) for view, column in ((first, d), (second, e))
            ]
            correlation = covariance_loop(first, second, d, e, batch) / (scales[0] * scales[1])
            total += (1 - correlation) ** 2 if d == e else off_diagonal * correlation**2
    return total


def test_golden_values() -> None:
    assert vicreg(FIRST, SECOND).item() == pytest.approx(10 / 3, abs=1e-6)
    parts = [vicreg(FIRST, SECOND, invariance=i, variance=v, covariance=c).item() for i, v, c in torch.eye(3).tolist()]
    assert parts == pytest.approx([0.083333, 0.0, 1.25], abs=1e-6)
    assert barlow_twins(FIRST, SECOND).item() == pytest.approx(0.007143, abs=1e-6)
    assert barlow_twins(FIRST, FIRST).item() == pytest.approx(0.0025, abs=1e-6)
    row, column = torch.arange(4, dtype=torch.float64)[:, None], torch.arange(3, dtype=torch.float64)
    sines, cosines = torch.sin(1 + row + 0.5 * column), torch.cos(0.3 + 0.8 * row + 0.4 * column)
    weights = {"invariance": 1.0, "variance": 1.0, "covariance": 0.1}
    assert vicreg(sines, cosines, **weights).item() == pytest.approx(0.460842, abs=1e-6)
    assert vicreg(sines, cosines, halve_variance=False, **weights).item() == pytest.approx(0.661355, abs=1e-6)


@pytest.mark.parametrize("halve_variance", [True, False])
def test_vicreg_matches_the_loop(halve_variance: bool) -> None:
    first, second = views()
    invariance, variance, covariance = vicreg_loop(first, second, halve_variance)
    assert min(invariance, variance, covariance) > 1e-3  # every part is tested
    found = vicreg(first, second, invariance=3.0, variance=5.0, covariance=0.7, halve_variance=halve_variance)
    assert found.item() == pytest.approx(3.0 * invariance + 5.0 * variance + 0.7 * covariance)


def test_barlow_twins_matches_the_loop() -> None:
    first, second = views()
    expected = barlow_loop(first, second, 0.02)
    assert barlow_twins(first, second, off_diagonal=0.02).item() == pytest.approx(expected)
    assert barlow_twins(first, second, off_diagonal=0.02, scale=0.025).item() == pytest.approx(0.025 * expected)


def test_vicreg_is_zero_where_columns_are_apart_and_spread() -> None:
    signs = torch.tensor([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    assert vicreg(signs, signs).item() == 0.0
    assert vicreg(signs, signs + 3.0).item() == pytest.approx(25.0 * 9.0)  # a shift is seen by the invariance term alone
    first, second = views()
    apart = vicreg(first + 5.0, second - 7.0, invariance=0.0)
    torch.testing.assert_close(apart, vicreg(first, second, invariance=0.0))


def test_barlow_twins_sees_neither_scale_nor_mean_of_a_column() -> None:
    first, second = (10.0 * view for view in views())  # batch norm's epsilon is nothing beside this variance
    scale = torch.tensor([100.0, 20.0, 3.0, 50.0], dtype=torch.float64)
    changed = barlow_twins(first * scale + 2.0, second * scale.flip(0) - 1.0)
    torch.testing.assert_close(changed, barlow_twins(first, second), rtol=1e-5, atol=0.0)
    alone = barlow_twins(first, first)
    torch.testing.assert_close(alone, 0.005 * barlow_twins(first, first, off_diagonal=1.0), rtol=1e-5, atol=0.0)


def test_constant_columns_are_pushed_apart_without_a_nan() -> None:
    flat = torch.ones(5, 3, dtype=torch.float64)
    assert vicreg(flat, flat).item() == pytest.approx(25.0 * (1 - 0.01))
    assert barlow_twins(flat, flat).item() == pytest.approx(3.0)


def test_errors() -> None:
    for loss in (vicreg, barlow_twins):
        with pytest.raises(ValueError, match="at least 2 examples over all processes, got 1"):
            loss(FIRST[:1], SECOND[:1])
        with pytest.raises(ValueError, match=r"one shape, got \[\(3, 2\), \(2, 2\)\]"):
            loss(FIRST, SECOND[:2])
