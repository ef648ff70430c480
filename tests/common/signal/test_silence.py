"""Ends of sound, found by its level."""

import pytest
import torch

from antiphon.common.signal.silence import sound_bounds

RATE = 8000


def recording(*, floor: float = 0.0, offset: float = 0.0) -> torch.Tensor:
    """A second and a half: silence, half a second of noise with a pause in it, silence."""
    generator = torch.Generator().manual_seed(0)
    wave = floor * torch.randn(1, 12_000, generator=generator) + offset
    for start in (4000, 6800):
        wave[:, start : start + 1200] += 0.1 * torch.randn(1, 1200, generator=generator)
    return wave


@pytest.mark.parametrize(("floor", "offset"), [(0.0, 0.0), (1e-4, 0.0), (0.0, 0.3)])
def test_the_ends_are_found_and_pauses_kept(floor: float, offset: float) -> None:
    bounds = sound_bounds(recording(floor=floor, offset=offset), RATE)
    assert bounds is not None
    assert bounds == (pytest.approx(4000 - 400, abs=160), pytest.approx(8000 + 400, abs=160))


def test_what_is_louder_than_the_threshold_is_sound() -> None:
    noisy = recording(floor=0.01)  # 20 dB below
    assert sound_bounds(noisy, RATE, below_db=40.0) == (0, 12_000)
    bounds = sound_bounds(noisy, RATE, below_db=12.0)
    assert bounds is not None and bounds[0] > 3000


def test_silence_and_the_shortest_recordings() -> None:
    assert sound_bounds(torch.full((2, 4000), 0.5), RATE) is None and sound_bounds(torch.zeros(1, 0), RATE) is None
    click = torch.tensor([[0.0, 0.5]])
    assert sound_bounds(click, RATE) == (0, 2)
    with pytest.raises(ValueError, match="below_db must be positive, got 0"):
        sound_bounds(click, RATE, below_db=0.0)
