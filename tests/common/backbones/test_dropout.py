import pytest
import torch

from antiphon.common.backbones.dropout import Dropout
from antiphon.common.random import seeded_scope


def test_drops_the_share_p_and_keeps_the_mean():
    with seeded_scope(0):
        dropped = Dropout(0.1)(torch.ones(400, 1001))
    assert (dropped == 0).float().mean().item() == pytest.approx(0.1, abs=0.003)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.003)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.9], abs=1e-4)


def test_neighbours_are_dropped_independently():
    with seeded_scope(1):
        kept = (Dropout(0.5)(torch.ones(200_000)) > 0).float() - 0.5
    for lag in (1, 2, 3, 4, 5):
        assert abs((kept[lag:] * kept[:-lag]).mean().item()) < 0.0025  # 4.5 standard errors


def test_gradient_is_the_mask():
    signals = torch.randn(3, 7, requires_grad=True)
    out = Dropout(0.5)(signals)
    out.sum().backward()
    torch.testing.assert_close(signals.grad * signals, out)


def test_seed_decides_and_evaluation_is_the_identity():
    module, signals = Dropout(0.3), torch.randn(2, 5, 3)
    draws = []
    for seed in (0, 0, 1):
        with seeded_scope(seed):
            draws.append(module(signals))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert module.eval()(signals) is signals
    assert Dropout(0.0)(signals) is signals


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_p_outside_its_range(p):
    with pytest.raises(ValueError, match="0 <= p < 1"):
        Dropout(p)
