"""SepCLR's terms against loops and golden values, and what each of them asks of the two parts."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives import SepCLR, ViewOutputs, gaussian_uniformity, joint_entropy, sepclr, uniformity

U = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
V = torch.tensor([[0.6, 0.8], [0.0, 1.0]], dtype=torch.float64)
IS_TARGET = torch.tensor([True, False, False, True, True, False])


def views(batch: int = 6, dim: int = 5) -> tuple[Tensor, Tensor]:
    first, second = torch.randn(2, batch, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return first, second


def kernel(x: Tensor, y: Tensor, temperature: float) -> float:
    return math.exp(-float((x - y).square().sum()) / (2 * temperature))


def uniformity_loop(points: Tensor, temperature: float) -> float:
    pairs = [kernel(points[i], points[j], temperature) for i in range(len(points)) for j in range(i)]
    return math.log(sum(pairs) / len(pairs))


def joint_loop(common: Tensor, salient: Tensor, temperature: float) -> float:
    rows = range(len(common))
    return sum(
        math.log(
            sum(kernel(common[i], common[j], temperature) * kernel(salient[i], salient[j], temperature) for j in rows) / len(rows)
        )
        for i in rows
    ) / len(rows)


def test_golden_values() -> None:
    assert joint_entropy(U, V).item() == pytest.approx(-0.606311, abs=1e-6)
    assert gaussian_uniformity(U, temperature=0.25).item() == pytest.approx(-4.0)
    assert gaussian_uniformity(V, temperature=0.25).item() == pytest.approx(-0.8)


def test_terms_match_their_loops() -> None:
    first, second = views()
    assert gaussian_uniformity(first, temperature=0.7).item() == pytest.approx(uniformity_loop(first, 0.7))
    assert joint_entropy(first, second, temperature=0.7).item() == pytest.approx(joint_loop(first, second, 0.7))


def test_on_the_sphere_it_is_the_uniformity_of_cosines() -> None:
    first, _ = views()
    found = gaussian_uniformity(F.normalize(first, dim=-1), temperature=0.3)
    torch.testing.assert_close(found, uniformity(first, t=1 / (2 * 0.3)))


def test_limits_of_the_terms() -> None:
    first, _ = views()
    same = torch.ones(6, 3, dtype=torch.float64)
    assert gaussian_uniformity(first[:1]).item() == 0.0
    assert gaussian_uniformity(same).item() == pytest.approx(0.0, abs=1e-12)
    assert joint_entropy(same, same).item() == pytest.approx(0.0, abs=1e-12)
    assert joint_entropy(1e3 * first, same).item() == pytest.approx(-math.log(6))  # every row only near itself
    alone = joint_entropy(first, torch.zeros(6, 0, dtype=torch.float64))
    torch.testing.assert_close(joint_entropy(first, same), alone)  # a constant part says nothing
    assert joint_entropy(first, views()[1]) < alone


def sepclr_loop(first: Tensor, second: Tensor, *, common_dim: int, temperature: float, weights: tuple[float, ...]) -> float:
    def align(differences: list[Tensor]) -> float:
        return sum(float(row.square().sum()) for row in differences) / len(differences) / (2 * temperature)

    common = [torch.stack([row[:common_dim] / row[:common_dim].norm() for row in view]) for view in (first, second)]
    salient = [view[:, common_dim:] for view in (first, second)]
    kept = [torch.stack([row if target else row * 0 for row, target in zip(part, IS_TARGET, strict=True)]) for part in salient]
    targets, background = IS_TARGET.nonzero().flatten().tolist(), (~IS_TARGET).nonzero().flatten().tolist()
    loss = align(list(common[0] - common[1])) + weights[0] * align([salient[0][row] - salient[1][row] for row in targets])
    for c, s, k in zip(common, salient, kept, strict=True):
        loss += uniformity_loop(c, temperature) + weights[0] * uniformity_loop(k, temperature)
        loss += (weights[1] * align([s[row] for row in background]) + weights[2] * joint_loop(c, k, temperature)) / 2
    return loss


def test_the_sum_matches_the_loop() -> None:
    options = {"common_dim": 3, "temperature": 0.7}
    found = sepclr(*views(), is_target=IS_TARGET, salient_weight=2.0, background_weight=3.0, joint_weight=5.0, **options)
    assert found.item() == pytest.approx(sepclr_loop(*views(), weights=(2.0, 3.0, 5.0), **options))


def test_what_the_weights_switch() -> None:
    first, second = views()
    off = {"is_target": IS_TARGET, "common_dim": 3, "salient_weight": 0.0, "background_weight": 0.0, "joint_weight": 0.0}
    only_common = sepclr(first, second, **off)
    first[:, 3:] = 7.0
    torch.testing.assert_close(sepclr(first, second, **off), only_common)
    only_targets = torch.ones(6, dtype=torch.bool)
    absent = {**off, "background_weight": 5.0}
    torch.testing.assert_close(sepclr(first, second, **{**absent, "is_target": only_targets}), only_common)
    assert sepclr(first, second, **absent) > only_common
    second[~IS_TARGET, 3:] = first[~IS_TARGET, 3:] = 0.0
    torch.testing.assert_close(sepclr(first, second, **absent), only_common)  # what it asks for


def test_the_salient_part_of_the_background_is_only_pulled_to_zero() -> None:
    first, second = (view.requires_grad_() for view in views())
    sepclr(first, second, is_target=IS_TARGET, common_dim=3, background_weight=0.0).backward()
    assert first.grad is not None and not first.grad[~IS_TARGET, 3:].any() and first.grad[IS_TARGET, 3:].all()
    leaf = views()[0].requires_grad_()
    options = {"salient_weight": 0.0, "joint_weight": 0.0, "background_weight": 6.0, "temperature": 0.5}
    sepclr(leaf, second, is_target=IS_TARGET, common_dim=3, **options).backward()
    assert leaf.grad is not None
    torch.testing.assert_close(leaf.grad[~IS_TARGET, 3:], 6.0 * leaf.detach()[~IS_TARGET, 3:] / 3)  # of half the mean of 3 squares


def test_the_module_takes_zero_as_the_background() -> None:
    first, second = views()
    outputs = ViewOutputs(index=torch.arange(6), projections=[first, second], labels={"label": torch.tensor([2, 0, 0, 1, 1, 0])})
    torch.testing.assert_close(
        SepCLR(common_dim=2, temperature=0.6)(outputs), sepclr(first, second, is_target=IS_TARGET, common_dim=2, temperature=0.6)
    )
    with pytest.raises(ValueError, match="no labels at all"):
        SepCLR(common_dim=2)(ViewOutputs(index=torch.arange(6), projections=[first, second]))
    with pytest.raises(ValueError, match="two views, got 1"):
        SepCLR(common_dim=2)(ViewOutputs(index=torch.arange(6), projections=[first], labels=outputs.labels))


def test_errors_name_the_shapes() -> None:
    with pytest.raises(ValueError, match="common_dim=5 of 5 dimensions"):
        sepclr(*views(), is_target=IS_TARGET, common_dim=5)
    with pytest.raises(ValueError, match=r"is_target \(B,\), got \(\(6, 5\), \(6, 5\), \(4,\)\)"):
        sepclr(*views(), is_target=IS_TARGET[:4], common_dim=2)
