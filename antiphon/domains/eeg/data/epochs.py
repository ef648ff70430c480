"""Trials or windows of EEG in one array, to and from mne, moabb and braindecode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from antiphon.common.data.batch import SignalBatch
from antiphon.common.data.manifest import sorted_names
from antiphon.common.data.quarantine import Quarantine
from antiphon.common.encoder import InputSpec
from antiphon.domains.eeg.data.montage import OnMismatch, map_channels, spec_positions, standard_positions
from antiphon.domains.eeg.data.names import canonical_names
from antiphon.domains.eeg.data.preparation import preparation_of, prepare_trials
from antiphon.domains.eeg.data.preprocessing import euclidean_alignment
from antiphon.domains.eeg.data.reading import Unit, array_scale, eeg_picks

if TYPE_CHECKING:
    from mne import BaseEpochs


@dataclass(frozen=True, eq=False)
class EpochSet:
    """EEG of equal length in memory.

    `signals` (n, C, T) float32. `labels` (n,) int64 in order of `classes`, or None. `groups` (n,) int64 says what must not be torn
    apart, or None. `texts`, one an example, or None. `columns` has further words (n,) by name: recording, subject, session, run.
    `start_s` is the time of the first sample after the event. `subject_names` is the order in which subjects are numbered, which a
    subset keeps.
    """

    signals: NDArray[np.float32]
    input_spec: InputSpec
    labels: NDArray[Any] | None = None
    classes: tuple[str, ...] = ()
    groups: NDArray[np.int64] | None = None
    texts: tuple[str, ...] | None = None
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    subject_names: tuple[str, ...] = ()
    start_s: float = 0.0
    name: str = ""
    quarantine: Quarantine = field(default_factory=Quarantine)

    @classmethod
    def from_arrays(
        cls,
        signals: ArrayLike,
        labels: ArrayLike | None = None,
        *,
        names: Sequence[str],
        sample_rate: float,
        unit: Unit = "auto",
        texts: Sequence[str] | None = None,
        columns: Mapping[str, ArrayLike] | None = None,
        classes: Sequence[str] | None = None,
        start_s: float = 0.0,
        name: str = "",
    ) -> Self:
        """A set from signals (n, C, T) of channels `names`; the signals become microvolts.

        Labels may be words or numbers. Groups are the subjects, if `columns` name them, else the recordings.

        Raises:
            ValueError: another shape, arrays of different size, values that are no numbers, or of no plausible unit.
        """
        values = np.asarray(signals)
        if values.ndim != 3 or values.shape[1] != len(names) or not values.size:
            raise ValueError(f"signals must be (n, {len(names)} channels, time) with something in them, got shape {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError("the signals have NaN or infinite values: repair them, or leave these trials out")
        table = {key: np.asarray(column).astype(str) for key, column in (columns or {}).items()}
        for key, column in {"labels": labels, "texts": texts, **table}.items():
            if column is not None and len(np.asarray(column)) != len(values):
                raise ValueError(f"{len(values)} examples, but {len(np.asarray(column))} {key}")
        codes, found = (None, ()) if labels is None else _codes(np.asarray(labels).astype(str), classes)
        group = next((table[key] for key in ("subject", "recording") if key in table), None)
        known = canonical_names(names)
        return cls(
            signals=(values * array_scale(values, unit)).astype(np.float32),
            input_spec=InputSpec(
                channels=len(known), names=known, sample_rate=sample_rate, unit="uV", positions=standard_positions(known)
            ),
            labels=codes,
            classes=found,
            groups=None if group is None else np.unique(group, return_inverse=True)[1].astype(np.int64),
            texts=None if texts is None else tuple(texts),
            columns=table,
            subject_names=number_subjects(table.get("subject", ())),
            start_s=start_s,
            name=name,
        )

    @classmethod
    def from_epochs(cls, epochs: BaseEpochs, *, columns: Mapping[str, ArrayLike] | None = None, **options: Any) -> Self:
        """A set from mne `Epochs`, whose event names are the labels; a metadata table gives further columns.

        Which channels are EEG is decided as in `open_recording`.

        Raises:
            ValueError: no EEG channel; see `from_arrays`.
        """
        picks = [epochs.ch_names[pick] for pick in eeg_picks(epochs).tolist()]
        if not picks:
            raise ValueError(f"the epochs have no EEG channel among {', '.join(epochs.ch_names[:8])}")
        words = {number: word for word, number in epochs.event_id.items()}
        table = {} if epochs.metadata is None else {str(key): epochs.metadata[key].to_numpy() for key in epochs.metadata}
        settings = {
            "labels": [words[code] for code in epochs.events[:, 2].tolist()],
            "names": picks,
            "sample_rate": float(epochs.info["sfreq"]),
            "unit": "V",
            "start_s": float(epochs.tmin),
            "columns": {**table, **(columns or {})},
        }
        return cls.from_arrays(epochs.get_data(picks=picks, verbose="ERROR"), **{**settings, **options})

    def __len__(self) -> int:
        return len(self.signals)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,): all the same."""
        return np.full(len(self), self.signals.shape[2])

    @cached_property
    def subjects(self) -> NDArray[np.int64] | None:
        """The subject of each example as its number in `subject_names`, (n,), or None."""
        if "subject" not in self.columns:
            return None
        code = {name: number for number, name in enumerate(self.subject_names)}
        return np.asarray([code[name] for name in self.columns["subject"].tolist()], np.int64)

    @cached_property
    def _context(self) -> dict[str, NDArray[np.int64]]:
        recordings = self.columns.get("recording")
        found = {} if recordings is None else {"recording": np.unique(recordings, return_inverse=True)[1]}
        return found if self.subjects is None else {**found, "subject": self.subjects}

    def batch(self, index: ArrayLike, *, epoch: int = 0) -> SignalBatch:
        """The examples `index` (B,); `context` has numbers for "recording" and "subject" where these are known."""
        rows = np.asarray(index, np.int64)
        labels = None if self.labels is None else torch.from_numpy(self.labels[rows])
        return SignalBatch(
            signals=torch.from_numpy(self.signals[rows]),
            lengths=torch.from_numpy(self.lengths[rows]),
            index=torch.from_numpy(rows),
            labels={} if labels is None else {"label" if labels.ndim == 1 else "labels": labels},
            texts=None if self.texts is None else [self.texts[row] for row in rows.tolist()],
            groups=None if self.groups is None else torch.from_numpy(self.groups[rows]),
            context={key: torch.from_numpy(values[rows]) for key, values in self._context.items()},
        )

    def subset(self, rows: ArrayLike, *, name: str | None = None) -> Self:
        """The examples in `rows`, with the same classes."""
        chosen = np.asarray(rows, np.int64)
        return replace(
            self,
            signals=self.signals[chosen],
            labels=None if self.labels is None else self.labels[chosen],
            groups=None if self.groups is None else self.groups[chosen],
            texts=None if self.texts is None else tuple(self.texts[row] for row in chosen.tolist()),
            columns={key: column[chosen] for key, column in self.columns.items()},
            name=self.name if name is None else name,
        )

    def aligned(self) -> Self:
        """Every subject's trials whitened by their mean covariance (`euclidean_alignment`); of one subject, if none is named."""
        spec = replace(self.input_spec, unit="deviations", preparation={**self.input_spec.preparation, "align": True})
        return replace(self, signals=euclidean_alignment(self.signals, self.columns.get("subject")), input_spec=spec)

    def fit_to(self, wanted: InputSpec, *, on_mismatch: OnMismatch = "strict") -> Self:
        """These trials as an encoder expects them: its channels (see `map_channels`), then its preparation.

        An encoder without names of channels takes them as they are. Trials cannot be filtered, resampled or scaled by the
        statistics of their recording any more: the other steps are done, alignment on the trials of this set alone.

        Raises:
            ValueError: channels are missing, the trials are shorter than the encoder's window, or such a step is due.
        """
        own, steps = self.input_spec, preparation_of(wanted)
        if steps.sample_rate not in (None, own.sample_rate) or steps.band_hz is not None or steps.robust:
            due = [name for name in ("sample_rate", "band_hz", "robust") if name in steps.to_dict()]
            raise ValueError(
                f"{self.name or 'the set'} has trials at {own.sample_rate:g} Hz, which cannot be filtered or resampled any more: "
                f"{', '.join(f'{name} {getattr(steps, name)}' for name in due)} is due: cut them from recordings prepared like that"
            )
        if wanted.window is not None and self.signals.shape[2] < wanted.window:
            raise ValueError(f"{self.name or 'the set'} has trials of {self.signals.shape[2]} samples, {wanted.window} are due")
        known = None if standard_positions(own.names or ()) else own.positions
        channels = map_channels(
            wanted.names or own.names or (),
            own.names or (),
            on_mismatch=on_mismatch,
            positions=spec_positions(wanted) if wanted.names else own.positions,
            available_positions=known,
        )
        signals = np.stack([channels.apply(trial) for trial in self.signals[:, channels.picks]])
        made = prepare_trials(signals, steps, channels, own.sample_rate or 1.0).astype(np.float32)
        spec = replace(
            own,
            channels=len(channels.names),
            names=channels.names,
            unit=steps.unit,
            positions=spec_positions(wanted) if wanted.names else own.positions,
            preparation={**own.preparation, **steps.to_dict()},
        )
        fitted = replace(self, signals=made, input_spec=spec)
        return fitted.aligned() if steps.align else fitted

    def with_classes(self, classes: Sequence[str]) -> Self:
        """The same with labels numbered in this order. Raises ValueError for a label that is not among them."""
        if self.labels is None:
            return replace(self, classes=tuple(classes))
        codes, names = _codes(np.asarray(self.classes)[self.labels], classes)
        return replace(self, labels=codes, classes=names)

    def with_subjects(self, known: Sequence[str]) -> Self:
        """The same with subjects numbered in the order `known`, and others after them."""
        return replace(self, subject_names=number_subjects(self.subject_names, known))

    def to_arrays(self) -> tuple[NDArray[np.float32], NDArray[Any] | None, NDArray[np.int64] | None]:
        """(X (n, C, T), y (n,), groups (n,)) for scikit-learn and its splitters."""
        return self.signals, self.labels, self.groups

    def to_epochs(self) -> BaseEpochs:
        """As mne `Epochs` in volts, with the labels as events, the columns as metadata, and a montage where it is known."""
        import mne
        import pandas as pd

        spec = self.input_spec
        if spec.unit != "uV":
            raise ValueError(f"the signals are in {spec.unit}, mne keeps volts: take them before they are scaled or aligned")
        names = list(spec.names or ())
        info = mne.create_info(names, spec.sample_rate or 1.0, "eeg")
        if spec.positions is not None:
            places = dict(zip(names, map(np.asarray, spec.positions), strict=True))
            info.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"))
        codes = np.zeros(len(self), np.int64) if self.labels is None else self.labels
        events = np.stack((np.arange(len(self)), np.zeros(len(self), np.int64), codes + 1), axis=1)
        ids = {word: code + 1 for code, word in enumerate(self.classes or ("trial",)) if (codes == code).any()}
        table = pd.DataFrame(dict(self.columns)) if self.columns else None
        values = self.signals.astype(np.float64) * 1e-6
        return mne.EpochsArray(values, info, events, self.start_s, ids, metadata=table, verbose="ERROR")


def number_subjects(names: Iterable[str], known: Sequence[str] = ()) -> tuple[str, ...]:
    """The order in which subjects are numbered: those `known` from elsewhere, then the new ones, sorted."""
    return (*known, *sorted_names(name for name in map(str, names) if name not in set(known)))


def _codes(words: NDArray[Any], classes: Sequence[str] | None) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    names = sorted_names(words.tolist()) if classes is None else tuple(classes)
    code = {name: number for number, name in enumerate(names)}
    unknown = sorted({word for word in words.tolist() if word not in code})
    if unknown:
        raise ValueError(f"the label(s) {', '.join(unknown[:10])} are not among the classes {', '.join(names)}")
    return np.asarray([code[word] for word in words.tolist()], np.int64), names
