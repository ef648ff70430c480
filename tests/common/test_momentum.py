"""Averaged weights and the twin, against the recurrences written out."""

import math

import pytest
import torch
from torch import nn

from antiphon.common.momentum import AveragedWeights, MomentumTwin


def test_the_mean_of_all_iterates_and_the_moving_average() -> None:
    net = nn.Linear(1, 1, bias=False)
    net.weight.data.fill_(9.0)
    mean, moving = AveragedWeights(net), AveragedWeights(net, 0.5)
    for value in (1.0, 2.0, 6.0):
        net.weight.data.fill_(value)
        mean.update(net)
        moving.update(net)
    assert mean.module.weight.item() == pytest.approx(3.0)
    assert moving.module.weight.item() == pytest.approx(0.125 * 9 + 0.125 * 1 + 0.25 * 2 + 0.5 * 6)
    assert not any(parameter.requires_grad for parameter in mean.parameters())


def test_buffers_are_copied() -> None:
    net = nn.BatchNorm1d(2)
    averaged = AveragedWeights(net)
    net.running_mean.fill_(4.0)
    averaged.update(net)
    assert averaged.module.running_mean.tolist() == [4.0, 4.0]


def test_the_decay_of_a_twin_rises_along_a_half_cosine() -> None:
    encoder, head = nn.Linear(1, 1, bias=False), nn.Identity()
    encoder.weight.data.fill_(0.0)
    twin = MomentumTwin(encoder, head, decay=0.9, final_decay=1.0, steps=4)
    encoder.weight.data.fill_(1.0)
    expected = 0.0
    for step in range(6):
        decay = 1.0 - 0.1 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / 4)))
        expected = decay * expected + (1.0 - decay)
        twin.follow(encoder, head)
        assert twin.encoder.weight.item() == pytest.approx(expected, rel=1e-5)
    before = twin.encoder.weight.clone()
    twin.follow(encoder, head)  # the schedule is over: the twin stands still
    torch.testing.assert_close(twin.encoder.weight, before)


def test_a_constant_decay_is_the_same_in_every_step() -> None:
    encoder = nn.Linear(2, 2)
    twin = MomentumTwin(encoder, nn.Identity(), decay=0.99, final_decay=0.99, steps=10)
    shares = []
    for _ in range(12):
        shares.append(twin.share())
        twin.follow(encoder, nn.Identity())
    assert shares == pytest.approx([0.01] * 12)


@pytest.mark.parametrize(("decay", "final"), [(1.5, 1.0), (-0.1, 1.0), (0.9, 0.5), (0.9, 1.1)])
def test_decays_outside_their_range_are_refused(decay: float, final: float) -> None:
    with pytest.raises(ValueError, match="decay"):
        MomentumTwin(nn.Linear(1, 1), nn.Identity(), decay=decay, final_decay=final, steps=3)
