"""Views whose steps are told the names of electrodes and the sampling rate."""

from functools import partial

import pytest
import torch

from antiphon.common.random import KeyedRandom
from antiphon.domains.eeg.augmentations import ChannelReflection, FrequencyShift, GaussianNoise, SignFlip, same_chain

pytest.importorskip("mne")

SIGNALS, LENGTHS = KeyedRandom(torch.arange(3)).normal(2, 100), torch.full((3,), 100)


def test_steps_are_told_what_they_do_not_know() -> None:
    views = same_chain([SignFlip(p=1.0), partial(ChannelReflection, p=1.0)], ["C3", "C4"], 100.0)
    for view in views(SIGNALS, LENGTHS, KeyedRandom(torch.arange(3))):
        assert torch.equal(view.signals, -SIGNALS.flip(1))
    (shift,) = same_chain([partial(FrequencyShift, (1.0, 1.0), sample_rate=50.0)], None, 100.0, views=1).augmentations
    assert shift.steps[0].sample_rate == 50.0  # its own comes first


def test_two_views_draw_differently() -> None:
    first, second = same_chain([GaussianNoise(1.0)])(SIGNALS, LENGTHS, KeyedRandom(torch.arange(3)))
    assert float((first.signals - second.signals).abs().mean()) > 0.5


def test_what_the_data_do_not_tell_is_asked_for() -> None:
    with pytest.raises(ValueError, match=r"FrequencyShift needs sample_rate, .* give views\.sample_rate"):
        same_chain([FrequencyShift], ["C3", "C4"])
    with pytest.raises(ValueError, match="ChannelReflection needs names"):
        same_chain([partial(ChannelReflection, p=0.5)])
