"""CLIP, SigLIP and CWCL against loops in float64, golden values and the identities between them."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives import (
    Clip,
    Cwcl,
    Objective,
    SigLip,
    ViewOutputs,
    align_uniform,
    clip,
    cosine_weights,
    cwcl,
    nt_xent,
    siglip,
)

TOY_A = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
TOY_B = torch.tensor([[0.6, 0.8], [0.0, 1.0]], dtype=torch.float64)
OBJECTIVES: list[Callable[[], Objective]] = [Clip, SigLip, Cwcl]


def identity(rows: Tensor, everyone: Tensor) -> Tensor:
    return torch.eye(len(rows), len(everyone))


def ones(rows: Tensor, everyone: Tensor) -> Tensor:
    return torch.ones(len(rows), len(everyone))


def views(batch: int = 6, dim: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, batch, dim, generator=generator, dtype=torch.float64)
    return first, second


def outputs(batch: int = 6) -> ViewOutputs:
    return ViewOutputs(index=torch.arange(batch), projections=list(views(batch)))


def cosines(first: Tensor, second: Tensor) -> list[list[float]]:
    return [[float(a @ b / (a.norm() * b.norm())) for b in second] for a in first]


def cross_entropy(logits: list[float], weights: list[float]) -> float:
    lse = math.log(sum(map(math.exp, logits)))
    return sum(weight / sum(weights) * (lse - logit) for weight, logit in zip(weights, logits, strict=True))


def hit(i: int, count: int) -> list[float]:
    return [float(i == j) for j in range(count)]


def test_golden_values() -> None:
    values = {
        "clip": (clip(TOY_A, TOY_B, scale=2.0), 0.454060),
        "siglip": (siglip(TOY_A, TOY_B, scale=10.0, bias=-10.0), 2.419135),
        "siglip plain": (siglip(TOY_A, TOY_B, scale=1.0, bias=0.0), 1.307499),
        "cwcl": (cwcl(TOY_A, TOY_B, scale=2.0), 1.287068),
        "cwcl identity": (cwcl(TOY_A, TOY_B, scale=2.0, weights=identity), 0.908120),
        "clip and gap": (clip(TOY_A, TOY_B, scale=2.0) + align_uniform(TOY_A, TOY_B), -1.54594),
    }
    for name, (found, golden) in values.items():
        assert found.item() == pytest.approx(golden, abs=2e-6), name


def test_clip_matches_the_loop() -> None:
    first, second = views()
    there = [cross_entropy([3.0 * s for s in row], hit(i, 6)) for i, row in enumerate(cosines(first, second))]
    back = [cross_entropy([3.0 * s for s in row], hit(i, 6)) for i, row in enumerate(cosines(second, first))]
    found = clip(first, second, scale=3.0, reduction="none")
    assert found.tolist() == pytest.approx(there + back)


def test_siglip_matches_the_loop() -> None:
    first, second = views()
    expected = [
        sum(math.log1p(math.exp((-1.0 if i == j else 1.0) * (5.0 * s - 2.0))) for j, s in enumerate(row))
        for i, row in enumerate(cosines(first, second))
    ]
    assert siglip(first, second, scale=5.0, bias=-2.0, reduction="none").tolist() == pytest.approx(expected)


def test_cwcl_matches_the_loop() -> None:
    first, second = views()
    weights = [[(s + 1.0) / 2.0 for s in row] for row in cosines(second, second)]
    there = [cross_entropy([3.0 * s for s in row], weights[i]) for i, row in enumerate(cosines(first, second))]
    back = [cross_entropy([3.0 * s for s in row], hit(i, 6)) for i, row in enumerate(cosines(second, first))]
    found = cwcl(first, second, scale=3.0, reduction="none")
    assert found.tolist() == pytest.approx([one + other for one, other in zip(there, back, strict=True)])


def test_clip_is_the_mean_of_two_one_way_losses() -> None:
    first, second = views()
    one_way = {"temperature": 0.25, "symmetric": False}
    expected = (nt_xent(first, second, **one_way) + nt_xent(second, first, **one_way)) / 2
    torch.testing.assert_close(clip(first, second, scale=4.0), expected)
    logits = 4.0 * F.normalize(first, dim=-1) @ F.normalize(second, dim=-1).T
    labels = torch.arange(6)
    torch.testing.assert_close(expected, (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2)
    assert clip(torch.ones(6, 3), torch.ones(6, 3), scale=20.0).item() == pytest.approx(math.log(6), abs=1e-5)


def test_the_slope_of_the_log_scale_has_a_closed_form() -> None:
    first, second = views()
    log_scale = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    clip(first, second, scale=log_scale.exp()).backward()
    similarity = F.normalize(first, dim=-1) @ F.normalize(second, dim=-1).T
    scale = log_scale.detach().exp()
    expected_similarity = ((scale * similarity).softmax(1) * similarity).sum(1) + (
        (scale * similarity).softmax(0) * similarity
    ).sum(0)
    torch.testing.assert_close(log_scale.grad, scale * (expected_similarity / 2 - similarity.diagonal()).mean())


def test_cwcl_identities() -> None:
    first, second = views()
    torch.testing.assert_close(cwcl(first, second, scale=3.0, weights=identity), 2.0 * clip(first, second, scale=3.0))
    logits = 3.0 * F.normalize(first, dim=-1) @ F.normalize(second, dim=-1).T
    back = F.cross_entropy(logits.T, torch.arange(6))
    uniform = -logits.log_softmax(dim=1).mean()
    torch.testing.assert_close(cwcl(first, second, scale=3.0, weights=ones) - back, uniform)
    by_row = torch.arange(1.0, 7.0, dtype=torch.float64)[:, None]
    scaled = cwcl(first, second, scale=3.0, weights=lambda rows, everyone: by_row * cosine_weights(rows, everyone))
    torch.testing.assert_close(scaled, cwcl(first, second, scale=3.0))
    unit = F.normalize(second, dim=-1)
    target = cosine_weights(unit, unit)
    target = target / target.sum(dim=1, keepdim=True)
    assert cwcl(first, second, scale=3.0) - back >= torch.special.entr(target).sum(dim=1).mean()


def test_the_weights_carry_no_gradient() -> None:
    first, second = views()
    second.requires_grad_()
    seen = []

    def weights(rows: Tensor, everyone: Tensor) -> Tensor:
        seen.append(cosine_weights(rows, everyone))
        return seen[-1]

    (found,) = torch.autograd.grad(cwcl(first, second, scale=3.0, weights=weights), second)
    constant = seen[0].clone()
    assert not seen[0].requires_grad and (constant >= 0).all() and (constant <= 1 + 1e-12).all()
    (expected,) = torch.autograd.grad(cwcl(first, second, scale=3.0, weights=lambda *_: constant), second)
    torch.testing.assert_close(found, expected)


def test_siglip_identities() -> None:
    first, second = views()
    logits = 10.0 * F.normalize(first, dim=-1) @ F.normalize(second, dim=-1).T - 4.0
    label_free = (F.softplus(logits, threshold=50.0).sum() - logits.diagonal().sum()) / 6
    found = siglip(first, second, scale=10.0, bias=-4.0)
    torch.testing.assert_close(found, label_free)
    signs = 2.0 * torch.eye(6, dtype=torch.float64) - 1.0
    torch.testing.assert_close(found, -F.logsigmoid(signs * logits).sum() / 6)
    torch.testing.assert_close(found, siglip(first, second, scale=10.0, bias=-4.0, exchange="gather"))
    orthogonal = siglip(TOY_A, TOY_A.flip(0), scale=10.0, bias=-10.0)  # s = 0 for partners, 1 for the other
    assert orthogonal.item() == pytest.approx(10.0000454 + math.log(2.0), abs=1e-6)
    zeros = siglip(torch.zeros(8, 3, dtype=torch.float64), torch.zeros(8, 3, dtype=torch.float64), scale=10.0, bias=-10.0)
    assert zeros.item() == pytest.approx(10.0000454 + 7 * 4.54e-5, abs=1e-6)


def test_the_bias_by_batch_size_is_the_best_constant() -> None:
    bias = SigLip(bias=None, batch_size=8).bias.detach().double().requires_grad_()
    blind = torch.zeros(8, 3, dtype=torch.float64)
    siglip(blind, blind, scale=10.0, bias=bias).backward()
    assert bias.item() == pytest.approx(-math.log(7)) and bias.grad is not None
    assert bias.grad.item() == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ValueError, match="batch_size of at least 2, got None"):
        SigLip(bias=None)


@pytest.mark.parametrize("scale", [100.0, 1e4])
def test_large_scales_stay_finite(scale: float) -> None:
    first, second = (view.float().requires_grad_() for view in views())
    for loss in (clip, cwcl, lambda a, b, scale: siglip(a, b, scale=scale, bias=-10.0)):
        value = loss(first, second, scale=scale)
        assert value.isfinite() and all(gradient.isfinite().all() for gradient in torch.autograd.grad(value, (first, second)))


def test_gradcheck_with_scale_and_bias() -> None:
    inputs = (*views(4), torch.tensor(2.0, dtype=torch.float64), torch.tensor(-1.0, dtype=torch.float64))
    leaves = tuple(tensor.requires_grad_() for tensor in inputs)
    assert torch.autograd.gradcheck(lambda a, b, s, _: clip(a, b, scale=s, reduction="none"), leaves)
    assert torch.autograd.gradcheck(lambda a, b, s, bias: siglip(a, b, scale=s, bias=bias, reduction="none"), leaves)
    constant = cosine_weights(*views(4)).abs()
    assert torch.autograd.gradcheck(lambda a, b, s, _: cwcl(a, b, scale=s, weights=lambda *_: constant, reduction="none"), leaves)


@pytest.mark.parametrize("make", OBJECTIVES)
def test_objectives_learn_their_scale_and_stay_in_bounds(make: Callable[[], Objective]) -> None:
    objective, given = make(), outputs()
    objective(given).backward()
    for name, parameter in objective.named_parameters():
        assert parameter.ndim == 0 and parameter.grad is not None and parameter.grad != 0, name
    optimizer = torch.optim.SGD(objective.parameters(), lr=1e3)
    optimizer.step()
    objective.after_update()
    assert 1.0 <= objective.scale().item() <= 100.001
    torch.testing.assert_close(objective.per_example(given).mean(), objective(given))
    assert objective.per_example(given).shape == (6,)


def test_objectives_are_their_functions_with_published_defaults() -> None:
    given = outputs()
    first, second = given.projections
    torch.testing.assert_close(Clip()(given), clip(first, second, scale=1 / 0.07), rtol=1e-6, atol=0.0)
    torch.testing.assert_close(SigLip()(given), siglip(first, second, scale=10.0, bias=-10.0), rtol=1e-6, atol=0.0)
    torch.testing.assert_close(Cwcl()(given), cwcl(first, second, scale=1 / 0.07), rtol=1e-6, atol=0.0)
    halves = Cwcl(temperature=0.5, weights=identity)(given)
    torch.testing.assert_close(halves, 2.0 * clip(first, second, scale=2.0), rtol=1e-6, atol=0.0)


GROUPS = torch.tensor([0, 0, 1, 2, 1, 0])


def grouped_loop(first: Tensor, second: Tensor, scale: float, groups: list[int]) -> float:
    """CLIP where rows of one group are left out of each other's denominators."""
    total = 0.0
    for table in (cosines(first, second), cosines(second, first)):
        for i, row in enumerate(table):
            kept = [j for j in range(len(row)) if j == i or groups[j] != groups[i]]
            total += cross_entropy([scale * row[j] for j in kept], [float(j == i) for j in kept])
    return total / (2 * len(first))


@pytest.mark.parametrize("tiled", [False, True])
def test_clip_without_negatives_of_the_same_group(tiled: bool) -> None:
    first, second = views()
    loss = clip(first, second, scale=3.0, groups=GROUPS, tiled=tiled)
    assert loss.item() == pytest.approx(grouped_loop(first, second, 3.0, GROUPS.tolist()), rel=1e-9)
    alone = clip(first, second, scale=3.0, groups=torch.arange(6), tiled=tiled)
    torch.testing.assert_close(alone, clip(first, second, scale=3.0))
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    torch.testing.assert_close(clip(first[order], second[order], scale=3.0, groups=GROUPS[order], tiled=tiled), loss)


@pytest.mark.parametrize("options", [{}, {"exchange": "gather"}, {"tiled": True}])
def test_siglip_without_negatives_of_the_same_group(options: dict[str, Any]) -> None:
    first, second = (view.requires_grad_() for view in views())
    groups = GROUPS.tolist()
    expected = [
        sum(
            math.log1p(math.exp((-1.0 if i == j else 1.0) * (5.0 * s - 2.0)))
            for j, s in enumerate(row)
            if i == j or groups[i] != groups[j]
        )
        for i, row in enumerate(cosines(first.detach(), second.detach()))
    ]
    losses = siglip(first, second, scale=5.0, bias=-2.0, groups=GROUPS, reduction="none", **options)
    assert losses.tolist() == pytest.approx(expected)
    loop = siglip_loop(first, second, GROUPS)
    for one, other in zip(
        torch.autograd.grad(losses.mean(), (first, second)), torch.autograd.grad(loop, (first, second)), strict=True
    ):
        torch.testing.assert_close(one, other)
    alone = siglip(first, second, scale=5.0, bias=-2.0, groups=torch.arange(6), **options)
    torch.testing.assert_close(alone, siglip(first, second, scale=5.0, bias=-2.0))


def siglip_loop(first: Tensor, second: Tensor, groups: Tensor) -> Tensor:
    """SigLIP with scale 5 and bias -2 where rows of one group are no question."""
    logits = 5.0 * torch.nn.functional.cosine_similarity(first[:, None], second[None], dim=-1) - 2.0
    sign = 1.0 - 2.0 * torch.eye(len(first), dtype=logits.dtype)
    asked = (groups[:, None] != groups) | (sign < 0)
    return (torch.log1p(torch.exp(sign * logits)) * asked).sum() / len(first)


def test_cwcl_without_negatives_of_the_same_group() -> None:
    first, second = views()
    there = cwcl(first, second, scale=3.0, reduction="none") - clip(first, second, scale=3.0, reduction="none")[6:]
    back = clip(first, second, scale=3.0, groups=GROUPS, reduction="none")[6:]
    torch.testing.assert_close(cwcl(first, second, scale=3.0, groups=GROUPS, reduction="none"), there + back)


@pytest.mark.parametrize("tiled", [False, True])
def test_one_group_has_nothing_to_learn(tiled: bool) -> None:
    first, second = (view.requires_grad_() for view in views())
    loss = clip(first, second, scale=3.0, groups=torch.zeros(6, dtype=torch.int64), tiled=tiled)
    loss.backward()
    assert loss.item() == 0.0 and first.grad is not None and not first.grad.any()


def test_groups_reach_clip_through_the_outputs() -> None:
    first, second = views()
    given = ViewOutputs(index=torch.arange(6), projections=[first, second], groups=GROUPS)
    objective = Clip(ignore_same_group=True)
    torch.testing.assert_close(objective(given), clip(first, second, scale=1 / 0.07, groups=GROUPS), rtol=1e-6, atol=0.0)
    assert objective(given) < Clip()(given)
    assert objective.per_example(given)[3] == Clip().per_example(given)[3]  # alone in its group
    plain = siglip(first, second, scale=10.0, bias=-10.0, groups=GROUPS)
    torch.testing.assert_close(SigLip(ignore_same_group=True)(given), plain, rtol=1e-6, atol=0.0)
    found = Cwcl(ignore_same_group=True)(given)
    torch.testing.assert_close(found, cwcl(first, second, scale=1 / 0.07, groups=GROUPS), rtol=1e-6, atol=0.0)
    for objective in (Clip(ignore_same_group=True), SigLip(ignore_same_group=True), Cwcl(ignore_same_group=True)):
        with pytest.raises(ValueError, match="ignore_same_group=false"):
            objective(outputs())


def test_eeg_clips_released_form() -> None:
    """Dot products of rows as they come; the scale starts at ln(1 / 0.07), is used as it is, and has no bounds."""
    given = outputs()
    first, second = given.projections
    objective = Clip(normalize=False, exponential_scale=False)
    logits = math.log(1 / 0.07) * first @ second.T
    expected = -0.5 * sum(logits.log_softmax(dim=dim).diagonal().mean() for dim in (0, 1))
    torch.testing.assert_close(objective(given), expected, rtol=1e-6, atol=0.0)
    with torch.no_grad():
        objective.scale.scale.fill_(-5.0)
    objective.after_update()
    assert objective.scale().item() == -5.0
    unit = [F.normalize(view, dim=-1) for view in (first, second)]
    torch.testing.assert_close(clip(*unit, scale=3.0, normalize=False), clip(first, second, scale=3.0))


def test_clip_with_gap_terms() -> None:
    given = ViewOutputs(index=torch.arange(2), projections=[TOY_A, TOY_B])
    objective = Clip(temperature=0.5, alignment_weight=1.0, uniformity_weight=1.0)
    assert objective(given).item() == pytest.approx(-1.54594, abs=2e-6)
    objective = Clip(temperature=0.5, alignment_weight=1.0, uniformity_weight=1.0, cross_weight=0.5)
    assert objective(given).item() == pytest.approx(-1.54594 - 0.5 * 1.453194, abs=2e-6)
    with pytest.raises(TypeError, match="Clip has no loss per example"):
        objective.per_example(given)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a, b: siglip(a, b[:2], scale=1.0, bias=0.0), "rows must both be"),
        (lambda a, b: siglip(a, b, scale=1.0, bias=0.0, exchange="carrier pigeon"), "exchange is 'carrier pigeon'"),
        (lambda a, b: clip(a, b, scale=1.0, reduction="median"), "reduction is 'median'"),
        (lambda a, b: cwcl(a, b[:2], scale=1.0), "views must all be"),
        (lambda a, b: cwcl(a, b, scale=1.0, weights=lambda rows, _: rows), "positives must be"),
    ],
)
def test_errors_name_the_value(call: Callable[[Tensor, Tensor], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(*views())
