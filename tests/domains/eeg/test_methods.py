"""Relative positioning: where its windows come from, and its loss in closed form."""

import math

import pytest
import torch

from antiphon.common.objectives.base import ViewOutputs
from antiphon.common.random import KeyedRandom
from antiphon.domains.eeg.methods import RelativePositioning, RelativePositionViews

RATE, SAMPLES = 10.0, 20


def starts_of(lengths: torch.Tensor, *, near_s: float = 5.0, far_s: float = 12.0) -> torch.Tensor:
    """Where anchor, near and far windows begin, (3, B)."""
    times = torch.arange(int(lengths.max()), dtype=torch.float32).expand(len(lengths), 1, -1)
    views = RelativePositionViews(SAMPLES, RATE, near_s=near_s, far_s=far_s)
    made = views(times, lengths, KeyedRandom.for_examples(0, 0, torch.arange(len(lengths))))
    for view in made:
        assert view.signals.shape == (len(lengths), 1, SAMPLES) and bool((view.lengths == SAMPLES).all())
        assert bool((view.signals.diff(dim=-1) == 1).all())
    return torch.stack([view.signals[:, 0, 0] for view in made])


def test_windows_are_as_near_and_as_far_as_asked_for() -> None:
    lengths = torch.full((3000,), 300)
    anchor, near, far = starts_of(lengths)
    assert bool(((near - anchor).abs() <= 50).all()) and bool(((near - anchor).abs() >= SAMPLES).all())  # no sample is shared
    assert bool(((far - anchor).abs() >= 120).all())
    assert float((near - anchor).abs().min()) == SAMPLES and float((near - anchor).abs().max()) == 50
    assert 0.45 < float((near > anchor).float().mean()) < 0.55
    for start in (anchor, near, far):
        assert float(start.min()) >= 0 and float(start.max()) <= 280
    assert float(far.min()) == 0 and float(far.max()) == 280


def test_examples_that_just_reach_are_enough_and_shorter_ones_are_refused() -> None:
    anchor, _, far = starts_of(torch.full((50,), 140))
    assert set((far - anchor).tolist()) == {120.0, -120.0}
    with pytest.raises(ValueError, match=r"examples of 13\.9 s are too short .* read 14 s"):
        starts_of(torch.tensor([140, 139]))
    with pytest.raises(ValueError, match="must not be longer than near_s=1"):
        RelativePositionViews(SAMPLES, RATE, near_s=1.0)
    with pytest.raises(ValueError, match="sampling rate"):
        RelativePositionViews(SAMPLES)


def test_the_loss_is_logistic_regression_on_absolute_differences() -> None:
    objective = RelativePositioning(in_dim=2)
    with torch.no_grad():
        objective.compare.weight.copy_(torch.tensor([[-1.0, -2.0]]))
        objective.compare.bias.fill_(1.5)
    anchor = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    near, far = torch.tensor([[0.5, 0.0], [1.0, 2.0]]), torch.tensor([[0.0, -3.0], [1.0, 1.0]])
    outputs = ViewOutputs(torch.arange(2), embeddings=[anchor, near, far])
    near_logits, far_logits = (1.5 - 0.5, 1.5 - 2.0), (1.5 - 6.0, 1.5)
    expected = [(math.log1p(math.exp(-a)) + math.log1p(math.exp(b))) / 2 for a, b in zip(near_logits, far_logits, strict=True)]
    assert objective.per_example(outputs).tolist() == pytest.approx(expected)
    assert float(objective(outputs).detach()) == pytest.approx(sum(expected) / 2)
    swapped = ViewOutputs(torch.arange(2), embeddings=[near, anchor, near + (far - anchor)])
    assert objective.per_example(swapped).tolist() == pytest.approx(expected)  # only distances count
