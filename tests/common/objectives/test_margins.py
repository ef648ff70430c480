"""Margins that move: by the number of the step, by gradient, by the number of negatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from antiphon.common.objectives import (
    LearnedMargin,
    PairObjective,
    ScheduledMargin,
    SimoMargin,
    cosine_margin,
    nt_xent,
    simo_margin,
)
from antiphon.common.objectives.base import ViewOutputs

TEMPERATURE = 0.03


def views(seed: int = 0, *, rows: int = 6, agreement: float = 1.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    first, other = torch.randn(2, rows, 16, generator=generator, dtype=torch.float64)
    return first, agreement * first + other


def outputs(first: Tensor, second: Tensor, step: int = 0) -> ViewOutputs:
    return ViewOutputs(index=torch.arange(len(first)), projections=[first, second], step=step)


def with_gradient(loss: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    first, second = views()
    first.requires_grad_()
    value = loss(first, second)
    return value, torch.autograd.grad(value, first)[0]


@pytest.mark.parametrize("kind", ["additive", "angular"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_margin_zero_is_nt_xent_bit_for_bit(kind: Any, symmetric: bool) -> None:
    plain = PairObjective(nt_xent, temperature=TEMPERATURE, symmetric=symmetric)
    options: dict[str, Any] = {"temperature": TEMPERATURE, "symmetric": symmetric, "margin_kind": kind}
    for objective in (
        ScheduledMargin(steps=100, **options),
        LearnedMargin(initial=0.0, reward=0.0, **options),
        SimoMargin(pretended=1, **options),
    ):
        value, gradient = with_gradient(lambda a, b, objective=objective: objective(outputs(a, b, step=0)))
        expected, expected_gradient = with_gradient(lambda a, b: plain(outputs(a, b)))
        assert torch.equal(value, expected)
        if kind == "additive":
            assert torch.equal(gradient, expected_gradient)
        else:
            torch.testing.assert_close(gradient, expected_gradient, rtol=1e-9, atol=1e-12)


def test_the_loss_rises_with_the_margin_by_at_most_margin_over_temperature() -> None:
    first, second = views()
    margins = [0.0, 0.05, 0.1, 0.2, 0.5]
    losses = [float(nt_xent(first, second, temperature=TEMPERATURE, margin=margin)) for margin in margins]
    rises = [(high - low) * TEMPERATURE for low, high in pairwise(losses)]
    steps = [high - low for low, high in pairwise(margins)]
    assert all(0 < rise <= step + 1e-12 for rise, step in zip(rises, steps, strict=True))
    far = [float(nt_xent(*views(agreement=-1.0), temperature=TEMPERATURE, margin=margin)) for margin in (0.0, 0.1)]
    assert far[1] - far[0] == pytest.approx(0.1 / TEMPERATURE, rel=1e-3)  # negatives dominate
    near = [float(nt_xent(*views(agreement=50.0), temperature=TEMPERATURE, margin=margin)) for margin in (0.0, 0.1)]
    assert near[1] / near[0] == pytest.approx(math.exp(0.1 / TEMPERATURE), rel=1e-2)  # well separated


def test_the_schedule_is_a_half_cosine_over_half_of_training_and_needs_no_state() -> None:
    assert [cosine_margin(step, 100, margin=0.2) for step in (0, 25, 50, 99)] == pytest.approx([0.0, 0.1, 0.2, 0.2])
    assert cosine_margin(0, 100, margin=0.2, rise=0.0) == 0.2
    objective = ScheduledMargin(steps=100, highest=0.2, temperature=TEMPERATURE)
    assert not objective.state_dict()
    first, second = views()
    for step in (70, 25, 0):  # in any order
        expected = nt_xent(first, second, temperature=TEMPERATURE, margin=cosine_margin(step, 100, margin=0.2))
        assert torch.equal(objective(outputs(first, second, step)), expected)


def test_a_learned_margin_comes_to_rest_where_negatives_have_their_share() -> None:
    first, second = views(rows=8, agreement=1.5)
    objective = LearnedMargin(initial=0.0, highest=0.9, reward=0.3, temperature=TEMPERATURE).double()
    optimizer = torch.optim.Adam(objective.parameters(), lr=3e-3)
    for _ in range(400):
        optimizer.zero_grad()
        objective(outputs(first, second)).backward()
        optimizer.step()
        objective.after_update()
    margin = objective.learned.detach().clone().requires_grad_()
    loss = nt_xent(first, second, temperature=TEMPERATURE, margin=margin)
    share = torch.autograd.grad(loss, margin)[0] * TEMPERATURE  # what negatives have of the softmax, on the mean
    assert 0.0 < margin.item() < 0.9 and share.item() == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize(("reward", "end"), [(0.0, 0.0), (0.99, 0.2)])
def test_a_learned_margin_stays_between_its_bounds(reward: float, end: float) -> None:
    objective = LearnedMargin(initial=0.1, highest=0.2, reward=reward, temperature=TEMPERATURE)
    optimizer = torch.optim.SGD(objective.parameters(), lr=0.1)
    first, second = (view.float() for view in views(agreement=30.0 if reward else -1.0))
    for _ in range(5):
        optimizer.zero_grad()
        objective(outputs(first, second)).backward()
        optimizer.step()
        objective.after_update()
    assert objective.learned.item() == pytest.approx(end)


def test_the_simo_margin_makes_few_negatives_weigh_as_many() -> None:
    assert simo_margin(0.03, negatives=510) == pytest.approx(0.03 * math.log(65536 / 510))
    assert simo_margin(0.03, negatives=100, pretended=50) == 0.0 and simo_margin(0.03, negatives=0) == 0.0
    first, second = views(rows=5)
    unit = torch.nn.functional.normalize(first, dim=-1), torch.nn.functional.normalize(second, dim=-1)
    cosines = unit[0] @ unit[1].T
    positive = cosines.diagonal()[:, None]
    negatives = cosines[~torch.eye(5, dtype=torch.bool)].view(5, 4)
    many = torch.cat((positive, negatives.repeat(1, 25)), dim=1) / TEMPERATURE  # each of the 4 a hundred times over 4
    expected = (many.logsumexp(dim=1) - many[:, 0]).mean()
    simo = SimoMargin(pretended=100, temperature=TEMPERATURE, symmetric=False)
    torch.testing.assert_close(simo(outputs(first, second)), expected)
    assert SimoMargin(pretended=100, temperature=TEMPERATURE).margin(outputs(first, second)) == simo_margin(
        TEMPERATURE, negatives=8, pretended=100
    )


def test_losses_of_examples_average_to_the_loss() -> None:
    given = outputs(*views(), step=30)
    for objective in (ScheduledMargin(steps=100), LearnedMargin(), SimoMargin()):
        rows = objective.per_example(given)
        assert rows.shape == (6,)
        torch.testing.assert_close(rows.mean(), objective(given))


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="rise between 0 and 1"):
        ScheduledMargin(steps=10, rise=2.0)
    with pytest.raises(ValueError, match=r"0 <= reward < 1, got 0\.1, 0\.5 and 1\.0"):
        LearnedMargin(reward=1.0)
