"""Heads: what stands between an encoder's embedding and the loss, thrown away afterwards."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from antiphon.common.frozen import frozen, updates_in

Norm = Literal["batch", "layer", "none"]
Activation = Literal["relu", "gelu"]
_NORMS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
_ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU}


class ProjectionHead(nn.Sequential):
    """Embeddings (B, in_dim) -> projections (B, out_dim): `layers` linear maps, norm, activation and dropout between them.

    `out_dim=None` gives back as many as came in (predictors). One layer is a plain linear map. The bias of a map that batch norm
    follows is left out, since the norm would cancel it; ``bias=False`` leaves out all. Batch statistics are those of one process;
    ``norm="layer"`` keeps examples apart.
    """

    def __init__(
        self,
        in_dim: int,
        hidden_dim: int,
        out_dim: int | None = None,
        *,
        layers: int = 2,
        norm: Norm = "batch",
        activation: Activation = "relu",
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        if layers < 1:
            raise ValueError(f"a projection head needs at least one layer, got layers={layers}")
        if norm not in (*_NORMS, "none") or activation not in _ACTIVATIONS:
            raise ValueError(f"norm is {norm!r} and activation {activation!r}: use batch, layer or none, and relu or gelu")
        out_dim = in_dim if out_dim is None else out_dim
        modules: list[nn.Module] = []
        for _ in range(layers - 1):
            modules.append(nn.Linear(in_dim, hidden_dim, bias=bias and norm != "batch"))
            if norm != "none":
                modules.append(_NORMS[norm](hidden_dim))
            modules.append(_ACTIVATIONS[activation]())
            if dropout:
                modules.append(nn.Dropout(dropout))
            in_dim = hidden_dim
        super().__init__(*modules, nn.Linear(in_dim, out_dim, bias=bias))
        self.out_dim = out_dim

    def forward(self, embeddings: Tensor) -> Tensor:
        """(B, in_dim) -> (B, out_dim)."""
        projections: Tensor = super().forward(embeddings)
        return projections


class PrototypeHead(nn.Module):
    """Embeddings (B, in_dim) -> cosines (B, out_dim) with learned prototypes: DINO's head (Caron et al., ICCV 2021).

    A `ProjectionHead` with `layers` maps down to `bottleneck_dim`, unit length, then the prototypes, whose rows count as unit
    vectors too (weight normalisation with the length fixed at 1). For the share `freeze` of all `steps` updates they stay as they
    were drawn.
    """

    updates: Tensor

    def __init__(
        self,
        in_dim: int,
        hidden_dim: int = 2048,
        bottleneck_dim: int = 256,
        out_dim: int = 65536,
        *,
        layers: int = 3,
        norm: Norm = "batch",
        activation: Activation = "gelu",
        steps: int | None = None,
        freeze: float = 0.0,
    ) -> None:
        super().__init__()
        self.projection = ProjectionHead(in_dim, hidden_dim, bottleneck_dim, layers=layers, norm=norm, activation=activation)
        self.prototypes = nn.Linear(bottleneck_dim, out_dim, bias=False)
        self.out_dim = out_dim
        self.frozen_updates = updates_in(freeze, steps, name="freeze")
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(self, embeddings: Tensor) -> Tensor:
        """(B, in_dim) -> (B, out_dim)."""
        units = F.normalize(self.projection(embeddings), dim=-1)
        weight = frozen(self.prototypes.weight) if self.updates < self.frozen_updates else self.prototypes.weight
        return F.linear(units, F.normalize(weight, dim=-1))

    @torch.no_grad()
    def after_update(self) -> None:
        """Count the update."""
        self.updates += 1
