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
from antiphon.common.random import KeyedRandom

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


def predictive_coding(views: Sequence[Tensor], negatives: str) -> Tensor:
    """CPC where the views are successive frames, and each frame is its own context."""
    frames = torch.stack(tuple(views), dim=1)
    weights = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    weights = weights.to(torch.promote_types(frames.dtype, torch.float32))
    return objectives.cpc(frames, frames, weights, negatives=negatives)


PROTOTYPES = torch.randn(3, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def swav(views: Sequence[Tensor], rows: Tensor) -> Tensor:
    return objectives.swav(*views, prototypes=PROTOTYPES.to(torch.promote_types(views[0].dtype, torch.float32)))


def both_ways(views: Sequence[Tensor], loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    return (loss(views[0], views[1]) + loss(views[1], views[0])) / 2


def dino(first: Tensor, second: Tensor) -> Tensor:
    return objectives.dino(first, second, center=torch.tensor([-0.5, 0.25, 1.0, 0.0], dtype=first.dtype))


QUEUE = torch.nn.functional.normalize(torch.randn(7, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64), dim=-1)
AVERAGES = torch.tensor([0.5, -0.3, -torch.inf, 1.0, 0.1, -1.0])  # logarithms of moving averages, one of an example never seen
TEMPERATURES = torch.tensor([0.1, 0.3, 0.5, 0.9, 0.2, 0.05])


def streams(rows: Tensor) -> KeyedRandom:
    return KeyedRandom.for_examples(0, 0, rows)


def mochi(first: Tensor, second: Tensor, rows: Tensor) -> Tensor:
    return objectives.mochi(first, second, QUEUE, random=streams(rows), hardest=4, pairs=3, with_query=2)


def transformed(first: Tensor, second: Tensor, rows: Tensor) -> Tensor:
    return objectives.feature_transformation(first, second, QUEUE, random=streams(rows))


CENTER = torch.tensor([0.3, -0.1, 0.2, 0.4])
TARGETS = torch.tensor([3.0, 1.0, 4.0, 3.0, 9.0, 2.5])
PREDICTIONS = torch.tensor([3.2, 3.1, 2.9, 1.0, 3.3, 2.7])
SHUFFLES = torch.tensor([[0, 1, 2, 3], [2, 0, 1, 3], [0, 3, 1, 2]])


def protoclr(views: Sequence[Tensor], rows: Tensor) -> Tensor:
    return objectives.protoclr(torch.cat(tuple(views)), CLASSES[rows].repeat(len(views)))


def conr(views: Sequence[Tensor], rows: Tensor) -> Tensor:
    labels, predictions = (values[rows].repeat(len(views)) for values in (TARGETS, PREDICTIONS))
    return objectives.conr(torch.cat(tuple(views)), labels, predictions)


def supremix(views: Sequence[Tensor], rows: Tensor) -> Tensor:
    return objectives.supremix(*views, labels=TARGETS[rows], random=KeyedRandom.for_examples(0, 0, rows))


def sepclr(views: Sequence[Tensor], rows: Tensor) -> Tensor:
    return objectives.sepclr(*views, is_target=CLASSES[rows] > 0, common_dim=2, salient_weight=10.0, background_weight=10.0)


def whitened_cse(views: Sequence[Tensor], _: Tensor) -> Tensor:
    return objectives.whitened_cse(*views, permutations=SHUFFLES, groups=2, temperature=0.2)


CASES = [
    Case("nt_xent", lambda views, _: objectives.nt_xent(*views)),
    Case("nt_xent margin", lambda views, _: objectives.nt_xent(*views, margin=0.2)),
    Case("nt_xent one way", lambda views, _: objectives.nt_xent(*views, symmetric=False), swap=False),
    Case("dcl", lambda views, _: objectives.dcl(*views)),
    Case("dclw", lambda views, _: objectives.dcl(*views, sigma=0.5), stops_gradient=True),
    Case("dhel", lambda views, _: objectives.dhel(*views)),
    Case("dhel one-sided", lambda views, _: objectives.dhel(*views, both_spread=False), swap=False),
    Case("mv_dhel", lambda views, _: objectives.mv_dhel(*views), views=3),
    Case("mv_info_nce", lambda views, _: objectives.mv_info_nce(*views), views=3),
    Case("mv_info_nce cross", lambda views, _: objectives.mv_info_nce(*views, energy="cross"), views=3),
    Case("vicreg", lambda views, _: objectives.vicreg(*views), cosines=False, alone=False),
    Case("barlow_twins", lambda views, _: objectives.barlow_twins(*views), cosines=False, alone=False),
    Case("swav", swav, stops_gradient=True),
    Case("byol", lambda views, _: both_ways(views, objectives.byol), stops_gradient=True),
    Case("simsiam", lambda views, _: objectives.simsiam(*views), stops_gradient=True),
    Case("dino", lambda views, _: both_ways(views, dino), cosines=False, stops_gradient=True),
    Case("moco", lambda views, _: both_ways(views, lambda a, b: objectives.moco(a, b, QUEUE, margin=0.1)), stops_gradient=True),
    Case("moco_v3", lambda views, _: both_ways(views, objectives.moco_v3), stops_gradient=True),
    Case("mochi", lambda views, rows: both_ways(views, lambda a, b: mochi(a, b, rows)), stops_gradient=True),
    Case("feature_transformation", lambda views, rows: both_ways(views, lambda a, b: transformed(a, b, rows)), stops_gradient=True),
    Case("hcl", lambda views, _: objectives.hcl(*views)),
    Case("debiased", lambda views, _: objectives.hcl(*views, hardness=0.0, positive_prior=0.3)),
    Case("cacr", lambda views, _: objectives.cacr(*views), views=3),
    Case("sogclr", lambda views, rows: objectives.sogclr(*views, AVERAGES[rows])[0], stops_gradient=True),
    Case("isogclr", lambda views, rows: objectives.isogclr(*views, AVERAGES[rows], TEMPERATURES[rows])[0], stops_gradient=True),
    Case("groco", lambda views, _: objectives.groco(*views, negatives=3), views=3, stops_gradient=True),
    Case("groco for all", lambda views, _: objectives.groco(*views, negatives=3, stop_gradient=False)),
    Case("supcon", lambda views, rows: objectives.supcon(torch.cat(tuple(views)), CLASSES[rows].repeat(len(views)))),
    Case("supcon in", lambda views, rows: objectives.supcon(torch.cat(tuple(views)), CLASSES[rows].repeat(len(views)), form="in")),
    Case("softclt_instance", lambda views, _: objectives.softclt_instance(*(view[:, None] for view in views)), cosines=False),
    Case("softclt_temporal", lambda views, _: objectives.softclt_temporal(*(view[:, :, None] for view in views)), cosines=False),
    Case("hierarchical", lambda views, _: objectives.hierarchical(*(view[:, :, None] for view in views)), cosines=False),
    Case("nt_xent angular", lambda views, _: objectives.nt_xent(*views, margin=0.2, margin_kind="angular")),
    Case("nt_xent tiled", lambda views, _: objectives.nt_xent(*views, tiled=True)),
    Case("clip tiled", lambda views, _: objectives.clip(*views, scale=5.0, tiled=True)),
    Case("clip", lambda views, _: objectives.clip(*views, scale=5.0)),
    Case("siglip", lambda views, _: objectives.siglip(*views, scale=5.0, bias=-2.0)),
    Case("cwcl", lambda views, _: objectives.cwcl(*views, scale=5.0), swap=False, stops_gradient=True),
    Case("alignment", lambda views, _: objectives.alignment(*views)),
    Case("uniformity", lambda views, _: objectives.uniformity(views[0]), views=1),
    Case("cross uniformity", lambda views, _: objectives.cross_uniformity(*views)),
    Case("align uniform", lambda views, _: objectives.align_uniform(*views, cross_weight=0.5), views=3),
    Case("cpc", lambda views, _: predictive_coding(views, "same_time"), views=4, swap=False, cosines=False),
    Case("cpc batch", lambda views, _: predictive_coding(views, "batch"), views=4, swap=False, cosines=False),
    Case("protoclr", protoclr),
    Case("mean_shifted", lambda views, _: objectives.mean_shifted(*views, center=CENTER)),
    Case("mean_shifted angular", lambda views, _: objectives.mean_shifted(*views, center=CENTER, angular_center=True)),
    Case("non_negative", lambda views, _: objectives.non_negative(*views), stops_gradient=True),
    Case("non_negative relu", lambda views, _: objectives.non_negative(*views, activation=torch.relu)),
    Case("conr", conr),
    Case("supremix", supremix, swap=False, stops_gradient=True),
    Case("sepclr", sepclr, cosines=False),
    Case("whitened_cse", whitened_cse, swap=False, cosines=False, alone=False),
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
