"""A set of recordings on disk, of which a batch reads the windows it needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from antiphon.common.data.batch import SignalBatch
from antiphon.common.data.codes import group_codes, label_codes
from antiphon.common.data.manifest import Manifest, read_manifest
from antiphon.common.data.quarantine import OnError, Quarantine, usable
from antiphon.common.data.windows import Partial, Short, Windows, centre_start, fit, random_starts, tile_starts
from antiphon.common.encoder import InputSpec
from antiphon.common.signal.io import AudioError, read_audio
from antiphon.common.signal.resample import limit_bandwidth

Evaluation = Literal["tile", "centre"]
Channels = Literal["mono"] | int
_FILTER_REACH = 256  # samples at twice the bandwidth that its filter depends on, either side
DRAWN = -1  # a start that is drawn anew in every epoch


@dataclass(frozen=True, eq=False)
class AudioSet:
    """Windows of recordings. Made by `from_manifest`; files are opened when a batch asks for them, in whichever process.

    `window` samples at `sample_rate` are one example: example i lies in row `rows[i]` of `manifest`, and begins `starts[i]` samples
    into it (`DRAWN`: at a place drawn from (seed, epoch, i)). `labels` (n,) int64 in order of `classes`, or (n, classes) float32 of
    zeros and ones where rows have several labels, or None. `groups` (n,) int64, or None. `quarantine` says what was left out.
    `input_spec` is what an encoder that learns from the set shall remember of it.
    """

    manifest: Manifest
    sample_rate: int
    window: int
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    windows: Windows = "random"
    evaluation: Evaluation = "tile"
    short: Short = "pad"
    partial: Partial = "drop"
    channels: Channels = "mono"
    seed: int = 0
    labels: NDArray[Any] | None = None
    classes: tuple[str, ...] = ()
    groups: NDArray[np.int64] | None = None
    name: str = ""
    quarantine: Quarantine = field(default_factory=Quarantine)
    cache: tuple[Tensor, ...] | None = None
    bandwidth_hz: float | None = None
    input_spec: InputSpec | None = None

    @classmethod
    def from_manifest(
        cls,
        manifest: Manifest | str | Path,
        *,
        sample_rate: int,
        duration_s: float | None = None,
        window: int | None = None,
        windows: Windows = "random",
        evaluation: Evaluation = "tile",
        short: Short = "pad",
        partial: Partial = "drop",
        channels: Channels = "mono",
        label: str | None = "label",
        multi_label: bool | None = None,
        classes: Sequence[str] | None = None,
        group: str | None = None,
        on_error: OnError = "raise",
        decode: bool = False,
        cache: bool = False,
        bandwidth_hz: float | None = None,
        seed: int = 0,
        name: str = "",
    ) -> Self:
        """A set from a manifest, or the path of one (see `read_manifest`).

        Args:
            manifest: the recordings. Rows without `info` are checked here: each file is opened once.
            sample_rate: in Hz; other rates are resampled on reading.
            duration_s: length of a window, or `window` in samples.
            window: see `duration_s`.
            windows: "random" (one window a row, another one in every epoch), "centre" (its middle), or "all" (its windows side by
                side, each an example).
            evaluation: what stands for a row when the set is embedded: the mean over all its windows ("tile"), or its middle
                ("centre"). With windows="all" each window is embedded by itself.
            short: what becomes of a recording shorter than a window: "pad" with zeros (`lengths` tells), "repeat" it, or "skip" it,
                which puts it into quarantine.
            partial: what becomes of the samples behind the last whole window: "drop", or "pad" (completed as `short` says).
            channels: "mono" mixes down; a number keeps all channels and refuses files that have another number of them.
            label: column of the labels ("label", "speaker", ...), None for a set without. No row with one: no labels.
            multi_label: labels as (n, classes) zeros and ones; None: if a row has several.
            classes: the order of the labels, of a training set for instance; None: the sorted labels.
            group: column of the groups; None: group or speaker, whichever every row has first, else the row where windows="all".
            on_error: "raise" where a recording cannot be used, or "quarantine": leave it out, and print what was left out and why.
            decode: decode every file for the check; otherwise only headers and the last samples are read.
            cache: keep the decoded recordings in memory, 4 bytes a sample: for small sets, where decoding takes most of the time.
            bandwidth_hz: what lies above is taken away, so that recordings of different rates sound alike; None: nothing.
            seed: of random windows.
            name: in messages and reports; "" takes the manifest's.

        Raises:
            ValueError: recordings that cannot be used (on_error="raise"), none that can, labels or groups on some rows only, an
                unknown policy, or a window that is not given once.
        """
        _check_policies(windows=(windows, Windows), short=(short, Short), partial=(partial, Partial))
        _check_policies(evaluation=(evaluation, Evaluation), on_error=(on_error, OnError))
        manifest = manifest if isinstance(manifest, Manifest) else read_manifest(manifest)
        manifest = replace(manifest, name=name or manifest.name)
        size = _window(sample_rate, duration_s, window)
        shortest = size if short == "skip" else 1
        manifest, quarantine = usable(
            manifest, sample_rate, shortest, None if channels == "mono" else channels, on_error=on_error, decode=decode
        )
        codes, names = label_codes(manifest, label, several=multi_label, classes=classes)
        groups, rows = group_codes(manifest, group), np.arange(len(manifest))
        made = cls(
            manifest=manifest,
            sample_rate=sample_rate,
            window=size,
            rows=rows,
            starts=np.full(len(manifest), DRAWN),
            windows=windows,
            evaluation=evaluation,
            short=short,
            partial=partial,
            channels=channels,
            seed=seed,
            labels=codes,
            classes=names,
            groups=rows if groups is None and windows == "all" else groups,
            name=manifest.name,
            quarantine=quarantine,
            bandwidth_hz=bandwidth_hz,
        )
        made = replace(made, cache=tuple(made.recording(row) for row in rows.tolist())) if cache else made
        return made if windows == "random" else made._fixed(tile=windows == "all")[0]

    def __len__(self) -> int:
        return len(self.rows)

    def recording(self, row: int, *, start: int = 0, size: int | None = None) -> Tensor:
        """Waves (C, T) of a row of the manifest: `size` samples from `start` on, or what there is of them (None: to its end).

        Raises:
            AudioError: damage that the check of the headers did not see.
        """
        if self.cache is not None:
            return self.cache[row][:, start : None if size is None else start + size]
        begin, length = self.manifest.rows[row].span(self.sample_rate)
        count = length - start if size is None else min(size, length - start)
        first, last = start, start + count
        if self.bandwidth_hz is not None:  # its filter hears a little more, and samples of the lower rate stay where they are
            lower = max(1, round(2 * self.bandwidth_hz))
            reach = math.ceil(_FILTER_REACH * self.sample_rate / lower)
            block = self.sample_rate // math.gcd(self.sample_rate, lower)
            first, last = max(0, start - reach) // block * block, min(length, start + count + reach)
        try:
            waves, _ = read_audio(
                self.manifest.rows[row].path,
                start_s=(begin + first) / self.sample_rate,
                duration_s=(last - first) / self.sample_rate,
                sample_rate=self.sample_rate,
                mono=self.channels == "mono",
            )
        except AudioError as error:
            remedy = "check the set with decode=true to find such files before training"
            raise AudioError(error.path, f"{error.reason}; {remedy}") from error
        if self.bandwidth_hz is None:
            return waves
        return limit_bandwidth(waves, self.sample_rate, self.bandwidth_hz)[:, start - first : start - first + count]

    def batch(self, index: ArrayLike, *, epoch: int = 0) -> SignalBatch:
        """The windows of examples `index` (B,): signals (B, C, window), texts where the rows have any.

        Labels stand under "label" (B,) int64, or, where rows have several, under "labels" (B, classes) float32.
        """
        chosen = np.asarray(index, np.int64)
        rows, starts = self.rows[chosen], self.starts[chosen]
        if (starts == DRAWN).any():
            lengths = torch.tensor([self.manifest.rows[row].span(self.sample_rate)[1] for row in rows.tolist()])
            drawn = random_starts(lengths, self.window, seed=self.seed, epoch=epoch, index=torch.from_numpy(chosen)).numpy()
            starts = np.where(starts == DRAWN, drawn, starts)
        pieces = [
            fit(self.recording(row, start=start, size=self.window), self.window, short=self.short)
            for row, start in zip(rows.tolist(), starts.tolist(), strict=True)
        ]
        texts = [self.manifest.rows[row].text for row in rows.tolist()]
        labels = None if self.labels is None else torch.from_numpy(self.labels[chosen])
        return SignalBatch(
            signals=torch.stack([waves for waves, _ in pieces]),
            lengths=torch.tensor([size for _, size in pieces]),
            index=torch.from_numpy(chosen),
            labels={} if labels is None else {"label" if labels.ndim == 1 else "labels": labels},
            texts=[text or "" for text in texts] if any(texts) else None,
            groups=None if self.groups is None else torch.from_numpy(self.groups[chosen]),
        )

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
        """The windows that stand for the examples in evaluation, as a set, and the example (m,) that each belongs to."""
        if self.windows == "all":
            return self, np.arange(len(self))
        windows, owners = self._fixed(tile=self.evaluation == "tile")
        return replace(windows, windows="all"), owners

    def _fixed(self, *, tile: bool) -> tuple[Self, NDArray[np.int64]]:
        """All windows of each example's row, or its middle one, and the example that each belongs to."""
        lengths = [self.manifest.rows[row].span(self.sample_rate)[1] for row in self.rows.tolist()]
        if tile:
            starts = [tile_starts(length, self.window, partial=self.partial) for length in lengths]
        else:
            starts = [np.asarray([centre_start(length, self.window)]) for length in lengths]
        owners = np.repeat(np.arange(len(starts)), [len(one) for one in starts])
        return replace(self.subset(owners), starts=np.concatenate(starts)), owners


def _check_policies(**policies: tuple[str, Any]) -> None:
    for what, (value, known) in policies.items():
        if value not in get_args(known):
            raise ValueError(f"{what} must be one of {', '.join(get_args(known))}, got {value!r}")


def _window(sample_rate: int, duration_s: float | None, window: int | None) -> int:
    if (duration_s is None) == (window is None):
        raise ValueError(f"give the window either as duration_s or as window in samples, got {duration_s} and {window}")
    size = round((duration_s or 0.0) * sample_rate) if window is None else window
    if size < 1:
        raise ValueError(f"a window must have at least 1 sample, got {size} (duration_s={duration_s} at {sample_rate} Hz)")
    return size
