"""SwAV against loops in float64 and golden values; its prototypes and its queue over several updates."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives.base import ViewOutputs
from antiphon.common.objectives.prototypes import SwAV, sinkhorn, swav


def views(count: int = 2, batch: int = 5, dim: int = 4, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(count, batch, dim, generator=generator, dtype=torch.float64))


def outputs(several: list[Tensor]) -> ViewOutputs:
    return ViewOutputs(index=torch.arange(len(several[0])), projections=several)


def unit_prototypes(count: int = 3, dim: int = 4) -> Tensor:
    return F.normalize(torch.randn(count, dim, generator=torch.Generator().manual_seed(9), dtype=torch.float64), dim=-1)


def sinkhorn_loop(scores: list[list[float]], epsilon: float, iterations: int) -> list[list[float]]:
    """The published form, which divides by K and by B as it goes."""
    batch, prototypes = len(scores), len(scores[0])
    mass = [[math.exp(score / epsilon) for score in row] for row in scores]
    total = sum(map(sum, mass))
    mass = [[cell / total for cell in row] for row in mass]
    for _ in range(iterations):
        columns = [sum(row[k] for row in mass) for k in range(prototypes)]
        mass = [[cell / (columns[k] * prototypes) for k, cell in enumerate(row)] for row in mass]
        mass = [[cell / (sum(row) * batch) for cell in row] for row in mass]
    return [[cell * batch for cell in row] for row in mass]


def swav_loop(several: list[Tensor], prototypes: Tensor, temperature: float, epsilon: float, iterations: int) -> list[float]:
    units = [[row / row.norm() for row in view] for view in several]
    scores = [[[float(row @ prototype) for prototype in prototypes] for row in view] for view in units]
    losses = [0.0] * len(several[0])
    for coded in (0, 1):
        codes = sinkhorn_loop(scores[coded], epsilon, iterations)
        for number, view in enumerate(scores):
            if number == coded:
                continue
            for i, row in enumerate(view):
                lse = math.log(sum(math.exp(score / temperature) for score in row))
                entropy = sum(code * (lse - score / temperature) for code, score in zip(codes[i], row, strict=True))
                losses[i] += entropy / (2 * (len(several) - 1))
    return losses


def on_the_sphere(scores: Tensor) -> Tensor:
    """Unit vectors whose first coordinates are `scores`."""
    return torch.cat((scores, (1 - scores.square().sum(dim=1, keepdim=True)).sqrt()), dim=1)


def test_golden_values() -> None:
    codes = sinkhorn(torch.tensor([[0.2, 0.1], [0.1, 0.1], [0.0, 0.1]], dtype=torch.float64))
    golden = torch.tensor([[0.863962, 0.136038], [0.462221, 0.537779], [0.1042, 0.8958]], dtype=torch.float64)
    torch.testing.assert_close(codes, golden, atol=1e-6, rtol=0)
    row, column = torch.arange(4, dtype=torch.float64)[:, None], torch.arange(3, dtype=torch.float64)
    sines, cosines = torch.sin(1 + row + 0.5 * column), torch.cos(0.3 + 0.8 * row + 0.4 * column)
    codes = sinkhorn(F.normalize(sines, dim=-1) @ F.normalize(cosines, dim=-1).T)
    assert codes[0].tolist() == pytest.approx([0.999828, 0.000172, 0.0, 0.0], abs=1e-6)
    first = on_the_sphere(torch.tensor([[0.2, 0.1], [0.0, 0.1]], dtype=torch.float64))
    second = on_the_sphere(torch.tensor([[0.1, 0.0], [0.1, 0.2]], dtype=torch.float64))
    found = swav(first, second, prototypes=torch.eye(2, 3, dtype=torch.float64))
    assert found.item() == pytest.approx(0.438692, abs=1e-6)


@pytest.mark.parametrize("iterations", [1, 3])
def test_sinkhorn_matches_the_loop(iterations: int) -> None:
    scores = torch.randn(6, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = sinkhorn(scores, epsilon=0.3, iterations=iterations)
    torch.testing.assert_close(found.tolist(), sinkhorn_loop(scores.tolist(), 0.3, iterations))


def test_codes_are_balanced() -> None:
    scores = torch.rand(8, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + torch.eye(8, 4)
    codes = sinkhorn(scores)
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(8, dtype=torch.float64))
    torch.testing.assert_close(sinkhorn(scores, iterations=500).sum(dim=0), torch.full((4,), 2.0, dtype=torch.float64))
    torch.testing.assert_close(sinkhorn(torch.full((5, 4), 0.7)), torch.full((5, 4), 0.25))


def test_sharp_codes_do_not_overflow() -> None:
    scores = 2.0 * torch.rand(6, 3, generator=torch.Generator().manual_seed(1)) - 1.0
    codes = sinkhorn(scores, epsilon=0.002)  # e^500
    assert codes.isfinite().all()
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(6))
    halves = sinkhorn(scores.half())
    assert halves.dtype == torch.float32
    torch.testing.assert_close(halves, sinkhorn(scores), atol=0.01, rtol=0)


@pytest.mark.parametrize("count", [2, 4])
def test_swav_matches_the_loop(count: int) -> None:
    several, prototypes = views(count), unit_prototypes()
    options = {"temperature": 0.2, "epsilon": 0.1, "iterations": 2}
    found = swav(*several, prototypes=prototypes, reduction="none", **options)
    torch.testing.assert_close(found.tolist(), swav_loop(several, prototypes, **options))


def test_codes_are_constants_for_the_gradient() -> None:
    several, prototypes = [view.requires_grad_() for view in views()], unit_prototypes().requires_grad_()
    found = torch.autograd.grad(swav(*several, prototypes=prototypes), (*several, prototypes))
    first, second = (F.normalize(view, dim=-1) @ prototypes.T for view in several)
    reference = F.cross_entropy(first / 0.1, sinkhorn(second)) + F.cross_entropy(second / 0.1, sinkhorn(first))
    for one, other in zip(found, torch.autograd.grad(reference / 2, (*several, prototypes)), strict=True):
        torch.testing.assert_close(one, other)


def test_the_queue_balances_the_codes_and_nothing_else() -> None:
    several, prototypes = views(), unit_prototypes()
    queue = F.normalize(torch.stack(views(batch=7, seed=3)), dim=-1)
    units = [F.normalize(view, dim=-1) for view in several]
    codes = [sinkhorn(torch.cat((unit, old)) @ prototypes.T)[:5] for unit, old in zip(units, queue, strict=True)]
    first, second = (unit @ prototypes.T / 0.1 for unit in units)
    expected = (F.cross_entropy(first, codes[1]) + F.cross_entropy(second, codes[0])) / 2
    torch.testing.assert_close(swav(*several, prototypes=prototypes, queue=queue), expected)


def trained(objective: SwAV, steps: int) -> list[Tensor]:
    """The prototypes before training and after each of `steps` updates."""
    optimizer = torch.optim.SGD(objective.parameters(), lr=0.5, weight_decay=0.1, momentum=0.9)
    history = [objective.prototypes.detach().clone()]
    for step in range(steps):
        optimizer.zero_grad()
        objective(outputs(views(seed=step))).backward()
        optimizer.step()
        objective.after_update()
        history.append(objective.prototypes.detach().clone())
    return history


def test_prototypes_keep_their_length_and_start_late() -> None:
    torch.manual_seed(0)
    objective = SwAV(projection_dim=4, prototypes=6, steps=10, freeze=0.2).double()
    history = trained(objective, 4)
    for prototypes in history:
        torch.testing.assert_close(prototypes.norm(dim=1), torch.ones(6, dtype=torch.float64))
    torch.testing.assert_close(history[2], history[0])  # weight decay is undone, too
    assert (history[3] - history[2]).abs().max() > 1e-3 and objective.updates == 4


def held(objective: SwAV) -> Tensor:
    """What the queue holds, (rows, 2, P), in order of its first number: which place a row has says nothing."""
    assert objective.queue is not None
    rows = F.normalize(objective.queue.rows().unflatten(1, (2, -1)), dim=-1)
    return rows[rows[:, 0, 0].argsort()]


def of_batches(*batches: list[Tensor]) -> Tensor:
    rows = torch.cat([F.normalize(torch.stack(batch, dim=1), dim=-1) for batch in batches])
    return rows[rows[:, 0, 0].argsort()]


def test_the_queue_is_used_once_full() -> None:
    torch.manual_seed(0)
    objective = SwAV(projection_dim=4, prototypes=6, steps=10, queue_size=7, queue_from=0.1).double()
    batches = [views(seed=seed) for seed in range(4)]
    used = []
    for step, batch in enumerate(batches):
        queue = held(objective).transpose(0, 1) if len(objective.queue) == 7 else None
        expected = swav(*batch, prototypes=objective.prototypes, queue=queue)
        torch.testing.assert_close(objective(outputs(batch)), expected)
        used.append(queue is not None)
        assert len(objective.queue) == [0, 5, 7, 7][step]
        objective.after_update()
    assert used == [False, False, False, True]
    torch.testing.assert_close(held(objective), of_batches(batches[3], [view[-2:] for view in batches[2]]))
    state = {name: value.clone() for name, value in objective.state_dict().items()}
    objective.eval()(outputs(batches[0]))
    assert all(torch.equal(value, state[name]) for name, value in objective.state_dict().items())


def test_a_batch_larger_than_the_queue_fills_it() -> None:
    objective = SwAV(projection_dim=4, prototypes=6, queue_size=3).double()
    batch = views()
    objective(outputs(batch))
    torch.testing.assert_close(held(objective), of_batches([view[-3:] for view in batch]))


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"projections have 6 dimensions, but the prototypes 4: build SwAV with projection_dim=6"):
        SwAV(projection_dim=4)(outputs([view.float() for view in views(dim=6)]))
    with pytest.raises(ValueError, match="two views or more"):
        swav(views()[0], prototypes=unit_prototypes())
    with pytest.raises(ValueError, match="iterations of at least 1"):
        sinkhorn(torch.zeros(2, 2), iterations=0)
    with pytest.raises(ValueError, match="queue_size, got 4, 0 and 0"):
        SwAV(projection_dim=4, prototypes=0)
