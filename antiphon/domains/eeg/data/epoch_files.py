"""Files of trials: mne's -epo.fif, and .npz with arrays of these names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from antiphon.domains.eeg.data.epochs import EpochSet
from antiphon.domains.eeg.data.reading import RecordingError, Unit, quiet

ENDINGS = ("-epo.fif", "_epo.fif", "-epo.fif.gz", "_epo.fif.gz", ".npz")


def is_epoch_file(path: str | Path) -> bool:
    """Whether a file holds trials, by its name."""
    return str(path).lower().endswith(ENDINGS)


def read_epochs(path: str | Path, *, unit: Unit = "auto") -> EpochSet:
    """Trials from mne's FIF, whose event names are the labels, or from an .npz.

    An .npz has `signals` (n, C, T), `names` (C,), `sample_rate` in Hz; optionally `labels` (n,), `texts` (n,), `start_s`, and
    `subject`, `session`, `run`, `recording` (n,). Nothing in it is unpickled.

    Raises:
        RecordingError: a file that is missing, damaged or lacks one of these arrays.
    """
    path = Path(path)
    if not path.is_file():
        raise RecordingError(path, "no such file")
    if path.suffix.lower() == ".npz":
        return _read_npz(path, unit)
    import mne

    with quiet(path):
        epochs = mne.read_epochs(path, verbose="ERROR")
    return EpochSet.from_epochs(epochs, unit="V" if unit == "auto" else unit, name=path.stem)


def _read_npz(path: Path, unit: Unit) -> EpochSet:
    try:
        with np.load(path, allow_pickle=False) as file:
            held: dict[str, Any] = {name: file[name] for name in file.files}
        columns: dict[str, Any] = {name: held[name] for name in ("subject", "session", "run", "recording") if name in held}
        return EpochSet.from_arrays(
            held["signals"],
            held.get("labels"),
            names=[str(name) for name in held["names"].tolist()],
            sample_rate=float(held["sample_rate"]),
            unit=unit,
            texts=[str(text) for text in held["texts"].tolist()] if "texts" in held else None,
            columns=columns,
            start_s=float(held.get("start_s", 0.0)),
            name=path.stem,
        )
    except KeyError as error:
        raise RecordingError(path, f"has no array {error}: signals, names and sample_rate are due") from error
    except (OSError, ValueError) as error:
        raise RecordingError(path, f"holds no trials: {error}") from error


def write_epochs(data: EpochSet, path: str | Path) -> None:
    """Write a set as .npz, in microvolts.

    Raises:
        ValueError: another ending, or signals that are no microvolts any more.
    """
    path, spec = Path(path), data.input_spec
    if path.suffix.lower() != ".npz" or spec.unit != "uV":
        raise ValueError(f"trials are written in microvolts to .npz, got {path.name} and signals in {spec.unit}")
    held: dict[str, Any] = {"signals": data.signals, "names": np.asarray(spec.names), "sample_rate": spec.sample_rate}
    if data.labels is not None:
        held["labels"] = np.asarray(data.classes)[data.labels]
    if data.texts is not None:
        held["texts"] = np.asarray(data.texts)
    held |= {name: np.asarray(column) for name, column in data.columns.items()}
    np.savez(path, start_s=data.start_s, **held)
