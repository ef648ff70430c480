"""Sums without the matrix, against the matrix: values, gradients of both sides, hard cases, and that there is no matrix."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from antiphon.common import objectives, tiled
from antiphon.common.objectives.denominators import log_denominators

ROWS, COLUMNS, DIM = 13, 9, 5
CLOSE = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture(params=[4, 7, 512], autouse=True)
def tile_rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles that divide neither side, and one tile for all."""
    monkeypatch.setattr(tiled, "TILE_ROWS", request.param)


def matrices(scale: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    both = torch.randn(ROWS + COLUMNS, DIM, generator=generator, dtype=torch.float64) * scale**0.5
    rows, columns = both.split((ROWS, COLUMNS))
    return rows.clone().requires_grad_(), columns.clone().requires_grad_()


def pulls(size: int) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(size), dtype=torch.float64)


def masked(logits: Tensor, exclude: Tensor) -> Tensor:
    mask = torch.zeros(logits.shape, dtype=torch.bool)
    for i, columns in enumerate(exclude.tolist()):
        mask[i, [column for column in columns if column >= 0]] = True
    return logits.masked_fill(mask, -torch.inf)


def assert_equal(found: Tensor, expected: Tensor, leaves: tuple[Tensor, ...]) -> None:
    torch.testing.assert_close(found, expected, **CLOSE)
    for one, other in zip(torch.autograd.grad(found, leaves), torch.autograd.grad(expected, leaves), strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


@pytest.fixture(params=["plain exp", "running maxima"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to sum exponentials."""
    if request.param == "running maxima":
        monkeypatch.setattr(tiled, "_PLAIN_EXP2", {})
    return request.param


EXCLUDE = torch.stack((torch.arange(ROWS) % COLUMNS, torch.full((ROWS,), -1)), dim=1)
EXCLUDE[3, 1] = 0


@pytest.mark.parametrize("scale", [1.0, 1000.0])
@pytest.mark.usefixtures("path")
def test_rows_columns_and_softplus_match_the_matrix(scale: float) -> None:
    rows, columns = matrices(scale)
    logits = masked(rows @ columns.T, EXCLUDE)
    found = tiled.logsumexp(rows, columns, exclude=EXCLUDE) @ pulls(ROWS)
    assert_equal(found, logits.logsumexp(dim=1) @ pulls(ROWS), (rows, columns))

    logits = masked(rows @ columns.T, EXCLUDE)
    along, down = tiled.logsumexp_both_ways(rows, columns, exclude=EXCLUDE)
    expected = logits.logsumexp(dim=1) @ pulls(ROWS) + logits.logsumexp(dim=0) @ pulls(COLUMNS)
    assert_equal(along @ pulls(ROWS) + down @ pulls(COLUMNS), expected, (rows, columns))

    logits = masked(rows @ columns.T, EXCLUDE)
    found = tiled.softplus_sum(rows, columns, exclude=EXCLUDE) @ pulls(ROWS)
    assert_equal(found, F.softplus(logits, threshold=50.0).sum(dim=1) @ pulls(ROWS), (rows, columns))


@pytest.mark.parametrize("mutual", [True, False])
@pytest.mark.usefixtures("path")
def test_a_matrix_with_itself(mutual: bool) -> None:
    rows, _ = matrices(1.0)
    exclude = torch.stack((torch.arange(ROWS), torch.full((ROWS,), -1)), dim=1)
    exclude[2, 1], exclude[11, 1] = 11, 2
    if not mutual:
        exclude[7, 1] = 1
    assert tiled._is_mirrored(exclude, ROWS) is mutual
    expected = masked(rows @ rows.T, exclude).logsumexp(dim=1) @ pulls(ROWS)
    assert_equal(tiled.logsumexp(rows, rows, exclude=exclude) @ pulls(ROWS), expected, (rows,))
    logits = rows @ rows.T
    along, down = tiled.logsumexp_both_ways(rows, rows)
    assert_equal((along + 2.0 * down) @ pulls(ROWS), 3.0 * logits.logsumexp(dim=1) @ pulls(ROWS), (rows,))
    expected = F.softplus(rows @ rows.T, threshold=50.0).sum(dim=1) @ pulls(ROWS)
    assert_equal(tiled.softplus_sum(rows, rows) @ pulls(ROWS), expected, (rows,))


def test_the_shortcut_is_taken_only_where_it_is_safe(path: str) -> None:
    for dtype, limit in ((torch.float32, 56.0), (torch.float64, 400.0)):
        rows = torch.eye(3, dtype=dtype) * 2.0
        assert tiled._exp2_is_safe(rows, rows * limit / 4.1) is (path == "plain exp")
        assert not tiled._exp2_is_safe(rows, rows * limit / 3.9)
        assert not tiled._exp2_is_safe(rows, rows * torch.nan)
        extreme = torch.stack((rows[0] * limit / 4.1, -rows[0] * limit / 4.1))
        both = torch.cat([rows[:1], rows[:1]]).requires_grad_()
        along, down = tiled.logsumexp_both_ways(both / 1.5, extreme)  # 2^37 times 2^-37
        gradient = torch.autograd.grad((1e-6 * (along - down)).sum(), both)[0]
        assert along.isfinite().all() and down.isfinite().all() and gradient.isfinite().all()


@pytest.mark.usefixtures("path")
def test_nothing_left_is_minus_infinity_without_a_gradient() -> None:
    rows, columns = matrices(1.0)
    exclude = torch.full((ROWS, COLUMNS), -1)
    exclude[4] = torch.arange(COLUMNS)
    exclude[:, 6] = 6
    along, down = tiled.logsumexp_both_ways(rows, columns, exclude=exclude)
    assert along[4] == -torch.inf and down[6] == -torch.inf and along.isfinite().sum() == ROWS - 1
    gradients = torch.autograd.grad(F.softplus(along).sum() + F.softplus(down).sum(), (rows, columns))
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert not gradients[0][4].any() and not gradients[1][6].any()
    assert tiled.logsumexp(rows, columns[:0]).tolist() == [-torch.inf] * ROWS


def test_only_the_side_that_learns_gets_a_gradient() -> None:
    rows, columns = matrices(1.0)
    expected = torch.autograd.grad((rows @ columns.T).logsumexp(dim=1).sum(), (rows, columns))
    (found,) = torch.autograd.grad(tiled.logsumexp(rows, columns.detach()).sum(), rows)
    torch.testing.assert_close(found, expected[0], **CLOSE)
    (found,) = torch.autograd.grad(tiled.logsumexp(rows.detach(), columns).sum(), columns)
    torch.testing.assert_close(found, expected[1], **CLOSE)
    assert not tiled.logsumexp(rows.detach(), columns.detach()).requires_grad


def test_gradcheck() -> None:
    rows, columns = matrices(1.0)
    assert torch.autograd.gradcheck(tiled.logsumexp_both_ways, (rows[:5], columns[:4]))
    assert torch.autograd.gradcheck(lambda x: tiled.logsumexp(x, x, exclude=torch.arange(5)[:, None]), (rows[:5],))
    assert torch.autograd.gradcheck(tiled.softplus_sum, (rows[:5], columns[:4]))


def test_softplus_is_exact_where_it_is_small() -> None:
    values = torch.linspace(-60.0, 60.0, 241)
    exact = F.softplus(values.double(), threshold=1e3)
    torch.testing.assert_close(tiled._softplus(values.clone()).double(), exact, rtol=1e-5, atol=0.0)


def test_not_a_number_is_not_hidden() -> None:
    rows, columns = matrices(1.0)
    spoilt = rows.detach().clone()
    spoilt[2, 0] = torch.nan
    assert tiled.logsumexp(spoilt, columns)[2].isnan()
    for tile in (True, False):
        assert objectives.nt_xent(spoilt, spoilt.flip(1), tiled=tile).isnan()


# Losses


def views(scale: float = 1.0, duplicates: bool = False) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    both = torch.randn(3, 11, DIM, generator=generator, dtype=torch.float64) * scale
    if duplicates:
        both[:, 4:8] = both[:, :1]
        both[1] = both[0]
    return [view.clone().requires_grad_() for view in both]


QUEUE = F.normalize(torch.randn(17, DIM, generator=torch.Generator().manual_seed(4), dtype=torch.float64), dim=1)
LABELS = torch.tensor([0, 1, 2, 0, 1, 0, 3, 4, 4, 0, 1])
Loss = Callable[..., Tensor]
LOSSES: dict[str, Loss] = {
    "nt_xent": lambda a, b, _, t, **o: objectives.nt_xent(a, b, temperature=t, **o),
    "nt_xent margin": lambda a, b, _, t, **o: objectives.nt_xent(a, b, temperature=t, margin=t, **o),
    "nt_xent angular": lambda a, b, _, t, **o: objectives.nt_xent(a, b, temperature=t, margin=0.3, margin_kind="angular", **o),
    "nt_xent one way": lambda a, b, _, t, **o: objectives.nt_xent(a, b, temperature=t, margin=0.1, symmetric=False, **o),
    "dcl": lambda a, b, _, t, **o: objectives.dcl(a, b, temperature=t, **o),
    "dclw": lambda a, b, _, t, **o: objectives.dcl(a, b, temperature=t, sigma=0.5, **o),
    "hcl": lambda a, b, _, t, **o: objectives.hcl(a, b, temperature=t, **o),
    "supcon": lambda a, b, _, t, **o: objectives.supcon(a + b, LABELS, temperature=t, **o),
    "moco": lambda a, b, _, t, **o: objectives.moco(a, b, QUEUE, temperature=t, margin=0.1, **o),
    "moco_v3": lambda a, b, _, t, **o: objectives.moco_v3(a, b, temperature=t, **o),
    "clip": lambda a, b, _, t, **o: objectives.clip(a, b, scale=1 / t, **o),
    "siglip": lambda a, b, _, t, **o: objectives.siglip(a, b, scale=1 / t, bias=-7 * t, **o),
    "dhel": lambda a, b, _, t, **o: objectives.dhel(a, b, temperature=t, **o),
    "dhel one-sided": lambda a, b, _, t, **o: objectives.dhel(a, b, temperature=t, both_spread=False, **o),
    "mv_dhel": lambda a, b, c, t, **o: objectives.mv_dhel(a, b, c, temperature=t, **o),
    "mv_info_nce": lambda a, b, c, t, **o: objectives.mv_info_nce(a, b, c, temperature=t, **o),
    "mv_info_nce cross": lambda a, b, c, t, **o: objectives.mv_info_nce(a, b, c, temperature=t, energy="cross", **o),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


@every_loss
@pytest.mark.parametrize("temperature", [0.3, 0.01])
@pytest.mark.parametrize("kind", ["random", "duplicates"])
@pytest.mark.usefixtures("path")
def test_losses_match_their_dense_form(loss: Loss, temperature: float, kind: str) -> None:
    leaves = views(duplicates=kind == "duplicates")
    log_temperature = torch.tensor(temperature, dtype=torch.float64).log().requires_grad_()
    everything = [*leaves, log_temperature]
    dense, tile = (loss(*leaves, log_temperature.exp(), tiled=form) for form in (False, True))
    torch.testing.assert_close(tile, dense, **CLOSE)
    options = {"allow_unused": True, "materialize_grads": True}
    gradients = (torch.autograd.grad(value, everything, **options) for value in (dense, tile))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-12, atol=1e-12 / temperature)
    for reduction in ("sum", "none"):
        dense, tile = (loss(*leaves, log_temperature.exp(), tiled=form, reduction=reduction) for form in (False, True))
        torch.testing.assert_close(tile, dense, **CLOSE)


@every_loss
@pytest.mark.parametrize("temperature", [0.1, 0.01])
def test_float32(loss: Loss, temperature: float) -> None:
    """The one temperature is within the range of the plain exp, the other is not."""
    leaves = views()
    exact = loss(*leaves, torch.tensor(temperature), tiled=False)
    single = [view.detach().float().requires_grad_() for view in leaves]
    found = loss(*single, torch.tensor(temperature), tiled=True)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(exact.item(), rel=2e-5, abs=2e-5)
    options = {"allow_unused": True, "materialize_grads": True}
    gradients = (torch.autograd.grad(exact, leaves, **options), torch.autograd.grad(found, single, **options))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(other.double(), one, rtol=1e-3, atol=1e-5 / temperature)


def test_uniformity_matches_its_dense_form() -> None:
    leaves = views()
    weights = {"uniformity_weight": 0.6, "cross_weight": 0.4}
    dense, tile = (objectives.align_uniform(*leaves, **weights, tiled=form) for form in (False, True))
    assert_equal(tile, dense, tuple(leaves))


def test_ignored_candidates_and_ignored_positives() -> None:
    anchors, candidates, partners = views()
    positives, ignore = torch.arange(11).flip(0), torch.stack((torch.arange(11), torch.full((11,), -1)), dim=1)
    ignore[2, 1], ignore[3, 1] = positives[2], 0
    mask = torch.zeros(11, 11, dtype=torch.bool).scatter_(1, ignore.clamp_min(0), True)
    mask[:, 0] = (ignore == 0).any(dim=1)
    for options in ({"positives": positives}, {"partners": partners}):
        for decoupled in (True, False):
            options |= {"temperature": 0.4, "positives_in_denominator": not decoupled, "margin": 0.2}
            by_mask, by_columns, tile = (
                objectives.info_nce(anchors, candidates, ignore=exclusion, tiled=form, **options)
                for exclusion, form in ((mask, False), (ignore, False), (ignore, True))
            )
            torch.testing.assert_close(by_columns, by_mask, **CLOSE)
            assert_equal(tile, by_mask, (anchors, candidates))


class Allocations(TorchDispatchMode):
    """The largest tensor, in elements, that any operation made: in forward and backward alike."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, Tensor):
                self.largest = max(self.largest, tensor.numel())
        return made


@every_loss
@pytest.mark.parametrize("tile_rows", [7], indirect=True)
def test_no_matrix_is_made(loss: Loss) -> None:
    count = 64
    leaves = [view.repeat(6, 1)[:count].detach().requires_grad_() for view in views()]
    if loss is LOSSES["supcon"]:
        loss = lambda a, b, _, t, **o: objectives.supcon(a + b, torch.arange(count) // 2, temperature=t, **o)  # noqa: E731
    if loss is LOSSES["moco"]:
        loss = lambda a, b, _, t, **o: objectives.moco(a, b, QUEUE.repeat(4, 1), temperature=t, **o)  # noqa: E731
    largest = {}
    for form in (True, False):
        with Allocations() as made:
            loss(*leaves, 0.3, tiled=form).backward()
        largest[form] = made.largest
    assert largest[False] >= count * count > 2 * 3 * count * (DIM + 1) >= largest[True]


@pytest.mark.parametrize("tile_rows", [7], indirect=True)
def test_what_is_saved_grows_with_the_vectors_and_not_with_their_square() -> None:
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    first, second = torch.randn(2, 256, 4, generator=torch.Generator().manual_seed(0)).requires_grad_().unbind()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        objectives.nt_xent(first, second, tiled=True)
    assert sum(saved.values()) < 512 * 4 * 4 * 20  # a matrix would be 512 * 512 * 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: tiled.logsumexp(x, x[:, 1:]), r"\(11, 5\) and \(11, 4\)"),
        (lambda x: tiled.logsumexp(x, x, exclude=torch.eye(11)), "int64 columns"),
        (lambda x: tiled.softplus_sum(x, x, exclude=torch.full((11, 1), 11)), "column 11, but there are 11"),
        (lambda x: log_denominators(x, x, torch.eye(11, dtype=torch.bool), temperature=1.0, tiled=True), "use tiled=False"),
        (lambda x: objectives.info_nce(x, x, positives=torch.eye(11), temperature=1.0, tiled=True), "one positive an anchor"),
        (lambda x: objectives.supcon(x, LABELS, form="in", tiled=True), "tiled=False"),
    ],
)
def test_errors_say_what_to_do(call: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(views()[0])
