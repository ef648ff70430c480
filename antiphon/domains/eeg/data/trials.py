"""Trials: the stretches of a recording that follow its annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from antiphon.common.data.manifest import Manifest, sorted_names
from antiphon.domains.eeg.data.sources import Source, tell

Events = Mapping[str, str] | Sequence[str]


@dataclass(frozen=True, eq=False)
class Trials:
    """Where trials begin: `rows` (n,) of a manifest, `starts` (n,) in prepared samples, `labels` (n,) in order of `classes`.

    `labels_of` says which annotation has which label.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    labels_of: Mapping[str, str]


def find_trials(
    manifest: Manifest,
    sources: Sequence[Source],
    events: Events,
    *,
    window: int,
    start_s: float = 0.0,
    classes: Sequence[str] | None = None,
) -> Trials:
    """Trials of `window` prepared samples that begin `start_s` after an event, in order of the rows and of time.

    Those that do not lie whole in their recording are counted and listed on the error stream.

    Args:
        manifest: the recordings.
        sources: how each is read.
        events: annotation -> label ({"769": "left"}), or annotations that are their own labels.
        window: see above.
        start_s: see above.
        classes: the order of the labels; None: sorted.

    Raises:
        ValueError: no such event in any recording, or a label that is not among `classes`.
    """
    pairs = events.items() if isinstance(events, Mapping) else ((word, word) for word in events)
    labels_of = {str(word): str(label) for word, label in pairs}  # codes may come as numbers
    names = sorted_names(labels_of.values()) if classes is None else tuple(classes)
    unknown = sorted(set(labels_of.values()) - set(names))
    if unknown:
        raise ValueError(
            f"{manifest.name}: the label(s) {', '.join(unknown)} of events are not among the classes {', '.join(names)}"
        )
    found: list[tuple[int, int, int]] = []
    seen: set[str] = set()
    cut: list[str] = []
    for number, (row, source) in enumerate(zip(manifest, sources, strict=True)):
        recording = source.recording
        onsets, words = recording.events()
        seen |= set(words)
        for onset, word in zip(onsets.tolist(), words, strict=True):
            if word not in labels_of:
                continue
            time_s = onset / recording.sample_rate + start_s
            start = round(time_s * source.prepared.sample_rate)
            if source.first <= start and start + window <= source.last:
                found.append((number, start, names.index(labels_of[word])))
            else:
                cut.append(f"  {row.path}: the trial {word} at {onset / recording.sample_rate:.3f} s is not whole")
    if not found:
        told = f"they have {', '.join(sorted(seen)[:20])}" if seen else "they have none"
        raise ValueError(f"{manifest.name}: no whole trial after {', '.join(labels_of)} in {len(manifest)} recordings; {told}")
    rows, starts, labels = (np.asarray(column, np.int64) for column in zip(*found, strict=True))
    tell(manifest.name, [f"{len(cut)} of {len(found) + len(cut)} trials left out", *cut] if cut else [])
    return Trials(rows, starts, labels, names, labels_of)
