"""BYOL, SimSiam, DirectPred and DINO: golden values, loops, who gets a gradient, and state over several updates."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives.base import ViewOutputs
from antiphon.common.objectives.self_distillation import (
    Dino,
    DirectPredictor,
    SelfDistillation,
    byol,
    dino,
    direct_weight,
    simsiam,
)

TOY_A = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
TOY_B = torch.tensor([[0.6, 0.8], [0.0, 1.0]], dtype=torch.float64)


def views(count: int = 2, batch: int = 5, dim: int = 4, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(count, batch, dim, generator=generator, dtype=torch.float64))


def test_golden_values() -> None:
    assert byol(TOY_A, TOY_B).item() == pytest.approx(0.4)
    assert simsiam(TOY_A, TOY_B).item() == pytest.approx(-0.8)
    both = ViewOutputs(index=torch.arange(2), predictions=[TOY_A, TOY_B], targets=[TOY_A, TOY_B])
    assert SelfDistillation(simsiam)(both).item() == pytest.approx(-0.8)
    assert SelfDistillation(byol, weight=2.0)(both).item() == pytest.approx(0.8)


def test_byol_is_the_squared_distance_of_unit_vectors() -> None:
    first, second = views()
    rows = [float((p / p.norm() - t / t.norm()).square().sum()) for p, t in zip(first, second, strict=True)]
    torch.testing.assert_close(byol(first, second, reduction="none").tolist(), rows)
    torch.testing.assert_close(byol(first, second), 2 + 2 * simsiam(first, second))
    assert byol(first, -3.0 * first).item() == pytest.approx(4.0) and byol(first, first).item() == pytest.approx(0.0)
    assert simsiam(first, -first).item() == pytest.approx(-simsiam(first, first).item()) == pytest.approx(1.0)


@pytest.mark.parametrize("loss", [byol, simsiam, lambda p, t: dino(p, t, center=torch.zeros(4, dtype=torch.float64))])
def test_targets_get_no_gradient(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    predictions, targets = (view.requires_grad_() for view in views())
    loss(predictions, targets).backward()
    assert targets.grad is None and predictions.grad is not None
    assert torch.autograd.gradcheck(lambda leaf: loss(leaf, targets), (predictions,))


def test_every_view_predicts_every_other() -> None:
    predictions, targets = views(3), views(3, seed=1)
    objective = SelfDistillation(byol, weight=2.0)
    outputs = ViewOutputs(index=torch.arange(5), predictions=predictions, targets=targets)
    pairs = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    expected = 2 * sum(byol(predictions[i], targets[j]) for i, j in pairs) / 6
    torch.testing.assert_close(objective(outputs), expected)
    torch.testing.assert_close(objective.per_example(outputs).mean(), expected)
    crops = ViewOutputs(index=torch.arange(5), predictions=predictions, targets=targets[:2])
    expected = 2 * sum(byol(predictions[i], targets[j]) for i, j in pairs if j < 2) / 4
    torch.testing.assert_close(objective(crops), expected)


def test_direct_weight_has_the_golden_eigenvalues() -> None:
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    moment = turn @ torch.diag(torch.tensor([4.0, 1.0], dtype=torch.float64)) @ turn.T
    scales = {"released": (1.1, 0.6), "paper": (2.4, 1.4), "copy": (4.1, 1.1)}
    for form, values in scales.items():
        expected = turn @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ turn.T
        torch.testing.assert_close(direct_weight(moment, form=form, eps=0.1), expected)
    flat = torch.diag(torch.tensor([1.0, 0.0], dtype=torch.float64))
    assert direct_weight(flat, form="released", eps=0.0)[1, 1].item() == pytest.approx(1e-4)


@pytest.mark.parametrize("form", ["paper", "released", "copy"])
def test_direct_weight_is_symmetric_positive_and_commutes(form: str) -> None:
    rows = torch.randn(4, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)  # of rank 4 only
    moment = rows.T @ rows / 4
    weight = direct_weight(moment, form=form, eps=0.1)
    assert torch.equal(weight, weight.T)
    assert torch.linalg.eigvalsh(weight).min() > 0.05
    torch.testing.assert_close(weight @ moment, moment @ weight)
    assert direct_weight(torch.zeros(3, 3), form=form).isfinite().all()


def test_direct_predictor_follows_its_input() -> None:
    predictor = DirectPredictor(4, form="paper", decay=0.3, eps=0.1, frequency=2).double()
    moment = torch.zeros(4, 4, dtype=torch.float64)
    weight = torch.eye(4, dtype=torch.float64)
    for step in range(4):
        batch = [view.requires_grad_() for view in views(seed=step)]
        for view in batch:  # the matrix does not change between the views of a step
            torch.testing.assert_close(predictor(view), view @ weight)
        everything = torch.cat(batch).detach()
        new = everything.T @ everything / 10
        moment = new if step == 0 else 0.3 * moment + 0.7 * new
        predictor.after_update()
        torch.testing.assert_close(predictor.moment, moment)
        if step % 2 == 0:
            weight = direct_weight(moment)
    assert not list(predictor.parameters())
    state = {name: value.clone() for name, value in predictor.state_dict().items()}
    assert set(state) == {"moment", "weight", "updates"}
    predictor.eval()(views()[0])
    predictor.train().after_update()  # nothing was collected
    assert all(torch.equal(value, state[name]) for name, value in predictor.state_dict().items())


def test_direct_predictor_passes_the_gradient_on_and_stays_float32_under_autocast() -> None:
    predictor = DirectPredictor(4)
    batch = views()[0].float().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        predictor(batch.bfloat16())
        predictor(batch.bfloat16())
    predictor.after_update()
    rows = batch.detach().bfloat16().double()
    torch.testing.assert_close(predictor.moment.double(), rows.T @ rows / 5, rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(predictor(batch).sum(), batch)
    torch.testing.assert_close(gradient, predictor.weight.sum(dim=0).expand(5, 4))


def dino_loop(student: Tensor, teacher: Tensor, center: Tensor) -> list[float]:
    losses = []
    for logits, targets in zip(student.tolist(), teacher.tolist(), strict=True):
        sharp = [math.exp((target - offset) / 0.04) for target, offset in zip(targets, center.tolist(), strict=True)]
        lse = math.log(sum(math.exp(logit / 0.1) for logit in logits))
        losses.append(sum(mass / sum(sharp) * (lse - logit / 0.1) for mass, logit in zip(sharp, logits, strict=True)))
    return losses


def test_dino_matches_the_loop() -> None:
    student, teacher = (0.3 * view for view in views())
    center = 0.1 * views(batch=1, seed=4)[0][0]
    torch.testing.assert_close(
        dino(student, teacher, center=center, reduction="none").tolist(), dino_loop(student, teacher, center)
    )
    equal = torch.zeros(5, 4, dtype=torch.float64)
    assert dino(equal, teacher, center=center).item() == pytest.approx(math.log(4))
    shifted = dino(student + 3.0, teacher + torch.arange(4), center=center + torch.arange(4))
    torch.testing.assert_close(shifted, dino(student, teacher, center=center))


def test_dino_contrasts_crops_and_moves_its_centre() -> None:
    objective = Dino(projection_dim=4).double()
    center = torch.zeros(4, dtype=torch.float64)
    for step in range(3):
        students, targets = views(4, seed=step), views(4, seed=10 + step)
        outputs = ViewOutputs(index=torch.arange(5), projections=students, targets=targets)
        pairs = [(i, j) for i in range(4) for j in range(2) if i != j]
        expected = sum(dino(students[i], targets[j], center=center) for i, j in pairs) / len(pairs)
        torch.testing.assert_close(objective(outputs), expected)
        center = 0.9 * center + 0.1 * torch.cat(targets[:2]).mean(dim=0)
        torch.testing.assert_close(objective.center, center)
    objective.eval()(outputs)
    torch.testing.assert_close(objective.center, center)


def collapsed_spread(predictor_trains: bool) -> float:
    """Spread of unit vectors after training on two noisy views, with and without a predictor on one side."""
    torch.manual_seed(0)
    encoder = torch.nn.Linear(8, 4)
    predictor = DirectPredictor(4)
    signals = torch.randn(64, 8)
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.3, weight_decay=1e-3)
    for _ in range(400):
        projections = [encoder(signals + 0.3 * torch.randn_like(signals)) for _ in range(2)]
        predictions = [predictor(projection) for projection in projections] if predictor_trains else projections
        # Without a predictor and a stopped gradient nothing keeps views of different examples apart.
        targets = [projection.detach() if predictor_trains else projection for projection in projections]
        loss = -F.cosine_similarity(predictions[0], targets[1]).mean() - F.cosine_similarity(predictions[1], targets[0]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        predictor.after_update()
    return F.normalize(encoder(signals), dim=-1).std(dim=0).mean().item()


def test_the_direct_predictor_prevents_collapse() -> None:
    assert collapsed_spread(predictor_trains=False) < 0.1 < 0.3 < collapsed_spread(predictor_trains=True)


def test_errors() -> None:
    first, second = views()
    with pytest.raises(ValueError, match="the predictor must keep the head's out_dim"):
        byol(first, second[:, :2])
    with pytest.raises(ValueError, match="two views or more, got 1"):
        SelfDistillation(byol)(ViewOutputs(index=torch.arange(5), predictions=[first], targets=[second]))
    with pytest.raises(ValueError, match="form is 'eigen'"):
        DirectPredictor(4, form="eigen")
    with pytest.raises(ValueError, match=r"0 <= decay < 1.*got 1.0"):
        DirectPredictor(4, decay=1.0)
    with pytest.raises(ValueError, match=r"made for projections \(batch, 4\), got \(5, 2\)"):
        DirectPredictor(4)(first[:, :2])
    with pytest.raises(ValueError, match="build Dino with projection_dim=4"):
        dino(first, second, center=torch.zeros(3, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"teacher_views >= 1, got 0\.9 and 0"):
        Dino(teacher_views=0)
