"""Recordings as a train and a test set: somebody's folder, a manifest, a public collection, an open set by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from antiphon.common.data.audio_set import AudioSet
from antiphon.common.data.manifest import Manifest, Row, read_manifest, sorted_names
from antiphon.common.data.quarantine import Quarantine, tell, usable
from antiphon.common.data.shards import ShardSet
from antiphon.common.data.splits import check_disjoint, group_column, split
from antiphon.common.data.trimming import trim_silence
from antiphon.common.encoder import InputSpec
from antiphon.common.signal.io import AudioError, check_audio

Parts = tuple[Manifest, Manifest | None]
Root = str | Path
Layouts = Mapping[str, Callable[[Path], Manifest]]


def load_recordings(
    root: Root | Sequence[Root] | None,
    test: Root | Sequence[Root] | None = None,
    *,
    layouts: Layouts,
    sample_rate: int,
    layout: str = "auto",
    input_spec: InputSpec | None = None,
    channels: Literal["mono"] | int = "mono",
    duration_s: float = 10.0,
    short: Literal["pad", "repeat", "skip"] = "pad",
    label: str | None = "label",
    by: str | None = None,
    test_share: float = 0.3,
    labelled: bool = False,
    decode: bool = False,
    cache: bool = False,
    mixed_shards: int | None = None,
    trim_db: float | None = None,
    bandwidth_hz: float | None = None,
    shortest_s: float = 0.0,
    seed: int = 0,
    name: str = "",
) -> tuple[AudioSet, AudioSet | None]:
    """A training set of random windows, one a recording and epoch, and a test set or None.

    Unusable files are listed and left out; the training set's `quarantine` has those of all that was opened.

    Where the recordings have official parts (a manifest's `split` column, a collection's lists), these are train and test; a
    validation part is left out of both. Otherwise `test` is another folder or manifest, or a share is held out without tearing a
    group apart. A test recording, or its group, that is in the training set too is refused, except in lists as they are published.

    Args:
        root: a folder of audio files (sub-folders are labels), a manifest (.csv, .jsonl), or an open set (`antiphon data list`); or
            several of these, which become one set.
        test: the same for the test set.
        layouts: name -> reader of the collections that the domain knows; one called "auto" reads what has no other layout.
        sample_rate: in Hz; recordings of another rate are resampled.
        layout: how the collection in `root` lies, one of `layouts`; or auto: as it comes.
        input_spec: what an encoder expects; it then decides `sample_rate`, `channels` and the window.
        channels: "mono" mixes down; a number takes only recordings with so many.
        duration_s: the window that views are cropped from.
        short: what becomes of recordings shorter than that: "pad", "repeat" or "skip".
        label: the column of labels; None: none.
        by: the column of groups that are not torn apart; None: group, speaker or path, the first that is there.
        test_share: see above; 0 holds out nothing.
        labelled: insist on one label for every recording, and two classes at least.
        decode: read every file whole before training, which finds damage in the middle of one.
        cache: keep decoded recordings in memory.
        mixed_shards: recordings that `antiphon data pack` wrote are visited shard by shard, so many at a time; None: in any order.
        trim_db: silence at either end of a recording, this much below its loudest 20 ms, is left out; None: nothing is.
        bandwidth_hz: what lies above is taken away; None: nothing. An encoder that learns from the set remembers both.
        shortest_s: recordings that are shorter, trimmed, are left out and listed.
        seed: draws the recordings that are held out, and the windows.
        name: what the set is called in messages and reports.

    Raises:
        ValueError: nothing given or usable, an unknown layout, a leak between train and test, labels missing where `labelled`.
        FileNotFoundError: a path that does not exist.
    """
    window = None if input_spec is None else input_spec.window
    rate, kept = _format(input_spec, sample_rate, channels)
    needed = 1 if short != "skip" else (round(duration_s * rate) if window is None else window)
    needed = max(needed, round(shortest_s * rate))
    left_out = Quarantine()

    def open_usable(source: Root | Sequence[Root], how: str) -> Manifest:
        nonlocal left_out
        found = open_recordings(source, how, layouts)  # before any split, so that the shares are those of what is left
        number = None if kept == "mono" else kept
        found, bad = usable(found, rate, 1 if trim_db else needed, number, on_error="quarantine", decode=decode)
        if trim_db:
            found, silent = _without_silence(found, trim_db)
            bad += silent
            found, short_ones = usable(found, rate, needed, number, on_error="quarantine", decode=False)
            bad += short_ones
        left_out = Quarantine(left_out.entries + bad.entries, left_out.total + bad.total)
        return found

    manifests = manifest_parts(root, test, layout, open_usable, test_share=test_share, by=by, seed=seed)
    if labelled:
        check_labels(manifests, label)
    several = label == "label" and any(len(row.labels) > 1 for part in manifests if part for row in part)
    names = class_names(manifests, label)

    make = AudioSet.from_manifest if mixed_shards is None else partial(ShardSet.from_manifest, mixed=mixed_shards)

    def audio_set(part: Manifest, kind: str) -> AudioSet:
        return make(
            part,
            sample_rate=rate,
            duration_s=duration_s if window is None else None,
            window=window,
            short=short,
            channels=kept,
            label=label if names else None,
            multi_label=several,
            classes=names or None,
            group=by,
            cache=cache,
            bandwidth_hz=bandwidth_hz,
            seed=seed,
            name=f"{name} {kind}" if name else part.name,
        )

    train, held_out = manifests
    preparation = {name: value for name, value in (("trim_db", trim_db), ("bandwidth_hz", bandwidth_hz)) if value}
    told = InputSpec(channels=1 if kept == "mono" else kept, sample_rate=rate, preparation=preparation) if preparation else None
    learnt = replace(audio_set(train, "train"), quarantine=left_out, input_spec=told)
    return learnt, None if held_out is None else audio_set(held_out, "test")


def read_recordings(path: Root, *, sample_rate: int, input_spec: InputSpec | None = None) -> AudioSet:
    """One audio file, or all of a folder or manifest, to be embedded: each recording is one example, the mean of its windows.

    An encoder that is bound to a rate (`input_spec`) has it its way; others get `sample_rate` in Hz. Silence is trimmed, and the
    bandwidth limited, as it was in what the encoder learnt from.

    Raises:
        AudioError: a single file that cannot be used. Those of a folder or manifest are listed and left out.
        ValueError: nothing usable.
    """
    path = Path(path).expanduser()
    single = path.is_file() and path.suffix.lower() not in (".csv", ".jsonl")
    manifest = Manifest((Row(str(path), info=check_audio(path)),), path.stem) if single else read_manifest(path)
    rate, channels = _format(input_spec, sample_rate, "mono")
    window, preparation = (None, {}) if input_spec is None else (input_spec.window, input_spec.preparation)
    silent = Quarantine()
    if preparation.get("trim_db"):
        manifest, silent = _without_silence(manifest, preparation["trim_db"], single=single)
    found = AudioSet.from_manifest(
        manifest,
        sample_rate=rate,
        duration_s=10.0 if window is None else None,
        window=window,
        channels=channels,
        label="label" if all(len(row.labels) == 1 for row in manifest) else None,
        on_error="quarantine",
        bandwidth_hz=preparation.get("bandwidth_hz"),
    )
    entries = silent.entries + found.quarantine.entries
    return replace(found, quarantine=Quarantine(entries, silent.total or found.quarantine.total))


def _without_silence(manifest: Manifest, trim_db: float, *, single: bool = False) -> tuple[Manifest, Quarantine]:
    """`trim_silence`, with an error where nothing is left, and an account where something is not."""
    kept, silent = trim_silence(manifest, below_db=trim_db)
    if silent and single:
        raise AudioError(*silent.entries[0])
    if not len(kept):
        raise ValueError(f"{manifest.name}: {silent}")
    tell(manifest.name, silent)
    return kept, silent


def _format(spec: InputSpec | None, sample_rate: int, channels: Literal["mono"] | int) -> tuple[int, Literal["mono"] | int]:
    """The sampling rate in Hz and the channels that recordings are read with."""
    if spec is None:
        return sample_rate, channels
    return int(spec.sample_rate or sample_rate), "mono" if spec.channels == 1 else spec.channels


def manifest_parts(
    root: Root | Sequence[Root] | None,
    test: Root | Sequence[Root] | None,
    layout: str,
    opened: Callable[[Root | Sequence[Root], str], Manifest],
    *,
    test_share: float,
    by: str | None,
    seed: int,
) -> Parts:
    """Train and test rows as `load_recordings` describes; `opened` makes a manifest of a root and a layout.

    Raises:
        ValueError: nothing given, a split column without train, or a leak between train and test.
    """
    if root is None or (isinstance(root, Sequence) and not root):
        raise ValueError("no recordings given: data.root=FOLDER, a manifest, or an open set by name (`antiphon data list`)")
    whole = opened(root, layout)
    if test is not None:
        held_out = opened(test, "auto")
        check_disjoint(whole, held_out, by="path")
        if by is not None:
            check_disjoint(whole, held_out, by=by)
        return whole, held_out
    if any(row.split for row in whole):
        learnt, kept = (_with_split(whole, name) for name in ("train", "test"))
        if learnt is None:
            found = ", ".join(sorted({row.split or "(empty)" for row in whole}))
            raise ValueError(f"{whole.name} has a column split with {found}, but no row of it says train: name that part train")
        if layout == "auto" and kept is not None:
            check_disjoint(learnt, kept, by=by or group_column(whole))
        return learnt, kept
    if not test_share:
        return whole, None
    halves = split(whole, fractions={"train": 1 - test_share, "test": test_share}, by=by, seed=seed)
    return halves["train"], halves["test"]


def _with_split(whole: Manifest, name: str) -> Manifest | None:
    rows = [number for number, row in enumerate(whole) if row.split == name]
    return whole.take(rows, name=f"{whole.name} {name}") if rows else None


def open_recordings(roots: Root | Sequence[Root], layout: str = "auto", layouts: Layouts = MappingProxyType({})) -> Manifest:
    """One manifest of all that `roots` names; `layout` and `layouts` as in `load_recordings`.

    Raises:
        ValueError: an unknown layout.
        FileNotFoundError: a path that does not exist.
    """
    if isinstance(roots, str | Path):
        return _open(roots, layout, layouts)
    found = [_open(root, layout, layouts) for root in roots]
    return Manifest(tuple(row for part in found for row in part), " + ".join(part.name for part in found))


def _open(root: Root, layout: str, layouts: Layouts) -> Manifest:
    path = Path(root).expanduser()
    if layout in layouts:
        return layouts[layout](path)
    if layout != "auto":
        raise ValueError(f"unknown layout {layout!r}: use {', '.join(dict.fromkeys(('auto', *layouts)))}")
    if path.exists() or path.suffix or len(path.parts) > 1:
        return read_manifest(path)
    from antiphon.common.data.open_data import SOURCES, open_manifest

    if str(root) not in {source.name for source in SOURCES}:
        raise FileNotFoundError(f"no folder, manifest or open set {str(root)!r}: `antiphon data list` names the open sets")
    return open_manifest(str(root))


def _labels(row: Row, label: str | None) -> Sequence[str]:
    if label is None:
        return ()
    value = None if label == "label" else row.value(label)
    return row.labels if label == "label" else [value] if value else []


def class_names(manifests: Parts, label: str | None) -> tuple[str, ...]:
    """The labels of both parts; none where not every recording has one."""
    rows = [row for part in manifests if part for row in part]
    tags = label == "label" and any(len(row.labels) > 1 for row in rows)
    if not tags and not all(_labels(row, label) for row in rows):
        return ()
    return sorted_names(name for row in rows for name in _labels(row, label))


def check_labels(manifests: Parts, label: str | None) -> None:
    """Raise a ValueError unless every row has one label, of two classes at least."""
    for part in manifests:
        bare = [row.path for row in part or () if len(_labels(row, label)) != 1]
        if part and bare:
            raise ValueError(
                f"{part.name}: {len(bare)} of {len(part)} recordings do not have exactly one label (first: {bare[0]}): put the "
                "files of each class into a sub-folder of its own, or give a manifest with a column `label`"
            )
    if len(class_names(manifests, label)) < 2:
        raise ValueError(f"{manifests[0].name} has fewer than two classes: a probe needs at least two")
