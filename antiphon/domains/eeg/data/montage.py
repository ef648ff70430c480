"""Montages: where electrodes are, and how the channels that an encoder wants come from those that a recording has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from antiphon.common.encoder import InputSpec
from antiphon.domains.eeg.data.names import canonical_names

OnMismatch = Literal["strict", "subset", "interpolate"]
TEMPLATES = ("colin27_1005", "standard_1005")  # mne 1.13 renamed the second to the first
_FEWEST = 4  # electrodes that a sphere is determined by


@cache
def template_positions() -> dict[str, tuple[float, float, float]]:
    """Where mne's template head has the electrodes of the 10-05 system: name -> (x right, y front, z up) in metres."""
    try:
        import mne
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"EEG needs {error.name}: pip install 'antiphon[eeg]'", name=error.name) from error
    name = next(name for name in TEMPLATES if name in mne.channels.get_builtin_montages())
    found = mne.channels.make_standard_montage(name).get_positions()["ch_pos"]
    return {electrode: tuple(float(value) for value in place) for electrode, place in found.items()}  # type: ignore[misc]


def standard_positions(names: Sequence[str]) -> tuple[tuple[float, float, float], ...] | None:
    """`template_positions` of these channels, whatever their spelling; None if one of them is not in the template."""
    template = template_positions()
    known = canonical_names(names)
    return tuple(template[name] for name in known) if all(name in template for name in known) else None


@dataclass(frozen=True, eq=False)
class ChannelMap:
    """How wanted channels come from a recording: `apply(recording[picks])`.

    `picks` (P,) are channels of the recording, `matrix` (C, P) makes the wanted ones of them (None: they are them). `present` (C,)
    says which of the wanted ones the recording has; `interpolated` names those that are made of their neighbours.
    """

    names: tuple[str, ...]
    picks: NDArray[np.int64]
    present: NDArray[np.bool_]
    matrix: NDArray[np.float64] | None = None
    interpolated: tuple[str, ...] = ()

    @property
    def absent(self) -> tuple[str, ...]:
        """The wanted channels that are zeros, since the recording lacks them (on_mismatch="subset")."""
        return tuple(
            name for name, there in zip(self.names, self.present, strict=True) if not there and name not in self.interpolated
        )

    def apply(self, signals: NDArray[Any]) -> NDArray[Any]:
        """(P, T) -> (C, T)."""
        return signals if self.matrix is None else self.matrix @ signals


def check_on_mismatch(on_mismatch: str) -> None:
    """Raise a ValueError for a word that is none of `OnMismatch`, before it looks like a fault of the files."""
    if on_mismatch not in get_args(OnMismatch):
        raise ValueError(f"unknown on_mismatch {on_mismatch!r}: use one of {', '.join(get_args(OnMismatch))}")


def map_channels(
    wanted: Sequence[str],
    available: Sequence[str],
    *,
    on_mismatch: OnMismatch = "strict",
    positions: ArrayLike | None = None,
    available_positions: ArrayLike | None = None,
) -> ChannelMap:
    """How the channels `wanted` come from those `available`; names are compared as `canonical_name` spells them.

    Further channels of the recording are left out. Where wanted ones are missing:
    "strict" raises; "subset" leaves them empty (zeros behind the reference, in which they do not take part), so that an encoder
    uses the channels that both have; "interpolate" makes them of the others by spherical splines, which needs positions of all.

    Args:
        wanted: the names that an encoder expects, in its order.
        available: the names of a recording.
        on_mismatch: see above.
        positions: (len(wanted), 3) in metres; None: those of the template.
        available_positions: (len(available), 3), in the same frame; None: those of the template.

    Raises:
        ValueError: channels are missing ("strict"), more than half of them are, or there are no positions to interpolate by.
    """
    check_on_mismatch(on_mismatch)
    names, given = canonical_names(wanted), canonical_names(available)
    place = {name: number for number, name in enumerate(given)}
    present = np.asarray([name in place for name in names])
    missing = [name for name in names if name not in place]
    if not missing:
        return ChannelMap(names, np.asarray([place[name] for name in names]), present)
    told = f"{len(missing)} of {len(names)} channels are missing: {_listed(missing)}; it has {_listed(given)}"
    if 2 * len(missing) > len(names):
        raise ValueError(f"{told}. That is more than half of them: use a recording with more of these electrodes")
    if on_mismatch == "strict":
        raise ValueError(
            f"{told}. Give on_mismatch='interpolate' (spherical splines) or 'subset' (without them); in a command that is "
            "--on-mismatch, in training data.on_mismatch"
        )
    if on_mismatch == "subset":
        picks = np.asarray([place[name] for name in names if name in place])
        return ChannelMap(names, picks, present, np.eye(len(names))[:, present])
    picks, sources = _sources(given, available_positions, told)
    targets = standard_positions(names) if positions is None else positions
    if targets is None:
        raise ValueError(f"{told}. There are no positions of {_listed(names)} to interpolate by: use 'subset'")
    matrix = spline_matrix(sources, np.asarray(targets))
    for row, name in enumerate(names):
        if name in place:
            matrix[row] = picks == place[name]
    return ChannelMap(names, picks, present, matrix, tuple(missing))


def _sources(given: tuple[str, ...], positions: ArrayLike | None, told: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The channels whose positions are known, and these."""
    if positions is not None:
        return np.arange(len(given)), np.asarray(positions, np.float64)
    template = template_positions()
    picks = [number for number, name in enumerate(given) if name in template]
    if len(picks) < _FEWEST:
        raise ValueError(f"{told}. The positions of only {len(picks)} are known, {_FEWEST} are due: use 'subset'")
    return np.asarray(picks), np.asarray([template[given[number]] for number in picks])


def _listed(names: Sequence[str], limit: int = 24) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def spline_matrix(
    sources: NDArray[np.float64], targets: NDArray[np.float64], *, terms: int = 50, smoothing: float = 1e-5
) -> NDArray[np.float64]:
    """(M, N): potentials at `targets` (M, 3) as sums of those at `sources` (N, 3), by spherical splines of order 4.

    Perrin, Pernier, Bertrand & Echallier, Electroencephalography and Clinical Neurophysiology 72, 1989. Positions are put on the
    sphere that fits them all best. A constant potential stays the same constant.

    Raises:
        ValueError: fewer than four sources.
    """
    if len(sources) < _FEWEST:
        raise ValueError(f"spherical splines need {_FEWEST} electrodes at least, got {len(sources)}")
    centre = _sphere_centre(np.concatenate((sources, targets)))
    near, far = (_unit(places - centre) for places in (sources, targets))
    kernel = _spline(near @ near.T, terms) + smoothing * np.eye(len(near))
    # Weights that sum to zero, plus a constant: the bordered system of equations (3) and (4).
    system = np.block([[kernel, np.ones((len(near), 1))], [np.ones((1, len(near))), np.zeros((1, 1))]])
    solved = np.linalg.pinv(system)[:, :-1]
    return np.concatenate((_spline(far @ near.T, terms), np.ones((len(far), 1))), axis=1) @ solved


def _unit(places: NDArray[np.float64]) -> NDArray[np.float64]:
    return places / np.linalg.norm(places, axis=1, keepdims=True)


def _sphere_centre(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares of |p|^2 = 2 c.p + k."""
    design = np.concatenate((2 * places, np.ones((len(places), 1))), axis=1)
    centre: NDArray[np.float64] = np.linalg.lstsq(design, (places**2).sum(axis=1), rcond=None)[0][:3]
    return centre


def _spline(cosine: NDArray[np.float64], terms: int, order: int = 4) -> NDArray[np.float64]:
    """g(x) = 1 / (4 pi) * sum over n of (2 n + 1) / (n (n + 1))^order * P_n(x)."""
    n = np.arange(1, terms + 1)
    return np.polynomial.legendre.legval(cosine, np.concatenate(([0.0], (2 * n + 1) / (n * (n + 1.0)) ** order))) / (4 * np.pi)


def spec_positions(spec: InputSpec) -> tuple[tuple[float, float, float], ...] | None:
    """Where an encoder's electrodes are: as it was saved with, else the template's, else None."""
    if spec.positions is not None or spec.names is None:
        return spec.positions
    return standard_positions(spec.names)
