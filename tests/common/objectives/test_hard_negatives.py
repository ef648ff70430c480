"""HCL and the debiased loss: golden values, a loop with the floor, NT-Xent at the corner."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives import hcl, nt_xent

TOY_A = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
TOY_B = torch.tensor([[0.6, 0.8], [0.0, 1.0]], dtype=torch.float64)
APART = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)  # as views of themselves: nothing is left to debias


def views(batch: int = 5, dim: int = 3) -> tuple[Tensor, Tensor]:
    first, noise = torch.randn(2, batch, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return first, first + 0.5 * noise


def hcl_loop(first: Tensor, second: Tensor, temperature: float, prior: float, hardness: float) -> tuple[list[float], list[bool]]:
    """Losses of the anchors, and for which of them the floor holds."""
    rows, losses, floored = F.normalize(torch.cat((first, second)), dim=1), [], []
    for i, anchor in enumerate(rows):
        partner = (i + len(first)) % len(rows)
        p = math.exp(float(anchor @ rows[partner]) / temperature)
        n = [math.exp(float(anchor @ rows[k]) / temperature) for k in range(len(rows)) if k not in (i, partner)]
        importance = [value**hardness for value in n]
        weighted = sum(a * b for a, b in zip(importance, n, strict=True)) / (sum(importance) / len(n))
        debiased, floor = (weighted - prior * len(n) * p) / (1 - prior), len(n) * math.exp(-1 / temperature)
        losses.append(-math.log(p / (p + max(debiased, floor))))
        floored.append(debiased < floor)
    return losses, floored


@pytest.mark.parametrize(("prior", "hardness"), [(0.0, 0.0), (0.1, 0.0), (0.1, 1.0), (0.3, 0.5), (0.0, 2.0)])
def test_the_loop(prior: float, hardness: float) -> None:
    first, second = views()
    losses, _ = hcl_loop(first, second, 0.4, prior, hardness)
    found = hcl(first, second, temperature=0.4, positive_prior=prior, hardness=hardness, reduction="none")
    torch.testing.assert_close(found.tolist(), losses)


def test_golden_values() -> None:
    values = {(0.1, 0.0): 0.702001, (0.1, 1.0): 0.807918, (0.0, 1.0): 0.848687}
    for (prior, hardness), golden in values.items():
        found = hcl(TOY_A, TOY_B, temperature=0.5, positive_prior=prior, hardness=hardness)
        assert found.item() == pytest.approx(golden, abs=1e-6)


def test_without_prior_and_hardness_it_is_nt_xent() -> None:
    first, second = views()
    found = hcl(first, second, temperature=0.3, positive_prior=0.0, hardness=0.0, reduction="none")
    torch.testing.assert_close(found, nt_xent(first, second, temperature=0.3, reduction="none"))


def test_tiles_give_the_same() -> None:
    leaves = tuple(view.requires_grad_() for view in views())
    dense, tiled = (hcl(*leaves, temperature=0.3, tiled=flag) for flag in (False, True))
    torch.testing.assert_close(tiled, dense)
    for one, other in zip(torch.autograd.grad(tiled, leaves), torch.autograd.grad(dense, leaves), strict=True):
        torch.testing.assert_close(one, other)


def test_both_sides_of_the_floor() -> None:
    first, second = views()
    losses, floored = hcl_loop(first, second, 0.5, 0.3, 0.0)
    assert any(floored) and not all(floored)
    found = hcl(first, second, temperature=0.5, positive_prior=0.3, hardness=0.0, reduction="none")
    torch.testing.assert_close(found.tolist(), losses)
    assert hcl(APART, APART, temperature=0.5).item() == pytest.approx(math.log1p(2 * math.exp(-2) / math.exp(2)))


def test_where_the_floor_holds_negatives_get_no_gradient() -> None:
    tilted = torch.tensor([[1.0, 0.2], [-1.0, 0.1]], dtype=torch.float64).requires_grad_()
    rows = hcl(APART, tilted, temperature=0.5, reduction="none")
    (gradient,) = torch.autograd.grad(rows[0], tilted)
    assert gradient[0].any() and not gradient[1].any()
    (gradient,) = torch.autograd.grad(hcl(APART, tilted, temperature=0.5, positive_prior=0.0, reduction="none")[0], tilted)
    assert gradient[1].any()


@pytest.mark.parametrize("prior", [0.1, 0.3, 0.6])
def test_gradcheck_with_temperature(prior: float) -> None:
    temperature = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    leaves = tuple(view.requires_grad_() for view in views(4))
    assert torch.autograd.gradcheck(lambda a, b, t: hcl(a, b, temperature=t, positive_prior=prior), (*leaves, temperature))


def test_hardness_weighs_near_negatives_with_gradient() -> None:
    """The importance is not a constant: holding it fixed gives another gradient."""
    first, second = (view.requires_grad_() for view in views(4))
    found = torch.autograd.grad(hcl(first, second, temperature=0.5, positive_prior=0.0), first)[0]
    rows = F.normalize(torch.cat((first, second)), dim=1)
    n = (rows @ rows.T / 0.5).exp()
    positive = n.diagonal(4).repeat(2)
    negative = ~torch.eye(4, dtype=torch.bool).repeat(2, 2)
    for detached in (False, True):
        importance = (n.detach() if detached else n)[negative].view(8, 6)
        weighted = (importance * n[negative].view(8, 6)).sum(1) / importance.mean(1)
        (reference,) = torch.autograd.grad(-(positive / (positive + weighted)).log().mean(), first, retain_graph=True)
        assert torch.allclose(found, reference) is not detached


@pytest.mark.parametrize("options", [{"positive_prior": 1.0}, {"positive_prior": -0.1}, {"hardness": -1.0}])
def test_impossible_settings_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="positive_prior"):
        hcl(TOY_A, TOY_B, **options)
