"""Averaged weights and the twin, against the recurrences written out."""

import math

import pytest
import torch
from torch import nn

from antiphon.common.momentum import AveragedCheckpoints, AveragedWeights, MomentumTwin


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


def test_statistics_of_batch_norms_are_averaged_and_counters_copied() -> None:
    net = nn.BatchNorm1d(2)
    mean, moving = AveragedWeights(net), AveragedWeights(net, 0.75)
    for value in (4.0, 8.0):
        net.running_mean.fill_(value)
        net.num_batches_tracked.fill_(int(value))
        mean.update(net)
        moving.update(net)
    assert mean.module.running_mean.tolist() == [6.0, 6.0]
    assert moving.module.running_mean.tolist() == [0.25 * 0.75 * 4.0 + 0.25 * 8.0] * 2
    assert mean.module.num_batches_tracked == moving.module.num_batches_tracked == 8


def test_a_twin_keeps_the_statistics_of_what_it_saw() -> None:
    torch.manual_seed(0)
    encoder = nn.BatchNorm1d(2, momentum=1.0)
    twin = MomentumTwin(encoder, nn.Identity(), steps=4)
    seen = torch.randn(50, 2) + 3.0
    encoder(torch.randn(50, 2))
    twin.encoder(seen)
    twin.follow(encoder, nn.Identity())
    torch.testing.assert_close(twin.encoder.running_mean, seen.mean(dim=0))


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


def test_checkpoints_at_the_ends_of_the_last_epochs() -> None:
    net = nn.BatchNorm1d(1)
    averaged = AveragedCheckpoints(net, last=3, every=4, steps=10)
    for step in range(1, 11):
        net.weight.data.fill_(step)
        net.running_mean.fill_(10.0 * step)
        net.num_batches_tracked.fill_(step)
        averaged.update(net)
    assert averaged.module.weight.item() == pytest.approx((2 + 6 + 10) / 3)  # counted back from the last update
    assert averaged.module.running_mean.item() == pytest.approx(60.0)
    assert averaged.module.num_batches_tracked.item() == 10
    assert int(averaged.count) == 3 and int(averaged.seen) == 10


def test_a_run_of_fewer_epochs_averages_what_it_has() -> None:
    net = nn.Linear(1, 1, bias=False)
    averaged = AveragedCheckpoints(net, last=10, every=2, steps=3)
    for value in (1.0, 2.0, 3.0):
        net.weight.data.fill_(value)
        averaged.update(net)
    assert averaged.module.weight.item() == pytest.approx(2.0)
    with pytest.raises(ValueError, match="at least one epoch of at least one update, got 0 and 2"):
        AveragedCheckpoints(net, last=0, every=2, steps=3)
