"""A set of recordings on disk, of which a batch reads the windows or trials that it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from antiphon.common.data.batch import SignalBatch
from antiphon.common.data.codes import group_codes, label_codes
from antiphon.common.data.manifest import Manifest, Row, read_manifest
from antiphon.common.data.quarantine import Quarantine
from antiphon.common.data.windows import random_starts
from antiphon.common.encoder import InputSpec
from antiphon.domains.eeg.data.epochs import EpochSet, number_subjects
from antiphon.domains.eeg.data.montage import OnMismatch
from antiphon.domains.eeg.data.preparation import Preparation, preparation_of
from antiphon.domains.eeg.data.reading import SUFFIXES, Unit
from antiphon.domains.eeg.data.sources import Source, open_sources
from antiphon.domains.eeg.data.texts import random_substrings
from antiphon.domains.eeg.data.trials import Events, Trials, find_trials

if TYPE_CHECKING:
    from mne.io import BaseRaw

Windows = Literal["random", "all"]
DRAWN = -1  # a start that is drawn anew in every epoch
COLUMNS = ("subject", "session", "run")


@dataclass(frozen=True, eq=False)
class RecordingSet:
    """Windows or trials of recordings. Made by `from_manifest` or `from_raws`; a batch opens the files that it reads.

    `window` samples at `input_spec.sample_rate` are one example: example i lies in row `rows[i]` of `manifest` and begins at
    prepared sample `starts[i]` (`DRAWN`: at a place drawn from (seed, epoch, i)). `sources` say for each row how it is read. `hop`
    samples lie between the windows that stand for a recording in evaluation. `labels` (n,) int64 in order of `classes`, or (n,
    classes) of zeros and ones, or None. `groups` (n,) int64, or None. `trials`: the examples are trials, not windows. `quarantine`
    says what was left out. `subject_names` is the order in which subjects are numbered. `substrings`: a batch has a part of each
    text, drawn anew in every epoch.
    """

    manifest: Manifest
    sources: tuple[Source, ...]
    input_spec: InputSpec
    window: int
    hop: int
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    labels: NDArray[Any] | None = None
    classes: tuple[str, ...] = ()
    groups: NDArray[np.int64] | None = None
    subject_names: tuple[str, ...] = ()
    trials: bool = False
    substrings: bool = False
    seed: int = 0
    name: str = ""
    quarantine: Quarantine = field(default_factory=Quarantine)

    @classmethod
    def from_manifest(
        cls,
        manifest: Manifest | str | Path,
        *,
        raws: Mapping[str, BaseRaw] | None = None,
        wanted: InputSpec | None = None,
        on_mismatch: OnMismatch = "strict",
        unit: Unit = "auto",
        preparation: Preparation | None = None,
        window_s: float = 10.0,
        hop_s: float | None = None,
        span_s: tuple[float, float | None] = (0.0, None),
        windows: Windows = "random",
        events: Events | None = None,
        start_s: float = 0.0,
        label: str | None = "label",
        classes: Sequence[str] | None = None,
        group: str | None = None,
        subjects: Sequence[str] = (),
        substrings: bool = False,
        seed: int = 0,
        name: str = "",
    ) -> Self:
        """A set from a manifest, or the path of one, of a folder, or of a single recording.

        Args:
            manifest: the recordings. Each is opened once; those that cannot be used are listed and left out.
            raws: mne objects for rows that are no files, by their path.
            wanted: what an encoder expects: the channels (`names`, `positions`), their rate, how they were prepared; None: the
                channels of `common_channels`.
            on_mismatch: what if a recording lacks some: strict, subset or interpolate, see `map_channels`.
            unit: see `open_recording`.
            preparation: what is done to them; None: what was done to those of `wanted`, else nothing. Alignment waits for
                `in_memory`.
            window_s: length of an example.
            hop_s: from one window to the next, where windows stand side by side; None: `window_s`.
            span_s: the part of every recording that counts, from and to (None: its end).
            windows: "random" (one a recording, another one in every epoch) or "all" of them.
            events: annotation -> label, or a list of annotations; the examples are then trials, which begin `start_s` after them.
            start_s: see `events`; may be negative.
            label: column of the labels, where there are no `events`.
            classes: the order of the labels; None: sorted.
            group: column of the groups; None: subject, group or speaker, the first that every row has, else the recording.
            subjects: those that have numbers already, of a training set for instance; others are numbered after them.
            substrings: see the class.
            seed: of random windows and sub-strings.
            name: in messages and reports; "" takes the manifest's.

        Raises:
            ValueError: nothing usable, other channels or rates than the others have or `wanted` says, no such event, labels on
                some rows only, or an unknown word for `windows`, `on_mismatch` or `unit`.
        """
        if windows not in get_args(Windows):
            raise ValueError(f"unknown windows {windows!r}: use one of {', '.join(get_args(Windows))}")
        manifest = manifest if isinstance(manifest, Manifest) else list_recordings(manifest)
        if preparation is None:
            preparation = Preparation() if wanted is None else preparation_of(wanted)
        manifest, sources, spec, left_out = open_sources(
            replace(manifest, name=name or manifest.name),
            raws=raws,
            wanted=wanted,
            on_mismatch=on_mismatch,
            unit=unit,
            preparation=preparation,
            shortest_s=0.0 if events is not None else window_s,
            span_s=span_s,
        )
        rate = spec.sample_rate or 1.0
        window, hop = max(1, round(window_s * rate)), max(1, round((window_s if hop_s is None else hop_s) * rate))
        cut = {"window_s": window_s} | ({} if hop_s is None else {"hop_s": hop_s})
        base = cls(
            manifest=manifest,
            sources=sources,
            input_spec=replace(spec, preparation={**spec.preparation, **cut}),
            window=window,
            hop=hop,
            rows=np.arange(len(manifest)),
            starts=np.full(len(manifest), DRAWN),
            subject_names=number_subjects((one for one in manifest.column("subject") if one), subjects),
            substrings=substrings,
            seed=seed,
            name=manifest.name,
            quarantine=left_out,
        )
        if events is not None:
            found = find_trials(manifest, sources, events, window=window, start_s=start_s, classes=classes)
            return base._with_trials(found, events, start_s)._grouped(group)
        codes, names = label_codes(manifest, label, classes=classes)
        base = replace(base, labels=codes, classes=names)._grouped(group)
        return base if windows == "random" else base.fixed_windows()[0]

    @classmethod
    def from_raws(cls, raws: Sequence[BaseRaw], *, columns: Mapping[str, Sequence[str]] | None = None, **options: Any) -> Self:
        """A set of mne objects; `columns` (label, subject, text, ...) hold a word for each, `options` are `from_manifest`'s."""
        paths = [f"Raw {number}" for number in range(len(raws))]
        rows = []
        for number, path in enumerate(paths):
            told = {name: str(values[number]) for name, values in (columns or {}).items()}
            label, text = told.pop("label", None), told.pop("text", None)
            rows.append(Row(path, labels=() if label is None else (label,), text=text, extra=told))
        return cls.from_manifest(Manifest(tuple(rows), "recordings"), raws=dict(zip(paths, raws, strict=True)), **options)

    def _with_trials(self, found: Trials, events: Events, start_s: float) -> Self:
        cut = {"events": dict(found.labels_of), "start_s": start_s}
        return replace(
            self,
            rows=found.rows,
            starts=found.starts,
            labels=found.labels,
            classes=found.classes,
            trials=True,
            input_spec=replace(self.input_spec, preparation={**self.input_spec.preparation, **cut}),
        )

    def _grouped(self, column: str | None) -> Self:
        if column is None and all(self.manifest.column("subject")):
            column = "subject"
        codes = group_codes(self.manifest, column)
        return replace(self, groups=self.rows if codes is None else codes[self.rows])

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, index: ArrayLike, *, epoch: int = 0) -> SignalBatch:
        """The examples `index` (B,): signals (B, C, window), texts where the rows have any.

        Labels stand under "label" (B,), or under "labels" (B, classes) where rows have several. `context` has "recording" (B,), the
        row of the manifest, and "subject" (B,) where every row names one.
        """
        chosen = np.asarray(index, np.int64)
        rows, starts = self.rows[chosen], self._starts(chosen, epoch)
        signals = np.stack([self.sources[row].read(start, self.window) for row, start in zip(rows.tolist(), starts, strict=True)])
        texts = [self.manifest.rows[row].text or "" for row in rows.tolist()]
        if self.substrings:
            texts = random_substrings(texts, seed=self.seed, epoch=epoch, index=torch.from_numpy(chosen))
        labels = None if self.labels is None else torch.from_numpy(self.labels[chosen])
        context = {"recording": rows} | ({} if self.subjects is None else {"subject": self.subjects[chosen]})
        return SignalBatch(
            signals=torch.from_numpy(signals),
            lengths=torch.full((len(chosen),), self.window),
            index=torch.from_numpy(chosen),
            labels={} if labels is None else {"label" if labels.ndim == 1 else "labels": labels},
            texts=texts if any(texts) else None,
            groups=None if self.groups is None else torch.from_numpy(self.groups[chosen]),
            context={name: torch.from_numpy(values) for name, values in context.items()},
        )

    @cached_property
    def subjects(self) -> NDArray[np.int64] | None:
        """The subject of each example as its number in `subject_names`, (n,), or None."""
        names = self.manifest.column("subject")
        if not all(names):
            return None
        code = {name: number for number, name in enumerate(self.subject_names)}
        return np.asarray([code[str(name)] for name in names], np.int64)[self.rows]

    def _starts(self, chosen: NDArray[np.int64], epoch: int) -> list[int]:
        starts, rows = self.starts[chosen], self.rows[chosen]
        if (starts == DRAWN).any():
            first = np.asarray([self.sources[row].first for row in rows.tolist()])
            lengths = torch.tensor([self.sources[row].last - self.sources[row].first for row in rows.tolist()])
            drawn = random_starts(lengths, self.window, seed=self.seed, epoch=epoch, index=torch.from_numpy(chosen)).numpy()
            starts = np.where(starts == DRAWN, first + drawn, starts)
        found: list[int] = starts.tolist()
        return found

    def subset(self, examples: ArrayLike, *, name: str | None = None) -> Self:
        """The examples with these numbers, with the same classes."""
        chosen = np.asarray(examples, np.int64)
        return replace(
            self,
            rows=self.rows[chosen],
            starts=self.starts[chosen],
            labels=None if self.labels is None else self.labels[chosen],
            groups=None if self.groups is None else self.groups[chosen],
            name=self.name if name is None else name,
        )

    def fixed_windows(self) -> tuple[Self, NDArray[np.int64]]:
        """The windows that stand for the examples in evaluation, `hop` apart, and the example (m,) that each belongs to."""
        if (self.starts != DRAWN).all():
            return self, np.arange(len(self))
        parts = [self.sources[row] for row in self.rows.tolist()]
        starts = [np.arange(part.first, part.last - self.window + 1, self.hop) for part in parts]
        owners = np.repeat(np.arange(len(self)), [len(one) for one in starts])
        return replace(self.subset(owners), starts=np.concatenate(starts)), owners

    def in_memory(self) -> EpochSet:
        """All examples in one array; random windows become fixed ones. Euclidean alignment, if it is due, is done here."""
        fixed = self.fixed_windows()[0]
        signals = np.stack(
            [self.sources[row].read(start, self.window) for row, start in zip(fixed.rows, fixed.starts, strict=True)]
        )
        manifest = self.manifest.take(fixed.rows)
        texts = [row.text or "" for row in manifest]
        further = sorted({name for row in manifest for name in row.extra}.difference(COLUMNS))
        words = {name: [word or "" for word in manifest.column(name)] for name in (*COLUMNS, *further)}
        columns = {name: column for name, column in words.items() if (any if name in further else all)(column)}
        made = EpochSet(
            signals=signals,
            input_spec=self.input_spec,
            labels=fixed.labels,
            classes=self.classes,
            groups=fixed.groups,
            texts=tuple(texts) if any(texts) else None,
            columns={"recording": np.asarray(manifest.column("path")), **{name: np.asarray(col) for name, col in columns.items()}},
            subject_names=self.subject_names,
            start_s=float(self.input_spec.preparation.get("start_s", 0.0)),
            name=self.name,
            quarantine=self.quarantine,
        )
        return made.aligned() if self.input_spec.preparation.get("align") else made


def list_recordings(path: str | Path, *, labelled: bool | None = None) -> Manifest:
    """A manifest from a file that lists recordings, from a folder of them, or of one recording; see `read_manifest`."""
    path = Path(path).expanduser()
    if path.name.lower().endswith(SUFFIXES):
        return Manifest((Row(str(path.absolute())),), path.name)
    return read_manifest(path, labelled=labelled, suffixes=SUFFIXES, what="recordings of EEG")
