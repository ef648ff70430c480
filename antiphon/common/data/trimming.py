"""Silence before and behind what is heard in a recording, left out by the start and the end of its row."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.data.quarantine import Quarantine, sift
from antiphon.common.signal.io import AudioError, read_audio
from antiphon.common.signal.silence import sound_bounds


def trim_silence(manifest: Manifest, *, below_db: float = 40.0, workers: int | None = None) -> tuple[Manifest, Quarantine]:
    """The rows with their `start_s` and `end_s` moved to where there is sound, and those that hold none or cannot be read.

    Every row is decoded once, its channels mixed (see `antiphon.common.signal.silence.sound_bounds`), so for a large collection it
    is worth while to write the result (`Manifest.write`). `workers` threads read at the same time; None: one a core.
    """
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        found = list(pool.map(lambda row: _trimmed(row, below_db), manifest.rows, chunksize=1))
    answers = iter(found)

    def answer(_: Row) -> Row:
        trimmed = next(answers)
        if isinstance(trimmed, AudioError):
            raise trimmed
        return trimmed

    return sift(manifest, answer)


def _trimmed(row: Row, below_db: float) -> Row | AudioError:
    try:
        waves, rate = read_audio(
            row.path, start_s=row.start_s, duration_s=None if row.end_s is None else row.end_s - row.start_s, mono=True
        )
    except AudioError as error:
        return error
    bounds = sound_bounds(waves, rate, below_db=below_db)
    if bounds is None:
        return AudioError(row.path, "silent: no sample is above -100 dB of full scale")
    return replace(row, start_s=row.start_s + bounds[0] / rate, end_s=row.start_s + bounds[1] / rate)
