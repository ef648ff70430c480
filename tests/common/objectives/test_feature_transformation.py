"""Transformed features: the closed form of extrapolation, the distribution of the shares, and MoCo where nothing is transformed."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import beta, kstest
from torch import Tensor

from antiphon.common.objectives import FeatureTransformation, MoCo, ViewOutputs, feature_transformation, moco
from antiphon.common.objectives.feature_transformation import extrapolated, symmetric_beta
from antiphon.common.random import KeyedRandom


def unit(*shape: int, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=-1)


def streams(rows: int, step: int = 0) -> KeyedRandom:
    return KeyedRandom.for_examples(0, 0, torch.arange(rows), step=step)


@pytest.mark.parametrize("concentration", [0.5, 1.0, 1.6, 2.0, 30.0])
def test_shares_follow_the_beta_distribution(concentration: float) -> None:
    draws = symmetric_beta(streams(20), 500, concentration=concentration)
    assert draws.min() >= 0.0 and draws.max() <= 1.0
    assert kstest(draws.flatten().numpy(), beta(concentration, concentration).cdf).pvalue > 0.01


def test_a_concentration_below_a_half_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.4"):
        symmetric_beta(streams(2), concentration=0.4)


def test_extrapolation_golden_and_closed_form() -> None:
    queries, keys = torch.tensor([[1.0, 0.0]], dtype=torch.float64), torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    pushed, pulled = extrapolated(queries, keys, 1.5)
    torch.testing.assert_close(pushed, torch.tensor([[1.2, -0.4]], dtype=torch.float64))
    torch.testing.assert_close(pulled, torch.tensor([[0.4, 1.2]], dtype=torch.float64))
    assert (pushed * pulled).sum().item() == pytest.approx(0.0, abs=1e-12)
    queries, keys, share = unit(6, 5), unit(6, 5, seed=1), 1.3
    cosine, product = (queries * keys).sum(1), torch.mul(*extrapolated(queries, keys, share)).sum(1)
    torch.testing.assert_close(product, cosine + 2 * share * (1 - share) * (1 - cosine))
    assert (product < cosine).all()
    torch.testing.assert_close(torch.stack(extrapolated(queries, keys, 1.0)), torch.stack((queries, keys)))


def test_nothing_transformed_is_moco() -> None:
    queries, keys, queue = unit(4, 3), unit(4, 3, seed=1), unit(9, 3, seed=2)
    off: dict[str, Any] = {"positive_concentration": None, "negative_concentration": None, "temperature": 0.3}
    torch.testing.assert_close(
        feature_transformation(queries, keys, queue, random=streams(4), **off), moco(queries, keys, queue, temperature=0.3)
    )
    assert feature_transformation(queries, keys, queue[:0], random=streams(4)).item() == 0.0


def test_the_loop() -> None:
    queries, keys, queue = unit(3, 4), unit(3, 4, seed=1), unit(6, 4, seed=2)
    found = feature_transformation(queries, keys, queue, random=streams(3), temperature=0.3, reduction="none")
    random = streams(3)
    shares = 1.0 + symmetric_beta(random, 4, concentration=2.0).double()
    rests = symmetric_beta(random.shared, 6, 4, concentration=1.6)[0].double()
    order = random.shared.permutation(6)[0]
    negatives = [F.normalize(rests[i] * queue[i] + (1 - rests[i]) * queue[order[i]], dim=0) for i in range(6)]
    for row in range(3):
        pushed = F.normalize(shares[row] * queries[row] + (1 - shares[row]) * keys[row], dim=0)
        pulled = F.normalize(shares[row] * keys[row] + (1 - shares[row]) * queries[row], dim=0)
        logits = [float(pushed @ column) / 0.3 for column in (pulled, *negatives)]
        assert found[row].item() == pytest.approx(math.log(sum(map(math.exp, logits))) - logits[0])


def test_gradients_reach_the_query_through_both_sides_and_no_key() -> None:
    queries, keys, queue = unit(3, 4).requires_grad_(), unit(3, 4, seed=1).requires_grad_(), unit(5, 4, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda q: feature_transformation(q, keys, queue, random=streams(3)), (queries,))
    feature_transformation(queries, keys, queue, random=streams(3)).backward()
    assert keys.grad is None and queue.grad is None


def test_the_queue_keeps_the_original_keys() -> None:
    plain = MoCo(projection_dim=4, queue_size=8).double()
    transformed = FeatureTransformation(projection_dim=4, queue_size=8).double()
    losses = []
    for step in range(3):
        views = list(unit(2, 3, 4, seed=step))
        batch = ViewOutputs(index=torch.arange(3), projections=views, targets=views[::-1], random=streams(3, step))
        losses.append((plain(batch).item(), transformed(batch).item()))
    torch.testing.assert_close(transformed.queue.rows(), plain.queue.rows())
    assert losses[0] == (0.0, 0.0) and losses[1][0] != losses[1][1]
