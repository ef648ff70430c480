"""SoftCLT's weights and terms, against loops, against `info_nce`, and at the ends where they become hard."""

import math

import pytest
import torch
from torch import Tensor

from antiphon.common.objectives.base import ViewOutputs
from antiphon.common.objectives.info_nce import info_nce
from antiphon.common.objectives.soft import (
    StageSoftContrast,
    soft_instance_weights,
    soft_temporal_weights,
    softclt,
    softclt_instance,
    softclt_temporal,
)


def frames(batch: int = 3, time: int = 4, dim: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    first, second = torch.randn(2, batch, time, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return first, second


def some_weights(batch: int = 3) -> Tensor:
    """Not symmetric, as column-wise scaled distances give."""
    return soft_instance_weights(
        torch.rand(batch, batch, generator=torch.Generator().manual_seed(9), dtype=torch.float64), sharpness=2.0
    )


def contrast_loop(rows: list[Tensor], weights: Tensor) -> float:
    """Sum over anchors of one group whose first half is one view; weights (half, half) hold for both views."""
    half, total = len(rows) // 2, 0.0
    for i, anchor in enumerate(rows):
        others = [j for j in range(len(rows)) if j != i]
        lse = math.log(sum(math.exp(float(anchor @ rows[j])) for j in others))
        total += sum(float(weights[i % half, j % half]) * (lse - float(anchor @ rows[j])) for j in others)
    return total


def instance_loop(first: Tensor, second: Tensor, weights: Tensor) -> float:
    batch, time, _ = first.shape
    groups = [[*first[:, t], *second[:, t]] for t in range(time)]
    return sum(contrast_loop(group, weights) for group in groups) / (2 * batch * time)


def temporal_loop(first: Tensor, second: Tensor, weights: Tensor) -> float:
    batch, time, _ = first.shape
    groups = [[*first[b], *second[b]] for b in range(batch)]
    return sum(contrast_loop(group, weights) for group in groups) / (2 * batch * time)


def test_golden_weights() -> None:
    found = soft_temporal_weights(5, sharpness=1.0, dtype=torch.float64)
    torch.testing.assert_close(
        found[0], torch.tensor([1, 0.537883, 0.238406, 0.094852, 0.035972], dtype=torch.float64), atol=1e-6, rtol=0
    )
    assert torch.equal(found, found.T) and torch.equal(found[3], found[0, [3, 2, 1, 0, 1]])
    distances = torch.tensor([[0.3, 0.0, 0.1], [0.5, 0.0, 0.5], [0.1, 0.5, 0.9]], dtype=torch.float64)
    found = soft_instance_weights(distances, sharpness=10.0)
    expected = [[1, 0.5, 0.268941], [0.006693, 1, 0.006693], [0.268941, 0.006693, 1]]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=0)


def test_negligible_temporal_weights_are_zero() -> None:
    weights = soft_temporal_weights(40, sharpness=1.0)[0]
    assert weights[14] >= 1e-6 and not weights[15:].any()


@pytest.mark.parametrize("weights", [None, some_weights()])
def test_instance_matches_the_loop(weights: Tensor | None) -> None:
    first, second = frames()
    expected = instance_loop(first, second, torch.eye(3) if weights is None else weights)
    assert softclt_instance(first, second, weights).item() == pytest.approx(expected)


@pytest.mark.parametrize("sharpness", [None, 0.0, 0.7])
def test_temporal_matches_the_loop(sharpness: float | None) -> None:
    first, second = frames()
    weights = soft_temporal_weights(4, sharpness=sharpness, dtype=torch.float64) if sharpness else torch.eye(4)
    assert softclt_temporal(first, second, sharpness=sharpness).item() == pytest.approx(temporal_loop(first, second, weights))


def test_both_terms_are_calls_of_info_nce() -> None:
    first, second = (view.requires_grad_() for view in frames(5, 7, 3))
    weights = some_weights(5)
    options = {"temperature": 1.0, "normalize_targets": False}

    def general(rows: Tensor, targets: Tensor) -> Tensor:
        own = torch.eye(rows.shape[1], dtype=torch.bool).expand(len(rows), -1, -1)
        targets = targets.repeat(2, 2).fill_diagonal_(0.0).expand_as(own)
        return info_nce(rows, rows, positives=targets, ignore=own, **options)

    by_time = torch.cat((first, second)).transpose(0, 1)
    by_example = torch.cat((first, second), dim=1)
    pairs = [
        (softclt_instance(first, second, weights), general(by_time, weights)),
        (softclt_instance(first, second), general(by_time, torch.eye(5, dtype=torch.float64))),
        (
            softclt_temporal(first, second, sharpness=0.5),
            general(by_example, soft_temporal_weights(7, sharpness=0.5, dtype=torch.float64)),
        ),
        (softclt_temporal(first, second), general(by_example, torch.eye(7, dtype=torch.float64))),
    ]
    for found, expected in pairs:
        torch.testing.assert_close(found, expected)
        for one, other in zip(*(torch.autograd.grad(loss, (first, second)) for loss in (found, expected)), strict=True):
            torch.testing.assert_close(one, other)


def test_golden_instance_loss() -> None:
    """Toy data of the specification: unit vectors, logits divided by 0.5."""
    first = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64).unsqueeze(1) * math.sqrt(2)
    second = torch.tensor([[0.6, 0.8], [0.0, 1.0]], dtype=torch.float64).unsqueeze(1) * math.sqrt(2)
    assert softclt_instance(first, second).item() == pytest.approx(0.758885, abs=1e-6)
    weights = torch.tensor([[1.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    assert softclt_instance(first, second, weights).item() == pytest.approx(2.317770, abs=1e-6)


def test_sharp_weights_are_the_hard_loss() -> None:
    first, second = frames()
    torch.testing.assert_close(softclt_instance(first, second, torch.eye(3, dtype=torch.float64)), softclt_instance(first, second))
    torch.testing.assert_close(softclt_temporal(first, second, sharpness=100.0), softclt_temporal(first, second))
    flat = soft_instance_weights(torch.rand(3, 3), sharpness=0.0, upper_bound=1.0)
    assert torch.equal(flat, torch.ones(3, 3))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_gradcheck(share: float) -> None:
    first, second = (view.requires_grad_() for view in frames())
    weights = some_weights()
    assert torch.autograd.gradcheck(
        lambda a, b: softclt(a, b, instance_weights=weights, temporal_sharpness=0.5, instance_share=share), (first, second)
    )
    assert torch.autograd.gradcheck(lambda a, b: softclt(a, b, instance_share=share), (first, second))


def test_order_of_examples_and_of_views_does_not_matter() -> None:
    first, second = frames(4)
    weights, order = some_weights(4), torch.tensor([2, 0, 3, 1])
    expected = softclt_instance(first, second, weights)
    torch.testing.assert_close(softclt_instance(first[order], second[order], weights[order][:, order]), expected)
    torch.testing.assert_close(softclt_instance(second, first, weights), expected)
    expected = softclt_temporal(first, second, sharpness=0.4)
    torch.testing.assert_close(softclt_temporal(second[order].flip(1), first[order].flip(1), sharpness=0.4), expected)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 4, 3), (4, 1, 3), (2, 3, 1)])
@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_degenerate_inputs_stay_finite(shape: tuple[int, int, int], scale: float) -> None:
    first, second = (view.float().mul(scale).requires_grad_() for view in frames(*shape))
    loss = softclt(first, second, temporal_sharpness=0.5)
    loss.backward()
    assert torch.isfinite(loss) and first.grad is not None and torch.isfinite(first.grad).all()
    if shape[0] == 1:
        assert softclt_instance(first, second).item() == 0.0
    if shape[1] == 1:
        assert softclt_temporal(first, second).item() == 0.0


def test_autocast_keeps_float32() -> None:
    first, second = (view.to(torch.bfloat16) for view in frames(4, 8, 6))
    exact = softclt(first.double(), second.double(), temporal_sharpness=0.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = softclt(first, second, temporal_sharpness=0.5)
    assert found.dtype == torch.float32 and found.item() == pytest.approx(exact.item(), rel=1e-5)


def test_stages_double_the_sharpness() -> None:
    stages = [frames(3, 8, 2), frames(3, 4, 5, seed=1)]
    distances = torch.rand(10, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    index = torch.tensor([7, 0, 4])
    objective = StageSoftContrast(
        distances=lambda rows: distances[rows][:, rows],
        instance_sharpness=3.0,
        temporal_sharpness=0.5,
        instance_share=0.25,
        weight=0.1,
    )
    outputs = ViewOutputs(index=index, stages=[[a for a, _ in stages], [b for _, b in stages]])
    weights = soft_instance_weights(distances[index][:, index], sharpness=3.0)
    expected = sum(
        0.25 * softclt_instance(a, b, weights) + 0.75 * softclt_temporal(a, b, sharpness=0.5 * 2**depth)
        for depth, (a, b) in enumerate(stages)
    )
    torch.testing.assert_close(objective(outputs), 0.1 * expected)


def test_errors() -> None:
    first, second = frames()
    with pytest.raises(ValueError, match="both be"):
        softclt_temporal(first, second[:, :2])
    with pytest.raises(ValueError, match="instance weights must be"):
        softclt_instance(first, second, torch.ones(2, 2))
    with pytest.raises(ValueError, match="distances must be square"):
        soft_instance_weights(torch.ones(2, 3), sharpness=1.0)
    with pytest.raises(ValueError, match="no distances"):
        StageSoftContrast(instance_sharpness=1.0)
    with pytest.raises(ValueError, match="instance_share is"):
        StageSoftContrast(instance_share=1.5)
