"""Lists of trials in text files: VoxCeleb's, Kaldi's and NIST's, VOiCES', CN-Celeb's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_SAME = {"1", "target", "tgt", "tar", "true", "same", "yes"}
_OTHER = {"0", "nontarget", "non-target", "imp", "impostor", "imposter", "false", "different", "no"}
_TITLES = {"label", "key", "enroll", "enrol", "enrollment", "enrolment", "test"}  # of columns, where "target" would be a label
_SEPARATORS = re.compile(r"\s*[,\t]\s*|\s+")
_EXPECTED = "expected '1 first.wav second.wav' or 'first.wav second.wav target'"


@dataclass(frozen=True, eq=False)
class TrialList:
    """Trials by name: `names` of the recordings, `first` and `second` (m,) as places in it, `targets` (m,) bool.

    `lines` (m,) are the line numbers in the file called `source`.
    """

    names: tuple[str, ...]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    targets: NDArray[np.bool_]
    lines: NDArray[np.int64]
    source: str

    def __len__(self) -> int:
        return len(self.targets)

    def rows(self, paths: Sequence[str]) -> NDArray[np.int64]:
        """The place in `paths` (n,) of each name, (names,): the path that is the name, or that ends with it.

        Where no path does, one that differs in the ending of the file only will do (.m4a in the list, .wav on disk).

        Raises:
            ValueError: a recording that is not there, with the line that asks for it, or one that is there more than once.
        """
        found = np.full(len(self.names), -1)
        for strip in (False, True):
            wanted = {place: _parts(name, strip) for place, name in enumerate(self.names) if found[place] < 0}
            tails = _tails(paths, {len(parts) for parts in wanted.values()}, strip)
            for place, parts in wanted.items():
                rows = tails.get(parts, [])
                if len(rows) > 1:
                    both = " and ".join(paths[row] for row in rows[:2])
                    raise ValueError(f"{self._where(place)}: {self.names[place]} may be {both}: name more of the path")
                found[place] = rows[0] if rows else -1
        missing = np.flatnonzero(found < 0)
        if len(missing):
            more = f", like {len(missing) - 1} more of its {len(self.names)} recordings" if len(missing) > 1 else ""
            raise ValueError(
                f"{self._where(int(missing[0]))}: {self.names[missing[0]]} is not among the {len(paths)} recordings of the test "
                f"set{more}: give the whole set that the list belongs to"
            )
        return found

    def _where(self, name: int) -> str:
        return f"{self.source}, line {self.lines[np.flatnonzero((self.first == name) | (self.second == name))[0]]}"


def _parts(path: str, strip: bool) -> tuple[str, ...]:
    """The folders and the file of a path, from the file upwards, without the file's ending where `strip` says so."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    if strip and "." in parts[-1]:
        parts[-1] = parts[-1].rpartition(".")[0]
    return tuple(reversed(parts))


def _tails(paths: Sequence[str], depths: set[int], strip: bool) -> dict[tuple[str, ...], list[int]]:
    """Which paths end with which parts, for ends of so many parts."""
    tails: dict[tuple[str, ...], list[int]] = {}
    for row, path in enumerate(paths):
        parts = _parts(path, strip)
        for depth in depths:
            if depth <= len(parts):
                tails.setdefault(parts[:depth], []).append(row)
    return tails


def read_trials(path: str | Path) -> TrialList:
    """Trials from a text file, one a line: a label and two recordings, separated by spaces, tabs or commas.

    The label stands first (VoxCeleb: ``1 id10270/x/00001.wav id10300/y/00002.wav``) or last (Kaldi, NIST: ``a b target``); it is 1
    or 0, target or nontarget, tgt, tar or imp, true or false. The first line may be a header; empty lines do not count, nor those
    that begin with #.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line that is no trial, with its number; no trials.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no trial list {str(path)!r}")
    code: dict[str, int] = {}
    trials: list[tuple[int, int, bool, int]] = []
    label_place: int | None = None
    header_seen = False
    with path.open(encoding="utf-8-sig") as file:
        for line, text in enumerate(file, 1):
            cells = _SEPARATORS.split(text.strip())
            if cells == [""] or cells[0].startswith("#"):
                continue
            if not trials and not header_seen and _TITLES & {cell.lower() for cell in cells}:
                header_seen = True
                continue
            if len(cells) == 3 and label_place is None:
                label_place = next((place for place in (0, 2) if cells[place].lower() in _SAME | _OTHER), None)
            if len(cells) == 3 and label_place is None and not header_seen:
                header_seen = True
                continue
            word = cells[label_place].lower() if len(cells) == 3 and label_place is not None else ""
            if word not in _SAME and word not in _OTHER:
                raise ValueError(f"{path}, line {line}: {_EXPECTED}, got {text.strip()[:80]!r}")
            first, second = cells[1:] if label_place == 0 else cells[:2]
            trials.append((code.setdefault(first, len(code)), code.setdefault(second, len(code)), word in _SAME, line))
    if not trials:
        raise ValueError(f"{path} lists no trials: {_EXPECTED}")
    table = np.asarray(trials, np.int64)
    return TrialList(tuple(code), table[:, 0], table[:, 1], table[:, 2].astype(bool), table[:, 3], str(path))
