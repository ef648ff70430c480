from urllib.error import URLError

import numpy as np
import pytest

from antiphon.domains.time_series.data import load_aeon
from antiphon.domains.time_series.data.archive import bundled_names


@pytest.mark.parametrize(
    ("name", "train", "test", "classes", "lengths"),
    [
        ("GunPoint", (50, 1, 150), 150, 2, (150, 150)),
        ("BasicMotions", (40, 6, 100), 40, 4, (100, 100)),
        ("JapaneseVowels", (270, 12, 26), 370, 9, (7, 26)),
        ("PickupGestureWiimoteZ", (50, 1, 361), 50, 10, (29, 361)),
    ],
)
def test_bundled_sets_need_no_network(name, train, test, classes, lengths, monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("went to the network"))
    first, second = load_aeon(name)
    assert first.signals.shape == train and len(second) == test and first.signals.dtype == np.float32
    assert len(first.classes) == classes and first.classes == second.classes and first.name == f"{name} train"
    assert set(first.labels) == set(second.labels) == set(range(classes))
    assert (first.lengths.min(), first.lengths.max()) == lengths
    beyond = np.arange(train[2]) >= first.lengths[:, None]
    assert (np.isnan(first.signals).all(axis=1) == beyond).all()


def test_values_are_aeons():
    from aeon.datasets import load_classification

    series, labels = load_classification("JapaneseVowels", split="test")
    data = load_aeon("JapaneseVowels")[1]
    assert [data.classes[code] for code in data.labels] == labels.tolist()
    for row in (0, 100, 369):
        np.testing.assert_allclose(data.signals[row, :, : data.lengths[row]], series[row], rtol=1e-6)


def test_bundled_names_are_classification_sets():
    names = bundled_names()
    assert {"ACSF1", "ArrowHead", "BasicMotions", "GunPoint", "ItalyPowerDemand", "JapaneseVowels", "OSULeaf"} <= set(names)
    assert "Covid3Month" not in names and "JapaneseVowels_eq" not in names


def test_unknown_names():
    with pytest.raises(ValueError, match="did you mean GunPoint"):
        load_aeon("Gunpoint")
    with pytest.raises(ValueError, match=r"without a network there are ACSF1, "):
        load_aeon("zzzz")
    with pytest.raises(ValueError, match="'Covid3Month' is a regression set"):
        load_aeon("Covid3Month")


@pytest.mark.parametrize("error", [URLError("no route"), ValueError("Could not download files")])
def test_a_failed_download_is_one_line(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("aeon.datasets.load_classification", fail)
    with pytest.raises(ValueError, match=r"could not download 'Adiac' .* connect to the network") as raised:
        load_aeon("Adiac")
    assert "\n" not in str(raised.value)
