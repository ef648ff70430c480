"""moabb's and braindecode's data sets as ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from antiphon.domains.eeg.data.epochs import EpochSet
from antiphon.domains.eeg.data.reading import Unit
from antiphon.domains.eeg.data.recordings import RecordingSet

if TYPE_CHECKING:
    from braindecode.datasets import BaseConcatDataset
    from moabb.datasets.base import BaseDataset
    from moabb.paradigms.base import BaseParadigm


def from_moabb(
    dataset: BaseDataset, paradigm: BaseParadigm, subjects: Sequence[int] | None = None, *, unit: Unit = "auto"
) -> EpochSet:
    """Trials of a moabb data set as its paradigm cuts and filters them; subject, session and run are columns.

    moabb downloads what it does not have. `unit` is what mne's numbers are ("auto": judged by their deviation, for real sets
    volts).

    Raises:
        ValueError: the paradigm finds no trials, or they have no plausible unit.
    """
    epochs, labels, table = paradigm.get_data(dataset, subjects=None if subjects is None else list(subjects), return_epochs=True)
    if not len(epochs):
        raise ValueError(f"{dataset.code}: the paradigm finds no trials in subjects {subjects}")
    columns = {name: table[name].to_numpy() for name in ("subject", "session", "run")}
    return EpochSet.from_epochs(epochs, labels=labels, columns=columns, unit=unit, name=dataset.code)


def from_braindecode(dataset: BaseConcatDataset, *, unit: Unit = "auto", **options: Any) -> EpochSet | RecordingSet:
    """A braindecode set: windows become an `EpochSet`, continuous recordings a `RecordingSet` with these `options`.

    The description's columns (subject, session, run, and others) are kept. The target is the label, whatever it is. Windows that a
    braindecode preprocessor has brought to microvolts, and such in volts, are told apart by their deviation (`unit="auto"`).

    Raises:
        ValueError: nothing in the set, or windows of different shape.
    """
    parts = list(dataset.datasets)
    if not parts:
        raise ValueError("the braindecode set is empty")
    told = [{str(key): str(value) for key, value in part.description.items()} for part in parts]
    if not any(hasattr(part, "windows") or hasattr(part, "crop_inds") or hasattr(part, "metadata") for part in parts):
        names = set.intersection(*(set(one) for one in told))
        columns = {("label" if name == part_target(parts[0]) else name): [one[name] for one in told] for name in names}
        return RecordingSet.from_raws([part.raw for part in parts], columns=columns, unit=unit, **options)
    first = parts[0].windows if hasattr(parts[0], "windows") else parts[0].raw
    items = [(number, part[row]) for number, part in enumerate(parts) for row in range(len(part))]
    shapes = {tuple(np.shape(item[0])) for _, item in items}
    if len(shapes) > 1:
        raise ValueError(f"the windows have different shapes: {', '.join(map(str, sorted(shapes)))}; cut them to one")
    names = set.intersection(*(set(one) for one in told))
    return EpochSet.from_arrays(
        np.stack([item[0] for _, item in items]),
        [str(item[1]) for _, item in items],
        names=list(first.ch_names),
        sample_rate=float(first.info["sfreq"]),
        unit=unit,
        columns={name: [told[number][name] for number, _ in items] for name in sorted(names)},
        **options,
    )


def part_target(part: Any) -> str | None:
    """The column of a braindecode recording's description that is its target."""
    target = getattr(part, "target_name", None)
    return target if isinstance(target, str) else None
