"""The views of speech: random crops, then rooms and noise (configs/views/speaker_verification)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from antiphon.common.augment.background_noise import BackgroundNoise
from antiphon.common.augment.base import Augmentation, Compose, Parameters
from antiphon.common.augment.crops import take_repeated
from antiphon.common.augment.noise import AdditiveNoise, ColouredNoise
from antiphon.common.augment.reverb import ImpulseResponse, Reverb
from antiphon.common.data.batch import View
from antiphon.common.data.manifest import Manifest, read_manifest
from antiphon.common.data.quarantine import usable
from antiphon.common.data.recordings import open_recordings
from antiphon.common.random import KeyedRandom
from antiphon.common.signal.noise_bank import NoiseBank
from antiphon.common.signal.response_bank import ResponseBank

Strategy = Literal["both", "all", "none"]
Root = str | Path
SNR_DB: Mapping[str, tuple[float, float]] = {"speech": (13.0, 20.0), "noise": (0.0, 15.0), "music": (5.0, 15.0)}
VOICES = (3, 7)  # of babble
ROOM_DECAY_S = (0.2, 0.8)


class OneOf(Compose):
    """One of `steps` for each example instead of all of them, each as likely as any other."""

    def __init__(self, steps: Sequence[Augmentation], p: float = 1.0) -> None:
        super().__init__(steps, p)
        if not self.steps or any(step.mixes_rows for step in self.steps):
            raise ValueError("OneOf needs at least one step, and none that mixes the examples of a batch")

    def __call__(self, signals: Tensor, lengths: Tensor, random: KeyedRandom) -> Tensor:
        """Each example through its own step, or as it was where its coin says so; only that is computed."""
        chosen = random.fold("choice").integers(high=len(self.steps))
        if self.p < 1.0:
            chosen = torch.where(random.fold("p").bernoulli(p=self.p), chosen, -1)
        changed = signals.clone()
        for number, step in enumerate(self.steps):
            rows = (chosen == number).nonzero()[:, 0]
            if len(rows):
                changed[rows] = step(signals[rows], lengths[rows], random.take(rows).fold(number))
        return changed


class Babble(AdditiveNoise):
    """Several random recordings of one category of `bank` at once, at a signal-to-noise ratio drawn uniformly in decibels.

    How many is drawn from `voices`, a pair (fewest, most). What the ratio means, see `AdditiveNoise`.
    """

    def __init__(
        self,
        bank: NoiseBank,
        snr_db: Sequence[float] = SNR_DB["speech"],
        *,
        voices: tuple[int, int] = VOICES,
        category: str = "speech",
        p: float = 1.0,
    ) -> None:
        super().__init__(snr_db, p=p)
        if not 1 <= voices[0] <= voices[1]:
            raise ValueError(f"voices must be a pair (fewest, most) of at least 1, got {tuple(voices)}")
        self.bank, self.voices, self.recordings = bank, voices, bank.category_range(category)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`snr_db` (B, 1, 1), `voices` (B,), and `noise` (B, C, T): their sum."""
        fewest, most = self.voices
        low, high = self.snr_db
        voices = random.integers(low=fewest, high=most + 1)
        recordings = random.integers(most, low=self.recordings.start, high=self.recordings.stop)
        positions = random.uniform(most)
        noise = torch.zeros_like(signals)
        for number in range(most):
            rows = (voices > number).nonzero()[:, 0]
            if len(rows):
                noise[rows] += self.bank.segments(
                    recordings[rows, number],
                    positions[rows, number],
                    lengths[rows],
                    channels=signals.shape[1],
                    size=signals.shape[-1],
                )
        return {"snr_db": random.uniform(1, 1, low=low, high=high), "voices": voices, "noise": noise}


def background(
    sample_rate: int,
    *,
    musan: Root | None = None,
    speech: Sequence[Root] = (),
    noise: Sequence[Root] = (),
    music: Sequence[Root] = (),
    babble: bool = False,
    memory_mb: float = 512.0,
) -> Augmentation:
    """Noise of one category, each as likely as any other: speech at 13 to 20 dB, noise at 0 to 15, music at 5 to 15.

    The ratio is exact for the very noise that is added; sslsv adds 1e-4 to both powers first.

    Args:
        sample_rate: in Hz.
        musan: the root of MUSAN, with folders speech, noise and music; instead of the three that follow.
        speech: recordings of voices: folders, manifests, open sets by name.
        noise: recordings of noise; none: coloured noise instead.
        music: recordings of music. A category without recordings (and not noise) is left out.
        babble: 3 to 7 voices at once, at 13 to 20 dB, as a further category; needs recordings of voices.
        memory_mb: what decoded recordings may take; others are read from disk whenever they are drawn.

    Recordings that cannot be read are listed and left out.
    """
    if musan is not None and (speech or noise or music):
        raise ValueError("musan brings its own speech, noise and music: give either it or recordings of each category")
    given = {"speech": speech, "noise": noise, "music": music}
    bank = _bank(musan, given, sample_rate, memory_mb)
    choices: list[Augmentation] = []
    for category, snr_db in SNR_DB.items():
        if bank is not None and category in bank.categories:
            choices.append(BackgroundNoise(bank, {category: snr_db}))
        elif category == "noise":
            choices.append(ColouredNoise(snr_db, sample_rate=sample_rate))
    if babble:
        if bank is None or "speech" not in bank.categories:
            raise ValueError("babble is made of voices: give musan, or recordings of speech")
        choices.append(Babble(bank))
    return choices[0] if len(choices) == 1 else OneOf(choices)


def _bank(musan: Root | None, given: Mapping[str, Sequence[Root]], sample_rate: int, memory_mb: float) -> NoiseBank | None:
    if musan is not None:
        manifest = read_manifest(musan)
        if not set(SNR_DB) & set(manifest.classes):
            raise ValueError(f"{musan} has none of the folders {', '.join(SNR_DB)}: give the root of MUSAN")
    else:
        opened = [(category, open_recordings(roots)) for category, roots in given.items() if roots]
        rows = (replace(row, labels=(category,), info=None) for category, found in opened for row in found)  # to be looked at anew
        manifest = Manifest(tuple(rows), "noise")
        if not len(manifest):
            return None
    # Damage that is found now is listed and left out; found in the middle of training it would be the end of it. The WAV files of
    # MUSAN show it by their last samples, others may hide it.
    manifest, _ = usable(manifest, sample_rate, 1, None, on_error="quarantine", decode=musan is None)
    return NoiseBank(manifest, sample_rate=sample_rate, memory_mb=memory_mb)


def rooms(sample_rate: int, *, rirs: Root | None = None) -> Augmentation:
    """Rooms: the impulse responses below `rirs` (RIRS_NOISES, or any folder of them), or synthetic ones of 0.2 to 0.8 s.

    The direct path is not delayed and responses have unit energy; what rings beyond the end of the crop is cut off.
    """
    if rirs is None:
        return Reverb(ROOM_DECAY_S, sample_rate=sample_rate)
    return ImpulseResponse(ResponseBank.from_files(rirs, sample_rate=sample_rate))


def rooms_and_noise(sample_rate: int, *, strategy: Strategy = "both", rirs: Root | None = None, **noise: Any) -> Augmentation:
    """What every crop passes: "both" a room and then noise; "all" nothing, a room, noise or both, a quarter each; or "none".

    `rirs` are the impulse responses of `rooms`, further options those of `background`.
    """
    if strategy not in get_args(Strategy):
        raise ValueError(f"unknown strategy {strategy!r}: use one of {', '.join(get_args(Strategy))}")
    if strategy == "none":
        return Compose([])
    steps = [rooms(sample_rate, rirs=rirs), background(sample_rate, **noise)]
    return Compose(steps if strategy == "both" else [OneOf([step], p=0.5) for step in steps])


class Crops:
    """Views of an utterance: crops of `crop_s` seconds each, from random places, each through `augmentation` with its own draws.

    (2, 2) are the two crops of contrastive methods, (4, 4, 2, 2, 2, 2) DINO's, the long ones first. An utterance shorter than a
    crop starts again, from a random place, until the crop is full.

    Crops may overlap. With ``overlap=False`` the two of an utterance share no sample, either being the earlier one as often; where
    it is too short for that, one is its beginning and one its end. What they say differs then, and the voice is what is left.
    """

    def __init__(self, crop_s: Sequence[float], augmentation: Augmentation, *, sample_rate: int, overlap: bool = True) -> None:
        if not crop_s or min(crop_s) * sample_rate < 1:
            raise ValueError(f"crop_s holds the length of each view in seconds, got {list(crop_s)}: e.g. [2.0, 2.0]")
        if not overlap and len(crop_s) != 2:
            raise ValueError(f"overlap=False is for two crops, got crop_s={list(crop_s)}: use overlap=True")
        self.sizes = [round(length_s * sample_rate) for length_s in crop_s]
        self.augmentation = augmentation
        self.overlap = overlap

    def __call__(self, signals: Tensor, lengths: Tensor, random: KeyedRandom) -> list[View]:
        """Signals (B, 1, T) -> views, in order."""
        views = []
        for number, (size, starts) in enumerate(zip(self.sizes, self._starts(lengths, random), strict=True)):
            starts = torch.where(lengths < size, random.fold("repeated", number).integers(high=lengths.clamp(min=1)), starts)
            sizes = torch.full_like(lengths, size)
            crops = take_repeated(signals, lengths, starts, size)
            views.append(View(self.augmentation(crops, sizes, random.fold("crop", number)), sizes))
        return views

    def _starts(self, lengths: Tensor, random: KeyedRandom) -> list[Tensor]:
        """Where in each utterance the crops begin, (B,) each; of utterances that are no shorter than a crop."""
        if self.overlap:
            last = [(lengths - size).clamp(min=0) for size in self.sizes]
            return [random.fold("place", number).integers(high=most + 1) for number, most in enumerate(last)]
        one, other = self.sizes
        spare = (lengths - one - other)[:, None]
        places = random.fold("places").integers(2, high=spare.clamp(min=0) + 1)
        early = places.amin(dim=1)
        swapped = random.fold("order").bernoulli()
        starts = []
        for size, before, is_late in ((one, other, swapped), (other, one, ~swapped)):
            late = torch.where(spare[:, 0] < 0, lengths - size, places.amax(dim=1) + before)
            starts.append(torch.where(is_late, late, early))
        return starts
