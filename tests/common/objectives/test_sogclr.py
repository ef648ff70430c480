"""SogCLR and iSogCLR: the moving averages step by step, the surrogate's gradient, DCL at gamma = 1, slopes against autograd."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives import ISogCLR, Objective, SogCLR, ViewOutputs, dcl, isogclr, sogclr

EXAMPLES = 9
UNSEEN = torch.full((4,), -torch.inf, dtype=torch.float64)


def views(batch: int = 4, dim: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    first, noise = torch.randn(2, batch, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return first, first + noise


def cosines(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Positive (2B,) and negative (2B, 2B - 2) cosines of every anchor."""
    rows, batch = F.normalize(torch.cat((first, second)), dim=1), len(first)
    products = rows @ rows.T
    negative = ~torch.eye(batch, dtype=torch.bool).repeat(2, 2)
    return products.diagonal(batch).repeat(2), products[negative].view(2 * batch, -1)


class Rows:
    """Stands for a training set: only its length counts."""

    def __len__(self) -> int:
        return EXAMPLES


def prepared(objective: Objective) -> Objective:
    objective.prepare(Rows())  # type: ignore[arg-type]
    return objective.double()


def batch(step: int) -> ViewOutputs:
    index = torch.arange(step, step + 4) % EXAMPLES
    return ViewOutputs(index=index, projections=list(views(seed=step)))


def test_averages_and_gradient_match_their_definition() -> None:
    first, second = (view.requires_grad_() for view in views())
    old = torch.tensor([0.5, 2.0, -torch.inf, 1.0], dtype=torch.float64)
    loss, moved = sogclr(first, second, old, temperature=0.4, gamma=0.3)
    positive, negative = cosines(first, second)
    weights = (negative.detach() / 0.4).exp()
    means = weights.mean(dim=1)
    seen = old.isfinite().repeat(2)
    averages = torch.where(seen, 0.7 * old.exp().repeat(2) + 0.3 * means, means)
    surrogate = (-positive + (weights / averages[:, None] * negative).mean(dim=1)).mean()
    for found, expected in zip(
        torch.autograd.grad(loss, (first, second)), torch.autograd.grad(surrogate, (first, second)), strict=True
    ):
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(moved.exp(), averages.view(2, 4).mean(dim=0))
    assert not moved.requires_grad


def test_with_gamma_one_or_at_first_sight_it_is_temperature_times_dcl() -> None:
    leaves = tuple(view.requires_grad_() for view in views())
    expected = 0.3 * dcl(*leaves, temperature=0.3)
    for averages, gamma in ((torch.zeros(4, dtype=torch.float64), 1.0), (UNSEEN, 0.2)):
        loss, _ = sogclr(*leaves, averages, temperature=0.3, gamma=gamma)
        torch.testing.assert_close(loss, expected)
        for found, reference in zip(
            torch.autograd.grad(loss, leaves), torch.autograd.grad(expected, leaves, retain_graph=True), strict=True
        ):
            torch.testing.assert_close(found, reference, rtol=1e-9, atol=1e-12)
        individual, _, _ = isogclr(*leaves, averages, torch.full((4,), 0.3, dtype=torch.float64), gamma=gamma)
        torch.testing.assert_close(individual, expected)


def test_gamma_zero_freezes_the_averages() -> None:
    old = torch.tensor([0.5, 2.0, 0.1, 1.0], dtype=torch.float64)
    _, moved = sogclr(*views(), old, gamma=0.0)
    torch.testing.assert_close(moved, old)
    _, moved, _ = isogclr(*views(), old, torch.full((4,), 0.3, dtype=torch.float64), gamma=0.0)
    torch.testing.assert_close(moved, old)


def test_slopes_are_the_derivative_of_the_objective_in_the_temperatures() -> None:
    first, second = views()
    tau = torch.tensor([0.1, 0.3, 0.5, 0.9], dtype=torch.float64, requires_grad=True)
    _, moved, slopes = isogclr(first, second, UNSEEN, tau, gamma=0.8, rho=0.4)
    positive, negative = cosines(first, second)
    rows = tau.repeat(2)
    log_means = ((negative - positive[:, None]) / rows[:, None]).exp().mean(dim=1).log()
    (expected,) = torch.autograd.grad((rows * log_means + rows * 0.4).sum() / 2, tau)  # the mean over both views
    torch.testing.assert_close(slopes, expected)
    torch.testing.assert_close(moved.exp(), log_means.exp().view(2, 4).mean(dim=0))
    assert not slopes.requires_grad


def test_slopes_with_a_history_follow_the_estimator() -> None:
    first, second = (view.requires_grad_() for view in views())
    old, tau = torch.tensor([0.5, 2.0, -0.3, 1.0], dtype=torch.float64), torch.tensor([0.2, 0.3, 0.5, 0.9], dtype=torch.float64)
    loss, _, slopes = isogclr(first, second, old, tau, gamma=0.3, rho=0.1)
    positive, negative = cosines(first, second)
    scaled = (negative - positive[:, None]) / tau.repeat(2)[:, None]
    averages = 0.7 * old.exp().repeat(2) + 0.3 * scaled.detach().exp().mean(dim=1)
    weights = scaled.detach().exp() / averages[:, None]
    estimate = averages.log() + 0.1 - (weights * scaled).mean(dim=1)
    torch.testing.assert_close(slopes, estimate.detach().view(2, 4).mean(dim=0))
    surrogate = (weights * (negative - positive[:, None])).mean()
    for found, expected in zip(
        torch.autograd.grad(loss, (first, second)), torch.autograd.grad(surrogate, (first, second)), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_extreme_temperatures_stay_finite() -> None:
    first, second = (view.float().requires_grad_() for view in (views()[0], -views()[0]))
    loss, moved, slopes = isogclr(first, second, UNSEEN.float(), torch.full((4,), 0.005), gamma=0.5)
    gradients = torch.autograd.grad(loss, (first, second))
    assert all(tensor.isfinite().all() for tensor in (loss, moved, slopes, *gradients))
    assert moved.max() > 89.0  # exp of it overflows float32: why it is kept as a logarithm


def test_the_memory_belongs_to_the_training_examples() -> None:
    objective = prepared(SogCLR(temperature=0.4, gamma=0.3))
    expected = torch.full((EXAMPLES,), -torch.inf, dtype=torch.float64)
    for step in range(4):
        now = batch(step)
        loss, moved = sogclr(*now.projections, expected[now.index], temperature=0.4, gamma=0.3)
        torch.testing.assert_close(objective(now), loss)
        expected[now.index] = moved
        torch.testing.assert_close(objective.averages, expected)
    assert expected.isneginf().tolist() == [False] * 7 + [True] * 2


def test_temperatures_descend_their_clipped_and_averaged_slopes() -> None:
    settings: dict[str, Any] = {"gamma": 0.8, "rho": 6.0}
    objective = prepared(ISogCLR(temperature=0.1, temperature_lr=0.03, slope_share=0.25, slope_limit=0.5, **settings))
    now = batch(2)
    _, _, slopes = isogclr(*now.projections, objective.averages[now.index], objective.temperatures[now.index], **settings)
    objective(now)
    clipped = 0.25 * slopes.clamp(-0.5, 0.5)
    assert (slopes > 0.5).any()
    torch.testing.assert_close(objective.slopes[now.index], clipped)
    torch.testing.assert_close(objective.temperatures[now.index], (0.1 - 0.03 * clipped).clamp(0.005, 1.0))
    assert (objective.temperatures[:2] == torch.tensor(0.1).double()).all()
    for _ in range(40):  # a large rho drives them to the lower bound and no further
        objective(now)
    assert objective.temperatures.min().item() == 0.005


@pytest.mark.parametrize("kind", [SogCLR, ISogCLR])
def test_state_is_taken_in_by_training_only_and_resumed(kind: type[SogCLR]) -> None:
    objective, resumed = prepared(kind()), prepared(kind())
    objective(batch(0))
    state = {name: value.clone() for name, value in objective.state_dict().items()}
    objective.eval()(batch(1))
    for name, value in objective.state_dict().items():
        torch.testing.assert_close(value, state[name])
    resumed.load_state_dict(state)
    objective.train()
    for step in (1, 2):
        torch.testing.assert_close(resumed(batch(step)), objective(batch(step)))


@pytest.mark.parametrize("kind", [SogCLR, ISogCLR])
def test_a_batch_of_one_teaches_nothing(kind: type[SogCLR]) -> None:
    objective = prepared(kind())
    leaf = torch.ones(1, 3, dtype=torch.float64, requires_grad=True)
    loss = objective(ViewOutputs(index=torch.tensor([5]), projections=[leaf, leaf * 2.0]))
    loss.backward()
    assert loss.item() == 0.0 and leaf.grad is not None and not leaf.grad.any()
    assert objective.averages.isneginf().all()  # nothing was seen


def test_readable_errors() -> None:
    with pytest.raises(ValueError, match="memory of 0 examples"):
        SogCLR()(batch(0))
    with pytest.raises(ValueError, match="got 3"):
        prepared(SogCLR())(ViewOutputs(index=torch.arange(4), projections=[*views(), views()[0]]))
    with pytest.raises(ValueError, match=r"gamma is 1\.5"):
        SogCLR(gamma=1.5)


def test_log_averages_are_logarithms_of_moving_means() -> None:
    """Twenty steps of one batch: the average goes to the mean it sees, and the loss to temperature times DCL."""
    objective = prepared(SogCLR(temperature=0.5, gamma=0.5))
    objective.averages.fill_(math.log(100.0))
    losses = [objective(batch(0)).item() for _ in range(40)]
    assert losses[0] < losses[1] < losses[-1] == pytest.approx(0.5 * dcl(*views(), temperature=0.5).item(), rel=0.05)
