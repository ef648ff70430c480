"""One spelling for each electrode; channels of strangers as an encoder wants them."""

import mne
import numpy as np
import pytest

from antiphon.domains.eeg.data import montage
from antiphon.domains.eeg.data.montage import map_channels, spline_matrix, standard_positions, template_positions
from antiphon.domains.eeg.data.names import canonical_name, canonical_names, is_electrode

TEN_TWENTY = ("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8", "P7", "P3", "Pz", "P4", "P8", "O1", "O2")


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        ("EEG FP1-REF", "Fp1"),
        ("EEG T3-LE", "T7"),
        ("t6", "P8"),
        ("Fc5.", "FC5"),
        (" C3-A2 ", "C3"),
        ("EEG A1-REF", "A1"),
        ("POL O2", "O2"),
        ("CZ", "Cz"),
        ("Fp1-F7", "Fp1-F7"),
        ("EEG 001", "EEG 001"),
        ("EMG-REF", "EMG-REF"),
    ],
)
def test_spellings(spelled: str, expected: str) -> None:
    assert canonical_name(spelled) == expected
    assert is_electrode(spelled) == (expected in template_positions())


def test_two_channels_that_are_one_electrode_are_refused() -> None:
    with pytest.raises(ValueError, match="the channels T3, T7 are all T7"):
        canonical_names(["Cz", "T3", "T7"])


def test_either_name_of_the_montage(monkeypatch: pytest.MonkeyPatch) -> None:
    """mne renamed standard_1005 to colin27_1005 in 1.13."""
    known = mne.channels.get_builtin_montages()
    for name in montage.TEMPLATES:
        montage.template_positions.cache_clear()
        monkeypatch.setattr(mne.channels, "get_builtin_montages", lambda name=name: [name])
        with np.testing.suppress_warnings() as quiet:
            quiet.filter(FutureWarning)
            assert set(TEN_TWENTY) <= set(template_positions())
    montage.template_positions.cache_clear()
    monkeypatch.undo()
    assert any(name in known for name in montage.TEMPLATES)


def test_order_and_aliases() -> None:
    found = map_channels(("T3", "Cz"), ("ECG", "CZ", "EEG T7-REF"))
    assert found.names == ("T7", "Cz") and found.picks.tolist() == [2, 1] and found.matrix is None and found.present.all()


def test_strict_names_what_is_missing_and_the_choices() -> None:
    with pytest.raises(
        ValueError, match=r"1 of 3 channels are missing: Pz; it has Cz, Fz.*'interpolate'.*'subset'.*data\.on_mismatch"
    ):
        map_channels(("Cz", "Fz", "Pz"), ("Cz", "Fz"))
    with pytest.raises(ValueError, match=r"2 of 3 channels are missing.* more than half of them") as hopeless:
        map_channels(("Cz", "Fz", "Pz"), ("Cz",))  # neither choice would be accepted, so neither is offered
    assert "on_mismatch" not in str(hopeless.value)
    with pytest.raises(ValueError, match="unknown on_mismatch 'zero': use one of strict, subset, interpolate"):
        map_channels(("Cz",), ("Cz",), on_mismatch="zero")  # type: ignore[arg-type]


def test_subset_leaves_channels_empty_and_says_which() -> None:
    found = map_channels(("Cz", "Fz", "Pz"), ("Pz", "Cz"), on_mismatch="subset")
    made = found.apply(np.asarray([[1.0, 2.0], [3.0, 4.0]])[[1, 0]][[1, 0]][found.picks])
    assert found.absent == ("Fz",) and found.present.tolist() == [True, False, True]
    np.testing.assert_array_equal(made, [[3.0, 4.0], [0.0, 0.0], [1.0, 2.0]])
    with pytest.raises(ValueError, match="more than half"):
        map_channels(("Cz", "Fz", "Pz"), ("Pz",), on_mismatch="subset")


def test_interpolated_channels_are_those_of_mne() -> None:
    missing = ["F3", "Pz"]
    info = mne.create_info(list(TEN_TWENTY), 100.0, "eeg")
    places = dict(zip(TEN_TWENTY, np.asarray(standard_positions(TEN_TWENTY)), strict=True))
    info.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"))
    heads = np.asarray([info["chs"][number]["loc"][:3] for number in range(len(TEN_TWENTY))])
    # smooth over the head, as potentials are
    signals = np.stack([heads @ np.random.default_rng(n).normal(size=3) * 10 for n in range(50)], axis=1)
    raw = mne.io.RawArray(signals, info, verbose="ERROR")
    raw.info["bads"] = missing
    raw.interpolate_bads(verbose="ERROR")
    kept = [name for name in TEN_TWENTY if name not in missing]
    found = map_channels(TEN_TWENTY, kept, on_mismatch="interpolate")
    made = found.apply(signals[[TEN_TWENTY.index(name) for name in kept]][found.picks])
    assert found.interpolated == tuple(missing) and found.absent == ()
    np.testing.assert_array_equal(made[found.present], signals[found.present])
    difference = np.abs(made - raw.get_data())[~found.present]
    assert difference.max() < 0.1 * np.abs(signals).max()
    assert np.corrcoef(made[~found.present].ravel(), raw.get_data()[~found.present].ravel())[0, 1] > 0.99


def test_splines_keep_a_constant_and_pass_through_their_sources() -> None:
    places = np.asarray(standard_positions(TEN_TWENTY))
    np.testing.assert_allclose(spline_matrix(places[:15], places).sum(axis=1), 1.0, atol=1e-9)
    np.testing.assert_allclose(spline_matrix(places[:15], places, smoothing=0.0)[:15], np.eye(15), atol=1e-6)
    with pytest.raises(ValueError, match="need 4 electrodes at least, got 3"):
        spline_matrix(places[:3], places)


def test_interpolation_needs_positions() -> None:
    with pytest.raises(ValueError, match="positions of only 2 are known, 4 are due"):
        map_channels(("Cz", "Fz", "Pz"), ("Cz", "Fz"), on_mismatch="interpolate")
