"""EEG as a training and a test set: somebody's folder, a manifest, trials, a public collection, an open set by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.data.recordings import Parts, Root, check_labels, class_names, manifest_parts
from antiphon.common.encoder import InputSpec
from antiphon.domains.eeg.data.epoch_files import is_epoch_file, read_epochs
from antiphon.domains.eeg.data.epochs import EpochSet
from antiphon.domains.eeg.data.montage import OnMismatch, check_on_mismatch
from antiphon.domains.eeg.data.preparation import Preparation, preparation_of
from antiphon.domains.eeg.data.reading import Unit
from antiphon.domains.eeg.data.recordings import RecordingSet, Windows, list_recordings
from antiphon.domains.eeg.data.splits import split_in_time, split_trials
from antiphon.domains.eeg.data.trials import Events
from antiphon.domains.eeg.data.tuh import tuh_abnormal

LAYOUTS: Mapping[str, Callable[..., Manifest]] = {"tuh_abnormal": tuh_abnormal}
EEGSet = RecordingSet | EpochSet


@dataclass(frozen=True)
class Cut:
    """Which stretches of recordings are examples, see `load`."""

    window_s: float = 10.0
    hop_s: float | None = None
    events: Events | None = None
    start_s: float = 0.0


def load(
    root: Root | Sequence[Root] | None,
    test: Root | Sequence[Root] | None = None,
    *,
    layout: str = "auto",
    layout_options: Mapping[str, Any] | None = None,
    input_spec: InputSpec | None = None,
    channels: Sequence[str] | None = None,
    on_mismatch: OnMismatch = "strict",
    unit: Unit = "auto",
    preparation: Preparation | Mapping[str, Any] | None = None,
    window_s: float = 10.0,
    hop_s: float | None = None,
    span_s: Sequence[float | None] = (0.0, None),
    windows: Windows = "random",
    events: Events | None = None,
    start_s: float = 0.0,
    label: str | None = "label",
    by: str | None = None,
    test_share: float = 0.3,
    labelled: bool = False,
    in_memory: bool = False,
    substrings: bool = False,
    seed: int = 0,
    name: str = "",
) -> tuple[EEGSet, EEGSet | None]:
    """A training set and a test set or None. Files that cannot be used are listed and left out.

    Recordings with a `split` column are split by it; otherwise `test` is another folder or manifest, or a share is held out: whole
    subjects where they are known, else whole groups or recordings; of a single one, the last part in time.

    Args:
        root: a folder (sub-folders are labels, unless they are BIDS subjects), a manifest (.csv, .jsonl), a recording, a file of
            trials (-epo.fif, .npz), or an open set (`antiphon data list`); or several of these.
        test: the same for the test set.
        layout: tuh_abnormal, or auto: as it comes.
        layout_options: for the layout's reader.
        input_spec: what an encoder expects; it then decides channels, preparation, window and events.
        channels: names of the channels to read; None: those that most recordings have ("strict"), that all have ("subset"), or
            of the recording with most ("interpolate").
        on_mismatch: what if a recording lacks some: "strict" leaves it out, "subset" does without, "interpolate" makes them of
            others.
        unit: of the numbers in the files; "auto" finds volts that are microvolts.
        preparation: what is done to the signals, see `Preparation`.
        window_s: length of an example.
        hop_s: from one window to the next, where they stand side by side; None: `window_s`.
        span_s: the part of every recording that counts, in seconds; None: to its end.
        windows: "random" (one a recording, another in every epoch) or "all".
        events: annotation -> label, or annotations: the examples are trials, which begin `start_s` after them.
        start_s: see `events`.
        label: the column of labels; None: none.
        by: the column that is not torn apart (subject, group, path), or "time": the last part of each recording is held out.
        test_share: see above; 0 holds out nothing.
        labelled: insist on one label for every example, and two classes at least.
        in_memory: read everything beforehand (Euclidean alignment does in any case).
        substrings: a batch has a part of each text, drawn anew in every epoch.
        seed: draws what is held out, and the windows.
        name: what the set is called in messages and reports.

    Raises:
        ValueError: nothing given or usable, an unknown layout, a leak between train and test, labels missing where `labelled`.
        FileNotFoundError: a path that does not exist.
    """
    check_on_mismatch(on_mismatch)
    steps = preparation if isinstance(preparation, Preparation) else Preparation.from_dict(preparation or {})
    cut = Cut(window_s, hop_s, events, start_s)
    wanted = None if channels is None else InputSpec(channels=len(channels), names=tuple(channels))
    if input_spec is not None:
        wanted, steps, cut = input_spec, preparation_of(input_spec), _cut_of(input_spec, cut)
    options: dict[str, Any] = {
        "on_mismatch": on_mismatch,
        "unit": unit,
        "preparation": steps,
        "window_s": cut.window_s,
        "hop_s": cut.hop_s,
        "span_s": tuple(span_s),
        "windows": windows,
        "events": cut.events,
        "start_s": cut.start_s,
        "substrings": substrings,
        "seed": seed,
    }

    def opened(source: Root | Sequence[Root], how: str) -> Manifest:
        return _open_all(source, how, layout_options or {})

    if _holds_trials(root):
        spec = input_spec or replace(wanted or InputSpec(channels=0), preparation=steps.to_dict())
        parts = _trials(root, test, spec, on_mismatch, unit, by=by, test_share=test_share, seed=seed)
        return _checked(parts, labelled)
    manifests = _parts(root, test, layout, opened, test_share=test_share, by=by, seed=seed)
    if labelled and cut.events is None:
        check_labels(manifests, label)
    names = class_names(manifests, label) if cut.events is None else ()
    label = label if names else None
    in_time = test is None and manifests[1] is None and test_share > 0 and not any(row.split for row in manifests[0])

    def make(
        part: Manifest, kind: str, fit: InputSpec | None, classes: Sequence[str], subjects: Sequence[str] = ()
    ) -> RecordingSet:
        called = f"{name} {kind}" if name else part.name
        return RecordingSet.from_manifest(
            part, wanted=fit, label=label, classes=classes or None, subjects=subjects, name=called, **options
        )

    train: RecordingSet = make(manifests[0], "train", wanted, names)
    held_out = None if manifests[1] is None else make(manifests[1], "test", train.input_spec, train.classes, train.subject_names)
    if in_time:
        train, held_out = split_in_time(train, test_share)
    if in_memory or steps.align:
        return train.in_memory(), None if held_out is None else held_out.in_memory()
    return train, held_out


def read(path: Root, *, input_spec: InputSpec | None = None, on_mismatch: OnMismatch = "strict", unit: Unit = "auto") -> EEGSet:
    """One recording, or all of a folder or manifest, to be embedded: each is one example, the mean of its windows.

    A file of trials gives one example a trial. `input_spec` is what the encoder expects.

    Raises:
        RecordingError: a single file that cannot be used. Those of a folder or manifest are listed and left out.
        ValueError: nothing usable.
    """
    if is_epoch_file(path):
        found = read_epochs(path, unit=unit)
        return found if input_spec is None else found.fit_to(input_spec, on_mismatch=on_mismatch)
    cut = Cut() if input_spec is None else _cut_of(input_spec, Cut())
    path = Path(path).expanduser()
    manifest = _open_all(path, "auto", {})
    if input_spec is not None and preparation_of(input_spec).align:
        raise ValueError(
            f"the encoder expects aligned trials, {path.name} is a recording: give events to `load`, or a file of trials"
        )
    return RecordingSet.from_manifest(
        manifest,
        wanted=input_spec,
        on_mismatch=on_mismatch,
        unit=unit,
        window_s=cut.window_s,
        hop_s=cut.hop_s,
        label="label" if all(len(row.labels) == 1 for row in manifest) else None,
    )


def _cut_of(spec: InputSpec, otherwise: Cut) -> Cut:
    """How an encoder's examples were cut, as far as its contract says."""
    told = spec.preparation
    window_s = told.get("window_s", otherwise.window_s)
    if spec.window is not None and spec.sample_rate:
        window_s = spec.window / spec.sample_rate
    return Cut(
        window_s, told.get("hop_s", otherwise.hop_s), otherwise.events or told.get("events"), told.get("start_s", otherwise.start_s)
    )


def _parts(root: Any, test: Any, layout: str, opened: Callable[[Any, str], Manifest], **how: Any) -> Parts:
    """As `manifest_parts`, but one recording, or by="time", stays whole: it is split in time later."""
    in_time = how["by"] == "time"
    how["by"] = None if in_time else how["by"]
    if root is None or test is not None or not how["test_share"]:
        return manifest_parts(root, test, layout, opened, **how)
    whole = opened(root, layout)
    groups = {row.group or row.path for row in whole}
    if in_time or (len(groups) < 2 and not any(row.split for row in whole)):
        return whole, None
    return manifest_parts(root, None, layout, lambda *_: whole, **how)


def _open_all(roots: Root | Sequence[Root], layout: str, options: Mapping[str, Any]) -> Manifest:
    """One manifest of all that `roots` names; a row without a group has its subject for one."""
    if not isinstance(roots, str | Path):
        found = [_open_all(root, layout, options) for root in roots]
        return Manifest(tuple(row for part in found for row in part), " + ".join(part.name for part in found))
    manifest = _open(roots, layout, options)
    return replace(manifest, rows=tuple(replace(row, group=row.group or row.value("subject")) for row in manifest))


def _open(root: Root, layout: str, options: Mapping[str, Any]) -> Manifest:
    path = Path(root).expanduser()
    if layout != "auto":
        if layout not in LAYOUTS:
            raise ValueError(f"unknown layout {layout!r}: use auto, {', '.join(LAYOUTS)}")
        return LAYOUTS[layout](path, **options)
    if path.exists() or path.suffix or len(path.parts) > 1:
        bids = path.is_dir() and any(path.glob("sub-*"))
        found = list_recordings(path, labelled=False if bids else None)
        return replace(found, rows=tuple(_with_bids_subject(row) for row in found))
    from antiphon.common.data.open_data import SOURCES, open_manifest

    if str(root) not in {source.name for source in SOURCES}:
        raise FileNotFoundError(f"no folder, manifest or open set {str(root)!r}: `antiphon data list` names the open sets")
    return open_manifest(str(root))


def _with_bids_subject(row: Row) -> Row:
    """BIDS calls the folders of its subjects sub-NAME."""
    subject = next((part.removeprefix("sub-") for part in Path(row.path).parent.parts if part.startswith("sub-")), None)
    return row if subject is None or "subject" in row.extra else replace(row, extra={**row.extra, "subject": subject})


def _holds_trials(root: Root | Sequence[Root] | None) -> bool:
    if isinstance(root, str | Path):
        path = Path(root)
        if is_epoch_file(path):
            return True
        return not path.suffix and not path.exists() and len(path.parts) == 1 and all(map(is_epoch_file, _open_paths(root)))
    return bool(root) and all(_holds_trials(one) for one in root or ())


def _open_paths(root: Root) -> list[str]:
    return [row.path for row in _open(root, "auto", {})]


def _trials(
    root: Any,
    test: Any,
    spec: InputSpec,
    on_mismatch: OnMismatch,
    unit: Unit,
    *,
    by: str | None,
    test_share: float,
    seed: int,
) -> tuple[EpochSet, EpochSet | None]:
    """Trials from files, split, and prepared as far as trials can be; each part is aligned by itself."""

    def opened(source: Any) -> EpochSet:
        roots = [source] if isinstance(source, str | Path) else source
        paths = [path for one in roots for path in ([one] if is_epoch_file(one) else _open_paths(one))]
        if len(paths) > 1:
            raise ValueError(f"{len(paths)} files of trials: join them (mne.concatenate_epochs), with a column for the subject")
        return read_epochs(paths[0], unit=unit)

    whole = opened(root)
    train, held_out = split_trials(whole, 0.0 if test is not None else test_share, by=by, seed=seed)
    if test is not None:
        held_out = opened(test).with_classes(whole.classes).with_subjects(whole.subject_names)
    fitted = train.fit_to(spec, on_mismatch=on_mismatch)
    return fitted, None if held_out is None else held_out.fit_to(spec, on_mismatch=on_mismatch)


def _checked(parts: tuple[EpochSet, EpochSet | None], labelled: bool) -> tuple[EpochSet, EpochSet | None]:
    labels = parts[0].labels
    if labelled and (labels is None or len(np.unique(labels)) < 2):
        raise ValueError(f"{parts[0].name} has no labels of two classes: a probe needs them")
    return parts
