"""What every objective owes, whatever its idea; goldens, loops and identities are in the file of its family.

An entry of CASES is a loss of views (each (B, D)) and of the rows' numbers (B,), by which a loss with labels or a memory looks up
what belongs to a row. Losses are means over examples, so that a permutation of the batch must not change them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from antiphon.common import objectives

Loss = Callable[[Sequence[Tensor], Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """One loss.

    `swap`: views may be exchanged; `cosines`: the length of vectors does not matter; `alone`: a batch of one has a loss;
    `stops_gradient`: a part of the loss is a constant on purpose, so that its gradient is not that of its value.
    """

    name: str
    loss: Loss
    views: int = 2
    swap: bool = True
    cosines: bool = True
    alone: bool = True
    stops_gradient: bool = False
    batch: int = 6
    dim: int = 4


CLASSES = torch.tensor([0, 1, 0, 2, 1, 0])

CASES = [
    Case("nt_xent", lambda views, _: objectives.nt_xent(*views)),
    Case("nt_xent margin", lambda views, _: objectives.nt_xent(*views, margin=0.2)),
    Case("nt_xent one way", lambda views, _: objectives.nt_xent(*views, symmetric=False), swap=False),
    Case("dcl", lambda views, _: objectives.dcl(*views)),
    Case("dclw", lambda views, _: objectives.dcl(*views, sigma=0.5), stops_gradient=True),
    Case("supcon", lambda views, rows: objectives.supcon(torch.cat(tuple(views)), CLASSES[rows].repeat(len(views)))),
]


def data(case: Case, *, batch: int | None = None, seed: int = 0) -> tuple[list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    batch = case.batch if batch is None else batch
    views = torch.randn(case.views, batch, case.dim, generator=generator, dtype=torch.float64)
    return list(views), torch.arange(batch)


every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.mark.parametrize("case", [case for case in CASES if not case.stops_gradient], ids=lambda case: case.name)
def test_gradients_are_right(case: Case) -> None:
    views, rows = data(case)
    leaves = tuple(view.requires_grad_() for view in views)
    assert torch.autograd.gradcheck(lambda *leaves: case.loss(leaves, rows), leaves)


@every_case
def test_the_order_of_examples_does_not_matter(case: Case) -> None:
    views, rows = data(case)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(case.loss([view[order] for view in views], rows[order]), case.loss(views, rows))


@pytest.mark.parametrize("case", [case for case in CASES if case.swap], ids=lambda case: case.name)
def test_views_may_be_exchanged(case: Case) -> None:
    views, rows = data(case)
    torch.testing.assert_close(case.loss(views[::-1], rows), case.loss(views, rows))


@pytest.mark.parametrize("case", [case for case in CASES if case.cosines], ids=lambda case: case.name)
def test_lengths_of_vectors_do_not_matter(case: Case) -> None:
    views, rows = data(case)
    torch.testing.assert_close(case.loss([view * 7.0 for view in views], rows), case.loss(views, rows))


@every_case
@pytest.mark.parametrize("kind", ["one example", "all equal", "zeros", "long"])
def test_degenerate_batches_are_finite(case: Case, kind: str) -> None:
    views, rows = data(case, batch=1 if kind == "one example" else None)
    if kind == "one example" and not case.alone:
        with pytest.raises(ValueError, match="2"):
            case.loss(views, rows)
        return
    change = {"all equal": lambda view: torch.ones_like(view), "zeros": torch.zeros_like, "long": lambda view: view * 100.0}
    leaves = [change.get(kind, torch.clone)(view).float().requires_grad_() for view in views]
    loss = case.loss(leaves, rows)
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    assert loss.isfinite()
    assert all(gradient is None or gradient.isfinite().all() for gradient in gradients)


@every_case
def test_autocast_keeps_float32(case: Case) -> None:
    views, rows = data(case)
    halves = [view.to(torch.bfloat16) for view in views]
    exact = case.loss([half.double() for half in halves], rows)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = case.loss(halves, rows)
    assert found.dtype == torch.float32 and exact.dtype == torch.float64
    assert found.item() == pytest.approx(exact.item(), rel=1e-4, abs=1e-5)
