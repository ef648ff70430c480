"""Random filters: what they do to white noise, and that their cut-offs are the drawn ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from antiphon.common.augment import BandPass, BandStop, Equalizer, HighOrLowPass, HighPass, LowPass
from antiphon.common.augment.base import Augmentation
from antiphon.common.random import KeyedRandom

RATE = 22_050
SIZE = 1 << 14
INDEX = torch.arange(60)
LENGTHS = torch.full((60,), SIZE)


def keyed() -> KeyedRandom:
    return KeyedRandom.for_examples(0, 0, INDEX)


def impulses() -> Tensor:
    values = torch.zeros(len(INDEX), 1, SIZE)
    values[..., SIZE // 2] = 1
    return values


def answers(augmentation: Augmentation) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """The drawn parameters, frequencies (F,) in Hz and levels (B, F) in dB of what became of an impulse."""
    drawn = dict(augmentation.sample(keyed().fold("parameters"), impulses(), LENGTHS))
    spectra = torch.fft.rfft(augmentation(impulses(), LENGTHS, keyed())[:, 0].double(), n=1 << 17).abs()
    return drawn, torch.linspace(0, RATE / 2, spectra.shape[1]), 20 * spectra.clamp(min=1e-9).log10()


def crossings(frequencies: Tensor, levels: Tensor) -> list[float]:
    """Where the level crosses -6.02 dB, in Hz."""
    above = levels > -6.0206
    return frequencies[1:][above[1:] != above[:-1]].tolist()


def test_high_and_low_passes_have_their_drawn_cutoffs_within_three_per_cent() -> None:
    drawn, frequencies, levels = answers(HighOrLowPass(sample_rate=RATE))
    high_pass = drawn["low_hz"] > 0
    assert 15 <= int(high_pass.sum()) <= 45
    for row in range(len(INDEX)):
        cutoff = float(drawn["low_hz" if high_pass[row] else "high_hz"][row])
        assert (200 <= cutoff <= 1200) if high_pass[row] else (2200 <= cutoff <= 4000)
        (crossing,) = crossings(frequencies, levels[row])
        assert abs(crossing / cutoff - 1) < 0.03
        assert (float(levels[row, 0]) < -60) == bool(high_pass[row])


@pytest.mark.parametrize(("make", "at_zero", "at_the_top"), [(LowPass, 0.0, -40.0), (HighPass, -40.0, 0.0)])
def test_low_pass_and_high_pass_alone(make: Callable[..., HighOrLowPass], at_zero: float, at_the_top: float) -> None:
    drawn, frequencies, levels = answers(make((300.0, 3000.0), sample_rate=RATE))
    cutoffs = drawn["low_hz"] + drawn["high_hz"] - (RATE / 2 if make is HighPass else 0.0)
    assert float(cutoffs.min()) < 600 and float(cutoffs.max()) > 2500
    for row, cutoff in enumerate(cutoffs.tolist()):
        assert abs(crossings(frequencies, levels[row])[0] / cutoff - 1) < 0.03
    for end, expected in ((0, at_zero), (-1, at_the_top)):
        assert bool((levels[:, end] < -40).all()) if expected else bool((levels[:, end].abs() < 0.1).all())


def test_a_band_passes_or_stops_between_its_edges() -> None:
    for make, inside in ((BandPass, True), (BandStop, False)):
        drawn, frequencies, levels = answers(make((400.0, 2000.0), (1.0, 2.5), sample_rate=RATE))
        for low, high, row in zip(drawn["low_hz"].tolist(), drawn["high_hz"].tolist(), levels, strict=True):
            assert 1.0 - 1e-4 <= torch.tensor(high / low).log2() <= 2.5 + 1e-4
            first, second = crossings(frequencies, row)
            assert abs(first / low - 1) < 0.03 and abs(second / high - 1) < 0.03
            middle = float(row[(frequencies - (low * high) ** 0.5).abs().argmin()])
            assert (abs(middle) < 0.5) if inside else (middle < -25)


def test_a_band_that_reaches_the_top_has_no_upper_edge() -> None:
    drawn, _, levels = answers(BandPass((9000.0, 11_000.0), (1.0, 1.0), sample_rate=RATE))
    assert bool((drawn["high_hz"] == RATE / 2).all()) and float(levels[:, -1].min()) > -0.5


@pytest.mark.parametrize(("kind", "probe_at"), [("peaking", "frequency_hz"), ("low_shelf", 0.0), ("high_shelf", RATE / 2)])
def test_an_equalizer_has_its_drawn_gain(kind: str, probe_at: str | float) -> None:
    drawn, frequencies, levels = answers(Equalizer((200.0, 4000.0), (-12.0, 12.0), sample_rate=RATE, kind=kind))  # type: ignore[arg-type]
    at = drawn[probe_at] if isinstance(probe_at, str) else torch.full((len(INDEX),), probe_at)
    measured = torch.stack([levels[row, (frequencies - hz).abs().argmin()] for row, hz in enumerate(at)])
    assert torch.allclose(measured, drawn["gain_db"].double(), atol=0.1)
    assert float(measured.min()) < -8 and float(measured.max()) > 8


def test_options_are_checked() -> None:
    for make in (
        lambda: LowPass((100.0, 12_000.0), sample_rate=RATE),
        lambda: HighPass((0.0, 100.0), sample_rate=RATE),
        lambda: HighOrLowPass((500.0, 200.0), sample_rate=RATE),
        lambda: BandPass((100.0, 200.0), (-1.0, 2.0), sample_rate=RATE),
        lambda: Equalizer((100.0, 200.0), q=(0.0, 1.0), sample_rate=RATE),
    ):
        with pytest.raises(ValueError, match="must be a pair"):
            make()
    with pytest.raises(ValueError, match="kind must be"):
        Equalizer(sample_rate=RATE, kind="lowpass")  # type: ignore[arg-type]
