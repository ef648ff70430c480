"""The cap turned on the head: signals interpolated by spherical splines at rotated electrodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from antiphon.common.augment.base import Augmentation, Parameters, checked_number
from antiphon.common.augment.noise import observed
from antiphon.common.random import KeyedRandom
from antiphon.domains.eeg.data.montage import standard_positions
from antiphon.domains.eeg.data.names import is_electrode

Axis = Literal["x", "y", "z"]
LEGENDRE_TERMS = 50
STIFFNESS = 4


def spline_kernel(cosines: Tensor) -> Tensor:
    """g(cos angle) of Perrin et al. (1989), of stiffness 4 with 50 Legendre terms, any shape."""
    before, current = torch.ones_like(cosines), cosines  # P_0, P_1
    total = torch.zeros_like(cosines)
    for degree in range(1, LEGENDRE_TERMS + 1):
        total = total + current * ((2 * degree + 1) / (degree**STIFFNESS * (degree + 1) ** STIFFNESS * 4 * math.pi))
        before, current = current, ((2 * degree + 1) * cosines * current - degree * before) / (degree + 1)
    return total


def spline_solver(positions: Tensor, *, regularization: float = 1e-5) -> Tensor:
    """What turns values at `positions` (C, 3), unit vectors, into spline coefficients and a constant: (C + 1, C)."""
    count = len(positions)
    system = positions.new_zeros(count + 1, count + 1)
    system[:count, :count] = spline_kernel(positions @ positions.T) + regularization * torch.eye(count, dtype=positions.dtype)
    system[:count, count] = system[count, :count] = 1.0
    return torch.linalg.pinv(system)[:, :count]


def rotation_matrices(angles_rad: Tensor, axis: Axis) -> Tensor:
    """Right-handed rotations about an axis by `angles_rad` (B,): (B, 3, 3)."""
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    rotations = torch.eye(3, dtype=angles_rad.dtype, device=angles_rad.device).repeat(len(angles_rad), 1, 1)
    rotations[:, first, first] = rotations[:, second, second] = angles_rad.cos()
    rotations[:, second, first] = angles_rad.sin()
    rotations[:, first, second] = -angles_rad.sin()
    return rotations


def _positions_of(names: Sequence[str]) -> tuple[tuple[float, float, float], ...]:
    positions = standard_positions(names)
    if positions is None:
        unknown = ", ".join(name for name in names if not is_electrode(name))
        raise ValueError(f"no standard position for {unknown}: leave the channels out, or pass positions=(channels, 3)")
    return positions


class SensorRotation(Augmentation):
    """Turn the cap by an angle drawn uniformly from -`degrees` .. `degrees` about an axis (Krell & Kim, 2017).

    x points to the right ear, y to the nose, z to the vertex. `positions` (C, 3) in any unit; without them the places that mne's
    template head has for `names` of the 10-05 system. Between electrodes, and beyond them, the potential is that of a spherical
    spline (Perrin et al., 1989), so a montage of few electrodes is blurred. A missing value counts as zero and stays missing.
    """

    def __init__(
        self,
        names: Sequence[str] | None = None,
        *,
        positions: ArrayLike | None = None,
        axis: Axis = "z",
        degrees: float = 15.0,
        p: float = 1.0,
    ) -> None:
        super().__init__(p)
        if axis not in ("x", "y", "z"):
            raise ValueError(f"axis is {axis!r}: use x (to the right ear), y (to the nose) or z (to the vertex)")
        if names is None and positions is None:
            raise ValueError("a rotation needs to know where the electrodes are: give their names, or positions (channels, 3)")
        places = torch.as_tensor(_positions_of(names or ()) if positions is None else positions, dtype=torch.float64)
        if places.ndim != 2 or places.shape[1] != 3 or not bool((places.norm(dim=1) > 0).all()):
            raise ValueError(f"positions must be (channels, 3) and not at the origin, got shape {tuple(places.shape)}")
        self.axis, self.degrees = axis, checked_number("degrees", degrees, least=0.0, most=180.0)
        self.positions = places / places.norm(dim=1, keepdim=True)
        self._solver = spline_solver(self.positions)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`angle_rad` (B,)."""
        most = math.radians(self.degrees)
        return {"angle_rad": random.uniform(low=-most, high=most)}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) as the rotated electrodes would see them."""
        if len(self.positions) != signals.shape[1]:
            raise ValueError(f"{len(self.positions)} positions for {signals.shape[1]} channels: give one for every channel")
        known = observed(signals, lengths)
        weights = self.weights(parameters["angle_rad"]).to(signals.dtype)
        return torch.where(known, weights @ torch.where(known, signals, 0.0), signals)

    def weights(self, angle_rad: Tensor) -> Tensor:
        """Interpolation matrices (B, C, C) in float64: the row of a rotated electrode, the columns of those that measured."""
        positions, solver = self.positions.to(angle_rad.device), self._solver.to(angle_rad.device)
        rotated = positions @ rotation_matrices(angle_rad.double(), self.axis).mT  # (B, C, 3)
        kernel = spline_kernel(rotated @ positions.T)
        return torch.cat((kernel, torch.ones_like(kernel[..., :1])), dim=-1) @ solver
