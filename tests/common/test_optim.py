import pytest
import torch
from torch import nn

from antiphon.common.optim import LARS, OptimizerSettings, decay_groups


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))


def test_biases_and_norms_do_not_decay() -> None:
    decayed, kept = decay_groups(network(), 0.1)
    assert {parameter.ndim for parameter in decayed["params"]} == {2} and decayed["weight_decay"] == 0.1
    assert {parameter.ndim for parameter in kept["params"]} == {1} and kept["weight_decay"] == 0.0
    assert [group["weight_decay"] for group in decay_groups(network(), 0.1, decay_all=True)] == [0.1, 0.1]


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "lars"])
def test_every_optimizer_lowers_a_quadratic(name: str) -> None:
    net, target = network(), torch.randn(8, 2, generator=torch.Generator().manual_seed(1))
    signals = torch.randn(8, 3, generator=torch.Generator().manual_seed(2))
    optimizer, schedule = OptimizerSettings(name=name, lr=1.0 if name == "lars" else 0.03).build(net, 60)
    losses = []
    for _ in range(60):
        loss = (net(signals) - target).square().mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    assert losses[-1] < 0.8 * losses[0]


def test_lars_step_by_hand() -> None:
    weight = nn.Parameter(torch.tensor([[3.0, 4.0]]))
    optimizer = LARS([weight], lr=0.5, momentum=0.0, weight_decay=0.1, trust_coefficient=0.01)
    weight.grad = torch.tensor([[0.0, 1.0]])
    optimizer.step()
    step = torch.tensor([[0.3, 1.4]])  # gradient + decay
    expected = torch.tensor([[3.0, 4.0]]) - 0.5 * 0.01 * 5.0 / step.norm() * step
    torch.testing.assert_close(weight.detach(), expected)


@pytest.mark.parametrize(
    ("schedule", "at"),
    [("constant", [1.0, 1.0, 1.0]), ("linear", [1.0, 0.5, 0.1]), ("cosine", [1.0, 0.5, 0.0245]), ("multistep", [1.0, 1.0, 0.1])],
)
def test_schedules(schedule: str, at: list[float]) -> None:
    factor = OptimizerSettings(schedule=schedule, milestones=(0.75,))._factor(10)
    assert [factor(step) for step in (0, 5, 9)] == pytest.approx(at, abs=1e-3)


def test_warmup_rises_linearly_and_then_the_schedule_starts() -> None:
    factor = OptimizerSettings(schedule="linear", warmup=0.4)._factor(10)
    assert [factor(step) for step in range(6)] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 5 / 6])


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown optimizer 'adamax'"):
        OptimizerSettings(name="adamax").build(network(), 1)
    with pytest.raises(ValueError, match="unknown schedule 'steps'"):
        OptimizerSettings(schedule="steps").build(network(), 1)
