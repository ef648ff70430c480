"""Brain and speech as a training and a test set, from a BIDS data set of listeners."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.data.quarantine import Quarantine
from antiphon.common.encoder import Encoder
from antiphon.common.signal.io import AudioError
from antiphon.domains.eeg.brain_speech.bids import Played, find_recordings, open_raw, read_played
from antiphon.domains.eeg.brain_speech.blocks import Cut, Heard, Part, SegmentsAt
from antiphon.domains.eeg.brain_speech.listening import Brain, FileBrain, Floats, Listening, StoredBrain
from antiphon.domains.eeg.brain_speech.segments import SpeechSegments, cut_parts
from antiphon.domains.eeg.brain_speech.speech import content_hash, file_features
from antiphon.domains.eeg.data.montage import OnMismatch
from antiphon.domains.eeg.data.preparation import Preparation
from antiphon.domains.eeg.data.reading import Unit
from antiphon.domains.eeg.data.sources import open_sources

if TYPE_CHECKING:
    from mne.io import BaseRaw


def load(
    root: str | Path | None,
    *,
    speech: Encoder,
    tasks: Sequence[str] | None = None,
    word_event: str = "word",
    sample_rate: float = 120.0,
    clamp: float | None = 20.0,
    on_mismatch: OnMismatch = "strict",
    unit: Unit = "auto",
    segment_s: float = 3.0,
    before_s: float = 0.5,
    step_s: float = 0.5,
    delay_s: float = 0.15,
    block_s: float = 60.0,
    shares: Sequence[float] = (0.7, 0.1, 0.2),
    part: Part = "test",
    at: SegmentsAt = "words",
    in_memory: bool = True,
    cache: str | Path | None = None,
    seed: int = 0,
    name: str = "",
) -> tuple[SpeechSegments, SpeechSegments]:
    """The training part, and the `part` that is measured on, of a BIDS data set.

    Args:
        root: of the data set.
        speech: whose frames are the features of the sounds; it reads mono waves.
        tasks: of BIDS; None: all.
        word_event: the `trial_type` of words in events.tsv.
        sample_rate: of brain and features, in Hz.
        clamp: see `Cut`, also for `segment_s`, `before_s`, `step_s` and `delay_s`.
        on_mismatch: what if a recording lacks channels, see `antiphon.domains.eeg.load`.
        unit: of the numbers in the files.
        segment_s: see there.
        before_s: see there.
        step_s: see there.
        delay_s: see there.
        block_s: see `cut_parts`, also for `shares`, `part`, `at` and `seed`.
        shares: see there.
        part: see there.
        at: see there.
        in_memory: read every recording once and keep it at `sample_rate`; False reads each segment from its file, for sets that are
            larger than the memory.
        cache: a folder where features of sounds are kept for the next run.
        seed: draws the parts.
        name: what the set is called in messages and reports.

    Raises:
        ValueError: no root, nothing usable, or see `cut_parts`.
        FileNotFoundError: no such folder, or no EEG in it.
    """
    if root is None:
        raise ValueError("give the root of a BIDS data set: data.root=FOLDER")
    cut = Cut(segment_s=segment_s, before_s=before_s, step_s=step_s, delay_s=delay_s, clamp=clamp)
    listening = read_listening(
        root,
        speech=speech,
        sample_rate=sample_rate,
        tasks=tasks,
        word_event=word_event,
        on_mismatch=on_mismatch,
        unit=unit,
        in_memory=in_memory,
        cache=cache,
        name=name,
    )
    return cut_parts(listening, cut=cut, block_s=block_s, shares=shares, part=part, at=at, seed=seed)


def read_listening(
    root: str | Path,
    *,
    speech: Encoder,
    sample_rate: float = 120.0,
    tasks: Sequence[str] | None = None,
    word_event: str = "word",
    on_mismatch: OnMismatch = "strict",
    unit: Unit = "auto",
    in_memory: bool = True,
    cache: str | Path | None = None,
    name: str = "",
) -> Listening:
    """All recordings of a BIDS data set with what was heard in them; see `load`. Those that cannot be used are listed."""
    played, raws, manifest, refused = _open_all(root, tasks, word_event, name)
    if not len(manifest):
        why = Quarantine(tuple(refused), len(refused)).kinds()
        raise ValueError(f"{manifest.name}: none of {len(refused)} recordings can be used: {why}")
    total = len(manifest) + len(refused)
    kept, sources, spec, left_out = open_sources(
        manifest, raws=raws, on_mismatch=on_mismatch, unit=unit, preparation=Preparation(sample_rate=sample_rate)
    )
    brains: list[Brain] = [StoredBrain(one.read(0, one.last)) if in_memory else FileBrain(one) for one in sources]
    lengths_s = [brain.samples / sample_rate for brain in brains]
    speech = speech.to("cuda" if torch.cuda.is_available() else "cpu")  # an hour of sound is long for a large model
    sounds, heard = _sounds([played[row.path] for row in kept], speech, sample_rate, cache, lengths_s)
    return Listening(
        brains=tuple(brains),
        subjects=tuple(row.extra["subject"] for row in kept),
        sounds=tuple(sounds),
        heard=tuple(heard),
        input_spec=spec,
        name=manifest.name,
        quarantine=Quarantine((*refused, *left_out.entries), total),
    )


def _open_all(
    root: str | Path, tasks: Sequence[str] | None, word_event: str, name: str
) -> tuple[dict[str, list[Played]], dict[str, BaseRaw], Manifest, list[tuple[str, str]]]:
    """What each usable recording heard, and the recordings as mne objects and as a manifest; and the others with the reason."""
    played: dict[str, list[Played]] = {}
    raws: dict[str, BaseRaw] = {}
    rows: list[Row] = []
    refused: list[tuple[str, str]] = []
    for path in find_recordings(root, tasks=tasks):
        place = str(path.fpath)
        try:
            found = read_played(path, word_event=word_event)
            missing = next((one.file for one in found if not one.file.is_file()), None)
            if missing is not None:
                refused.append((place, f"the sound {missing.name} is not in the folder stimuli"))
                continue
            raws[place], played[place] = open_raw(path), found
            rows.append(Row(place, extra={"subject": path.subject}))
        except AudioError as error:
            refused.append((error.path, error.reason))
    _print(name or Path(root).name, refused)
    return played, raws, Manifest(tuple(rows), name or Path(root).name), refused


def _print(name: str, refused: Sequence[tuple[str, str]]) -> None:
    from antiphon.common.distributed import is_first_process

    if refused and is_first_process():
        from rich.console import Console

        told = "\n".join(f"  {path}: {reason}" for path, reason in refused)
        Console(stderr=True).print(
            f"{name}: {len(refused)} recordings left out\n{told}", markup=False, highlight=False, soft_wrap=True
        )


def _sounds(
    played: Sequence[Sequence[Played]], speech: Encoder, rate: float, cache: str | Path | None, lengths_s: Sequence[float]
) -> tuple[list[Floats], list[Heard]]:
    """The features of each different sound, by its bytes, and what was heard where; recordings last `lengths_s`."""
    numbers: dict[str, int] = {}
    hashes: dict[Path, str] = {}
    sounds: list[Floats] = []
    heard: list[Heard] = []
    for recording, (listened, length_s) in enumerate(zip(played, lengths_s, strict=True)):
        for one in listened:
            if one.file not in hashes:
                hashes[one.file] = content_hash(one.file)
            key = hashes[one.file]
            if key not in numbers:
                numbers[key] = len(sounds)
                sounds.append(file_features(speech, one.file, rate, cache))
            sound = numbers[key]
            until_s = min(one.stop_s, len(sounds[sound]) / rate, length_s - one.onset_s)
            heard.append(Heard(recording, sound, one.onset_s, until_s, one.words_s))
    return sounds, heard
