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
    [
        ("constant", [1.0, 1.0, 1.0]),
        ("linear", [1.0, 0.5, 0.1]),
        ("cosine", [1.0, 0.5, 0.0245]),
        ("multistep", [1.0, 1.0, 0.1]),
        ("step", [1.0, 0.01, 0.0001]),
    ],
)
def test_schedules(schedule: str, at: list[float]) -> None:
    factor = OptimizerSettings(schedule=schedule, milestones=(0.75,), every=0.2)._factor(10)
    assert [factor(step) for step in (0, 5, 9)] == pytest.approx(at, abs=1e-3)


def test_warmup_rises_linearly_and_then_the_schedule_starts() -> None:
    factor = OptimizerSettings(schedule="linear", warmup=0.4)._factor(10)
    assert [factor(step) for step in range(6)] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 5 / 6])


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown optimizer 'adamax'"):
        OptimizerSettings(name="adamax").build(network(), 1)
    with pytest.raises(ValueError, match="unknown schedule 'steps'"):
        OptimizerSettings(schedule="steps").build(network(), 1)


def test_a_part_learns_at_its_share_of_the_rate() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    optimizer, schedule = OptimizerSettings(lr=0.1, schedule="cosine").build(first, 10, lr_factors=[(second, 0.01)])
    rates = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    for step in range(3):
        assert rates[id(second.weight)]["lr"] == pytest.approx(0.01 * rates[id(first.weight)]["lr"]), step
        optimizer.step()
        schedule.step()
    assert rates[id(second.bias)]["weight_decay"] == 0.0 < rates[id(second.weight)]["weight_decay"]


def test_five_epochs_of_a_hundred() -> None:
    factor = OptimizerSettings(schedule="step", gamma=0.95, every=0.05)._factor(700)  # 7 updates an epoch
    assert [factor(step) for step in (0, 34, 35, 69, 70, 699)] == pytest.approx([1.0, 1.0, 0.95, 0.95, 0.95**2, 0.95**19])
    with pytest.raises(ValueError, match="every is a share of all steps"):
        OptimizerSettings(schedule="step", every=0.0).build(network(), 10)
