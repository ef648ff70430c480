"""DHEL and the losses of many views against loops in float64, golden values and identities."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives.info_nce import nt_xent
from antiphon.common.objectives.multi_view import dhel, mv_dhel, mv_info_nce

TOY_A = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
TOY_B = torch.tensor([[0.6, 0.8], [0.0, 1.0]], dtype=torch.float64)


def cross(*views: Tensor, **options: Tensor) -> Tensor:
    return mv_info_nce(*views, energy="cross", **options)


LOSSES: list[Callable[..., Tensor]] = [dhel, mv_dhel, mv_info_nce, cross]


def views(count: int = 2, batch: int = 5, dim: int = 3, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(count, batch, dim, generator=generator, dtype=torch.float64))


def cosine(one: Tensor, other: Tensor) -> float:
    return float(one @ other) / math.sqrt(float(one @ one) * float(other @ other))


def mv_dhel_loop(views: list[Tensor], temperature: float) -> list[float]:
    count, batch = len(views), len(views[0])
    losses = []
    for i in range(batch):
        spread = 0.0
        for view in views:
            spread += math.log(sum(math.exp(cosine(view[i], view[j]) / temperature) for j in range(batch) if j != i))
        pairs = [(k, m) for k in range(count) for m in range(k + 1, count)]
        losses.append(spread - math.log(sum(math.exp(cosine(views[k][i], views[m][i]) / temperature) for k, m in pairs)))
    return losses


def mv_info_nce_loop(views: list[Tensor], temperature: float, energy: str) -> list[float]:
    count, batch = len(views), len(views[0])
    losses = []
    for i in range(batch):
        total = positives = 0.0
        for k in range(count):
            for m in range(count):
                for j in range(batch):
                    if (m, j) == (k, i) or (energy == "cross" and m == k):
                        continue
                    term = math.exp(cosine(views[k][i], views[m][j]) / temperature)
                    total += term
                    positives += term if j == i else 0.0
        losses.append(math.log(total / positives))
    return losses


def test_golden_values() -> None:
    assert dhel(TOY_A, TOY_B, temperature=0.5).item() == pytest.approx(0.0, abs=1e-9)
    assert mv_dhel(TOY_A, TOY_B, temperature=0.5).item() == pytest.approx(0.0, abs=1e-9)
    assert mv_info_nce(TOY_A, TOY_B, temperature=0.5).item() == pytest.approx(0.809023, abs=1e-6)
    assert dhel(TOY_A, TOY_B, temperature=0.5, both_spread=False).item() == pytest.approx(-1.6)  # (-1.2 - 2 + 0 + 0) / 2


@pytest.mark.parametrize("count", [2, 3, 4])
def test_losses_match_the_loops(count: int) -> None:
    several = views(count)
    found = mv_dhel(*several, temperature=0.3, reduction="none")
    torch.testing.assert_close(found.tolist(), mv_dhel_loop(several, 0.3))
    for energy in ("all", "cross"):
        found = mv_info_nce(*several, temperature=0.3, energy=energy, reduction="none")
        torch.testing.assert_close(found.tolist(), mv_info_nce_loop(several, 0.3, energy))


def test_two_views_of_mv_dhel_are_dhel() -> None:
    first, second = views()
    torch.testing.assert_close(mv_dhel(first, second, temperature=0.3), dhel(first, second))
    unit = F.normalize(second, dim=-1)
    logits = (unit @ unit.T / 0.3).fill_diagonal_(-torch.inf)
    torch.testing.assert_close(
        dhel(first, second, reduction="none") - dhel(first, second, both_spread=False, reduction="none"), logits.logsumexp(dim=1)
    )


def test_mv_info_nce_on_two_views_is_at_least_nt_xent() -> None:
    first, second = views()
    bound = nt_xent(first, second, temperature=0.5, reduction="none").view(2, -1).mean(dim=0)
    found = mv_info_nce(first, second, temperature=0.5, reduction="none")
    assert (found > bound).all()
    mirrored = -first  # each anchor's energy is that of its positive
    torch.testing.assert_close(mv_info_nce(first, mirrored), nt_xent(first, mirrored, temperature=0.5))
    apart = mv_info_nce(first, second, energy="cross", reduction="none")
    both_ways = torch.stack(
        [nt_xent(*pair, temperature=0.5, symmetric=False, reduction="none") for pair in ((first, second), (second, first))]
    )
    assert (apart >= both_ways.mean(dim=0)).all() and (apart < found).all()


def test_the_pull_of_dhel_does_not_depend_on_its_negatives() -> None:
    first, second = views()
    shuffled = second[[3, 0, 4, 1, 2]]  # the same spread, other positives
    cosines = [F.cosine_similarity(first, other).mean() for other in (second, shuffled)]
    torch.testing.assert_close(dhel(first, shuffled) - dhel(first, second), (cosines[0] - cosines[1]) / 0.3)


@pytest.mark.parametrize("loss", LOSSES[1:])
def test_views_and_examples_come_in_any_order(loss: Callable[..., Tensor]) -> None:
    several, order = views(4), torch.tensor([3, 0, 4, 1, 2])
    rows = loss(*several, reduction="none")
    torch.testing.assert_close(loss(*[several[k] for k in (2, 0, 3, 1)], reduction="none"), rows)
    torch.testing.assert_close(loss(*[view[order] for view in several], reduction="none"), rows[order])


@pytest.mark.parametrize("loss", LOSSES)
def test_gradcheck_with_temperature(loss: Callable[..., Tensor]) -> None:
    count = 2 if loss is dhel else 3
    several = [view.requires_grad_() for view in views(count, batch=3)]
    temperature = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t, *leaves: loss(*leaves, temperature=t), (temperature, *several))


@pytest.mark.parametrize("loss", LOSSES)
def test_one_example_has_no_loss(loss: Callable[..., Tensor]) -> None:
    leaves = [view.requires_grad_() for view in views(batch=1)]
    found = loss(*leaves)
    found.backward()
    assert found.item() == pytest.approx(0.0, abs=1e-12)
    assert all(leaf.grad is not None and leaf.grad.abs().max() < 1e-12 for leaf in leaves)


def test_many_views_at_a_low_temperature_stay_finite() -> None:
    several = [view.float() for view in views(12, batch=4)]
    for loss in LOSSES[1:]:  # a product of twelve energies of e^100 would not fit
        assert loss(*several, temperature=0.01).isfinite()


def test_errors() -> None:
    for loss in (mv_dhel, mv_info_nce):
        with pytest.raises(ValueError, match="two views or more, got 1"):
            loss(TOY_A)
    with pytest.raises(ValueError, match="energy is 'own'"):
        mv_info_nce(TOY_A, TOY_B, energy="own")
    with pytest.raises(ValueError, match="views must all be"):
        dhel(TOY_A, TOY_B[:1])
