"""Shuffled group whitening: what it makes of the covariance, its two limits, its gradient; and the loss on top of it."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives import ViewOutputs, WhitenedCSE, group_whiten, nt_xent, whitened_cse
from antiphon.common.random import KeyedRandom

EXACT = 1e-15  # nothing to speak of on the diagonal
ORDER = torch.tensor([3, 0, 5, 1, 4, 2])


def rows(count: int = 40, dim: int = 6, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(count, dim, generator=generator, dtype=torch.float64)
    return mixed @ torch.randn(dim, dim, generator=generator, dtype=torch.float64) + 3.0


def covariance(values: Tensor) -> Tensor:
    centred = values - values.mean(dim=0)
    return centred.T @ centred / len(values)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_each_group_is_white(groups: int) -> None:
    whitened = group_whiten(rows(), ORDER, groups=groups, eps=EXACT)
    torch.testing.assert_close(whitened.mean(dim=0), torch.zeros(6, dtype=torch.float64), atol=1e-12, rtol=0)
    for members in ORDER.chunk(groups):
        found = covariance(whitened[:, members])
        torch.testing.assert_close(found, torch.eye(len(members), dtype=torch.float64), atol=1e-11, rtol=0)
    if groups == 2:  # not white across groups
        assert covariance(whitened)[ORDER[:3]][:, ORDER[3:]].abs().max() > 0.1


def test_one_group_is_zca_in_whichever_order() -> None:
    values, vectors = torch.linalg.eigh(covariance(rows()))
    expected = (rows() - rows().mean(dim=0)) @ vectors @ torch.diag(values**-0.5) @ vectors.T
    for order in (torch.arange(6), ORDER):
        torch.testing.assert_close(group_whiten(rows(), order, groups=1, eps=EXACT), expected)


def test_a_group_a_dimension_is_batch_norm() -> None:
    expected = F.batch_norm(rows(), None, None, training=True, eps=1e-3)
    torch.testing.assert_close(group_whiten(rows(), ORDER, groups=6, eps=1e-3), expected)


def test_the_shuffle_says_who_is_whitened_together() -> None:
    plain = group_whiten(rows()[:, ORDER], torch.arange(6), groups=2)
    torch.testing.assert_close(group_whiten(rows(), ORDER, groups=2)[:, ORDER], plain)
    assert (group_whiten(rows(), torch.arange(6), groups=2) - group_whiten(rows(), ORDER, groups=2)).abs().max() > 0.1


def test_an_affine_map_of_a_group_only_turns_it() -> None:
    generator = torch.Generator().manual_seed(1)
    blocks = torch.block_diag(*torch.randn(2, 3, 3, generator=generator, dtype=torch.float64))
    straight = torch.arange(6)
    before, after = (group_whiten(values, straight, groups=2, eps=EXACT) for values in (rows(), rows() @ blocks + 5.0))
    for part in (slice(0, 3), slice(3, 6)):
        torch.testing.assert_close(after[:, part] @ after[:, part].T, before[:, part] @ before[:, part].T)  # a rotation's invariant


def test_the_gradient_is_right_where_eigenvalues_are_equal() -> None:
    white = group_whiten(rows(), torch.arange(6), groups=1, eps=EXACT).requires_grad_()  # all eigenvalues are 1
    weights = torch.randn(40, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda values: (group_whiten(values, ORDER, groups=2) * weights).sum(), white)
    again = white.detach().float().requires_grad_()
    (group_whiten(again, ORDER, groups=1) * weights.float()).sum().backward()
    assert again.grad is not None and again.grad.isfinite().all() and again.grad.abs().max() < 10.0


def test_dependent_dimensions_stay_finite() -> None:
    values = rows().float()
    values[:, 1], values[:, 2] = values[:, 0], 0.0
    values.requires_grad_()
    whitened = group_whiten(values, torch.arange(6), groups=2)
    whitened.square().sum().backward()
    assert whitened.isfinite().all() and values.grad is not None and values.grad.isfinite().all()
    assert not whitened[:, 2].any()  # a dimension that does not vary stays at zero


def test_the_loss_is_the_mean_over_positives() -> None:
    first, second = rows(), rows(seed=1)
    orders = KeyedRandom.for_examples(0, 0, torch.arange(4)).permutation(6)
    anchor, *positives = (group_whiten(side, order, groups=2) for side, order in zip((first, *[second] * 3), orders, strict=True))
    expected = [nt_xent(anchor, positive, temperature=0.05, symmetric=False, reduction="none") for positive in positives]
    found = whitened_cse(first, second, permutations=orders, groups=2, reduction="none")
    torch.testing.assert_close(found, torch.stack(expected).mean(dim=0))
    torch.testing.assert_close(whitened_cse(first, second, permutations=orders, groups=2), found.mean())
    pooled = whitened_cse(first, second, permutations=orders[:2], groups=2, pooler=torch.tanh)
    torch.testing.assert_close(pooled, nt_xent(anchor.tanh(), positives[0].tanh(), temperature=0.05, symmetric=False))


def test_the_module_draws_a_shuffle_for_each_side() -> None:
    torch.manual_seed(0)
    objective = WhitenedCSE(6, groups=2).double()
    index = torch.arange(40)

    def outputs(step: int, *embeddings: Tensor) -> ViewOutputs:
        return ViewOutputs(index=index, embeddings=embeddings, random=KeyedRandom.for_examples(0, 0, index, step=step))

    leaf = rows().requires_grad_()
    loss = objective(outputs(0, leaf))  # one view, whitened four ways
    loss.backward()
    assert leaf.grad is not None and leaf.grad.any() and all(parameter.grad is not None for parameter in objective.parameters())
    torch.testing.assert_close(objective(outputs(0, rows())), loss)
    assert objective(outputs(1, rows())) != loss
    shuffles = KeyedRandom.for_examples(0, 0, index).shared
    orders = torch.cat([shuffles.permutation(6) for _ in range(4)])
    assert len({tuple(order.tolist()) for order in orders}) == 4
    expected = whitened_cse(rows(), rows(seed=1), permutations=orders, groups=2, pooler=objective.pooler)
    torch.testing.assert_close(objective(outputs(0, rows(), rows(seed=1))), expected)


def test_errors_name_the_remedy() -> None:
    with pytest.raises(ValueError, match="4 groups do not divide 6 dimensions"):
        group_whiten(rows(), ORDER, groups=4)
    with pytest.raises(ValueError, match="3 embeddings cannot whiten groups of 3 dimensions: use a batch of more than 3"):
        group_whiten(rows()[:3], ORDER, groups=2)
    with pytest.raises(ValueError, match="a positive at least"):
        whitened_cse(rows(), rows(), permutations=ORDER[None], groups=2)
    with pytest.raises(ValueError, match="groups=4 does not divide the encoder's 6 dimensions"):
        WhitenedCSE(6, groups=4)
