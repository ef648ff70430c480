import math

import pytest
import torch

from antiphon.common.objectives import LearnedScale
from antiphon.common.optim import decay_groups


def test_begins_and_ends_where_clip_does() -> None:
    scale = LearnedScale()
    assert scale.log_scale.item() == pytest.approx(2.6593, abs=5e-5)
    with torch.no_grad():
        scale.log_scale.fill_(7.0)
    scale.clamp()
    assert scale.log_scale.item() == pytest.approx(math.log(100.0)) and scale().item() == pytest.approx(100.0)
    with torch.no_grad():
        scale.log_scale.fill_(-3.0)
    scale.clamp()
    assert scale().item() == 1.0


def test_a_scale_at_its_bound_can_come_back() -> None:
    scale = LearnedScale(100.0)
    scale().backward()
    assert scale.log_scale.grad is not None and scale.log_scale.grad.item() == pytest.approx(100.0)


def test_it_is_not_decayed() -> None:
    (group,) = decay_groups(LearnedScale(), 0.1)
    assert group["weight_decay"] == 0.0 and len(group["params"]) == 1


@pytest.mark.parametrize(("initial", "lowest", "highest"), [(0.5, 1.0, 100.0), (200.0, 1.0, 100.0), (0.0, 0.0, 1.0)])
def test_bounds_must_hold_the_start(initial: float, lowest: float, highest: float) -> None:
    with pytest.raises(ValueError, match="0 < lowest <= initial <= highest"):
        LearnedScale(initial, lowest=lowest, highest=highest)
