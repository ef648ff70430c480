"""Bad-pair mining: golden weights, both forms against loops, and the cases in which it must change nothing."""

import math

import pytest
import torch
from torch import Tensor

from antiphon.common.objectives.info_nce import nt_xent
from antiphon.common.pair_mining import BadPairMining, gaussian_weight


def history(examples: int = 40, epochs: int = 3) -> Tensor:
    """Losses (epochs, examples): example 3 is always easy, example 7 always hard."""
    losses = 2.0 + 0.2 * torch.randn(epochs, examples, generator=torch.Generator().manual_seed(0))
    losses[:, 3] = 0.1
    losses[:, 7] = 6.0
    return losses


def trained(losses: Tensor, form: str = "paper", **options: float) -> BadPairMining:
    mining = BadPairMining(losses.shape[1], form=form, warmup_epochs=1, max_epochs=10, **options)
    for epoch, row in enumerate(losses):
        for index in torch.randperm(losses.shape[1], generator=torch.Generator().manual_seed(epoch)).split(16):
            mining.weights(index, row[index], epoch)
            mining.record(index, row[index], epoch)
    return mining


def test_golden_density() -> None:
    losses = torch.tensor([1.0, 3.5, 2.0], dtype=torch.float64)
    found = gaussian_weight(losses, 2.0, 0.5, normalize=False)
    torch.testing.assert_close(found, torch.tensor([0.107982, 0.008864, 0.797885], dtype=torch.float64), atol=1e-6, rtol=0)
    assert gaussian_weight(losses, 2.0, 0.5)[2] == 1.0


@pytest.mark.parametrize("form", ["paper", "released"])
def test_history_flags_and_weights_match_the_loop(form: str) -> None:
    losses = history()
    mining = trained(losses, form, beta_noisy=2.0, beta_faulty=3.0)
    scale = [(1 + epoch) / 10 if form == "released" else 1.0 for epoch in range(3)]
    means = [sum(float(losses[e, i]) * scale[e] for e in range(3)) / 3 for i in range(40)]
    torch.testing.assert_close(mining.history_mean, torch.tensor(means))
    center = sum(means) / 40
    spread = math.sqrt(sum((mean - center) ** 2 for mean in means) / 40)
    flags = [-1 if mean <= center - 2 * spread else 1 if mean >= center + 3 * spread else 0 for mean in means]
    assert flags[3] == -1 and flags[7] == 1 and sum(map(abs, flags)) == 2
    assert mining.flags().dtype == torch.int8 and mining.flags().tolist() == flags

    index, current = torch.arange(40), history()[0]
    weights = mining.weights(index, current, 3)
    for i, weight in enumerate(weights.tolist()):
        density = math.exp(-((float(current[i]) - center) ** 2) / (2 * spread**2))
        density = density if form == "paper" else density / (spread * math.sqrt(2 * math.pi))
        assert weight == pytest.approx(density if flags[i] else 1.0, rel=1e-4)


def test_the_released_density_can_be_normalised() -> None:
    losses, index = history(), torch.tensor([3])
    raw = trained(losses, "released")
    normalised = trained(losses, "released", normalize_pdf=True)
    current = torch.tensor([1.0])
    ratio = normalised.weights(index, current, 3) / raw.weights(index, current, 3)
    torch.testing.assert_close(ratio, (raw.spread * math.sqrt(2 * math.pi)).view(1))


@pytest.mark.parametrize("options", [{"warmup_epochs": 5}, {"warmup_epochs": 0, "beta_noisy": math.inf, "beta_faulty": math.inf}])
def test_warm_up_and_infinite_betas_are_plain_simclr(options: dict[str, float]) -> None:
    first, second = torch.randn(2, 40, 8, generator=torch.Generator().manual_seed(3))
    mining = BadPairMining(40, max_epochs=8, **options)
    for epoch, row in enumerate(history()):
        mining.record(torch.arange(40), row, epoch)
    losses = nt_xent(first, second, reduction="none").view(2, -1).mean(dim=0)
    assert torch.equal((mining.weights(torch.arange(40), losses, 3) * losses).mean(), losses.mean())


def test_weights_carry_no_gradient() -> None:
    losses = history()[0].requires_grad_()
    assert not trained(history()).weights(torch.arange(40), losses, 3).requires_grad


def test_flags_stay_for_an_epoch() -> None:
    mining, index = trained(history()), torch.arange(40)
    before = mining.weights(index, torch.full((40,), 2.0), 3)
    swapped = torch.full((40,), 2.0)
    swapped[5] = 500.0
    mining.record(index, swapped, 3)
    assert mining.flags()[5] == 1
    assert torch.equal(mining.weights(index, torch.full((40,), 2.0), 3), before)
    assert mining.weights(index, torch.full((40,), 2.0), 4)[5] < 1.0


def test_recording_first_does_not_leak_the_current_epoch() -> None:
    losses, index = history(), torch.arange(40)
    one, other = trained(losses), trained(losses)
    expected = one.weights(index, losses[0], 3)
    other.record(index, losses[0] * 3.0, 3)
    assert torch.equal(other.weights(index, losses[0], 3), expected)


def test_a_checkpoint_carries_everything() -> None:
    losses, index = history(), torch.arange(40)
    mining = trained(losses)
    mining.weights(index, losses[0], 3)
    mining.record(index[:10], losses[0, :10] * 2.0, 3)  # stopped within an epoch
    resumed = BadPairMining(40, warmup_epochs=1, max_epochs=10)
    resumed.load_state_dict(mining.state_dict())
    for epoch in (3, 4):
        assert torch.equal(resumed.weights(index, losses[1], epoch), mining.weights(index, losses[1], epoch))
    assert torch.equal(resumed.flags(), mining.flags())


def test_equal_histories_flag_nothing() -> None:
    mining = BadPairMining(4, warmup_epochs=0, max_epochs=2)
    assert mining.weights(torch.arange(4), torch.ones(4), 0).tolist() == [1.0] * 4  # nothing seen yet
    mining.record(torch.arange(3), torch.ones(3), 0)
    assert not mining.flags().any() and math.isnan(mining.history_mean[3])
    assert mining.weights(torch.arange(4), torch.ones(4), 1).tolist() == [1.0] * 4


def test_errors() -> None:
    with pytest.raises(ValueError, match="warmup_epochs is 5 of max_epochs 4"):
        BadPairMining(4, warmup_epochs=5, max_epochs=4)
    with pytest.raises(ValueError, match="form is 'code'"):
        BadPairMining(4, form="code", warmup_epochs=1, max_epochs=4)
    with pytest.raises(ValueError, match="betas"):
        BadPairMining(4, beta_noisy=-1.0, warmup_epochs=1, max_epochs=4)
    mining = BadPairMining(4, warmup_epochs=1, max_epochs=4)
    with pytest.raises(ValueError, match="memory holds 4 examples"):
        mining.record(torch.tensor([0, 4]), torch.ones(2), 0)
    with pytest.raises(ValueError, match="must both be"):
        mining.weights(torch.arange(2), torch.ones(3), 0)
