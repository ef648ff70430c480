"""Banks of impulse responses: alignment, files, RIRS_NOISES, simulated rooms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from antiphon.common.random import KeyedRandom
from antiphon.common.signal import response_bank
from antiphon.common.signal.io import write_audio
from antiphon.common.signal.response_bank import ResponseBank, simulated_rooms

RATE = 8000


def response(delay: int, size: int = 300) -> torch.Tensor:
    wave = torch.zeros(1, size)
    wave[0, delay] = 0.8
    wave[0, delay + 1 :] = (
        0.1 * KeyedRandom(torch.tensor([delay])).normal(size - delay - 1) * 0.98 ** torch.arange(size - delay - 1)
    )
    return wave


def test_direct_paths_are_aligned_and_energies_one() -> None:
    bank = ResponseBank([response(0), response(5), response(90)], sample_rate=RATE)
    assert len(bank) == 3 and bank.centre == 20
    assert bank.responses.abs().argmax(dim=-1).tolist() == [[20]] * 3
    assert torch.allclose(bank.responses.square().sum(dim=-1), torch.ones(3, 1))
    impulse = torch.zeros(3, 1, 400)
    impulse[..., 50] = 1.0
    assert bank.convolve(impulse, torch.arange(3)).abs().argmax(dim=-1).tolist() == [[50]] * 3


def test_delays_between_channels_remain() -> None:
    early, late = response(40), response(47)
    bank = ResponseBank([torch.cat((late, early))], sample_rate=RATE)
    assert bank.responses[0].abs().argmax(dim=-1).tolist() == [27, 20]


def test_convolution_is_that_of_the_chosen_response(monkeypatch: pytest.MonkeyPatch) -> None:
    bank = ResponseBank([response(delay) for delay in (3, 4, 5)], sample_rate=RATE)
    waves, chosen = KeyedRandom(torch.arange(4)).normal(2, 500), torch.tensor([2, 0, 0, 1])
    kept = bank.convolve(waves, chosen)
    for row, number in enumerate(chosen.tolist()):
        expected = np.convolve(waves[row, 1].numpy(), bank.responses[number, 0].numpy())[20:520]
        np.testing.assert_allclose(kept[row, 1].numpy(), expected, atol=1e-4)
    monkeypatch.setattr(response_bank, "SPECTRA_BYTES", 0)
    assert torch.allclose(bank.convolve(waves, chosen), kept, atol=1e-5)
    monkeypatch.undo()
    assert torch.allclose(
        bank.convolve(waves[..., :77], chosen)[..., :57], kept[..., :57], atol=1e-4
    )  # another length, other spectra
    assert bank.convolve(waves.double(), chosen).dtype == torch.float64


def test_files_of_a_folder_resampled_and_cut(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"room{number}").mkdir()
        write_audio(tmp_path / f"room{number}" / "a.wav", torch.cat((response(30, 4000), response(35, 4000))), 2 * RATE)
    bank = ResponseBank.from_files(tmp_path, sample_rate=RATE, longest_s=0.1)
    assert bank.responses.shape[:2] == (3, 1) and bank.responses.shape[2] <= 0.1 * RATE + bank.centre
    assert ResponseBank.from_files(tmp_path, sample_rate=RATE, mono=False).responses.shape[1] == 2
    assert len(ResponseBank.from_files(tmp_path, sample_rate=RATE, most=2)) == 2
    assert len(ResponseBank.from_files(sorted(tmp_path.rglob("*.wav"))[:1], sample_rate=RATE)) == 1


def test_of_rirs_noises_only_responses_are_taken(tmp_path: Path) -> None:
    places = (
        "simulated_rirs/smallroom/Room001/Room001-00001.wav",
        "real_rirs_isotropic_noises/air_type1_air_binaural_aula_1.wav",
        "real_rirs_isotropic_noises/RVB2014_type1_noise_largeroom1_1.wav",
        "pointsource_noises/noise-free-sound-0000.wav",
    )
    for delay, place in enumerate(places):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        write_audio(tmp_path / place, response(delay), RATE)
    listing = "--rir-id 1 --room-id air RIRS_NOISES/real_rirs_isotropic_noises/air_type1_air_binaural_aula_1.wav\n"
    (tmp_path / "real_rirs_isotropic_noises/rir_list").write_text(listing)
    assert len(ResponseBank.from_files(tmp_path, sample_rate=RATE)) == 2


def test_what_is_no_bank_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no impulse responses"):
        ResponseBank.from_files(tmp_path, sample_rate=RATE)
    with pytest.raises(ValueError, match="one number of channels"):
        ResponseBank([response(1), response(1).expand(2, -1)], sample_rate=RATE)
    with pytest.raises(ValueError, match="silent"):
        ResponseBank([torch.zeros(1, 50)], sample_rate=RATE)
    with pytest.raises(ValueError, match="responses of 2 channels"):
        ResponseBank([response(1).expand(2, -1)], sample_rate=RATE).convolve(
            torch.zeros(1, 1, 9), torch.zeros(1, dtype=torch.int64)
        )


def test_simulated_rooms_have_a_direct_path_and_repeat_with_the_seed() -> None:
    pytest.importorskip("pyroomacoustics")
    array = torch.tensor([[0.05, 0.0, 0.0], [-0.05, 0.0, 0.0]])
    settings = {"sample_rate": RATE, "room_m": ((3.0, 3.0, 2.4), (4.0, 4.0, 2.6)), "decay_time_s": (0.15, 0.2)}
    bank, again = (simulated_rooms(3, **settings, microphones_m=array, seed=seed) for seed in (1, 1))
    assert torch.equal(bank.responses, again.responses)
    assert not torch.equal(bank.responses[0], bank.responses[1])
    places = bank.responses.abs().argmax(dim=-1)
    assert torch.equal(places.min(dim=1).values, torch.full((3,), bank.centre))
    assert int((places.max(dim=1).values - bank.centre).max()) <= np.ceil(0.1 / 343 * RATE)  # no later than the array is wide
    energy = bank.responses[:, 0].square().flip(-1).cumsum(-1).flip(-1)
    to_20_db = (energy > 0.01 * energy[:, :1]).sum(dim=-1) / RATE
    assert bool(((to_20_db > 0.02) & (to_20_db < 0.12)).all())
    with pytest.raises(ValueError, match="cannot decay within"):
        simulated_rooms(1, sample_rate=RATE, room_m=((9.0, 9.0, 9.0), (9.0, 9.0, 9.0)), decay_time_s=(0.05, 0.1))
