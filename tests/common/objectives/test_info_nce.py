"""The general loss and its calls, against loops in float64, golden values and the identities between them."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives.base import PairObjective, ViewOutputs
from antiphon.common.objectives.denominators import with_margin
from antiphon.common.objectives.info_nce import dcl, info_nce, nt_xent
from antiphon.common.objectives.supervised import supcon

TOY_A = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
TOY_B = torch.tensor([[0.6, 0.8], [0.0, 1.0]], dtype=torch.float64)
PAIR_LOSSES: list[Callable[..., Tensor]] = [nt_xent, dcl]


def views(batch: int = 5, dim: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.randn(2, batch, dim, generator=generator, dtype=torch.float64)
    return first, second


def info_nce_loop(
    anchors: Tensor,
    candidates: Tensor,
    weights: Tensor,
    *,
    temperature: float,
    margin: float = 0.0,
    ignore: Tensor | None = None,
    positives_in_denominator: bool = True,
    normalize: bool = True,
) -> list[float | None]:
    """One anchor after the other; None where it has no positive or no candidate."""
    losses: list[float | None] = []
    for i, anchor in enumerate(anchors):
        row = weights[i].tolist()
        total = sum(row)
        if total and normalize:
            row = [weight / total for weight in row]
        logits = [
            (sum(x * y for x, y in zip(anchor.tolist(), candidate.tolist(), strict=True)) - margin * (weight > 0)) / temperature
            for candidate, weight in zip(candidates, row, strict=True)
        ]
        kept = [
            logit
            for j, logit in enumerate(logits)
            if not (ignore is not None and ignore[i, j]) and (positives_in_denominator or row[j] == 0)
        ]
        if not total or not kept:
            losses.append(None)
            continue
        lse = math.log(sum(map(math.exp, kept)))
        losses.append(sum(row) * lse - sum(weight * logit for weight, logit in zip(row, logits, strict=True)))
    return losses


def nt_xent_loop(first: Tensor, second: Tensor, temperature: float, margin: float = 0.0, decoupled: bool = False) -> list[float]:
    rows = [row / row.norm() for row in torch.cat((first, second))]
    losses = []
    for i, anchor in enumerate(rows):
        partner = (i + len(first)) % len(rows)
        positive = (float(anchor @ rows[partner]) - margin) / temperature
        negatives = [float(anchor @ rows[k]) / temperature for k in range(len(rows)) if k not in (i, partner)]
        terms = negatives if decoupled else [positive, *negatives]
        losses.append(math.log(sum(map(math.exp, terms))) - positive)
    return losses


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("positives_in_denominator", [True, False])
@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_weights_match_the_loop(normalize: bool, positives_in_denominator: bool, margin: float) -> None:
    generator = torch.Generator().manual_seed(1)
    anchors = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    candidates = torch.randn(8, 3, generator=generator, dtype=torch.float64)
    weights = torch.rand(6, 8, generator=generator, dtype=torch.float64) * (torch.rand(6, 8, generator=generator) < 0.4)
    ignore = torch.rand(6, 8, generator=generator) < 0.3
    weights[2] = 0.0  # no positive
    ignore[3] = True  # no candidate
    options = {"temperature": 0.7, "margin": margin, "ignore": ignore, "positives_in_denominator": positives_in_denominator}
    expected = info_nce_loop(anchors, candidates, weights, normalize=normalize, **options)
    found = info_nce(anchors, candidates, positives=weights, normalize_targets=normalize, reduction="none", **options)
    torch.testing.assert_close(found, torch.tensor([loss or 0.0 for loss in expected], dtype=torch.float64))
    assert expected[2] is None and expected[3] is None
    mean = info_nce(anchors, candidates, positives=weights, normalize_targets=normalize, **options)
    counted = [loss for loss in expected if loss is not None]
    torch.testing.assert_close(mean.item(), sum(counted) / len(counted))


def test_a_column_is_a_weight_of_one() -> None:
    anchors, candidates = views(6)
    columns = torch.tensor([3, 0, 5, 1, 1, 2])
    options = {"temperature": 0.3, "margin": 0.1, "reduction": "none"}
    weighted = info_nce(anchors, candidates, positives=F.one_hot(columns, 6).double(), **options)
    torch.testing.assert_close(info_nce(anchors, candidates, positives=columns, **options), weighted)
    options["positives_in_denominator"] = False
    weighted = info_nce(anchors, candidates, positives=F.one_hot(columns, 6).bool(), **options)
    torch.testing.assert_close(info_nce(anchors, candidates, positives=columns, **options), weighted)


def test_leading_dimensions_are_independent_problems() -> None:
    anchors, candidates = torch.randn(2, 3, 4, 5, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    weights = torch.rand(3, 4, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    rows = info_nce(anchors, candidates, positives=weights, temperature=0.5, normalize_targets=False, reduction="none")
    assert rows.shape == (3, 4, 5)
    one = info_nce(
        anchors[1, 2], candidates[1, 2], positives=weights[1, 2], temperature=0.5, normalize_targets=False, reduction="none"
    )
    torch.testing.assert_close(rows[1, 2], one)


def test_anchor_weights_multiply_rows_and_not_the_count() -> None:
    anchors, candidates = views(4)
    columns, weights = torch.arange(4), torch.tensor([1.0, 0.0, 0.5, 2.0], dtype=torch.float64)
    rows = info_nce(anchors, candidates, positives=columns, temperature=1.0, reduction="none")
    options = {"positives": columns, "temperature": 1.0, "anchor_weights": weights}
    torch.testing.assert_close(info_nce(anchors, candidates, **options), (rows * weights).sum() / 4)
    torch.testing.assert_close(info_nce(anchors, candidates, reduction="sum", **options), (rows * weights).sum())


@pytest.mark.parametrize("in_denominator", [True, False])
def test_gradcheck_with_margin_and_learnable_temperature(in_denominator: bool) -> None:
    anchors, candidates = (view.requires_grad_() for view in views(4))
    temperature = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    margin = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5)).tril()
    weights[3] = 0.0
    ignore = torch.eye(4, dtype=torch.bool).roll(1, 0)

    def soft(*inputs: Tensor) -> Tensor:
        a, c, t, m = inputs
        return info_nce(
            a,
            c,
            positives=weights,
            temperature=t,
            margin=m,
            ignore=ignore,
            positives_in_denominator=in_denominator,
            reduction="none",
        )

    def indexed(*inputs: Tensor) -> Tensor:
        a, c, t, m = inputs
        return info_nce(a, c, positives=torch.arange(4), temperature=t, margin=m, positives_in_denominator=in_denominator)

    assert torch.autograd.gradcheck(soft, (anchors, candidates, temperature, margin))
    assert torch.autograd.gradcheck(indexed, (anchors, candidates, temperature, margin))


@pytest.mark.parametrize("positives_in_denominator", [True, False])
def test_partners_stand_beside_the_candidates(positives_in_denominator: bool) -> None:
    anchors, partners = (view.requires_grad_() for view in views(6))
    queue = views(9, seed=7)[0].requires_grad_()
    ignore = torch.rand(6, 9, generator=torch.Generator().manual_seed(8)) < 0.4
    ignore[2] = True  # no candidate
    # The same as columns of one matrix: an anchor's partner is a candidate that all others ignore.
    candidates, itself = torch.cat((queue, partners)), torch.eye(6, dtype=torch.bool)
    weights = torch.cat((torch.zeros(6, 9), torch.eye(6)), dim=1).double()
    options = {"temperature": 0.4, "margin": 0.2}
    expected = info_nce_loop(
        anchors,
        candidates,
        weights,
        ignore=torch.cat((ignore, ~itself), dim=1),
        positives_in_denominator=positives_in_denominator,
        **options,
    )
    options |= {"ignore": ignore, "positives_in_denominator": positives_in_denominator}
    found = info_nce(anchors, queue, partners=partners, reduction="none", **options)
    torch.testing.assert_close(found, torch.tensor([loss or 0.0 for loss in expected], dtype=torch.float64))
    assert info_nce(anchors, queue, partners=partners, **options).item() == pytest.approx(found.sum().item() / 5)
    assert torch.autograd.gradcheck(lambda a, p, q: info_nce(a, q, partners=p, **options), (anchors, partners, queue))
    empty = info_nce(anchors, queue[:0], partners=partners, temperature=0.4)
    assert empty.item() == 0.0 and not torch.autograd.grad(empty, anchors)[0].any()


def test_an_ignored_positive_is_only_pulled() -> None:
    anchors, candidates = views(5)
    columns, ignore = torch.arange(5), torch.eye(5, dtype=torch.bool)
    weights = F.one_hot(columns, 5).double()
    expected = info_nce_loop(anchors, candidates, weights, temperature=0.5, ignore=ignore)
    for exclusion in (ignore, columns[:, None]):
        found = info_nce(anchors, candidates, positives=columns, ignore=exclusion, temperature=0.5, reduction="none")
        torch.testing.assert_close(found.tolist(), expected)


def test_log_weights_count_candidates_in_the_denominator() -> None:
    anchors, candidates = views(5)
    weights = torch.eye(5, dtype=torch.float64)
    counts = torch.tensor([1.0, 2.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    found = info_nce(anchors, candidates, positives=weights, log_weights=counts.log().expand(5, 5), temperature=0.5)
    doubled = torch.cat((candidates[[0, 1, 1, 3, 4]], candidates[[2]]))
    one_hot = torch.zeros(5, 6, dtype=torch.float64)
    one_hot[torch.arange(5), torch.tensor([0, 1, 5, 3, 4])] = 1.0
    ignore = F.one_hot(torch.full((5,), 5), 6).bool()
    torch.testing.assert_close(found, info_nce(anchors, doubled, positives=one_hot, ignore=ignore, temperature=0.5))


def test_the_angular_margin_turns_the_positive_away() -> None:
    first, second = views(6)
    found = nt_xent(first, second, temperature=0.3, margin=0.4, margin_kind="angular", reduction="none")
    unit = [row / row.norm() for row in torch.cat((first, second))]
    expected = []
    for i, anchor in enumerate(unit):
        partner = (i + 6) % 12
        angle = math.acos(float(anchor @ unit[partner])) + 0.4
        far = math.cos(angle - 0.4) - 0.4 * math.sin(math.pi - 0.4)
        positive = (math.cos(angle) if angle < math.pi else far) / 0.3
        negatives = [float(anchor @ unit[k]) / 0.3 for k in range(12) if k not in (i, partner)]
        expected.append(math.log(sum(map(math.exp, [positive, *negatives]))) - positive)
    torch.testing.assert_close(found.tolist(), expected)
    without = nt_xent(first, second, temperature=0.3)
    torch.testing.assert_close(nt_xent(first, second, temperature=0.3, margin=0.0, margin_kind="angular"), without)


def test_the_angular_margin_falls_with_the_angle_and_has_a_gradient_everywhere() -> None:
    cosines = torch.linspace(-1.0, 1.0, 2001, dtype=torch.float64)[:, None].requires_grad_()
    margin = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    harder = with_margin(cosines, margin, "angular")
    assert (harder.diff(dim=0) > 0).all() and (harder <= cosines).all()
    assert harder[-1].item() == pytest.approx(math.cos(0.5)) and harder[0].item() == pytest.approx(-1.0 - 0.5 * math.sin(0.5))
    gradients = torch.autograd.grad(harder.sum(), (cosines, margin))
    assert all(gradient.isfinite().all() for gradient in gradients) and gradients[1] < 0
    beyond = torch.tensor([1.0000001, -1.0000001], requires_grad=True)  # cosines of float32 vectors
    assert torch.autograd.grad(with_margin(beyond, 0.5, "angular").sum(), beyond)[0].isfinite().all()
    inner = cosines.detach()[100:-100:37].requires_grad_()
    assert torch.autograd.gradcheck(lambda c, m: with_margin(c, m, "angular"), (inner, margin))


def test_golden_values() -> None:
    rows = nt_xent(TOY_A, TOY_B, temperature=0.5, reduction="none")
    expected = torch.tensor([0.471495, 0.590924, 1.382198, 0.590924], dtype=torch.float64)
    torch.testing.assert_close(rows, expected, atol=1e-6, rtol=0)
    rows = dcl(TOY_A, TOY_B, temperature=0.5, reduction="none")
    expected = torch.tensor([-0.506853, -0.216099, 1.093147, -0.216099], dtype=torch.float64)
    torch.testing.assert_close(rows, expected, atol=1e-6, rtol=0)
    stacked = torch.cat((TOY_A, TOY_B))
    values = {
        "nt_xent": (nt_xent(TOY_A, TOY_B, temperature=0.5), 0.758885),
        "margin": (nt_xent(TOY_A, TOY_B, temperature=0.5, margin=0.1), 0.864333),
        "one way": (nt_xent(TOY_A, TOY_B, temperature=0.5, symmetric=False), 0.388149),
        "one way back": (nt_xent(TOY_B, TOY_A, temperature=0.5, symmetric=False), 0.519972),
        "one way, margin": (nt_xent(TOY_A, TOY_B, temperature=0.5, margin=0.1, symmetric=False), 0.4557),
        "dcl": (dcl(TOY_A, TOY_B, temperature=0.5), 0.038524),
        "dclw": (dcl(TOY_A, TOY_B, temperature=0.5, sigma=0.5), 0.190504),
        "supcon": (supcon(stacked, torch.tensor([0, 1, 0, 1]), temperature=0.5), 0.758885),
        "supcon, one class": (supcon(stacked, torch.zeros(4), temperature=0.5), 1.292219),
        "supcon inside, one class": (supcon(stacked, torch.zeros(4), temperature=0.5, form="in"), math.log(3)),
    }
    for name, (found, golden) in values.items():
        assert found.item() == pytest.approx(golden, abs=2e-6), name


def test_pair_losses_match_the_loop() -> None:
    first, second = views(6)
    found = nt_xent(first, second, temperature=0.3, margin=0.15, reduction="none")
    torch.testing.assert_close(found.tolist(), nt_xent_loop(first, second, 0.3, margin=0.15))
    torch.testing.assert_close(
        dcl(first, second, temperature=0.3, reduction="none").tolist(), nt_xent_loop(first, second, 0.3, decoupled=True)
    )


def test_supcon_matches_the_loop() -> None:
    embeddings, labels = views(7)[0], torch.tensor([0, 1, 0, 2, 1, 0, 3])
    unit = F.normalize(embeddings, dim=-1)
    weights = (labels[:, None] == labels).double().fill_diagonal_(0.0)
    expected = info_nce_loop(unit, unit, weights, temperature=0.2, ignore=torch.eye(7, dtype=torch.bool))
    found = supcon(embeddings, labels, temperature=0.2, reduction="none")
    torch.testing.assert_close(found, torch.tensor([loss or 0.0 for loss in expected], dtype=torch.float64))
    counted = [loss for loss in expected if loss is not None]
    assert len(counted) == 5  # labels 2 and 3 stand alone
    assert supcon(embeddings, labels, temperature=0.2).item() == pytest.approx(sum(counted) / 5)


def test_supcon_inside_the_logarithm() -> None:
    embeddings, labels = views(7)[0].requires_grad_(), torch.tensor([0, 1, 0, 2, 1, 0, 3])
    found = supcon(embeddings, labels, temperature=0.2, form="in", reduction="none")
    unit, expected = F.normalize(embeddings.detach(), dim=-1), []
    for i, anchor in enumerate(unit):
        others = {j: math.exp(float(anchor @ unit[j]) / 0.2) for j in range(7) if j != i}
        same = [value for j, value in others.items() if labels[j] == labels[i]]
        expected.append(math.log(sum(others.values()) / (sum(same) / len(same))) if same else 0.0)
    torch.testing.assert_close(found.tolist(), expected)
    outside = supcon(embeddings, labels, temperature=0.2, reduction="none")
    assert (found <= outside + 1e-12).all() and (found < outside - 1e-6).any()
    pairs = torch.tensor([0, 1, 2, 0, 1, 2, 3])  # one positive each: the two are the same
    inside, outside = (supcon(embeddings, pairs, temperature=0.2, form=form, reduction="none") for form in ("in", "out"))
    torch.testing.assert_close(inside, outside)
    assert torch.autograd.gradcheck(lambda z: supcon(z, labels, form="in"), embeddings)


def test_identities() -> None:
    first, second = views(6)
    ntx = nt_xent(first, second, temperature=0.4, reduction="none")
    torch.testing.assert_close(nt_xent(first, second, temperature=0.4, margin=1e-300, reduction="none"), ntx)
    torch.testing.assert_close(F.softplus(dcl(first, second, temperature=0.4, reduction="none")), ntx)
    instances = torch.arange(6).repeat(2)
    torch.testing.assert_close(supcon(torch.cat((first, second)), instances, temperature=0.4, reduction="none"), ntx)
    torch.testing.assert_close(dcl(first, second, temperature=0.4, sigma=1e9), dcl(first, second, temperature=0.4))
    collapsed = torch.ones(6, 3, dtype=torch.float64)
    assert nt_xent(collapsed, collapsed).item() == pytest.approx(math.log(11))
    assert dcl(collapsed, collapsed).item() == pytest.approx(math.log(10))
    assert nt_xent(collapsed, collapsed, symmetric=False).item() == pytest.approx(math.log(6))


def test_the_margin_raises_the_loss_by_the_missing_probability() -> None:
    first, second = views(6)
    margin = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    rows = nt_xent(first, second, temperature=0.25, margin=margin, reduction="none")
    (slope,) = torch.autograd.grad(rows.mean(), margin)
    torch.testing.assert_close(slope, ((1 - torch.exp(-rows)) / 0.25).mean())


@pytest.mark.parametrize("loss", PAIR_LOSSES)
def test_order_of_examples_and_of_views_does_not_matter(loss: Callable[..., Tensor]) -> None:
    first, second = views(6)
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    rows = loss(first, second, reduction="none").view(2, 6)
    torch.testing.assert_close(loss(first[order], second[order], reduction="none").view(2, 6), rows[:, order])
    torch.testing.assert_close(loss(second, first, reduction="none").view(2, 6), rows.flip(0))
    torch.testing.assert_close(loss(first * 7.0, second * torch.rand(6, 1, dtype=torch.float64).add(0.1)), loss(first, second))


@pytest.mark.parametrize(
    "loss",
    [
        nt_xent,
        dcl,
        lambda a, b: nt_xent(a, b, symmetric=False),
        lambda a, b: supcon(torch.cat((a, b)), torch.arange(len(a)).repeat(2)),
    ],
)
def test_gradcheck(loss: Callable[..., Tensor]) -> None:
    first, second = (view.requires_grad_() for view in views(3))
    assert torch.autograd.gradcheck(loss, (first, second))


def test_dclw_gradient_takes_the_weights_as_constants() -> None:
    first, second = (view.requires_grad_() for view in views(4))
    found = torch.autograd.grad(dcl(first, second, temperature=0.5, sigma=0.5), (first, second))
    a, b = F.normalize(first, dim=-1), F.normalize(second, dim=-1)
    positive = (a * b).sum(-1)
    weights = 2 - 4 * (positive.detach() / 0.5).softmax(0)
    assert weights.mean().item() == pytest.approx(1.0)
    reference = dcl(first, second, temperature=0.5) + ((1 - weights) * positive / 0.5).mean()
    for one, other in zip(found, torch.autograd.grad(reference, (first, second)), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("loss", [nt_xent, dcl, lambda a, b: dcl(a, b, sigma=0.5), lambda a, b: supcon(a, torch.arange(len(a)))])
@pytest.mark.parametrize("case", ["one", "duplicates", "zeros", "scale 100"])
def test_degenerate_inputs_stay_finite(loss: Callable[..., Tensor], case: str) -> None:
    first, second = (view.float() for view in views(4))
    if case == "one":
        first, second = first[:1], second[:1]
    elif case == "duplicates":
        first = second = first[:1].repeat(4, 1)
    elif case == "zeros":
        first, second = first * 0.0, second * 0.0
    else:
        first, second = first * 100.0, second * 100.0
    first, second = first.clone().requires_grad_(), second.clone().requires_grad_()
    found = loss(first, second)
    found.backward()
    assert torch.isfinite(found) and first.grad is not None and torch.isfinite(first.grad).all()
    if case == "one":
        assert found.item() == 0.0 and not first.grad.any()


def test_large_logits_stay_finite() -> None:
    anchors, candidates = (view.float() * 100.0 for view in views(4))
    anchors.requires_grad_()
    loss = info_nce(anchors, candidates, positives=torch.arange(4), temperature=0.01)
    loss.backward()
    assert torch.isfinite(loss) and anchors.grad is not None and torch.isfinite(anchors.grad).all()


def test_no_anchor_counts() -> None:
    anchors, candidates = (view.requires_grad_() for view in views(3))
    loss = info_nce(anchors, candidates, positives=torch.zeros(3, 3), temperature=1.0)
    loss.backward()
    assert loss.item() == 0.0 and anchors.grad is not None and not anchors.grad.any()


@pytest.mark.parametrize("loss", [nt_xent, dcl, lambda a, b: supcon(torch.cat((a, b)), torch.arange(len(a)).repeat(2))])
def test_autocast_keeps_float32(loss: Callable[..., Tensor]) -> None:
    first, second = (view.to(torch.bfloat16) for view in views(16, 8))
    exact = loss(first.double(), second.double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(first, second)
    assert found.dtype == torch.float32 and exact.dtype == torch.float64
    assert found.item() == pytest.approx(exact.item(), rel=1e-5)


def test_one_similarity_matrix_is_kept() -> None:
    """What autograd saves is one matrix of logits and the (8 times smaller) mask, not a copy for each operation."""
    first, second = (view.float().requires_grad_() for view in views(128, 4))
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.is_floating_point():
            saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        nt_xent(first, second)
    matrix = 4 * 256 * 256
    assert matrix <= sum(saved.values()) < 1.25 * matrix


def test_pair_objective_gives_a_loss_per_example() -> None:
    first, second = views(5)
    outputs = ViewOutputs(index=torch.arange(5), projections=[first, second])
    for function in PAIR_LOSSES:
        objective = PairObjective(function, temperature=0.5)
        per_example = objective.per_example(outputs)
        assert per_example.shape == (5,)
        torch.testing.assert_close(per_example.mean(), objective(outputs))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a, b: nt_xent(a, b[:2]), "views must all be"),
        (lambda a, b: nt_xent(a, b, reduction="median"), "reduction is 'median'"),
        (lambda a, b: info_nce(a, b, positives=torch.arange(2), temperature=1.0), "positives must be"),
        (lambda a, b: info_nce(a, b, positives=torch.arange(1, 6), temperature=1.0), "run from 1 to 5, but there are 5"),
        (lambda a, b: info_nce(a, b[:, :1], positives=torch.arange(5), temperature=1.0), "must agree in D"),
        (
            lambda a, b: info_nce(a, b, positives=torch.arange(5), temperature=1.0, ignore=torch.eye(5)),
            "ignore must be a bool mask",
        ),
        (lambda a, b: supcon(a, torch.arange(2)), "labels"),
        (lambda a, b: supcon(a, torch.arange(5), form="both"), "form is 'both'"),
        (lambda a, b: info_nce(a, b, temperature=1.0), "either positives .* or partners"),
        (lambda a, b: info_nce(a, b, positives=torch.arange(5), partners=b, temperature=1.0), "either positives .* or partners"),
        (lambda a, b: info_nce(a, b, partners=b[:4], temperature=1.0), "partners must be like the anchors"),
        (lambda a, b: info_nce(a, b, partners=b, ignore=torch.full((5, 1), 5), temperature=1.0), "ignore run from 5 to 5"),
        (lambda a, b: info_nce(a, b, partners=b, log_weights=a, temperature=1.0), "log_weights need"),
        (lambda a, b: info_nce(a, b, positives=torch.eye(5), margin_kind="angular", temperature=1.0), "not weights"),
        (lambda a, b: nt_xent(a, b, margin_kind="round"), "margin_kind is 'round'"),
    ],
)
def test_errors_name_the_shapes(call: Callable[[Tensor, Tensor], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(*views(5))
