"""CPC against a loop, one prediction and one candidate at a time, and against one-way InfoNCE."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives import CPC, ViewOutputs, cpc, nt_xent
from antiphon.common.random import KeyedRandom

TOY_A = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
TOY_B = torch.tensor([[0.6, 0.8], [0.0, 1.0]], dtype=torch.float64)
BATCH, TIME, STEPS = 3, 5, 2


def data() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(BATCH, TIME, 4, generator=generator, dtype=torch.float64)
    contexts = torch.randn(BATCH, TIME, 3, generator=generator, dtype=torch.float64)
    return frames, contexts, torch.randn(STEPS, 4, 3, generator=generator, dtype=torch.float64)


def streams(batch: int = BATCH) -> KeyedRandom:
    return KeyedRandom.for_examples(0, 0, torch.arange(batch))


def loop(frames: Tensor, contexts: Tensor, weights: Tensor, candidates: Callable[[int, int, int], list[tuple[int, int]]]) -> Tensor:
    """`candidates(b, t, k)`: the (example, time) pairs in the denominator of the anchor (b, t), the true one left out."""
    losses = torch.zeros(BATCH, dtype=torch.float64)
    for k in range(1, STEPS + 1):
        for b in range(BATCH):
            for t in range(TIME - k):
                prediction = weights[k - 1] @ contexts[b, t]
                scores = [float(frames[i, s] @ prediction) for i, s in [(b, t + k), *candidates(b, t, k)]]
                losses[b] += (math.log(sum(map(math.exp, scores))) - scores[0]) / (STEPS * (TIME - k))
    return losses


def test_negatives_at_the_same_time_match_the_loop() -> None:
    found = cpc(*data(), negatives="same_time", reduction="none")
    torch.testing.assert_close(found, loop(*data(), lambda b, t, k: [(i, t + k) for i in range(BATCH) if i != b]))


def test_negatives_from_the_batch_match_the_loop() -> None:
    def others(b: int, t: int, k: int) -> list[tuple[int, int]]:
        return [(i, s) for i in range(BATCH) for s in range(k, TIME) if (i, s) != (b, t + k)]

    torch.testing.assert_close(cpc(*data(), negatives="batch", reduction="none"), loop(*data(), others))


@pytest.mark.parametrize("draws", [1, 40])
def test_drawn_negatives_match_the_loop_without_accidental_positives(draws: int) -> None:
    drawn = streams().integers(draws, high=BATCH * TIME)
    hits = []

    def negatives(b: int, t: int, k: int) -> list[tuple[int, int]]:
        places = [divmod(place, TIME) for place in drawn[b].tolist()]
        hits.extend(place for place in places if place == (b, t + k))
        return [place for place in places if place != (b, t + k)]

    expected = loop(*data(), negatives)
    torch.testing.assert_close(cpc(*data(), negatives="uniform", draws=draws, random=streams(), reduction="none"), expected)
    assert hits or draws == 1  # the case is there


@pytest.mark.parametrize("negatives", ["same_time", "batch"])
def test_one_step_between_unit_vectors_is_one_way_info_nce(negatives: str) -> None:
    def one_step(anchors: Tensor, targets: Tensor, temperature: float) -> Tensor:
        anchors, targets = F.normalize(anchors, dim=-1), F.normalize(targets, dim=-1)
        frames, contexts = torch.stack((anchors, targets), dim=1), torch.stack((anchors, targets), dim=1)
        return cpc(frames, contexts, torch.eye(anchors.shape[1], dtype=torch.float64)[None] / temperature, negatives=negatives)

    assert one_step(TOY_A, TOY_B, 0.5).item() == pytest.approx(0.388149, abs=1e-6)
    assert one_step(TOY_B, TOY_A, 0.5).item() == pytest.approx(0.519972, abs=1e-6)
    first, second = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(one_step(first, second, 0.2), nt_xent(first, second, temperature=0.2, symmetric=False))


def test_equal_scores_give_the_log_of_the_candidates() -> None:
    frames, contexts = torch.ones(6, 4, 2), torch.ones(6, 4, 3)
    weights = torch.ones(1, 2, 3)
    assert cpc(frames, contexts, weights).item() == pytest.approx(math.log(6))
    assert cpc(frames, contexts, weights, negatives="batch").item() == pytest.approx(math.log(6 * 3))
    assert cpc(frames[:1], contexts[:1], weights).item() == 0.0


@pytest.mark.parametrize("negatives", ["same_time", "batch", "uniform"])
def test_gradcheck(negatives: str) -> None:
    leaves = tuple(tensor.requires_grad_() for tensor in data())
    assert torch.autograd.gradcheck(lambda *given: cpc(*given, negatives=negatives, draws=4, random=streams()), leaves)


@pytest.mark.parametrize("negatives", ["same_time", "batch", "uniform"])
def test_long_frames_stay_finite(negatives: str) -> None:
    leaves = tuple(tensor.float().mul(100.0).requires_grad_() for tensor in data())
    loss = cpc(*leaves, negatives=negatives, draws=4, random=streams())
    assert loss.isfinite() and all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, leaves))


def objective(**options: object) -> CPC:
    torch.manual_seed(0)
    return CPC(**{"in_dim": 4, "hidden_dim": 5, "prediction_steps": STEPS, "draws": 6, **options})


@pytest.mark.parametrize("count", [1, 2])
def test_the_objective_trains_everything_on_any_number_of_views(count: int) -> None:
    frames = torch.randn(count, BATCH, TIME, 4, generator=torch.Generator().manual_seed(2), requires_grad=True)
    given = ViewOutputs(index=torch.arange(BATCH), frames=list(frames), random=streams())
    method = objective()
    loss = method(given)
    torch.testing.assert_close(method.per_example(given).mean(), loss)
    loss.backward()
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert frames.grad is not None and (frames.grad.abs().sum(dim=(1, 2, 3)) > 0).all()


def test_the_context_sees_no_future() -> None:
    method, (frames, _, _) = objective(), data()
    changed = frames.float().clone()
    changed[:, 3:] += 1.0
    before, after = method.summary(frames.float())[0], method.summary(changed)[0]
    assert torch.equal(before[:, :3], after[:, :3]) and not torch.equal(before[:, 3:], after[:, 3:])


def test_a_rhythm_is_learned() -> None:
    """Frames of a steady rotation predict each other; the same frames, each example in an order of its own, do not."""
    phase = torch.rand(16, 1, generator=torch.Generator().manual_seed(3)) * 2 * math.pi + 0.7 * torch.arange(12)
    rotation = 3.0 * torch.stack((phase.cos(), phase.sin()), dim=-1)
    orders = streams(16).permutation(12)[..., None].expand(-1, -1, 2)
    final = []
    for frames in (rotation, rotation.gather(1, orders)):
        method = objective(in_dim=2, hidden_dim=16, negatives="same_time")
        optimizer = torch.optim.Adam(method.parameters(), lr=0.02)
        for _ in range(60):
            optimizer.zero_grad()
            loss = method(ViewOutputs(index=torch.arange(16), frames=[frames]))
            loss.backward()
            optimizer.step()
        final.append(loss.item())
    assert final[0] < 0.8 * final[1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z, c, w: cpc(z[:, :2], c[:, :2], w), "CPC predicts 2 steps ahead but there are 2 frame"),
        (lambda z, c, w: cpc(z, c[:, :2], w), "must agree in B and T"),
        (lambda z, c, w: cpc(z, c, w.mT), r"weights must be \(K, 4, 3\)"),
        (lambda z, c, w: cpc(z, c, w, negatives="hardest"), "negatives is 'hardest'"),
        (lambda z, c, w: cpc(z, c, w, negatives="uniform"), "KeyedRandom of 3 streams"),
        (lambda z, c, w: CPC(in_dim=4, prediction_steps=0), "predict at least one step"),
    ],
)
def test_errors_name_the_value(call: Callable[..., object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(*data())
