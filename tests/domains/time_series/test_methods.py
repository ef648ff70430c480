"""TS-TCC's objective against a plain version of it."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives.base import ViewOutputs
from antiphon.common.objectives.info_nce import nt_xent
from antiphon.common.objectives.soft import StageSoftContrast
from antiphon.common.random import KeyedRandom
from antiphon.domains.time_series.methods import TSTCC, SequenceSummary

SMALL = {"in_dim": 8, "hidden_dim": 12, "prediction_steps": 3, "depth": 2, "feedforward_dim": 10}


def outputs(batch: int = 4, time: int = 7, dim: int = 8, step: int = 0, dtype: torch.dtype = torch.float32) -> ViewOutputs:
    first, second = torch.randn(2, batch, time, dim, generator=torch.Generator().manual_seed(1), dtype=dtype)
    random = KeyedRandom.for_examples(0, 0, torch.arange(batch), step=step)
    return ViewOutputs(index=torch.arange(batch), frames=[first.requires_grad_(), second.requires_grad_()], random=random)


def objective(**options: object) -> TSTCC:
    torch.manual_seed(0)
    return TSTCC(**{**SMALL, "dropout": 0.0, **options})


def plain_temporal(method: TSTCC, seen: Tensor, other: Tensor, last: int) -> Tensor:
    """One prediction, one true frame at a time."""
    context = method.summary(seen[:, : last + 1])
    width, steps, total = other.shape[-1], method.prediction_steps, torch.zeros(())
    for k in range(1, steps + 1):
        rows = slice((k - 1) * width, k * width)
        predictions = F.linear(context, method.predict.weight[rows], method.predict.bias[rows])
        for b in range(len(seen)):
            scores = torch.stack([prediction @ other[b, last + k] for prediction in predictions])
            total = total - scores.log_softmax(dim=0)[b]
    return total / (len(seen) * steps)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_matches_the_plain_version(norm: str) -> None:
    method, given = objective(norm=norm), outputs()
    first, second = (F.normalize(frames, dim=-1) for frames in given.frames)
    t_a, t_b = method._time_stamps(given, 7)
    contexts = method.summary(first[:, : t_a + 1]), method.summary(second[:, : t_b + 1])
    expected = plain_temporal(method, first, second, t_a) + plain_temporal(method, second, first, t_b)
    expected = expected + 0.7 * nt_xent(*map(method.head, contexts), temperature=0.2)
    torch.testing.assert_close(method(given), expected)


def test_everything_is_trained() -> None:
    method, given = objective(), outputs()
    method(given).backward()
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    for frames in given.frames:
        assert frames.grad is not None and torch.isfinite(frames.grad).all()


def test_gradcheck() -> None:
    method = objective(in_dim=4, prediction_steps=2, depth=1, norm="layer").double()
    given = outputs(2, 3, 4, dtype=torch.float64)

    def loss(first: Tensor, second: Tensor) -> Tensor:
        result: Tensor = method(ViewOutputs(index=given.index, frames=[first, second], random=given.random))
        return result

    assert torch.autograd.gradcheck(loss, tuple(given.frames), fast_mode=True)


def test_time_stamps_are_keyed_on_the_step_and_leave_room() -> None:
    method = objective()
    stamps = [method._time_stamps(outputs(step=step), 7) for step in range(40)]
    assert {t for pair in stamps for t in pair} == {0, 1, 2, 3}
    assert any(a != b for a, b in stamps)
    state = torch.get_rng_state()
    assert method._time_stamps(outputs(step=5), 7) == method._time_stamps(outputs(batch=2, step=5), 7) == stamps[5]
    assert torch.equal(torch.get_rng_state(), state)


def test_order_of_examples_does_not_matter() -> None:
    method, given = objective(), outputs()
    order = torch.tensor([2, 0, 3, 1])
    shuffled = ViewOutputs(index=order, frames=[frames[order] for frames in given.frames], random=given.random)
    torch.testing.assert_close(method(shuffled), method(given))


def test_views_may_be_swapped_together_with_their_time_stamps(monkeypatch: pytest.MonkeyPatch) -> None:
    method, given = objective(), outputs()
    monkeypatch.setattr(method, "_time_stamps", lambda *_: (1, 2))
    expected = method(given)
    monkeypatch.setattr(method, "_time_stamps", lambda *_: (2, 1))
    torch.testing.assert_close(method(ViewOutputs(index=given.index, frames=given.frames[::-1], random=given.random)), expected)


@pytest.mark.parametrize("case", ["one", "duplicates", "zeros", "scale 100"])
def test_degenerate_inputs_stay_finite(case: str) -> None:
    method, given = objective(norm="layer"), outputs(1 if case == "one" else 4)
    frames = [
        (view[:1].expand(len(view), -1, -1) if case == "duplicates" else view * {"zeros": 0.0, "scale 100": 100.0}.get(case, 1.0))
        .detach()
        .requires_grad_()
        for view in given.frames
    ]
    loss = method(ViewOutputs(index=given.index, frames=frames, random=given.random))
    loss.backward()
    assert torch.isfinite(loss) and all(view.grad is not None and torch.isfinite(view.grad).all() for view in frames)
    assert case != "one" or loss.item() == pytest.approx(0.0, abs=1e-6)


def test_bfloat16_autocast_is_close() -> None:
    method, given = objective(norm="layer"), outputs(8)
    exact = method.double()(ViewOutputs(index=given.index, frames=[view.double() for view in given.frames], random=given.random))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = method.float()(given)
    assert found.dtype == torch.float32 and found.item() == pytest.approx(exact.item(), rel=2e-2)


def test_the_auxiliary_loss_is_added() -> None:
    auxiliary = StageSoftContrast(temporal_sharpness=0.5, weight=0.5)
    plain, given = objective(), outputs()
    with_auxiliary = objective(auxiliary=auxiliary)
    stages = [[frames] for frames in given.frames]
    given = ViewOutputs(index=given.index, frames=given.frames, stages=stages, random=given.random)
    assert plain.needs == ("frames",) and with_auxiliary.needs == ("frames", "stages")
    torch.testing.assert_close(with_auxiliary(given), plain(given) + auxiliary(given))


def test_the_summary_ignores_the_order_of_frames() -> None:
    summary, frames = SequenceSummary(8, 12, depth=2, heads=4, feedforward_dim=10, dropout=0.0), torch.randn(2, 5, 8)
    torch.testing.assert_close(summary(frames), summary(frames[:, [3, 1, 4, 0, 2]]))


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"predicts 3 steps ahead but the encoder gave 3 frame\(s\).*at most 2"):
        objective()(outputs(time=3))
    given = outputs()
    with pytest.raises(ValueError, match=r"fill ViewOutputs\.random"):
        objective()(ViewOutputs(index=given.index, frames=given.frames))
    with pytest.raises(ValueError, match="hidden_dim 10 cannot be shared among 4 heads"):
        objective(hidden_dim=10)
    with pytest.raises(ValueError, match="prediction_steps is 0"):
        objective(prediction_steps=0)
