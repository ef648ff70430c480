"""CLMR's chain as its config composes it: order, probabilities, ranges, a crop of its own for every view."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from antiphon.common.augment.base import Augmentation
from antiphon.common.random import KeyedRandom
from antiphon.domains.music import same_chain
from antiphon.run.config import compose, instantiate

ORDER = ("PolarityInversion", "GaussianNoise", "Gain", "HighOrLowPass", "Delay", "PitchShift", "FreeverbReverb")
PROBABILITIES = (0.8, 0.01, 0.3, 0.8, 0.3, 0.6, 0.6)


def steps(views: str, *overrides: str) -> list[Augmentation]:
    config = compose("music/clmr", [f"views=music/{views}", *overrides])
    chain: Any = instantiate(config["views"]).augmentations[0]
    return list(chain.steps)


def test_order_probabilities_and_ranges_are_those_of_the_code() -> None:
    chain = steps("clmr")
    assert [type(step).__name__ for step in chain] == list(ORDER)
    assert [step.p for step in chain] == list(PROBABILITIES)
    _, noise, gain, passes, delay, pitch, reverb = (vars(step) for step in chain)
    assert noise["std"] == (0.0001, 0.01) and noise["relative"]
    assert gain["gain_db"] == (-20.0, -1.0) and gain["limit"] == 1.0
    assert passes["highpass_hz"] == (200.0, 1200.0) and passes["lowpass_hz"] == (2200.0, 4000.0)
    assert delay["delay_s"] == (0.2, 0.25, 0.3, 0.35, 0.4, 0.45) and delay["level"] == (0.5, 0.5)
    assert pitch["cents"] == (-700.0, 700.0)
    assert all(reverb[name] == (0.0, 99.0) for name in ("reverberance", "damping", "room_size"))


def test_the_papers_ranges_are_narrower_in_the_same_order() -> None:
    chain = steps("clmr_paper")
    _, noise, gain, _, _, pitch, _ = (vars(step) for step in chain)
    assert [step.p for step in chain] == list(PROBABILITIES)
    assert noise["snr_db"] == (80.0, 80.0) and gain["gain_db"] == (-6.0, 0.0) and pitch["cents"] == (-500.0, 500.0)


@pytest.mark.parametrize("place", range(len(ORDER)), ids=ORDER)
def test_each_step_runs_as_often_as_it_should(place: int) -> None:
    """The share of 2,000 examples that one step changes, within 4 standard deviations of its probability."""
    count, step = 2000, steps("clmr")[place]
    waves = 0.1 * torch.randn(1, 1, 600, generator=torch.Generator().manual_seed(0)).expand(count, 1, 600)
    random = KeyedRandom.for_examples(0, 0, torch.arange(count))
    changed = (step(waves, torch.full((count,), 600), random) != waves).flatten(1).any(dim=1).float().mean().item()
    deviation = (step.p * (1 - step.p) / count) ** 0.5
    assert abs(changed - step.p) < 4 * deviation


class Same(Augmentation):
    """Keeps what it sees."""

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Mapping[str, Tensor]:
        return {}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        return signals


def test_every_view_has_a_crop_of_its_own_and_every_place_is_as_likely() -> None:
    count, length, size = 2000, 20, 5
    signals = torch.arange(float(length)).expand(count, 1, length)
    random = KeyedRandom.for_examples(0, 0, torch.arange(count))
    first, second = same_chain(size, [Same()])(signals, torch.full((count,), length), random)
    starts = torch.stack((first.signals[:, 0, 0], second.signals[:, 0, 0])).long()
    torch.testing.assert_close(first.signals[:, 0], starts[0, :, None] + torch.arange(float(size)))
    places = length - size + 1
    counts = torch.bincount(starts.flatten(), minlength=places).float()
    assert len(counts) == places and ((counts - 2 * count / places).abs() < 5 * (2 * count / places) ** 0.5).all()
    assert abs((starts[0] == starts[1]).float().mean().item() - 1 / places) < 0.03


def test_the_whole_chain_leaves_finite_waves_and_two_different_views() -> None:
    views = instantiate(compose("music/clmr", ["encoder.window=6561"])["views"])
    waves = 0.2 * torch.randn(16, 1, 20_000, generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([20_000] * 14 + [3000, 1])
    first, second = views(waves, lengths, KeyedRandom.for_examples(3, 0, torch.arange(16)))
    assert first.signals.shape == (16, 1, 6561) and first.lengths.tolist() == [6561] * 14 + [3000, 1]
    assert torch.isfinite(first.signals).all() and not torch.equal(first.signals, second.signals)
