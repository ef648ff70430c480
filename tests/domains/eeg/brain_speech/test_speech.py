from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from antiphon.domains.eeg.brain_speech import MelBandsEncoder, speech_features
from antiphon.domains.eeg.brain_speech.speech import CHUNK_S, content_hash, file_features
from antiphon.models import create_encoder

RATE = 4000


def mel(**options: int) -> MelBandsEncoder:
    encoder = create_encoder("mel_bands", sample_rate=RATE, **{"bands": 12, "n_fft": 256, "hop": 40, **options})
    assert isinstance(encoder, MelBandsEncoder)
    return encoder


def test_the_published_bands() -> None:
    frames = create_encoder("mel_bands").frames(torch.randn(2, 1, 16_000))
    assert frames.shape == (2, 126, 120) and torch.isfinite(frames).all()


def test_a_tone_stands_where_and_when_it_is() -> None:
    wave = torch.zeros(1, 4 * RATE)
    times = torch.arange(RATE) / RATE
    wave[0, 2 * RATE : 3 * RATE] = torch.sin(2 * torch.pi * 1000 * times)
    features = speech_features(mel(), wave, 120.0)
    assert features.shape == (480, 12) and features.dtype == np.float32
    band = features.mean(axis=0).argmax()
    loud = features[:, band] > (features[:, band].max() + features[:, band].min()) / 2
    assert abs(int(loud.argmax()) - 240) <= 6 and abs(int(loud.sum()) - 120) <= 8  # the FFT reaches 32 ms either way
    low = speech_features(mel(), torch.sin(2 * torch.pi * 200 * torch.arange(2 * RATE) / RATE)[None], 120.0)
    assert low.mean(axis=0).argmax() < band


def test_long_recordings_in_chunks_are_what_they_are_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    wave = torch.randn(1, 9 * RATE, generator=torch.Generator().manual_seed(0))
    whole = speech_features(mel(), wave, 100.0)
    monkeypatch.setattr("antiphon.domains.eeg.brain_speech.speech.CHUNK_S", 2.0)
    parts = speech_features(mel(), wave, 100.0)
    assert whole.shape == parts.shape == (900, 12) and CHUNK_S == 30.0
    assert np.corrcoef(whole.ravel(), parts.ravel())[0, 1] > 0.99
    assert np.abs(whole - parts).mean() < 0.1 * whole.std()


def test_the_encoder_is_left_as_it_was() -> None:
    encoder = mel().train()
    speech_features(encoder, torch.randn(1, RATE), 50.0)
    assert encoder.training


def test_an_encoder_must_read_mono_sound() -> None:
    with pytest.raises(ValueError, match=r"ts2vec has 1 channel\(s\) at None Hz: use mel_bands"):
        speech_features(create_encoder("ts2vec", in_channels=1), torch.randn(1, RATE), 50.0)
    with pytest.raises(ValueError, match="2 channel"):
        speech_features(create_encoder("mel_bands", in_channels=2), torch.randn(2, RATE), 50.0)


def test_any_encoder_of_the_catalogue_gives_features() -> None:
    torch.manual_seed(0)
    encoder = create_encoder("sample_cnn", window=243, sample_rate=RATE)
    assert speech_features(encoder, torch.randn(1, 2 * RATE), 20.0).shape == (40, 512)


def test_features_of_files_are_kept(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(size=2 * RATE) * 0.1, RATE)
    made = file_features(mel(), tmp_path / "a.wav", 50.0, tmp_path / "cache")
    kept = list((tmp_path / "cache").rglob("*.npy"))
    assert len(kept) == 1
    np.save(kept[0], made + 1)
    np.testing.assert_allclose(file_features(mel(), tmp_path / "a.wav", 50.0, tmp_path / "cache"), made + 1)
    other = file_features(mel(bands=10), tmp_path / "a.wav", 50.0, tmp_path / "cache")  # another encoder, another place
    assert other.shape == (100, 10) and len(list((tmp_path / "cache").rglob("*.npy"))) == 2
    (tmp_path / "b.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    assert content_hash(tmp_path / "a.wav") == content_hash(tmp_path / "b.wav")


@pytest.fixture(scope="module")
def wav2vec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny wav2vec 2.0 with random weights."""
    transformers = pytest.importorskip("transformers")
    config = transformers.Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8),
        conv_stride=(10, 8),
        conv_kernel=(10, 8),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "wav2vec2"
    transformers.Wav2Vec2Model(config).save_pretrained(folder)
    return folder


def test_a_model_of_transformers(wav2vec: Path) -> None:
    encoder = create_encoder("speech_transformer", model=str(wav2vec), layers=[1, 2]).eval()
    wave = torch.randn(1, 1, 16_000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        frames = encoder.frames(wave)
        each = [create_encoder("speech_transformer", model=str(wav2vec), layers=[k]).eval().frames(wave) for k in (1, 2)]
    assert frames.shape[2] == 16 and torch.allclose(frames, (each[0] + each[1]) / 2, atol=1e-5)
    with torch.no_grad():  # loudness does not count
        assert torch.allclose(encoder.frames(30 * wave), frames, atol=1e-3)
    assert speech_features(encoder, wave[0], 120.0).shape == (120, 16)
    with pytest.raises(ValueError, match=r"hidden states 0 to 3, got layers=\[4\]"):
        create_encoder("speech_transformer", model=str(wav2vec), layers=[4])


def test_a_model_that_reads_no_waves(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=10)
    transformers.BertModel(config).save_pretrained(tmp_path / "bert")
    with pytest.raises(ValueError, match="reads input_ids, no waves"):
        create_encoder("speech_transformer", model=str(tmp_path / "bert"))
