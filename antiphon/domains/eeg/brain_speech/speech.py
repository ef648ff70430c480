"""Features of speech as frames at the brain's rate, from any encoder; log-mel bands, and models of the transformers library."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from antiphon.common.encoder import Encoder, InputSpec
from antiphon.common.fingerprint import fingerprint
from antiphon.common.signal.io import read_audio
from antiphon.common.signal.spectral import LogMel, MelSpec

CHUNK_S, OVERLAP_S = 30.0, 1.0  # an hour of speech must not fill the memory; what lies beside a chunk is heard and cut off


class MelBandsEncoder(Encoder):
    """Log-mel bands as frames (B, T // hop + 1, bands): nothing here is learnt. The fixed target of Défossez et al. (2023).

    With the published 120 bands and an FFT of 512 samples at 16 kHz one low band is narrower than a bin, holds none, and stays
    constant; from 1024 on all are filled.
    """

    def __init__(
        self, in_channels: int = 1, *, sample_rate: int = 16_000, bands: int = 120, n_fft: int = 512, hop: int = 128
    ) -> None:
        config = {"in_channels": in_channels, "sample_rate": sample_rate, "bands": bands, "n_fft": n_fft, "hop": hop}
        super().__init__(
            embedding_dim=in_channels * bands,
            input_spec=InputSpec(channels=in_channels, sample_rate=sample_rate, min_length=n_fft // 2 + 1),
            config=config,
            pooling="mean",
        )
        with warnings.catch_warnings():  # the docstring says it
            warnings.filterwarnings("ignore", message=".*mel bands hold no bin")
            self.log_mel = LogMel(MelSpec(sample_rate=sample_rate, bands=bands, n_fft=n_fft, hop=hop, log="ln", floor=1e-5))

    def encode(
        self,
        signals: Tensor,
        lengths: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Waves (B, C, T) -> (B, T // hop + 1, C * bands)."""
        if mask is not None:
            raise ValueError("MelBandsEncoder cannot hide time stamps (mask): use views without a mask")
        return self.log_mel(signals).flatten(1, 2).mT

    def frame_lengths(self, lengths: Tensor, frames: int, samples: int) -> Tensor:
        """How many frames are centred on a sample of the example or on its end, (B,) -> (B,)."""
        return (lengths // self.log_mel.spec.step + 1).clamp(max=frames)


class SpeechTransformerEncoder(Encoder):
    """A pretrained speech model of the transformers library (wav2vec 2.0, HuBERT, WavLM, ...): the mean of some hidden layers.

    `model` is a name on the Hugging Face hub or a local folder; only its weights are fetched, no code of it runs. `layers` are
    numbers of hidden states, 0 being what enters the first transformer layer; None: the last one. The paper takes 14 to 18 of
    wav2vec2-large-xlsr-53. The model reads waves at 16 kHz, each example brought to mean 0 and deviation 1.

    Raises:
        ValueError: a model that does not read waves, or layers that it does not have.
    """

    SAMPLE_RATE = 16_000

    def __init__(self, in_channels: int = 1, *, model: str, layers: Sequence[int] | None = None) -> None:
        try:
            from transformers import AutoModel
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(f"speech models need {error.name}: pip install 'antiphon[text]'", name=error.name) from error
        body = AutoModel.from_pretrained(model, trust_remote_code=False)
        if body.main_input_name != "input_values":
            raise ValueError(f"{model} reads {body.main_input_name}, no waves: use a model such as wav2vec2, hubert or wavlm")
        chosen = [body.config.num_hidden_layers] if layers is None else list(layers)
        if not chosen or not all(0 <= layer <= body.config.num_hidden_layers for layer in chosen):
            raise ValueError(f"{model} has hidden states 0 to {body.config.num_hidden_layers}, got layers={chosen}")
        super().__init__(
            embedding_dim=body.config.hidden_size,
            input_spec=InputSpec(channels=in_channels, sample_rate=self.SAMPLE_RATE, min_length=400),
            config={"in_channels": in_channels, "model": model, "layers": chosen},
            pooling="mean",
        )
        self.body, self.layers = body, chosen

    def encode(
        self,
        signals: Tensor,
        lengths: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Waves (B, 1, T) of one length -> (B, T', D)."""
        if mask is not None or (lengths is not None and bool((lengths < signals.shape[-1]).any())):
            raise ValueError("SpeechTransformerEncoder reads waves of one length without gaps: give them one by one")
        waves = signals.mean(dim=1)
        waves = (waves - waves.mean(dim=1, keepdim=True)) / (waves.var(dim=1, keepdim=True, correction=0) + 1e-7).sqrt()
        states = self.body(waves, output_hidden_states=True).hidden_states
        return torch.stack([states[layer] for layer in self.layers]).mean(dim=0)


def speech_features(encoder: Encoder, waves: Tensor, frame_rate: float) -> NDArray[np.float32]:
    """Waves (1, T) at the encoder's rate -> its frames at `frame_rate` Hz, linearly interpolated: (T', D).

    The recording is read in chunks of 30 s with one second of what comes before and after.

    Raises:
        ValueError: an encoder that is not one of mono waves at a known rate.
    """
    rate = speech_rate(encoder)
    count = round(waves.shape[-1] / rate * frame_rate)
    step, reach = round(CHUNK_S * frame_rate), round(OVERLAP_S * frame_rate)
    device, training, parts = encoder.input_mean.device, encoder.training, []
    encoder.eval()
    try:
        with torch.inference_mode():
            for start in range(0, count, step):
                stop = min(start + step, count)
                first, last = max(0, start - reach), min(count, stop + reach)
                chunk = waves[None, :, round(first / frame_rate * rate) : round(last / frame_rate * rate)]
                frames = encoder.frames(chunk.to(device)).float().mT
                wide = interpolate(frames, size=last - first, mode="linear", align_corners=False)[0].mT
                parts.append(wide[start - first : stop - first].cpu().numpy())
    finally:
        encoder.train(training)
    return np.concatenate(parts) if parts else np.empty((0, encoder.embedding_dim), np.float32)


def speech_rate(encoder: Encoder) -> int:
    """The sampling rate of a speech encoder in Hz, or a ValueError that says what it lacks."""
    spec = encoder.input_spec
    if spec.channels != 1 or spec.sample_rate is None:
        raise ValueError(
            f"a speech encoder reads one channel at a known rate, {encoder.name or type(encoder).__name__} has {spec.channels} "
            f"channel(s) at {spec.sample_rate} Hz: use mel_bands, a run on mono sound, or a speech model of transformers"
        )
    return int(spec.sample_rate)


def file_features(encoder: Encoder, path: str | Path, frame_rate: float, cache: str | Path | None = None) -> NDArray[np.float32]:
    """`speech_features` of a sound file, kept below the folder `cache` by the encoder's weights and the file's bytes.

    Raises:
        AudioError: a file that cannot be read.
    """

    def made() -> NDArray[np.float32]:
        return speech_features(encoder, read_audio(path, sample_rate=speech_rate(encoder), mono=True)[0], frame_rate)

    if cache is None:
        return made()
    place = Path(cache).expanduser() / fingerprint(encoder) / f"{content_hash(path)}-{frame_rate:g}.npy"
    if place.is_file():
        found: NDArray[np.float32] = np.load(place, mmap_mode="r")
        return found
    features = made()
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_suffix(".partial.npy")
    np.save(partial, features)
    partial.replace(place)
    return features


def content_hash(path: str | Path) -> str:
    """32 hexadecimal digits of a file's bytes: copies of a sound under other names are the same sound."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
