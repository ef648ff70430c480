"""What `antiphon verify`, `enroll` and `identify` do, given their parsed options."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from antiphon.common.data.audio_set import AudioSet
from antiphon.common.data.quarantine import Quarantine
from antiphon.common.data.recordings import read_recordings
from antiphon.common.encoder import Encoder
from antiphon.common.evaluation.embedding import embed_recordings, recording_lengths
from antiphon.common.evaluation.verification import Calibration, scoring_vectors
from antiphon.common.signal.io import AudioError
from antiphon.domains.speaker_verification.calibration import MOST_RECORDINGS, at_most, calibration_of, fit, speaker_names
from antiphon.domains.speaker_verification.index import SpeakerIndex
from antiphon.models import load_encoder, note_other_domain

SILENCE = 1e-4  # peak, -80 dB of full scale
console = Console()


@dataclass(frozen=True, eq=False)
class Voices:
    """Scoring `vectors` (n, D) of recordings with their `paths` (n,) and `speakers` (n,), "" where not known."""

    vectors: NDArray[np.float32]
    paths: NDArray[np.str_]
    speakers: NDArray[np.str_]


def verify(options: Namespace) -> None:
    """Say whether two recordings are of one speaker."""
    encoder = sound_encoder(options.run)
    sides = [read_voices(encoder, [file], options.min_seconds) for file in (options.first, options.second)]
    for file, side in zip((options.first, options.second), sides, strict=True):
        if len(side.paths) > 1:
            raise ValueError(f"{file} holds {len(side.paths)} recordings: `verify` compares one with one, see also `identify`")
    calibration, reason = _calibration(encoder, options, {str(side.paths[0]) for side in sides})
    score = float(sides[0].vectors[0] @ sides[1].vectors[0])
    _say("score", f"{score:.3f}  (cosine of the two embeddings, -1 to 1)")
    threshold = _threshold(calibration, options)
    if calibration is not None:
        _say("probability", f"{calibration.probability(score):.3f}  of one speaker, if one or two were equally likely beforehand")
    if threshold is None:
        _say_no_threshold(options.run, reason)
        return
    _say("decision", "one speaker" if score >= threshold else "two speakers", style="bold")
    _say_threshold(threshold, calibration, options)


def enroll(options: Namespace) -> None:
    """Add voices to an index."""
    path: Path = options.index
    encoder = sound_encoder(options.run)
    index = SpeakerIndex.read(path) if path.exists() else SpeakerIndex.empty(encoder)
    index.check(encoder)
    voices = read_voices(encoder, options.files, options.min_seconds)
    speakers = np.full(len(voices.paths), options.speaker) if options.speaker else voices.speakers
    nameless = voices.paths[speakers == ""]
    if len(nameless):
        raise ValueError(
            f"it is not known who speaks in {nameless[0]}: give --speaker NAME, a folder a speaker, or a manifest with the column"
        )
    index = index.enrol(voices.vectors, speakers, voices.paths)
    index.write(path)
    for name in np.unique(speakers).tolist():
        new, whole = (int((names == name).sum()) for names in (speakers, index.speakers))
        _say(name, f"{new} recording{'s' if new > 1 else ''} enrolled, {whole} in all")
    console.print(
        f"{len(index.names)} speaker{'s' if len(index.names) > 1 else ''} in {path}", highlight=False, markup=False, soft_wrap=True
    )


def identify(options: Namespace) -> None:
    """Say who of an index speaks in a recording, or that it is nobody."""
    if options.top < 1:
        raise ValueError(f"--top {options.top} shows nobody: give at least 1")
    encoder = sound_encoder(options.run)
    index = SpeakerIndex.read(options.index)
    index.check(encoder)
    voices = read_voices(encoder, options.files, options.min_seconds)
    calibration, reason = _calibration(encoder, options, set(voices.paths.tolist()))
    threshold = _threshold(calibration, options)
    for path, row in zip(voices.paths.tolist(), index.scores(voices.vectors), strict=True):
        best = np.argsort(-row, kind="stable")[: options.top].tolist()
        console.print(path, style="bold", highlight=False, markup=False, soft_wrap=True)
        for place in best:
            chance = "" if calibration is None else f"   probability {calibration.probability(float(row[place])):.3f}"
            console.print(f"  {index.names[place]:<20} {row[place]:.3f}{chance}", highlight=False, markup=False, soft_wrap=True)
        if threshold is not None:
            known = float(row[best[0]]) >= threshold
            told = index.names[best[0]] if known else f"unknown (nobody of {len(index.names)} reaches the threshold)"
            console.print(f"  decision: {told}", highlight=False, markup=False, soft_wrap=True)
    if threshold is None:
        _say_no_threshold(options.run, reason)
    else:
        _say_threshold(threshold, calibration, options)


def sound_encoder(run: str) -> Encoder:
    """The encoder of a run, which must be one of sound."""
    encoder = load_encoder(run)
    if encoder.input_spec.sample_rate is None:
        raise ValueError(f"the encoder of {run} ({encoder.name}) is bound to no sampling rate: speakers need an encoder of sound")
    note_other_domain(encoder, "speaker_verification", "tell speakers apart")
    return encoder


def read_voices(encoder: Encoder, files: Sequence[str], min_seconds: float) -> Voices:
    """Embed whole recordings: audio files, folders of them, manifests. What cannot be used is listed and left out.

    Raises:
        AudioError: a single file that cannot be used, if it is all that was given.
        ValueError: nothing left of what was given.
    """
    rate = int(encoder.input_spec.sample_rate or 0)
    parts, refused = [], []
    for file in files:
        try:
            parts.append(_read_source(encoder, file, rate, min_seconds))
        except AudioError as error:
            if len(files) == 1:
                raise
            refused.append((error.path, error.reason))
    left_out = Quarantine(tuple(refused), len(files))
    if not parts:
        raise ValueError(str(left_out))
    if left_out:
        Console(stderr=True).print(str(left_out), highlight=False, markup=False, soft_wrap=True)
    vectors = scoring_vectors(np.concatenate([embed_recordings(encoder, data) for data in parts]))
    paths = [data.manifest.rows[row].path for data in parts for row in data.rows.tolist()]
    names = [speaker_names(data) for data in parts]
    speakers = [np.full(len(data), "") if known is None else known for data, known in zip(parts, names, strict=True)]
    return Voices(vectors, np.asarray([str(Path(path).resolve()) for path in paths]), np.concatenate(speakers))


def _read_source(encoder: Encoder, file: str, rate: int, min_seconds: float) -> AudioSet:
    """The recordings of one file, folder or manifest that can be told a voice by."""
    if not Path(file).expanduser().exists():
        raise FileNotFoundError(f"no recording, folder or manifest {file!r}")
    data = read_recordings(file, sample_rate=rate, input_spec=replace(encoder.input_spec, window=None))
    least = max(min_seconds, encoder.input_spec.min_length / rate)
    reasons: dict[int, str] = {}
    for example, (row, length) in enumerate(zip(data.rows.tolist(), recording_lengths(data).tolist(), strict=True)):
        if length < least * rate:
            reasons[example] = f"too short: {length / rate:.3f} s, at least {least:g} s are needed (--min-seconds)"
        elif float(data.recording(row).abs().max()) < SILENCE:
            reasons[example] = "silent: no sample is above -80 dB of full scale"
    left_out = Quarantine(tuple((data.manifest.rows[data.rows[one]].path, reason) for one, reason in reasons.items()), len(data))
    if len(left_out) == len(data):
        raise AudioError(*left_out.entries[0]) if len(data) == 1 else ValueError(str(left_out))
    if left_out:
        Console(stderr=True).print(f"{data.name}: {left_out}", highlight=False, markup=False, soft_wrap=True)
    return data.subset([example for example in range(len(data)) if example not in reasons])


def _calibration(encoder: Encoder, options: Namespace, asked: set[str]) -> tuple[Calibration | None, str]:
    """From one's own recordings (--dev) but those that are `asked` about, or what was saved with the encoder; else None and why."""
    if options.dev is None:
        return calibration_of(encoder)
    data = _read_source(encoder, options.dev, int(encoder.input_spec.sample_rate or 0), options.min_seconds)
    kept = [n for n, row in enumerate(data.rows.tolist()) if str(Path(data.manifest.rows[row].path).resolve()) not in asked]
    heard = at_most(data.subset(kept), MOST_RECORDINGS, seed=0)
    return fit(encoder, heard, f"recordings of {options.dev}, without those that are asked about"), ""


def _threshold(calibration: Calibration | None, options: Namespace) -> float | None:
    given: float | None = options.threshold
    return given if given is not None or calibration is None else calibration.threshold


def _say(name: str, text: str, *, style: str = "") -> None:
    console.print(f"{name:<11} {text}", style=style, highlight=False, markup=False, soft_wrap=True)


def _say_threshold(threshold: float, calibration: Calibration | None, options: Namespace) -> None:
    if options.threshold is not None or calibration is None:
        _say("threshold", f"{threshold:.3f}  as given")
        return
    rates = f"{100 * calibration.fpr:.1f} % false accepts and {100 * calibration.fnr:.1f} % false rejects there"
    _say("threshold", f"{threshold:.3f}  from {calibration.speakers} speakers, {calibration.source}: {rates}")


def _say_no_threshold(run: str, reason: str) -> None:
    text = f"none: {run} has no decision threshold, since {reason}. Give --dev RECORDINGS to learn one from, or --threshold"
    _say("decision", text)
