"""A prepared part of a recording is that part of the prepared recording."""

import mne
import numpy as np
import pytest

from antiphon.common.encoder import InputSpec
from antiphon.domains.eeg.data.montage import map_channels
from antiphon.domains.eeg.data.preparation import Preparation, Prepared, preparation_of, prepare_trials
from tests.domains.eeg.data.conftest import waves

NAMES = ("Fz", "Cz", "Pz")


def read(prepared: Prepared, signals: np.ndarray, start: int, size: int) -> np.ndarray:
    first, last = prepared.source_part(start, size)
    return prepared.read(signals[:, max(0, first) : min(signals.shape[1], last)], start, size)


def prepared(steps: Preparation, signals: np.ndarray, rate: float) -> Prepared:
    return Prepared(steps, map_channels(NAMES, NAMES), rate, signals.shape[1])


@pytest.mark.parametrize("rates", [(256.0, 100.0), (250.0, 120.0), (100.0, 256.0), (199.97, 100.0), (128.0, None)])
@pytest.mark.parametrize("band", [None, (4.0, 30.0), (None, 20.0)])
def test_a_window_equals_that_part_of_the_whole(rates: tuple[float, float | None], band: tuple[float | None, float] | None) -> None:
    rate, target = rates
    signals = waves(3, 3000, rate) + 100
    steps = Preparation(clip_uv=110, band_hz=band, reference="average", divide_by=3, sample_rate=target)
    one = prepared(steps, signals, rate)
    whole = read(one, signals, 0, one.length)
    assert whole.dtype == np.float32 and whole.shape == (3, int(3000 * (target or rate) / round(rate, 2)))
    for start, size in ((0, 50), (1, 7), (301, 200), (one.length - 40, 40)):
        np.testing.assert_allclose(read(one, signals, start, size), whole[:, start : start + size], atol=2e-5)


def test_filtering_is_that_of_mne_on_the_continuous_recording() -> None:
    signals = waves(3, 3000, 200.0)
    one = prepared(Preparation(band_hz=(4.0, 30.0)), signals, 200.0)
    expected = mne.filter.filter_data(signals, 200.0, 4.0, 30.0, verbose="ERROR")
    np.testing.assert_allclose(read(one, signals, 0, 3000), expected, atol=1e-4)


def test_resampling_keeps_a_tone_and_drops_what_is_too_fast() -> None:
    times = np.arange(5000) / 250
    slow, fast = np.sin(2 * np.pi * 7 * times), np.sin(2 * np.pi * 80 * times)
    signals = np.stack([slow, fast, slow + 3])
    one = prepared(Preparation(sample_rate=100.0), signals, 250.0)
    made = read(one, signals, 200, 1000)
    expected = np.sin(2 * np.pi * 7 * np.arange(200, 1200) / 100)
    np.testing.assert_allclose(made[0], expected, atol=0.01)
    np.testing.assert_allclose(made[2], expected + 3, atol=0.05)
    assert np.abs(made[1]).max() < 0.01


def test_the_steps_come_in_the_order_of_tuh_abnormal() -> None:
    signals = np.asarray([[3000.0] * 9, [-10.0] * 9, [40.0] * 9])
    steps = Preparation(clip_uv=800, reference="average", divide_by=30)
    clipped = np.asarray([800.0, -10.0, 40.0])
    expected = (clipped - clipped.mean()) / 30
    made = read(prepared(steps, signals, 100.0), signals, 2, 3)
    np.testing.assert_allclose(made, np.repeat(expected[:, None], 3, axis=1), rtol=1e-6)
    trials = prepare_trials(signals[None], steps, map_channels(NAMES, NAMES), 100.0)
    np.testing.assert_allclose(trials[0, :, :3], made, rtol=1e-6)
    assert steps.unit == "30 uV"


def test_reference_by_name() -> None:
    signals = waves(3, 50)
    made = read(prepared(Preparation(reference=("CZ",)), signals, 100.0), signals, 0, 50)
    np.testing.assert_allclose(made, signals - signals[1:2], atol=1e-4)
    with pytest.raises(ValueError, match="the reference M1 is not among the channels Fz, Cz, Pz"):
        prepared(Preparation(reference="M1"), signals, 100.0)


def test_json_and_the_contract() -> None:
    steps = Preparation(band_hz=(None, 40.0), reference="average", sample_rate=100.0, robust=True, clamp=20)
    assert Preparation.from_dict(steps.to_dict()) == steps and Preparation().to_dict() == {}
    spec = InputSpec(channels=3, sample_rate=100.0, preparation={**steps.to_dict(), "window_s": 3.0, "events": {"a": "b"}})
    assert preparation_of(spec) == steps


def test_wrong_words() -> None:
    with pytest.raises(ValueError, match="no such step of preparation: notch; use clip_uv, band_hz"):
        Preparation.from_dict({"notch": 50})
    with pytest.raises(ValueError, match="divide_by must be above 0, got 0"):
        Preparation(divide_by=0)
    with pytest.raises(ValueError, match="from low to high, got 40 to 8 Hz"):
        Preparation(band_hz=(40, 8))
    with pytest.raises(ValueError, match="100 Hz is too low for a filter at 60 Hz"):
        prepared(Preparation(band_hz=(1, 60)), waves(3, 10), 100.0)
