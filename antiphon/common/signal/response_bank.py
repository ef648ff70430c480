"""A bank of impulse responses: measured ones from files, or rooms simulated by the image-source method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.random import KeyedRandom, shuffled
from antiphon.common.signal.io import read_audio
from antiphon.common.signal.rooms import convolve, convolve_chosen, fast_length

LEAD_S = 0.0025  # kept before the direct path: the filters of simulators and of resampling ring there
SOUND_M_S = 343.0
SPECTRA_BYTES = 512_000_000
WALL_M = 0.5  # between a wall and what stands in the room
FORMATS = {".wav", ".flac", ".ogg", ".aif", ".aiff"}


class ResponseBank:
    """Impulse responses (N, C, R) of unit energy, all with their direct path at sample `centre`.

    `responses`: tensors (C, R_i) at `sample_rate`, with the same number of channels; their energy is the mean of the channels'. The
    direct path is the greatest sample of the earliest channel; what lies more than 2.5 ms before it is cut off, so that delays
    between channels remain and the distance to the source does not delay the signal.
    """

    def __init__(self, responses: Sequence[Tensor], *, sample_rate: int) -> None:
        channels = {len(response) for response in responses}
        if len(channels) != 1:
            raise ValueError(
                f"impulse responses must have one number of channels, got {sorted(channels) or 'no responses'}: "
                "make one bank for each, or read them with mono=True"
            )
        self.sample_rate, self.centre = sample_rate, round(LEAD_S * sample_rate)
        aligned = [_aligned(response, self.centre) for response in responses]
        longest = max(response.shape[1] for response in aligned)
        self.responses = torch.stack([F.pad(response, (0, longest - response.shape[1])) for response in aligned])
        self._spectra: tuple[int, Tensor] | None = None

    @classmethod
    def from_files(
        cls,
        files: str | Path | Sequence[str | Path],
        *,
        sample_rate: int,
        mono: bool = True,
        longest_s: float = 2.0,
        most: int = 1000,
    ) -> ResponseBank:
        """Read a folder with all its sub-folders, or a list of files.

        Of RIRS_NOISES (OpenSLR 28) only impulse responses are taken: its simulated rooms and the real ones of its `rir_list`.
        `mono` takes the first channel. Of each response the first `longest_s` are read, of many files a random choice of `most`,
        always the same.

        Raises:
            ValueError: no audio file there.
            AudioError: a file that cannot be read.
        """
        paths = _audio_files(Path(files)) if isinstance(files, str | Path) else [Path(file) for file in files]
        if not paths:
            raise ValueError(f"no impulse responses ({', '.join(sorted(FORMATS))}) in {files}")
        if len(paths) > most:
            paths = [paths[row] for row in shuffled(len(paths), 0, 0)[:most].sort().values.tolist()]
        waves = [read_audio(path, duration_s=longest_s, sample_rate=sample_rate)[0] for path in paths]
        return cls([wave[:1] if mono else wave for wave in waves], sample_rate=sample_rate)

    def __len__(self) -> int:
        return len(self.responses)

    def convolve(self, waves: Tensor, chosen: Tensor) -> Tensor:
        """Waves (B, C, T), finite and zero in the padding, each in the response number `chosen` (B,) of the bank: (B, C, T).

        The bank keeps the spectra of its responses for the last T that it saw, unless they take more than 512 MB: one transform of
        the waves and one back remain.
        """
        if self.responses.shape[1] not in (1, waves.shape[1]):
            raise ValueError(f"the bank has responses of {self.responses.shape[1]} channels, the signals have {waves.shape[1]}")
        size = fast_length(waves.shape[-1] + self.responses.shape[-1] - 1)
        if size * self.responses[..., 0].numel() * waves.element_size() > SPECTRA_BYTES:
            return convolve(waves, self.responses[chosen.cpu()].to(waves), centre=self.centre)
        known = self._spectra
        if known is None or known[0] != size or known[1].device != waves.device or known[1].real.dtype != waves.dtype:
            known = self._spectra = size, torch.fft.rfft(self.responses.to(waves), n=size)
        return convolve_chosen(waves, known[1], chosen, size=size, centre=self.centre)


def simulated_rooms(
    count: int,
    *,
    sample_rate: int,
    seed: int = 0,
    room_m: tuple[Sequence[float], Sequence[float]] = ((3.0, 3.0, 2.4), (10.0, 8.0, 4.0)),
    decay_time_s: Sequence[float] = (0.2, 0.8),
    distance_m: Sequence[float] = (0.5, 3.0),
    microphones_m: Tensor | None = None,
) -> ResponseBank:
    """A bank of `count` shoebox rooms by the image-source method (Allen & Berkley 1979) of pyroomacoustics.

    Sides between those of the two rooms in `room_m`, a decay time (by Sabine's formula) from `decay_time_s`, a source at
    `distance_m` from the array in any direction, or as far as the walls allow: both stand half a metre away from them.
    `microphones_m` (C, 3): positions about the centre of the array; None is a single microphone. Decay times too short for a room
    are not drawn for it.

    Raises:
        ValueError: a room so large that even walls that reflect almost nothing let sound last longer than `decay_time_s`.
    """
    import pyroomacoustics

    random = KeyedRandom.for_examples(seed, 0, torch.arange(count))
    smallest, largest = (torch.tensor(corner) for corner in room_m)
    sides = smallest + random.uniform(3) * (largest - smallest)
    surfaces = 2.0 * (sides * sides.roll(1, dims=1)).sum(dim=1)
    shortest = 1.05 * 24.0 * math.log(10.0) / SOUND_M_S * sides.prod(dim=1) / surfaces  # Sabine, walls that absorb 95 %
    if float(shortest.max()) > decay_time_s[1]:
        raise ValueError(
            f"a room of {tuple(round(side, 1) for side in sides[shortest.argmax()].tolist())} m cannot decay within "
            f"{decay_time_s[1]} s: allow longer decay times (from {float(shortest.max()):.2f} s) or smaller rooms"
        )
    decays = random.uniform(low=shortest.clamp(min=decay_time_s[0]), high=decay_time_s[1])
    centres = WALL_M + random.uniform(3) * (sides - 2.0 * WALL_M)
    away = F.normalize(random.normal(3), dim=1) * random.uniform(1, low=distance_m[0], high=distance_m[1])
    sources = (centres + away).clamp(min=WALL_M).minimum(sides - WALL_M)
    array = torch.zeros(1, 3) if microphones_m is None else microphones_m
    responses = []
    for side, decay, centre, source in zip(sides.tolist(), decays.tolist(), centres, sources.tolist(), strict=True):
        absorption, order = pyroomacoustics.inverse_sabine(decay, side, c=SOUND_M_S)
        room = pyroomacoustics.ShoeBox(side, fs=sample_rate, materials=pyroomacoustics.Material(absorption), max_order=order)
        room.add_source(source)
        room.add_microphone((centre + array).numpy().T)
        room.compute_rir()
        waves = [torch.from_numpy(row[0]).float() for row in room.rir]
        end = min(*map(len, waves), math.ceil((decay + math.dist(centre.tolist(), source) / SOUND_M_S) * sample_rate))
        responses.append(torch.stack([wave[:end] for wave in waves]))
    return ResponseBank(responses, sample_rate=sample_rate)


def _aligned(response: Tensor, centre: int) -> Tensor:
    """One response (C, R) with its direct path at `centre` and an energy of 1 in the mean of its channels."""
    energy = response.square().sum(dim=1).mean()
    if not float(energy) > 0.0:
        raise ValueError(f"an impulse response of {response.shape[1]} samples is silent: leave it out of the bank")
    first = int(response.abs().argmax(dim=1).min()) - centre
    return F.pad(response, (-first, 0)) / energy.sqrt()


def _audio_files(folder: Path) -> list[Path]:
    """The impulse responses below `folder`, in order of their names."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in FORMATS)
    parts = {path.relative_to(folder).parts[0] for path in files}
    if not parts & {"simulated_rirs", "real_rirs_isotropic_noises"}:
        return files
    listing = folder / "real_rirs_isotropic_noises" / "rir_list"
    real = (
        {line.split()[-1].rsplit("/", 1)[-1] for line in listing.read_text().splitlines() if line} if listing.is_file() else set()
    )
    return [path for path in files if path.relative_to(folder).parts[0] == "simulated_rirs" or path.name in real]
