"""The same weights have the same name, wherever they were loaded; anything else has another."""

from pathlib import Path

import pytest
import torch

import antiphon
from antiphon.common.fingerprint import fingerprint
from antiphon.common.hub import save_encoder


def test_it_names_weights_config_and_standardisation(tmp_path: Path) -> None:
    encoder = antiphon.create_encoder("sample_cnn", window=243)
    name = fingerprint(encoder)
    save_encoder(encoder, tmp_path / "encoder")
    assert len(name) == 16 and fingerprint(antiphon.load_encoder(tmp_path / "encoder")) == name
    encoder.fit_standardization(torch.ones(1), torch.ones(1))
    assert fingerprint(encoder) != name
    encoder.fit_standardization(torch.zeros(1), torch.ones(1))
    assert fingerprint(encoder) == name
    with torch.no_grad():
        next(encoder.parameters()).view(-1)[0] += 1e-6
    assert fingerprint(encoder) != name


@pytest.mark.parametrize("kind", ["mfcc", "log_mel"])
def test_encoders_without_weights_differ_by_config(kind: str) -> None:
    names = {fingerprint(antiphon.create_encoder("spectral_statistics", kind=kind, hop=hop)) for hop in (128, 256)}
    assert len(names) == 2
