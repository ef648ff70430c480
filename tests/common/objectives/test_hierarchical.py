"""TS2Vec's hierarchical loss against a plain version of it."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import antiphon.common.objectives.self_contrast as self_contrast
from antiphon.common.objectives.base import ViewOutputs
from antiphon.common.objectives.hierarchical import Hierarchical, hierarchical
from antiphon.common.objectives.soft import soft_instance_weights, soft_temporal_weights


def frames(batch: int = 3, time: int = 6, dim: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    first, second = torch.randn(2, batch, time, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return first, second


def plain_contrast(rows: Tensor, weights: Tensor) -> Tensor:
    """Rows (G, 2n, D), weights (n, n) -> mean over anchors of the weighted cross-entropies, every matrix written out."""
    size = rows.shape[1]
    others = ~torch.eye(size, dtype=torch.bool)
    logits = (rows @ rows.mT).masked_select(others).view(len(rows), size, size - 1)
    targets = weights.repeat(2, 2).masked_select(others).view(size, size - 1)
    return -(targets * F.log_softmax(logits, dim=-1)).sum(dim=-1).mean()


def plain_hierarchical(
    first: Tensor, second: Tensor, weights: Tensor | None = None, sharpness: float | None = None, share: float = 0.5
) -> Tensor:
    terms = []
    batch = len(first)
    by_instance = torch.eye(batch, dtype=first.dtype) if weights is None else weights
    while True:
        time = first.shape[1]
        term = first.sum() * 0.0
        if batch > 1:
            term = term + share * plain_contrast(torch.cat((first, second)).transpose(0, 1), by_instance)
        if time > 1:
            by_time = (
                soft_temporal_weights(time, sharpness=sharpness, dtype=first.dtype)
                if sharpness
                else torch.eye(time, dtype=first.dtype)
            )
            term = term + (1 - share) * plain_contrast(torch.cat((first, second), dim=1), by_time)
        terms.append(term)
        if time == 1:
            return torch.stack(terms).mean()
        first, second = (F.max_pool1d(view.transpose(1, 2), 2).transpose(1, 2) for view in (first, second))
        sharpness = None if sharpness is None else 2 * sharpness


@pytest.mark.parametrize("time", [1, 2, 3, 6, 7, 13, 16])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("share", [0.5, 0.0, 1.0])
def test_loss_and_gradient_match_the_plain_version(time: int, soft: bool, share: float) -> None:
    first, second = (view.requires_grad_() for view in frames(4, time))
    weights = soft_instance_weights(torch.rand(4, 4, dtype=torch.float64), sharpness=3.0) if soft else None
    sharpness = 0.6 if soft else None
    found = hierarchical(first, second, instance_weights=weights, temporal_sharpness=sharpness, instance_share=share)
    expected = plain_hierarchical(first, second, weights, sharpness, share)
    torch.testing.assert_close(found, expected)
    for one, other in zip(*(torch.autograd.grad(loss, (first, second)) for loss in (found, expected)), strict=True):
        torch.testing.assert_close(one, other)


def test_tiles_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small limits send a small problem through the code that large ones take."""
    first, second = (view.requires_grad_() for view in frames(5, 11, 3))
    weights = soft_instance_weights(torch.rand(5, 5, dtype=torch.float64), sharpness=3.0)

    def run() -> tuple[Tensor, ...]:
        loss = hierarchical(first, second, instance_weights=weights, temporal_sharpness=0.3)
        return (loss, *torch.autograd.grad(loss, (first, second)))

    whole = run()
    monkeypatch.setattr(self_contrast, "_SPLIT_FROM", 3)
    monkeypatch.setattr(self_contrast, "TILE_ELEMENTS", 250)
    for one, other in zip(run(), whole, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("soft", [False, True])
def test_gradcheck(soft: bool) -> None:
    first, second = (view.requires_grad_() for view in frames(2, 5))
    weights = soft_instance_weights(torch.rand(2, 2, dtype=torch.float64), sharpness=2.0) if soft else None
    sharpness = 0.5 if soft else None
    assert torch.autograd.gradcheck(
        lambda a, b: hierarchical(a, b, instance_weights=weights, temporal_sharpness=sharpness), (first, second)
    )


def test_only_a_gradient_is_kept_for_the_backward_pass() -> None:
    first, second = (view.float().requires_grad_() for view in frames(2, 64, 3))
    kept: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        hierarchical(first, second)
    assert sum(kept) == first.numel() + second.numel()  # one (2T, 2T) matrix would be 20 times that


def test_a_gradient_for_one_view_only() -> None:
    first, second = frames()
    both = [view.clone().requires_grad_() for view in (first, second)]
    hierarchical(*both).backward()
    first.requires_grad_()
    hierarchical(first, second).backward()
    torch.testing.assert_close(first.grad, both[0].grad)
    with torch.no_grad():
        assert not hierarchical(first, second).requires_grad


def test_order_of_examples_and_of_views_does_not_matter() -> None:
    first, second = frames(4, 7)
    weights, order = soft_instance_weights(torch.rand(4, 4, dtype=torch.float64), sharpness=2.0), torch.tensor([2, 0, 3, 1])
    expected = hierarchical(first, second, instance_weights=weights, temporal_sharpness=0.4)
    swapped = hierarchical(second, first, instance_weights=weights, temporal_sharpness=0.4)
    permuted = hierarchical(first[order], second[order], instance_weights=weights[order][:, order], temporal_sharpness=0.4)
    torch.testing.assert_close(swapped, expected)
    torch.testing.assert_close(permuted, expected)


@pytest.mark.parametrize("shape", [(1, 1, 2), (1, 5, 2), (4, 1, 2), (2, 5, 1)])
@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_degenerate_inputs_stay_finite(shape: tuple[int, int, int], scale: float) -> None:
    first, second = (view.float().mul(scale).requires_grad_() for view in frames(*shape))
    loss = hierarchical(first, second)
    loss.backward()
    assert torch.isfinite(loss) and first.grad is not None and torch.isfinite(first.grad).all()


def test_equal_neighbours_give_their_gradient_to_the_first() -> None:
    first, second = (view[:, :1].repeat(1, 2, 1).requires_grad_() for view in frames())
    found = torch.autograd.grad(hierarchical(first, second, instance_share=1.0), first)[0]
    expected = torch.autograd.grad(plain_hierarchical(first, second, share=1.0), first)[0]
    torch.testing.assert_close(found, expected)


def test_autocast_keeps_float32() -> None:
    first, second = (view.to(torch.bfloat16) for view in frames(4, 9, 6))
    exact = hierarchical(first.double(), second.double(), temporal_sharpness=0.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = hierarchical(first, second, temporal_sharpness=0.5)
    assert found.dtype == torch.float32 and found.item() == pytest.approx(exact.item(), rel=1e-5)


def test_objective_asks_for_the_distances_of_its_batch() -> None:
    first, second = frames()
    distances = torch.rand(9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    index = torch.tensor([5, 0, 8])
    outputs = ViewOutputs(index=index, frames=[first, second])
    objective = Hierarchical(distances=lambda rows: distances[rows][:, rows], instance_sharpness=5.0, temporal_sharpness=0.2)
    weights = soft_instance_weights(distances[index][:, index], sharpness=5.0)
    torch.testing.assert_close(objective(outputs), hierarchical(first, second, instance_weights=weights, temporal_sharpness=0.2))
    torch.testing.assert_close(Hierarchical()(outputs), hierarchical(first, second))
    off = Hierarchical(distances=lambda rows: pytest.fail("the hard loss needs no distances"), instance_sharpness=0.0)
    torch.testing.assert_close(off(outputs), hierarchical(first, second))
